"""How the operands of a product lie in memory while kernels work on them.

The B operand of a forward product (the weights, K rows by N columns) is kept as *panels*: columns
0..47 (three vectors of float32) of all K rows, one row after the other, then columns 48..95, and
so on; the last panel has one to three vectors, filled up with zeros. A tile then reads B from
front to back, which the processor prefetches, and the update of a tile writes one contiguous
block. Plain row-major weights cost 512 columns half of the speed (each row another page).

Where the columns left over after whole vectors are few, a vector for them would be mostly padding
(100 columns as 112, 50 as 64). They lie as *groups* of four columns instead, each column
contiguous along K, for the dot tile: 100 columns cost 100, 50 cost 52.

Activations are row-major with :func:`row_stride` columns.
"""

import numpy as np

from ._jit import kernel, shared
from .llvm.intrinsics import address_of, lanes_of
from .llvm.processor import CACHE_LINE, VECTOR_BYTES
from .llvm.tiles import GROUP, MR, NR
from .transpose import CopyRows, Transpose, copy_rows, transpose


@shared
def round_up(count, multiple):
    """Return the smallest multiple of `multiple` that is at least `count`."""
    return (count + multiple - 1) // multiple * multiple


@shared
def panel_columns(K, N, lanes):
    """Return how many columns lie in panels; the rest, up to N, lies in groups.

    The dot tile sums its lanes once a tile. Beside panels that pays from four vectors of K on.
    Columns that would have a vector for themselves alone lie in a group from half a vector of K on,
    in two groups from two vectors on, and a single one always: 20-50-1, 10-16-1, 20-48-3 and
    20-16-3 take 27, 25, 20 and 10 % less time than in a vector, 4-10-3 with batches of 5 takes 12 %
    less (float32, Zen 4). Vectors of four lanes and fewer are no wider than a group.
    """
    if N == 1 and lanes >= GROUP:
        return 0
    left, few = N % lanes, 4 * lanes
    if left == N:
        few = lanes // 2 + 1 if N <= GROUP else 2 * lanes
    if 0 < round_up(left, GROUP) <= lanes // 2 and K >= few:
        return N - left
    return round_up(N, lanes)


@shared
def written_columns(K, N, lanes):
    """Return how many columns a product with this matrix writes: N and its padding."""
    columns = panel_columns(K, N, lanes)
    return columns + round_up(max(N - columns, 0), GROUP)


@shared
def matrix_size(K, N, lanes):
    """Return the number of elements that K rows by N columns take as panels and groups."""
    columns = panel_columns(K, N, lanes)
    return columns * K + round_up(max(N - columns, 0), GROUP) * round_up(K, lanes)


@shared
def row_stride(N, itemsize):
    """Return the columns to allocate for a row of N activations: whole vectors.

    Rows whose distance is a multiple of 1 KiB would share a few sets of the cache: one vector
    more keeps them apart.
    """
    stride = round_up(N, VECTOR_BYTES // itemsize)
    if stride * itemsize % 1024 == 0:
        stride += VECTOR_BYTES // itemsize
    return stride


@shared
def group_columns(left):
    """Return how many columns of a group, one of GROUP_COLUMNS, hold the `left` ones."""
    return 1 if left == 1 else GROUP


@shared
def tile_height(rows_left):
    """Return the height of the next tile, one of HEIGHTS."""
    # Not a loop over HEIGHTS, which Numba would carry out.
    if rows_left >= MR:
        return MR
    return MR // 2 if rows_left >= MR // 2 else min(rows_left, 2)


@kernel
def copy_matrix(like, source, target):
    """Copy a matrix into another, by vectors where the rows of both, or their columns, allow it."""
    (rows, columns), size = source.shape, source.itemsize
    (down, across), (below, beside) = source.strides, target.strides
    place, goal = address_of(source), address_of(target)
    if across == size and beside == size:
        copy_rows(like, CopyRows(place, down, rows, columns, goal, below))
    elif down == size and beside == size and min(rows, columns) >= lanes_of(like):
        transpose(like, Transpose(place, across, columns, rows, goal, below))
    else:
        for i in range(rows):
            for j in range(columns):
                target[i, j] = source[i, j]


@kernel
def pack(W, buffer, start):
    """Copy W (K, N) into ``buffer[start:]`` as panels and groups, zeros elsewhere."""
    K, N = W.shape
    lanes = VECTOR_BYTES // W.itemsize
    columns, length = panel_columns(K, N, lanes), round_up(K, lanes)
    for first in range(0, columns, NR * lanes):
        width = min(NR * lanes, columns - first)
        used, place = min(width, N - first), start + first * K
        if used < width:
            buffer[place : place + K * width] = 0
        panel = buffer[place : place + K * width].reshape(K, width)
        copy_matrix(buffer[0], W[:, first : first + used], panel[:, :used])
    if columns < N:
        place = start + columns * K
        buffer[place : start + matrix_size(K, N, lanes)] = 0
        groups = buffer[place : place + (N - columns) * length].reshape(N - columns, length)
        copy_matrix(buffer[0], W[:, columns:].T, groups[:, :K])


@kernel
def unpack(buffer, start, W):
    """Copy the panels and groups at ``buffer[start:]`` into W (K, N)."""
    K, N = W.shape
    lanes = VECTOR_BYTES // W.itemsize
    columns, length = panel_columns(K, N, lanes), round_up(K, lanes)
    for first in range(0, columns, NR * lanes):
        width = min(NR * lanes, columns - first)
        used, place = min(width, N - first), start + first * K
        panel = buffer[place : place + K * width].reshape(K, width)
        copy_matrix(buffer[0], panel[:, :used], W[:, first : first + used])
    if columns < N:
        place = start + columns * K
        groups = buffer[place : place + (N - columns) * length].reshape(N - columns, length)
        copy_matrix(buffer[0], groups[:, :K].T, W[:, columns:])


def empty_aligned(size, dtype):
    """Allocate a 1-D array whose first element starts a cache line.

    Parameters
    ----------
    size : int
        Number of elements.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray of shape (size,)
        Zeros.
    """
    dtype = np.dtype(dtype)
    raw = np.zeros(size * dtype.itemsize + CACHE_LINE, np.uint8)
    skip = -raw.ctypes.data % CACHE_LINE
    return raw[skip : skip + size * dtype.itemsize].view(dtype)
