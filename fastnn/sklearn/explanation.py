"""What would compute an estimator, and why."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import is_classifier

from ..checks.perceptrons import type_of, unwrapped
from ..threads import get_num_threads, limited
from . import installed, support
from .hooks import METHODS


@dataclass(frozen=True)
class Explanation:
    """What would compute an estimator: its text says it in words.

    Attributes
    ----------
    training, prediction : str
        "fastnn", or "scikit-learn" for the estimator's own code; `training` is "nothing" where fit
        would raise, whatever the data.
    reason : str or None
        Why not all of it runs on the engine, or what fit would raise.
    threads : int
        Most threads of a call on the engine, here and now.
    """

    name: str
    training: str
    prediction: str
    reason: str | None
    threads: int

    def __str__(self):
        if self.training == "nothing":
            return f"{self.name} cannot be trained, since {self.reason}"
        places = {"fastnn": "on fastnn's engine", "scikit-learn": "by scikit-learn's own code"}
        text = f"{self.name} trains {places[self.training]} and predicts {places[self.prediction]}"
        if self.reason is not None:
            return f"{text}: {self.reason}"
        return f"{text}, in up to {self.threads} thread{'s' * (self.threads > 1)}"


def explain(estimator):
    """Tell what would compute an estimator, and why not the engine where it does not.

    Parameters
    ----------
    estimator : estimator
        A perceptron of scikit-learn's or of fastnn's, fitted or not.

    Returns
    -------
    Explanation
        Print it, or look at its attributes. What only the data can tell (parameters of float32 and
        an X of float64, for example) is logged by ``fastnn.sklearn`` when it comes to it.

    Raises
    ------
    TypeError
        If it is no perceptron of scikit-learn's.

    Examples
    --------
    >>> import fastnn.sklearn
    >>> from sklearn.neural_network import MLPClassifier
    >>> print(fastnn.sklearn.explain(MLPClassifier()))
    MLPClassifier trains by scikit-learn's own code and predicts by scikit-learn's own code: ...
    >>> fastnn.patch_sklearn()
    >>> fastnn.sklearn.explain(MLPClassifier()).training
    'fastnn'
    >>> fastnn.unpatch_sklearn()
    """
    if isinstance(estimator, type) or not isinstance(estimator, installed.BASE):
        raise TypeError(
            f"estimator is {type_of(estimator)}, but explain knows perceptrons only: "
            f"{unwrapped(estimator, 'pass an MLPClassifier or an MLPRegressor')}"
        )
    trains = "_loss_grad_lbfgs" if estimator.solver == "lbfgs" else "_fit_stochastic"
    hooked = [_is_hooked(estimator, name) for name in (trains, "_forward_pass_fast")]
    reason = support.why_not_in_class(estimator)
    if reason is None and hasattr(estimator, "coefs_"):
        reason = support.why_not(estimator)
    if reason is not None:
        hooked = [False, False]
    elif not all(hooked):
        reason = _why_not_hooked(estimator, trains, hooked)
    places = ["fastnn" if engine else "scikit-learn" for engine in hooked]
    refusal = _refusal(estimator)
    if refusal is not None:
        places[0], reason = "nothing", f"fit would raise: {refusal}"
    with limited(getattr(estimator, "n_threads", None)):
        threads = get_num_threads()
    return Explanation(type(estimator).__name__, *places, reason, threads)


def _refusal(estimator):
    """Return what a fit would raise of the parameters alone, or None."""
    try:
        estimator._validate_params()
        if hasattr(estimator, "_check_options"):
            estimator._check_options(False, None)
        sizes = np.atleast_1d(estimator.hidden_layer_sizes)
        if (sizes <= 0).any():
            return f"hidden_layer_sizes must be > 0, got {sizes.tolist()}."
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def _is_hooked(estimator, name):
    """Tell whether a method of an estimator is the engine's, or calls it."""
    method = getattr(type(estimator), name)
    return method is METHODS[name] or getattr(method, "fastnn", False)


def _why_not_hooked(estimator, trains, hooked):
    own = [
        name
        for name, engine in zip((trains, "_forward_pass_fast"), hooked)
        if not engine and getattr(type(estimator), name) is not installed.ORIGINAL[name]
    ]
    if own:
        return f"{type(estimator).__qualname__} has its own {', '.join(own)}"
    kind = "MLPClassifier" if is_classifier(estimator) else "MLPRegressor"
    return f"call fastnn.patch_sklearn(), or use fastnn.{kind}"
