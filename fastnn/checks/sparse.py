"""Sparse matrices: checked before SciPy's compiled code sees them, and copied for ours.

Whatever is used as an index is a private copy, and is checked after it was copied: nothing that
happens to the user's matrix later can make a kernel read or write beyond its arrays.
"""

from typing import NamedTuple

import numpy as np

from .arrays import REAL


class Sparse(NamedTuple):
    """A CSR matrix: row i holds ``data[j]`` in column ``indices[j]``, j from indptr[i] on."""

    shape: tuple
    indptr: np.ndarray  #: int64
    indices: np.ndarray  #: int32, ascending in a row
    data: np.ndarray  #: of the network's dtype

    def toarray(self, rows=slice(None)):
        """Return some rows, a slice or indices, as a dense array."""
        chosen = np.arange(self.shape[0])[rows]
        dense = np.zeros((len(chosen), self.shape[1]), self.data.dtype)
        for i, row in enumerate(chosen):
            span = slice(self.indptr[row], self.indptr[row + 1])
            dense[i, self.indices[span]] = self.data[span]
        return dense


def checked_csr(X, name):
    """Return the indptr, indices and data of a sparse matrix in canonical CSR form.

    Parameters
    ----------
    X : sparse matrix or array of SciPy
        Of two dimensions and any format.
    name : str
        What errors call it.

    Returns
    -------
    indptr : ndarray of shape (n_rows + 1,)
        int64; a private copy.
    indices : ndarray of shape (n_stored,)
        int32 columns, ascending in each row without duplicates; a private copy.
    data : ndarray of shape (n_stored,)
        In the dtype of `X`; it may share memory with it.

    Raises
    ------
    TypeError
        If the elements are no real numbers.
    ValueError
        If the matrix is broken.
    """
    if X.dtype.kind not in REAL:
        raise TypeError(f"{name} has dtype {X.dtype}, but features are real numbers: convert it")
    broken = ValueError(
        f"{name} is a broken {X.format.upper()} matrix, whose indices point outside of it or are "
        f"not as many as its data: check it with {name}.check_format(), or make it anew"
    )
    if X.format != "csr":
        X = _rebuilt(X)
        if X is None:
            raise broken
        X = X.tocsr()
    indptr, indices = np.array(X.indptr, np.int64), np.array(X.indices)
    if not _is_inside(indptr, indices, X.data, X.shape):
        raise broken
    stop = indptr[-1]
    indices, data = indices[:stop], np.asarray(X.data)[:stop]
    if not _is_ascending(indptr, indices):
        # Of arrays that are ours: what SciPy remembers of the user's matrix may be out of date.
        matrix = type(X)((data, indices, indptr), shape=X.shape, copy=True)
        matrix.sum_duplicates()
        indptr, indices, data = matrix.indptr.astype(np.int64), matrix.indices, matrix.data
    return indptr, indices.astype(np.int32, copy=False), data


def _rebuilt(X):
    """Return a matrix of checked copies of the indices of `X`, or None where it is broken.

    Formats without arrays of indices (lists, dictionaries, diagonals) are as they are: what they
    are converted to is checked.
    """
    rows, columns = X.shape
    if X.format == "coo":
        places = [np.array(part, np.int64) for part in (X.row, X.col)]
        fits = all(
            part.shape == X.data.shape
            and (len(part) == 0 or (part.min() >= 0 and part.max() < limit))
            for part, limit in zip(places, X.shape)
        )
        return type(X)((X.data, tuple(places)), shape=X.shape) if fits else None
    if X.format not in ("csc", "bsr"):
        return X
    shape = columns, rows
    if X.format == "bsr":
        shape = tuple(size // block for size, block in zip(X.shape, X.data.shape[1:]))
    indptr, indices = np.array(X.indptr, np.int64), np.array(X.indices)
    if not _is_inside(indptr, indices, X.data, shape):
        return None
    stop = indptr[-1]
    return type(X)((X.data[:stop], indices[:stop], indptr), shape=X.shape)


def _is_inside(indptr, indices, data, shape):
    """Tell whether rows of a compressed matrix lie in its arrays, and its indices in its shape."""
    if indptr.shape != (shape[0] + 1,) or indices.ndim != 1 or indices.dtype.kind not in "iu":
        return False
    if indptr[0] != 0 or indptr[-1] > min(len(indices), len(data)):
        return False
    used = indices[: indptr[-1]]
    if (indptr[1:] < indptr[:-1]).any():
        return False
    return len(used) == 0 or bool(used.min() >= 0 and used.max() < shape[1])


def _is_ascending(indptr, indices):
    """Tell whether the indices ascend within each row."""
    rising = indices[1:] > indices[:-1]
    # Between the last of one row and the first of a later one anything goes.
    starts = indptr[1:-1]
    rising[starts[(starts > 0) & (starts < len(indices))] - 1] = True
    return bool(rising.all())
