"""The data of a fit: checked, weighted and divided."""

import math
import warnings
import zlib

import numpy as np

from ..checks.data import check_input, check_target, check_weights
from ..checks.feature_names import feature_names
from ..checks.sparse import Sparse
from ..jobs import Source

#: Of each array, about this many rows tell whether data are those of the last call.
FINGERPRINT_ROWS = 512
#: Bytes below are counts, classes or flags; pixels are larger, at least some of them.
LEAST_PIXEL = 64


def check_data(network, train, val, class_weight):
    """Return the rows to train on, and those to validate by or None, as Sources.

    Parameters
    ----------
    network : Network
    train, val : tuple
        X, y and sample weights, as users pass them; those of `val` may all be None.
    class_weight : dict, "balanced" or None
        The weight of a class is that in `train`.
    """
    names = ("X_val", "y_val", "sample_weight_val")
    given = [name for name, values in zip(names, val) if values is not None]
    missing = [name for name in names[:2] if name not in given]
    if given and missing:
        raise ValueError(
            f"{given[0]} is given without {missing[0]}: pass both X_val and y_val, or neither"
        )
    known = network.feature_names
    columns = known or feature_names(train[0])
    train = _check_source(network, known, train, "X", "y", "sample_weight")
    val = _check_source(network, columns, val, *names) if given else None
    if class_weight is not None:
        factors = class_factors(class_weight, train.y, network.layer_sizes[-1])
        factors = factors.astype(network.dtype)
        train = _times(train, factors, "sample_weight")
        if val is not None:
            val = _times(val, factors, "sample_weight_val")
    if val is not None and kind_of(val.X) != kind_of(train.X):
        raise TypeError(
            f"X_val is {kind_of(val.X)}, but X is {kind_of(train.X)}: convert one of them, so that "
            "both are of one kind"
        )
    _warn_of_bytes(network, train.X)
    return train, val


def _check_source(network, columns, arrays, X_name, y_name, weight_name):
    (D, *_, C), dtype = network.layer_sizes, network.dtype
    X, y, weights = arrays
    X = check_input(X, D, dtype, X_name, network.standardization, columns)
    n = X.shape[0]
    y = check_target(y, network.head, n, C, dtype, y_name, X_name)
    return Source(X, y, check_weights(weights, n, dtype, weight_name))


def _times(source, factors, name):
    """Return a source whose rows weigh so many times more for each class."""
    weights = factors[source.y]
    if source.weights is not None:
        weights = weights * source.weights
    weights = check_weights(weights, len(source), factors.dtype, f"{name} times class_weight")
    return Source(source.X, source.y, weights)


def _warn_of_bytes(network, X):
    """Warn where bytes are probably images that nobody scales, or no images but scaled as such."""
    if isinstance(X, Sparse) or X.dtype != np.uint8:
        return
    highest, scale = int(X.max()), float(network.input_scale.max())
    if highest >= LEAST_PIXEL and network.standardization is None:
        warnings.warn(
            f"X is uint8 with values of up to {highest}, which the network takes as they are: for "
            "images pass Network(..., input_scale=255)",
            UserWarning,
            stacklevel=4,
        )
    elif network.standardization is not None and highest * 10 < scale:
        warnings.warn(
            f"X is uint8 with values of at most {highest}, which the network divides by {scale:g}: "
            "if they are no images, make the network with input_scale=1",
            UserWarning,
            stacklevel=4,
        )


def class_factors(class_weight, y, C):
    """Return the weight of each class."""
    counts = np.bincount(y, minlength=C)
    if class_weight == "balanced":
        return len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    factors = np.ones(C)
    for label, weight in class_weight.items():
        if not 0 <= label < C:
            raise ValueError(
                f"class_weight holds the class {label}, but the network has the classes "
                f"0..{C - 1}: take it out"
            )
        factors[label] = weight
    return factors


def kind_of(X):
    """Return what to call an input."""
    if isinstance(X, Sparse):
        return "a CSR matrix"
    return "uint8" if X.dtype == np.uint8 else "a dense array of numbers"


