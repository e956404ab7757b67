"""Data as scikit-learn has checked them, turned into what the engine takes."""

import numpy as np

from ..checks.data import within_range
from ..checks.sparse import Sparse, checked_csr
from ..jobs import Source


def rows_of(X, dtype):
    """Return rows as the engine reads them: of the dtype, each contiguous, or without zeros."""
    if hasattr(X, "tocsr"):
        indptr, indices, data = checked_csr(X, "X")
        return Sparse(X.shape, indptr, indices, np.ascontiguousarray(data, dtype))
    return np.ascontiguousarray(X, dtype)


def labels_of(indicators):
    """Return the label of each row of zeros and a one, or None if they are anything else."""
    labels = np.ascontiguousarray(indicators.argmax(axis=1), np.int64)
    is_one = indicators == 1
    certain = is_one[np.arange(len(labels)), labels].all()
    if not certain or np.count_nonzero(indicators) != len(labels):
        return None
    return labels


def targets_of(y, head, dtype):
    """Return targets as the engine reads them, or None if scikit-learn has not made them so."""
    if y.ndim == 1:
        y = y[:, None]
    if head == "softmax":
        return labels_of(y)
    return np.ascontiguousarray(y, dtype)


def scaled(weights, dtype):
    """Return weights of rows that the engine can take, and what they have been divided by."""
    return (None, 1.0) if weights is None else within_range(np.asarray(weights), dtype)


def source_of(X, y, weights, head, dtype, smoothing=0.0):
    """Return a Source; `y` must suit the head, see :func:`targets_of`.

    Targets of a logistic are moved towards a half by `smoothing`, their smoothed label.
    """
    targets = targets_of(y, head, dtype)
    if smoothing:
        targets = (1 - smoothing) * targets + dtype.type(smoothing / 2)
    return Source(rows_of(X, dtype), targets, weights)
