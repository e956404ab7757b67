"""Data of which it is certain, at a glance, what scikit-learn's checks would make of them.

For a few rows its checks take longer than all arithmetic. They are left out only where they would
return what they get and warn of nothing; whatever is not certain goes the whole way.
"""

import copy
import functools

import numpy as np
from sklearn.preprocessing import LabelBinarizer

from ..checks.data import all_finite

_FLOATS = np.dtype("f4"), np.dtype("f8")


def is_certain(estimator, X):
    """Tell whether scikit-learn's checks would return the rows X as they are."""
    return (
        type(X) is np.ndarray
        and X.dtype in _FLOATS
        and X.ndim == 2
        and len(X) > 0
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and not hasattr(estimator, "feature_names_in_")
        and all_finite(X)
    )


def is_certain_number(y, n):
    """Tell whether scikit-learn's checks would return the targets y of a regression as they are."""
    return (
        type(y) is np.ndarray
        and y.dtype in _FLOATS
        and (y.ndim == 1 or (y.ndim == 2 and y.shape[1] > 1))
        and len(y) == n
        and all_finite(y)
    )


def certain_r2(y, predicted):
    """Return what scikit-learn's ``r2_score`` does, the mean of all columns, or None.

    Not None for finite numbers of two rows or more, in no column of which all are the same.
    """
    if type(y) is not np.ndarray or y.dtype not in _FLOATS:
        return None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y.ravel()  # as what is predicted by a single output
    if y.shape != predicted.shape:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        left = np.sum((y - predicted) ** 2, axis=0, dtype=np.float64)
        spread = np.sum((y - y.mean(axis=0)) ** 2, axis=0, dtype=np.float64)
    if len(y) < 2 or not (np.isfinite(left).all() and np.isfinite(spread).all() and np.all(spread)):
        return None
    return float(np.mean(1 - left / spread))


def indicators_of(estimator, y, n):
    """Return the columns of zeros and ones that scikit-learn makes of labels, or None.

    Not None for integers, all of which the estimator knows.
    """
    if estimator.warm_start or not are_labels(estimator, y, n):
        return None
    classes = estimator.classes_
    places = classes.searchsorted(y)
    np.minimum(places, len(classes) - 1, out=places)
    if not (classes[places] == y).all():
        return None
    if len(classes) == 2:
        return places.astype(bool)[:, None]
    return places[:, None] == np.arange(len(classes))


def binarizer_of(y):
    """Return a binarizer of labels as its ``fit(y)`` would leave it, or None.

    Not None for integers of two classes or more that have two rows each in the mean: of fewer rows
    scikit-learn warns.
    """
    if type(y) is not np.ndarray or y.dtype != np.int64 or y.ndim != 1:
        return None
    classes = np.unique(y)
    if not 2 <= len(classes) <= len(y) / 2:
        return None
    binarizer = copy.copy(_binarizer_of_classes(min(len(classes), 3)))
    if binarizer is not None:
        binarizer.classes_ = classes
    return binarizer


@functools.lru_cache
def _binarizer_of_classes(count):
    """Return a binarizer fitted to some classes, or None if it keeps more of labels than these."""
    labels = np.arange(count)
    one, other = (vars(LabelBinarizer().fit(y)) for y in (labels, np.repeat(labels + 3, 2)))
    differ = {name for name, value in one.items() if not np.array_equal(value, other[name])}
    return LabelBinarizer().fit(labels) if differ == {"classes_"} else None


def are_labels(estimator, y, n):
    """Tell whether y are n integers, and those that the estimator knows are integers, too."""
    classes = getattr(estimator, "classes_", None)
    return (
        type(y) is np.ndarray
        and y.ndim == 1
        and y.dtype.kind in "iu"
        and len(y) == n
        and type(classes) is np.ndarray
        and classes.dtype.kind in "iu"
        and len(classes) > 1
        and is_of_classes(estimator)
    )


def is_of_classes(estimator):
    """Tell whether a classifier tells dense labels of one class a row from each other."""
    binarizer = estimator._label_binarizer
    return binarizer.y_type_ in ("binary", "multiclass") and not binarizer.sparse_input_


def classes_of(estimator, outputs):
    """Return the classes that scikit-learn's binarizer finds in outputs; see `is_of_classes`."""
    classes = estimator.classes_
    if outputs.shape[1] > 1:
        return classes.take(outputs.argmax(axis=1), mode="clip")
    return classes[(outputs.ravel() > 0.5).astype(int)]
