"""The data of a fit: checked, weighted, divided, and without their zeros."""

import operator
import zlib

import numpy as np

from ._checks import check_input, check_number, check_target, check_weights
from .engine import Source, Sparse
from .order import split_off

#: Of each array, about this many rows tell whether data are those of the last call.
FINGERPRINT_ROWS = 512


def check_class_weight(class_weight):
    """Return None, "balanced", or a dict of ints and floats."""
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return class_weight
    if not isinstance(class_weight, dict):
        raise (ValueError if isinstance(class_weight, str) else TypeError)(
            f"class_weight is {class_weight!r}, but it is a dict from classes to weights, "
            "'balanced' or None"
        )
    factors = {}
    for label, weight in class_weight.items():
        try:
            known = operator.index(label)
        except TypeError:
            raise TypeError(
                f"class_weight holds the class {label!r}, but classes are integers from 0 on: "
                "number them, as those of y"
            ) from None
        factors[known] = check_number(
            weight, f"class_weight[{known}]", "pass 1 for a class of ordinary weight"
        )
    return factors


def check_data(network, X, y, X_val, y_val, sample_weight, class_weight):
    """Return the rows to train on, and those to validate by or None, as Sources."""
    (D, *_, C), dtype, head = network.layer_sizes, network.dtype, network.head
    X = check_input(X, D, dtype)
    n = X.shape[0]
    y = check_target(y, head, n, C, dtype)
    weights = check_weights(sample_weight, n, dtype)
    if class_weight is not None:
        factors = class_factors(class_weight, y, C)[y].astype(dtype)
        weights = factors if weights is None else weights * factors
        weights = check_weights(weights, n, dtype, "sample_weight times class_weight")
    if (X_val is None) != (y_val is None):
        given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
        raise ValueError(f"{given} is given without {missing}: pass both, or neither")
    if X_val is None:
        return Source(X, y, weights), None
    X_val = check_input(X_val, D, dtype, "X_val")
    y_val = check_target(y_val, head, X_val.shape[0], C, dtype, "y_val", "X_val")
    if kind_of(X_val) != kind_of(X):
        raise TypeError(
            f"X_val is {kind_of(X_val)}, but X is {kind_of(X)}: convert one of them, so that both "
            "are of one kind"
        )
    return Source(X, y, weights), Source(X_val, y_val)


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


def divide(fraction, source, by_class, seed):
    """Return the rows of a source to train on, and a fraction of them to validate by."""
    X, y, weights = source
    labels = y if by_class else None
    chosen, left = split_off(fraction, labels, len(source), np.random.RandomState(seed))
    weights = None if weights is None else weights[chosen]
    return Source(rows_of(X, chosen), y[chosen], weights), Source(rows_of(X, left), y[left])


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


def without_zeros(source):
    """Return the source of the non-zeros of a dense one."""
    if source is None or isinstance(source.X, Sparse):
        return source
    X, y, weights = source
    there = X != 0
    indptr = np.zeros(len(X) + 1, np.int64)
    np.cumsum(np.count_nonzero(there, axis=1), out=indptr[1:])
    indices = np.nonzero(there)[1].astype(np.int32)
    return Source(Sparse(X.shape, indptr, indices, X[there]), y, weights)


def null_loss(head, y):
    """Return the summed loss of the best constant prediction of a regression, else None.

    NaN where that is 0, so that no share of it is to be had.
    """
    if head in ("softmax", "logistic"):
        return None
    y = y.astype(np.float64)
    mean = np.broadcast_to(y.mean(axis=0), y.shape)
    if head == "identity":
        loss = float(np.sum((y - mean) ** 2)) / 2
    else:
        positive = y > 0
        loss = float(np.sum(y[positive] * np.log(y[positive] / mean[positive])))
    return loss if loss > 0 else float("nan")
