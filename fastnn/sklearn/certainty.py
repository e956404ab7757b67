"""Data of which it is certain, at a glance, what scikit-learn's checks would make of them.

For a few rows its checks take longer than all arithmetic. They are left out only where they would
return what they get and warn of nothing; whatever is not certain goes the whole way.
"""

import copy
import functools
import sys
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array, csr_matrix
from sklearn.preprocessing import LabelBinarizer

from ..checks.data import all_finite

_FLOATS = {np.dtype("f4"), np.dtype("f8")}
_PLAIN = {str, int, float, bool, type(None)}


class Rows(NamedTuple):
    """Rows as scikit-learn's checks return them."""

    numbers: Any  #: finite, an array or a CSR matrix
    names: Any = None  #: those of the columns of a data frame, a list


@functools.lru_cache
def _parameter_names(kind):
    return tuple(kind._get_param_names())


def plain_parameters(estimator):
    """Return the class and the parameters of an estimator, to be compared, or None.

    Not None where all of them are plain numbers, texts and tuples of these: equal ones of one type
    pass scikit-learn's checks, or fail them, alike.
    """
    values = [getattr(estimator, name, None) for name in _parameter_names(type(estimator))]
    parts = [part for value in values for part in (value if type(value) is tuple else (value,))]
    if not _PLAIN.issuperset(map(type, parts)):
        return None
    return type(estimator), tuple(map(type, parts)), tuple(values)


def certain_rows(estimator, X):
    """Return what scikit-learn's checks would make of more rows X for a fitted estimator, or None.

    Not None for what :func:`first_rows` takes, with the columns that the estimator knows. Integers
    stay integers, and booleans booleans.
    """
    rows, known = _rows_of(X), getattr(estimator, "feature_names_in_", None)
    if rows is None or (rows.names is None) != (known is None):
        return None
    if known is not None and rows.names != known.tolist():
        return None
    numbers = rows.numbers
    fits = numbers.shape[1] == getattr(estimator, "n_features_in_", None)
    return numbers if fits and _are_finite(numbers) else None


def first_rows(X):
    """Return the Rows that scikit-learn's checks would make of X, to be fitted anew, or None.

    Not None for finite floats, integers and booleans of an array, in memory or mapped from a file,
    of a list, of a CSR matrix, or of a data frame of pandas.
    """
    rows = _rows_of(X)
    if rows is None or not rows.numbers.shape[1]:
        return None
    if rows.names is not None:
        texts = all(type(name) is str for name in rows.names)
        if not texts or len(set(rows.names)) < len(rows.names):
            return None
    return rows._replace(numbers=floats(rows.numbers)) if _are_finite(rows.numbers) else None


def floats(numbers):
    """Return numbers to be fitted as scikit-learn's checks do: what is no float in float64."""
    return numbers.astype(np.float64) if numbers.dtype.kind != "f" else numbers


