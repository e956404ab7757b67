"""The installed scikit-learn: its perceptrons, and what it does where releases differ.

What can be found out by trying is tried; no version is compared.
"""

import functools
import inspect
import warnings

import numpy as np
from sklearn.neural_network import _base as functions
from sklearn.neural_network import _multilayer_perceptron as perceptron

#: The base class of scikit-learn's perceptrons.
BASE = perceptron.BaseMultilayerPerceptron
#: Its methods in which all arithmetic is done.
HOOKS = ("_fit_stochastic", "_loss_grad_lbfgs", "_forward_pass_fast")

_missing = [name for name in HOOKS if not hasattr(BASE, name)]
if _missing:
    raise ImportError(
        f"scikit-learn's perceptrons have no {', '.join(_missing)} any more, where fastnn does "
        "their arithmetic: install a release of scikit-learn that fastnn knows (1.5 to 1.9)"
    )

#: The methods as scikit-learn has them.
ORIGINAL = {name: getattr(BASE, name) for name in HOOKS}
#: The names of their parameters: those with weights have come in 1.7.
PARAMETERS = {name: tuple(inspect.signature(ORIGINAL[name]).parameters) for name in HOOKS}
#: Since 1.7 there are weights, and a validation set of one row is refused.
TAKES_WEIGHTS = LIMITS_THE_SPLIT = "sample_weight" in PARAMETERS["_fit_stochastic"]
#: What these methods call, and what a subclass may therefore not have changed.
INTERNALS = ("_backprop", "_forward_pass", "_compute_loss_grad", "_unpack")
_OWN = {name: getattr(BASE, name) for name in (*INTERNALS, "_update_no_improvement_count")}
#: The functions by which scikit-learn computes, as they were when this was imported.
TABLES = {
    name: dict(getattr(functions, name))
    for name in ("ACTIVATIONS", "DERIVATIVES", "LOSS_FUNCTIONS")
}

#: Heads of fastnn by scikit-learn's loss and output activation.
HEADS = {
    ("log_loss", "softmax"): "softmax",
    ("log_loss", "logistic"): "logistic",
    ("squared_error", "identity"): "identity",
    ("poisson", "exp"): "exponential",
}


def changed_internals(kind):
    """Return the names of the internal methods that a class does not have from scikit-learn."""
    return [name for name, method in _OWN.items() if getattr(kind, name) is not method]


def loss_factor(head, outputs):
    """Return scikit-learn's loss over that of a head, which is a sum over the outputs.

    A squared error is averaged over the outputs, for example, though its gradient is summed.
    """
    if head == "identity":
        return _loss_of_ones(functions.LOSS_FUNCTIONS["squared_error"], outputs) / (outputs / 2)
    if head == "exponential":
        return _loss_of_ones(functions.LOSS_FUNCTIONS["poisson"], outputs) / outputs
    return 1.0


@functools.lru_cache
def _loss_of_ones(function, outputs):
    """Return a loss of ones where zeros are wanted: to ask takes as long as many a partial fit."""
    return float(function(np.zeros((1, outputs)), np.ones((1, outputs))))


def warn(message, category=UserWarning):
    """Warn as scikit-learn's perceptrons do: programs filter warnings by the module they are of."""
    warnings.warn_explicit(
        message,
        category,
        filename=perceptron.__file__,
        lineno=ORIGINAL["_fit_stochastic"].__code__.co_firstlineno,
        module=perceptron.__name__,
        registry=vars(perceptron).setdefault("__warningregistry__", {}),
    )


def validated(estimator, X):
    """Return X as scikit-learn checks what is to be predicted; raise what it raises."""
    validate = getattr(perceptron, "validate_data", None)
    if validate is None:
        return estimator._validate_data(X, accept_sparse=["csr", "csc"], reset=False)
    return validate(estimator, X, accept_sparse=["csr", "csc"], reset=False)


def validated_pair(estimator, X, y, reset):
    """Return X and y as scikit-learn checks what is to be fitted; raise what it raises."""
    keywords = {
        "accept_sparse": ["csr", "csc"],
        "multi_output": True,
        "dtype": (np.float64, np.float32),
        "reset": reset,
    }
    validate = getattr(perceptron, "validate_data", None)
    if validate is None:
        return estimator._validate_data(X, y, **keywords)
    return validate(estimator, X, y, **keywords)


def arguments_of(name, args, kwargs):
    """Return the arguments of a hook by name."""
    return dict(zip(PARAMETERS[name][1:], args)) | kwargs
