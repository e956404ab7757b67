"""The affine map and its two backward forms, for arrays of any exact size.

These kernels pack the weights, go through the tiles of a product one after the other, and unpack
again. The training loop keeps its weights packed, and plans its own order of tiles. Shapes: n rows
in the batch, K inputs, N outputs; one dtype for all, float32 or float64. X may have any distance
between its rows, as long as each row is contiguous.
"""

from typing import NamedTuple

import numpy as np

from ._jit import kernel
from .gradient_tiles import OuterGroup, OuterPanel, outer_group, outer_panel
from .layout import (
    group_columns,
    pack,
    panel_columns,
    round_up,
    row_stride,
    tile_height,
    unpack,
)
from .llvm.intrinsics import address_of, lanes_of, on_stack
from .llvm.processor import CACHE_LINE, VECTOR_BYTES
from .llvm.tiles import (
    GROUP,
    GROUP_VECTORS,
    NR,
    MultiplyGroup,
    MultiplyPanel,
    multiply_group,
    multiply_panel,
)
from .rules import SGD, OptimizerStep, numbers_like, optimizer_step
from .sums import ColumnSums, column_sums
from .workspace import pieces_of


@kernel
def _row_addresses(X, rows, table):
    """Write the address of each row of the batch; return the table's own address."""
    base, stride = address_of(X), X.strides[0]
    for i in range(len(rows)):
        table[i] = base + rows[i] * stride
    return address_of(table)


class _Product(NamedTuple):
    """The operands of a product, as addresses; W and its bias are packed, see layout."""

    table: int  #: of the addresses of the rows of A
    n: int
    K: int
    N: int
    weights: int
    bias: int  #: of a forward product
    tile: int  #: zeros for a forward product; room for a tile of a gradient
    side: int  #: row 0 of the result, or of the output's gradient
    stride: int  #: bytes from one row of `side` to the next


@kernel
def _forward_product(workspace, pieces, table, n, K, N):
    """Return a product whose operands lie in a workspace."""
    size, base = workspace.itemsize, address_of(workspace)
    workspace[pieces.tile : pieces.vector] = 0
    return _Product(
        table=table,
        n=n,
        K=K,
        N=N,
        weights=base + pieces.weights * size,
        bias=base + pieces.vector * size,
        tile=base + pieces.tile * size,
        side=base + pieces.activations * size,
        stride=row_stride(N, size) * size,
    )


