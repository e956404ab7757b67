"""A validation set that the user passes, checked as scikit-learn checks what is predicted."""

import contextlib

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_array
from sklearn.utils.validation import _check_sample_weight

from ..checks.arrays import is_frame
from . import installed
from .outputs import OutputsBinarizer
from .training import Validation


def check_validation(estimator, data, X):
    """Return a validation set of a user's for an estimator that is being trained on `X`.

    Raises
    ------
    TypeError, ValueError
        If it does not suit the estimator; the message says what to do.
    """
    with _of_validation_data(data):
        return _checked(estimator, data, X)


@contextlib.contextmanager
def _of_validation_data(data):
    """Have errors say what they are about: they speak of X and y, as those of a fit do."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind, remedy = TypeError if isinstance(error, TypeError) else ValueError, ""
        if isinstance(data, (tuple, list)) and data and is_frame(data[0]):
            remedy = (
                "A Pipeline transforms X, but not X_val: pass it as the steps before the network "
                "give it"
            )
        text = str(error).rstrip()
        between = "" if not remedy else "\n" if "\n" in text else ". "
        raise kind(f"validation_data: {text}{between}{remedy}") from None


def _checked(estimator, data, X):
    try:
        X_val, y_val, *weights = data
    except (TypeError, ValueError):
        weights = [None, None]
    if isinstance(data, str) or len(weights) > 1:
        raise TypeError(
            "it is no tuple of two or three arrays: pass (X_val, y_val), or "
            "(X_val, y_val, sample_weight_val)"
        )
    X_val = installed.validated(estimator, X_val).astype(X.dtype, copy=False)
    n = X_val.shape[0]
    weight = _check_sample_weight(weights[0], X_val) if weights and weights[0] is not None else None
    y_val, targets = (_classes if is_classifier(estimator) else _numbers)(estimator, y_val)
    if len(targets) != n:
        raise ValueError(
            f"X_val has {n} rows, but y_val has {len(targets)}: pass one target for each row"
        )
    if targets.shape[1] != estimator.n_outputs_:
        raise ValueError(
            f"y_val has {targets.shape[1]} columns, but y has "
            f"{estimator.n_outputs_}: pass targets of the same kind"
        )
    return Validation(X_val, y_val, weight, targets)


def _numbers(estimator, y):
    y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
    return y, y.reshape(len(y), -1)


def _classes(estimator, y):
    binarizer = estimator._label_binarizer
    y = np.asarray(y)
    if isinstance(binarizer, OutputsBinarizer):
        return y, binarizer.transform(y)
    if binarizer.y_type_.startswith("multilabel"):
        y = check_array(y, input_name="y")
        return y, y.astype(bool)
    y = y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y
    unknown = np.setdiff1d(y, estimator.classes_)
    if len(unknown):
        raise ValueError(
            f"y_val holds the classes {unknown.tolist()}, which the training data has "
            "not: leave these rows out"
        )
    targets = binarizer.transform(y).astype(bool)
    return y, targets
