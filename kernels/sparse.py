"""Affine maps of sparse input: rows in CSR form, which are never densified."""

from ._jit import kernel
from .csr import CSRMultiply, CSROuter, csr_block_columns, csr_multiply, csr_outer
from .llvm.intrinsics import address_of, cast_like
from .llvm.processor import VECTOR_BYTES


@kernel
def _place_cursors(X, rows, positions):
    """Write where each row of the batch begins and ends; return its non-zeros on average."""
    indptr, total = X[0], 0
    for i in range(len(rows)):
        positions[0, i] = indptr[rows[i]]
        positions[1, i] = indptr[rows[i] + 1]
        total += positions[1, i] - positions[0, i]
    return total / max(len(rows), 1)


@kernel
def csr_affine(X, rows, W, b, relu, positions, padded, out):
    """Write ``X[rows] W + b``, through the ReLU if `relu`, into `out`, for a sparse X.

    Parameters
    ----------
    X : tuple of ndarray
        ``(indptr, indices, values)`` of a CSR matrix of shape (n_samples, K); only read. `indices`
        are int32, ascending in each row without duplicates, `values` of the dtype of `W`.
    rows : ndarray of shape (n,)
        int64 indices of the batch's rows in X, each in 0..n_samples-1, unchecked.
    W : ndarray of shape (K, N)
        float32 or float64; any layout.
    b : ndarray of shape (N,)
    relu : bool
    positions : ndarray of shape (2, n)
        Workspace, int64, C-contiguous; overwritten.
    padded : ndarray of shape (K + n + 1, columns)
        Workspace of the dtype of `W`, C-contiguous; overwritten. `columns` is at least N and a
        multiple of 64 bytes: rows of whole vectors for W, the biases and the result.
    out : ndarray of shape (n, N)
        Of the dtype of `W`; written.
    """
    n, (K, N) = len(rows), W.shape
    if n == 0 or N == 0:
        return
    for k in range(K):
        for j in range(padded.shape[1]):
            padded[k, j] = W[k, j] if j < N else 0
    for j in range(padded.shape[1]):
        padded[K, j] = b[j] if j < N else 0
    like, stride = padded[0, 0], padded.strides[0]
    across = stride // VECTOR_BYTES
    block = csr_block_columns(_place_cursors(X, rows, positions), K, across)
    cursor, indices, values = address_of(positions), address_of(X[1]), address_of(X[2])
    weights = address_of(padded)
    start, result = weights + K * stride, weights + (K + 1) * stride
    for k in range(0, max(K, 1), block):
        product = CSRMultiply(
            cursor=cursor,
            end=cursor + 8 * n,
            indices=indices,
            values=values,
            first=0,
            stop=n,
            k1=min(k + block, K),
            start=start,
            W=weights,
            across=across,
            out=result,
            stride=stride,
        )
        csr_multiply(like, product)
        start = 0
    for i in range(n):
        for j in range(N):
            value = padded[K + 1 + i, j]
            # The comparison is false for NaN, which stays.
            out[i, j] = 0 if relu and value < 0 else value


@kernel
def csr_affine_backward_weights(X, rows, dZ, positions, padded, dW, db):
    """Write the gradients of :func:`csr_affine`'s parameters: ``X[rows]^T dZ`` and ``sum(dZ)``.

    Parameters
    ----------
    X : tuple of ndarray
        ``(indptr, indices, values)`` of a CSR matrix of shape (n_samples, K); only read. `indices`
        are int32, ascending in each row without duplicates, `values` of the dtype of `dZ`.
    rows : ndarray of shape (n,)
        int64 indices of the batch's rows in X, each in 0..n_samples-1, unchecked.
    dZ : ndarray of shape (n, N)
        Gradient of the output; float32 or float64, any layout.
    positions : ndarray of shape (2, n)
        Workspace, int64, C-contiguous; overwritten.
    padded : ndarray of shape (K + n + 1, columns)
        Workspace as for :func:`csr_affine`; overwritten.
    dW : ndarray of shape (K, N)
        Of the dtype of `dZ`; written.
    db : ndarray of shape (N,)
        Written.
    """
    n, (K, N) = len(rows), dW.shape
    if N == 0:
        return
    for k in range(K):
        for j in range(padded.shape[1]):
            padded[k, j] = 0
    for j in range(N):
        db[j] = 0
    for i in range(n):
        for j in range(padded.shape[1]):
            padded[K + i, j] = dZ[i, j] if j < N else 0
        for j in range(N):
            db[j] += dZ[i, j]
    like, stride = padded[0, 0], padded.strides[0]
    across = stride // VECTOR_BYTES
    block = csr_block_columns(_place_cursors(X, rows, positions), K, across)
    cursor, indices, values = address_of(positions), address_of(X[1]), address_of(X[2])
    target, one = address_of(padded), cast_like(like, 1.0)
    for k in range(0, K, block):
        outer = CSROuter(
            rows=n,
            cursor=cursor,
            end=cursor + 8 * n,
            indices=indices,
            values=values,
            k0=k,
            k1=min(k + block, K),
            dZ=target + K * stride,
            stride=stride,
            target=target + k * stride,
            across=across,
            factor=one,
        )
        csr_outer(like, outer)
    for k in range(K):
        for j in range(N):
            dW[k, j] = padded[k, j]