@kernel
def _multiply(like, f, relu):
    """Write ``A W + b``, through the ReLU if `relu` is 1, into `side`."""
    lanes = lanes_of(like)
    size = VECTOR_BYTES // lanes
    columns = panel_columns(f.K, f.N, lanes)
    for j in range(0, columns, NR * lanes):
        panel = MultiplyPanel(
            table=f.table,
            first=0,
            stop=f.n,
            offset=0,
            panel=f.weights + j * f.K * size,
            vectors=min(NR, (columns - j) // lanes),
            K=f.K,
            start=f.bias + j * size,
            start_stride=0,
            relu=relu,
            out=f.side + j * size,
            stride=f.stride,
            known=f.n,
            following=f.weights,
            gate=0,
            pace=0,
        )
        multiply_panel(like, panel)
    length = round_up(f.K, lanes) * size
    for j in range(columns, f.N, GROUP):
        group = MultiplyGroup(
            table=f.table,
            first=0,
            stop=f.n,
            offset=0,
            group=f.weights + columns * f.K * size + (j - columns) * length,
            length=length,
            columns=group_columns(f.N - j),
            K=f.K,
            start=f.tile,
            start_stride=0,
            sums=0,
            bias=f.bias + j * size,
            relu=relu,
            out=f.side + j * size,
            stride=f.stride,
        )
        multiply_group(like, group)


@kernel
def _descend(like, f, numbers):
    """Step down the gradient ``A^T side``; `numbers` is the address of the step's Numbers."""
    lanes = lanes_of(like)
    size = VECTOR_BYTES // lanes
    columns, tile = panel_columns(f.K, f.N, lanes), f.tile
    for j in range(0, columns, NR * lanes):
        vectors, k = min(NR, (columns - j) // lanes), 0
        across = vectors * lanes
        while k < f.K:
            height, side = tile_height(f.K - k), f.side + j * size
            outer = OuterPanel(
                height=height,
                vectors=vectors,
                table=f.table,
                offset=k * size,
                later=f.table,
                ahead=k * size + CACHE_LINE,
                dZ=side,
                stride=f.stride,
                rows=f.n,
                more=0,
                added=0,
                out=tile,
                weights=f.weights + (j * f.K + k * across) * size,
                numbers=numbers,
                squares=tile,  # of which nobody asks, but with it goes the penalty
            )
            outer_panel(like, outer)
            k += height
    length, across = round_up(f.K, lanes), GROUP_VECTORS * lanes
    for k in range(0, f.K if columns < f.N else 0, across):
        count = min(across, f.K - k)
        for j in range(columns, f.N, GROUP):
            side, wide = f.side + j * size, group_columns(f.N - j)
            outer_group(like, OuterGroup(wide, f.table, k * size, count, side, f.stride, f.n, tile))
            place = f.weights + (columns * f.K + (j - columns) * length + k) * size
            for c in range(wide):
                target, source = place + c * length * size, tile + c * across * size
                whole = round_up(count, lanes)
                optimizer_step(
                    like, OptimizerStep(SGD, target, target, source, whole, 0, 0, numbers)
                )


@kernel
def affine(X, rows, W, b, relu, workspace, out):
    """Write ``X[rows] W + b``, through the ReLU if `relu`, into `out`.

    Parameters
    ----------
    X : ndarray of shape (n_samples, K)
        Only read, and never gathered.
    rows : ndarray of shape (n,)
        int64 indices of the batch's rows in X, each in 0..n_samples-1, unchecked.
    W : ndarray of shape (K, N)
    b : ndarray of shape (N,)
    relu : bool
    workspace : ndarray
        From ``empty_workspace(n, K, N, dtype)``; overwritten.
    out : ndarray of shape (n, N)
        C-contiguous; written.
    """
    n, (K, N), size = len(rows), W.shape, W.itemsize
    if n == 0 or N == 0:
        return
    pieces = pieces_of(n, K, N, size)
    table = _row_addresses(X, rows, workspace[: n * 8 // size].view(np.int64))
    pack(W, workspace, pieces.weights)
    stride = row_stride(N, size)
    for j in range(stride):
        workspace[pieces.vector + j] = b[j] if j < N else 0
    product = _forward_product(workspace, pieces, table, n, K, N)
    _multiply(workspace[0], product, 1 if relu else 0)
    _copy_out(workspace, pieces.activations, stride, out)


@kernel
def affine_backward_input(dZ, W, workspace, out):
    """Write the gradient of the input of an affine map, ``dZ W^T``, into `out`.

    Parameters
    ----------
    dZ : ndarray of shape (n, N)
        Gradient of the output; each row contiguous.
    W : ndarray of shape (K, N)
    workspace : ndarray
        From ``empty_workspace(n, K, N, dtype)``; overwritten.
    out : ndarray of shape (n, K)
        C-contiguous; written.
    """
    n, (K, N), size = len(dZ), W.shape, W.itemsize
    if n == 0 or K == 0:
        return
    pieces = pieces_of(n, K, N, size)
    addresses = workspace[: n * 8 // size].view(np.int64)
    for i in range(n):
        addresses[i] = address_of(dZ) + i * dZ.strides[0]
    table = address_of(addresses)
    pack(W.T, workspace, pieces.weights)
    stride = row_stride(K, size)
    for j in range(stride):
        workspace[pieces.vector + j] = 0
    _multiply(workspace[0], _forward_product(workspace, pieces, table, n, N, K), 0)
    _copy_out(workspace, pieces.activations, stride, out)


@kernel
def affine_backward_weights(X, rows, dZ, workspace, dW, db):
    """Write the gradients of an affine map's parameters: ``X[rows]^T dZ`` and ``sum(dZ)``.

    Parameters
    ----------
    X : ndarray of shape (n_samples, K)
        Only read, and never gathered.
    rows : ndarray of shape (n,)
        int64 indices of the batch's rows in X, each in 0..n_samples-1, unchecked.
    dZ : ndarray of shape (n, N)
        Gradient of the output.
    workspace : ndarray
        From ``empty_workspace(n, K, N, dtype)``; overwritten.
    dW : ndarray of shape (K, N)
        C-contiguous; written.
    db : ndarray of shape (N,)
        Written.
    """
    # One way to traverse: a step of -1 from zero weights is the gradient.
    for k in range(dW.shape[0]):
        for j in range(dW.shape[1]):
            dW[k, j] = 0
    for j in range(len(db)):
        db[j] = 0
    affine_backward_sgd(X, rows, dZ, -1.0, 0.0, workspace, dW, db)


@kernel
def affine_backward_sgd(X, rows, dZ, learning_rate, l2, workspace, W, b):
    """Take one SGD step on an affine map's parameters, in place.

    ``W <- W - learning_rate (X[rows]^T dZ + l2 W)`` and ``b <- b - learning_rate sum(dZ)``; each
    tile of the gradient is consumed while it is in L1, and no gradient array exists.

    Parameters
    ----------
    X : ndarray of shape (n_samples, K)
        Only read, and never gathered.
    rows : ndarray of shape (n,)
        int64 indices of the batch's rows in X, each in 0..n_samples-1, unchecked.
    dZ : ndarray of shape (n, N)
        Gradient of the output.
    learning_rate, l2 : float
        Converted to the dtype of W.
    workspace : ndarray
        From ``empty_workspace(n, K, N, dtype)``; overwritten.
    W : ndarray of shape (K, N)
        C-contiguous; modified in place.
    b : ndarray of shape (N,)
        Modified in place.
    """
    n, (K, N), size = len(rows), W.shape, W.itemsize
    if N == 0:
        return
    pieces = pieces_of(n, K, N, size)
    table = _row_addresses(X, rows, workspace[: n * 8 // size].view(np.int64))
    stride, side = row_stride(N, size), pieces.activations
    for i in range(n):
        for j in range(stride):
            workspace[side + i * stride + j] = dZ[i, j] if j < N else 0
    like, base = workspace[0], address_of(workspace)
    pack(W, workspace, pieces.weights)
    weights, tile = base + pieces.weights * size, base + pieces.tile * size
    step = numbers_like(like, l2, learning_rate, 1.0, 0.0, 0.0, 0.0)
    product = _Product(table, n, K, N, weights, 0, tile, base + side * size, stride * size)
    _descend(like, product, on_stack(step))
    unpack(workspace, pieces.weights, W)
    # `b` may have any stride: its update is in a contiguous copy.
    for j in range(N):
        workspace[pieces.vector + j] = b[j]
    vector, sums = base + pieces.vector * size, base + pieces.sums * size
    column_sums(like, ColumnSums(base + side * size, stride * size, n, N, sums))
    step = numbers_like(like, 0.0, learning_rate, 1.0, 0.0, 0.0, 0.0)
    optimizer_step(like, OptimizerStep(SGD, vector, vector, sums, N, 0, 0, on_stack(step)))
    for j in range(N):
        b[j] = workspace[pieces.vector + j]


@kernel
def _copy_out(workspace, start, stride, out):
    """Copy the exact columns of a padded block of rows."""
    n, N = out.shape
    for i in range(n):
        for j in range(N):
            out[i, j] = workspace[start + i * stride + j]