def note_columns(estimator, rows):
    """Note the columns of Rows that an estimator is fitted to, as scikit-learn's checks do."""
    estimator.n_features_in_ = rows.numbers.shape[1]
    if rows.names is not None:
        estimator.feature_names_in_ = np.array(rows.names, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def _rows_of(X):
    """Return the Rows in what may be certain, or None; they may be infinite."""
    kind, names = type(X), None
    if kind is _of_pandas("DataFrame"):
        dtypes = set(X.dtypes)
        if not dtypes or not all(_are_numbers(dtype) for dtype in dtypes):
            return None
        # Booleans beside numbers would make pandas give objects; scikit-learn takes numbers.
        X, names = X.to_numpy(np.result_type(*dtypes)), X.columns.tolist()
    elif kind is list:
        try:
            X = np.asarray(X)
        except ValueError:  # of rows that are not as long as each other
            return None
    elif kind is np.memmap:
        X = np.asarray(X)
    elif kind is not np.ndarray and kind not in (csr_array, csr_matrix):
        return None
    return Rows(X, names) if _are_numbers(X.dtype) and X.ndim == 2 and X.shape[0] else None


def _of_pandas(name):
    """Return a class of pandas, if that has been imported, whole or in part, else None."""
    return getattr(sys.modules.get("pandas"), name, None)


def _are_numbers(dtype):
    return dtype in _FLOATS or (isinstance(dtype, np.dtype) and dtype.kind in "iub")


def _are_finite(numbers):
    if numbers.dtype.kind != "f":
        return True
    return all_finite(numbers if type(numbers) is np.ndarray else numbers.data)


def values_of(y):
    """Return the values of a series of pandas, of texts or of a dtype of NumPy's; else y itself."""
    if type(y) is not _of_pandas("Series"):
        return y
    return y.to_numpy() if isinstance(y.dtype, (np.dtype, _of_pandas("StringDtype"))) else y


def is_certain_number(y, n):
    """Tell whether scikit-learn's checks would return the targets y of a regression as they are."""
    return (
        type(y) is np.ndarray
        and y.dtype in _FLOATS
        and (y.ndim == 1 or (y.ndim == 2 and y.shape[1] > 1))
        and len(y) == n
        and all_finite(y)
    )


def certain_accuracy(right, weights=None):
    """Return what scikit-learn's ``accuracy_score`` does of which rows are right, or None.

    Not None for weights, if any, that do not add up to 0.
    """
    if weights is None:
        return float(np.mean(right))
    return float(np.average(right, weights=weights)) if weights.sum() > 0 else None


def certain_r2(y, predicted, weights=None):
    """Return what scikit-learn's ``r2_score`` does, the mean of all columns, or None.

    Not None for finite numbers of two rows or more, in no column of which all are the same.
    """
    if type(y) is not np.ndarray or y.dtype not in _FLOATS:
        return None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y.ravel()  # as what is predicted by a single output
    if y.shape != predicted.shape or (weights is not None and not weights.sum() > 0):
        return None
    each = 1.0 if weights is None else weights.reshape(-1, *[1] * (y.ndim - 1))
    with np.errstate(over="ignore", invalid="ignore"):
        centre = np.average(y, axis=0, weights=weights)
        left = np.sum(each * (y - predicted) ** 2, axis=0, dtype=np.float64)
        spread = np.sum(each * (y - centre) ** 2, axis=0, dtype=np.float64)
    if len(y) < 2 or not (np.isfinite(left).all() and np.isfinite(spread).all() and np.all(spread)):
        return None
    return float(np.mean(1 - left / spread))


def indicators_of(estimator, y, n):
    """Return the columns of zeros and ones that scikit-learn makes of labels, or None.

    Not None for labels all of which the estimator knows, for a warm start each of its classes at
    least once; and for such columns.
    """
    if are_columns(estimator, y):
        return y.astype(bool) if len(y) == n else None
    if not are_labels(estimator, y, n):
        return None
    classes = estimator.classes_
    places = classes.searchsorted(y)
    np.minimum(places, len(classes) - 1, out=places)
    if not (classes[places] == y).all():
        return None
    if estimator.warm_start and not np.bincount(places, minlength=len(classes)).all():
        return None
    if len(classes) == 2:
        return places.astype(bool)[:, None]
    return places[:, None] == np.arange(len(classes))


def are_columns(estimator, y):
    """Tell whether y are the columns of zeros and ones of an estimator of several labels a row."""
    return (
        type(y) is np.ndarray
        and y.ndim == 2
        and y.dtype.kind in "biu"
        and is_of_columns(estimator)
        and y.shape[1] == len(estimator.classes_)
        and bool(((y == 0) | (y == 1)).all())
    )


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
    """Tell whether y are n labels of the kind that an estimator knows, integers or texts."""
    classes = getattr(estimator, "classes_", None)
    return (
        type(classes) is np.ndarray
        and len(classes) > 1
        and kind_of_labels(y, n) == kind_of_labels(classes, len(classes)) != "others"
        and is_of_classes(estimator)
    )


def kind_of_labels(y, n):
    """Return of which kind n labels are, one a row: "integers", "texts" or "others"."""
    if type(y) is not np.ndarray or y.shape != (n,):
        return "others"
    if y.dtype.kind in "iu":
        return "integers"
    texts = y.dtype.kind == "U"
    texts = texts or (y.dtype == object and all(type(label) is str for label in y))
    return "texts" if texts else "others"


def is_of_classes(estimator):
    """Tell whether a classifier tells dense labels of one class a row from each other."""
    binarizer = getattr(estimator, "_label_binarizer", None)
    one = getattr(binarizer, "y_type_", None) in ("binary", "multiclass")
    return one and not binarizer.sparse_input_


def is_of_columns(estimator):
    """Tell whether a classifier has a column of zeros and ones for each of several labels."""
    binarizer = getattr(estimator, "_label_binarizer", None)
    several = getattr(binarizer, "y_type_", None) == "multilabel-indicator"
    return several and not binarizer.sparse_input_ and len(estimator.classes_) > 1


def classes_of(estimator, outputs):
    """Return the classes that scikit-learn's binarizer finds in outputs; see `is_of_classes`."""
    classes = estimator.classes_
    if outputs.shape[1] > 1:
        return classes.take(outputs.argmax(axis=1), mode="clip")
    return classes[(outputs.ravel() > 0.5).astype(int)]
