"""Which estimators the engine can compute, and why it cannot compute the others."""

import logging

import numpy as np

from ..jobs import Architecture
from ..reference.activations import ACTIVATIONS
from . import installed, kept

logger = logging.getLogger("fastnn.sklearn")

#: Reasons that have been logged, with the class that they were of.
_told: set = set()


def fallback(estimator, what, reason):
    """Log, once for each class and reason, that scikit-learn's own code does the work."""
    kind = type(estimator)
    key = f"{kind.__module__}.{kind.__qualname__}", what, reason
    if key not in _told:
        _told.add(key)
        logger.warning(
            "scikit-learn's own code %s this %s, since %s", what, kind.__qualname__, reason
        )


def forget():
    """Forget what has been logged, so that it is logged again."""
    _told.clear()


def activation_of(estimator):
    """Return the hidden activation of an estimator: a name, or a tuple of one for each layer."""
    activation = estimator.activation
    return activation if isinstance(activation, str) else tuple(activation)


def architecture_of(estimator):
    """Return the architecture of a fitted estimator; it must be one that the engine computes."""
    sizes = tuple(len(W) for W in estimator.coefs_) + (estimator.coefs_[-1].shape[1],)
    return Architecture(sizes, activation_of(estimator), head_of(estimator))


def head_of(estimator):
    """Return the head of an estimator, None for one that the engine does not have."""
    return installed.HEADS.get((estimator.loss, estimator.out_activation_))


def why_not_in_class(estimator):
    """Return why no estimator like this one can run on the engine, or None if some can."""
    changed = installed.changed_internals(type(estimator))
    if changed:
        return f"{type(estimator).__qualname__} has its own {', '.join(changed)}"
    activation = activation_of(estimator)
    for name in {activation} if isinstance(activation, str) else set(activation):
        if name not in ACTIVATIONS:
            return f"fastnn has no activation {name!r}"
        if _replaced("ACTIVATIONS", name) or _replaced("DERIVATIVES", name):
            return f"scikit-learn's activation {name!r} has been replaced"
    known = {loss for loss, _ in installed.HEADS}
    if estimator.loss not in known:
        return f"fastnn has no loss {estimator.loss!r}"
    names = ["log_loss", "binary_log_loss"] if estimator.loss == "log_loss" else [estimator.loss]
    for name in names:
        if _replaced("LOSS_FUNCTIONS", name):
            return f"scikit-learn's loss {name!r} has been replaced"
    return None


def _replaced(table, name):
    """Tell whether a function that scikit-learn computes by is another than it came with."""
    before = installed.TABLES[table].get(name)
    return before is not None and getattr(installed.functions, table).get(name) is not before


def why_not(estimator):
    """Return why a fitted, or initialised, estimator cannot run on the engine, or None."""
    reason = why_not_in_class(estimator)
    if reason is not None:
        return reason
    if head_of(estimator) is None:
        return (
            f"fastnn has no output activation {estimator.out_activation_!r} with the loss "
            f"{estimator.loss!r}"
        )
    parts = [*estimator.coefs_, *estimator.intercepts_]
    try:
        dtypes = {part.dtype for part in parts}
    except AttributeError:
        return "its parameters are not all arrays"
    if len(dtypes) > 1 or not dtypes <= {np.dtype("f4"), np.dtype("f8")}:
        names = ", ".join(sorted(str(dtype) for dtype in dtypes))
        return f"its parameters are of {names}, not all of float32 or all of float64"
    if not _fit_together(estimator.coefs_, estimator.intercepts_):
        return "its parameters do not fit each other"
    hidden, names = len(estimator.coefs_) - 1, activation_of(estimator)
    if not isinstance(names, str) and len(names) != hidden:
        return f"it has {len(names)} activations, but {hidden} hidden layers"
    return None


def _fit_together(coefs, intercepts):
    """Tell whether the shapes of some parameters are those of a network's layers."""
    if len(coefs) != len(intercepts) or any(W.ndim != 2 for W in coefs):
        return False
    inputs = [len(W) for W in coefs[1:]]
    units = [W.shape[1] for W in coefs]
    return units[:-1] == inputs and all(b.shape == (n,) for b, n in zip(intercepts, units))


def why_not_rows(estimator, X):
    """Return why the engine cannot take such rows, or None."""
    inputs = len(estimator.coefs_[0])
    if X.shape[1] != inputs:
        # A fit that failed may have noted other columns than those of the parameters.
        return f"X has {X.shape[1]} columns, but the network {inputs} inputs"
    return None


def why_not_steps(estimator, X, incremental):
    """Return why the engine cannot take steps on such data, or None."""
    optimizer = getattr(estimator, "_optimizer", None)
    if incremental and optimizer is not None and not kept.is_known(optimizer):
        return f"its optimiser is a {type(optimizer).__qualname__}, none of scikit-learn's"
    if np.result_type(X.dtype, estimator.coefs_[0]) != estimator.coefs_[0].dtype:
        return (
            f"its parameters are {estimator.coefs_[0].dtype}, but X is {X.dtype}: scikit-learn "
            "computes in the one, and rounds to the other at each step"
        )
    return None


def why_not_targets(estimator, y):
    """Return why the engine cannot train towards such targets, or None."""
    if y.dtype.kind not in "biuf":
        return f"its targets are of {y.dtype}, no numbers"
    head, outputs = head_of(estimator), estimator.coefs_[-1].shape[1]
    columns = 1 if y.ndim == 1 else y.shape[1]
    if columns != outputs:
        return f"y has {columns} columns, but the network {outputs} outputs"
    if head == "softmax" and not _is_one_hot(y):
        return "its targets are not one class a row"
    if head == "exponential" and (np.asarray(y) < 0).any():
        return "some targets of the Poisson loss are negative, where scikit-learn's is NaN"
    return None


def _is_one_hot(y):
    return y.ndim == 2 and np.count_nonzero(y) == len(y) and bool((y.max(axis=1) == 1).all())