def fingerprint(train, val):
    """Return a number that tells data from others, by some of their rows."""
    digest = 0
    for source in (train, val):
        arrays = [None]
        if source is not None:
            X, *others = source
            arrays = [*(X[1:] if isinstance(X, Sparse) else (X,)), *others]
        for array in arrays:
            if array is None:
                digest = zlib.crc32(b"none", digest)
                continue
            digest = zlib.crc32(f"{array.shape} {array.dtype.str}".encode(), digest)
            some = array[:: max(len(array) // FINGERPRINT_ROWS, 1)]
            digest = zlib.crc32(np.ascontiguousarray(some).tobytes(), digest)
    return digest


def divide(fraction, source, head, seed):
    """Return the rows of a source to train on, and a fraction of them to validate by."""
    labels = strata(source, head)
    parts = split_off(fraction, labels, len(source), np.random.RandomState(seed))
    train, val = (_subset(source, rows) for rows in parts)
    for part, name in ((train, "to train on"), (val, "to validate by")):
        if part.weights is not None and not part.weights.any():
            raise ValueError(
                f"the {len(part)} rows {name} that validation_fraction={fraction} leaves all have "
                "weight 0: pass X_val, y_val and sample_weight_val, or drop rows of weight 0"
            )
    return train, val


def strata(source, head):
    """Return a number for each row, equal where rows may stand for each other in a split.

    Those are rows of one class, or of one combination of several outputs; rows of weight 0 count
    for themselves, so that neither side of a split is left with nothing else.
    """
    y, weights = source.y, source.weights
    keys = []
    if head == "softmax":
        keys.append(y)
    elif head == "logistic":
        keys += list((y > 0.5).T)
    if weights is not None and not weights.all():
        keys.append(weights > 0)
    if not keys:
        return None
    return np.unique(np.stack(keys), axis=1, return_inverse=True)[1].ravel()


def _subset(source, rows):
    X, y, weights = source
    return Source(rows_of(X, rows), y[rows], None if weights is None else weights[rows])


def rows_of(X, chosen):
    """Return some rows, ascending indices, of an input of any kind."""
    if not isinstance(X, Sparse):
        return X[chosen]
    counts = np.diff(X.indptr)
    keep = np.zeros(X.shape[0], bool)
    keep[chosen] = True
    mask = np.repeat(keep, counts)
    indptr = np.concatenate([[0], np.cumsum(counts[chosen])]).astype(np.int64)
    stop = X.indptr[-1]
    return Sparse((len(chosen), X.shape[1]), indptr, X.indices[:stop][mask], X.data[:stop][mask])


def null_loss(head, source):
    """Return the weighted loss of the best constant prediction of a regression, else None.

    NaN where that is 0, so that no share of it is to be had.
    """
    if head in ("softmax", "logistic"):
        return None
    y = source.y.astype(np.float64)
    weights = np.ones(len(y)) if source.weights is None else source.weights.astype(np.float64)
    mean = np.average(y, axis=0, weights=weights)
    if head == "identity":
        losses = (y - mean) ** 2 / 2
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            losses = np.where(y > 0, y * np.log(y / mean), 0)
    # The mean of equal numbers may be another one, by rounding.
    weighed = y[weights > 0]
    varies = weighed.min(axis=0) < weighed.max(axis=0)
    loss = float(np.sum(losses[:, varies] * weights[:, None]))
    return loss if loss > 0 else float("nan")


def check_score(monitor, null):
    """Refuse to stop by a score that cannot be had: the targets to validate by do not vary."""
    if monitor == "score" and null is not None and math.isnan(null):
        raise ValueError(
            "monitor='score' needs targets that vary in the validation set, but all of them are "
            "equal, so that there is no share of their variation to explain: pass another "
            "validation set, or monitor='loss'"
        )


def split_off(fraction, labels, n, random):
    """Divide n rows: return those to train on, and a `fraction` of them left out.

    With `labels`, integers, each class leaves out its share, to less than one row.
    """
    order = random.permutation(n)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    count = round(n * fraction)
    if not 0 < count < n:
        raise ValueError(
            f"validation_fraction={fraction} of {n} rows is {count}: pass a fraction that leaves "
            "rows on both sides, or X_val and y_val"
        )
    # Evenly spaced in an order that is sorted by class: every class in proportion.
    places = ((np.arange(count) + 0.5) * n / count).astype(np.int64)
    left = np.sort(order[places])
    chosen = np.ones(n, bool)
    chosen[left] = False
    return np.flatnonzero(chosen), left
