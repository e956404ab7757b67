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
from .llvm.processor import CACHE_LINE, VECTOR_BYTES
from .llvm.tiles import GROUP, HEIGHTS, NR


@shared
def round_up(count, multiple):
    """Return the smallest multiple of `multiple` that is at least `count`."""
    return (count + multiple - 1) // multiple * multiple


@shared
def panel_columns(K, N, lanes):
    """Return how many columns lie in panels; the rest, up to N, lies in groups.

    The dot tile sums its lanes once a tile, which pays from four vectors of K on. Vectors of four
    lanes and fewer are no wider than a group.
    """
    left = N % lanes
    if 0 < round_up(left, GROUP) <= lanes // 2 and K >= 4 * lanes:
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
def tile_height(rows_left):
    """Return the height of the next tile, one of HEIGHTS."""
    for height in HEIGHTS:
        if rows_left >= height:
            return height
    return 0


@kernel
def pack(W, buffer, start):
    """Copy the row-major W (K, N) into ``buffer[start:]`` as panels and groups, zeros elsewhere."""
    K, N = W.shape
    lanes = VECTOR_BYTES // W.itemsize
    columns = panel_columns(K, N, lanes)
    for i in range(matrix_size(K, N, lanes)):
        buffer[start + i] = 0
    first = 0
    while first < columns:
        width = min(NR * lanes, columns - first)
        used = min(width, N - first)
        for k in range(K):
            place = start + first * K + k * width
            for j in range(used):
                buffer[place + j] = W[k, first + j]
        first += width
    length = round_up(K, lanes)
    for j in range(columns, N):
        place = start + columns * K + (j - columns) * length
        for k in range(K):
            buffer[place + k] = W[k, j]


@kernel
def unpack(buffer, start, W):
    """Copy the panels and groups at ``buffer[start:]`` into the row-major W (K, N)."""
    K, N = W.shape
    lanes = VECTOR_BYTES // W.itemsize
    columns = panel_columns(K, N, lanes)
    first = 0
    while first < columns:
        width = min(NR * lanes, columns - first)
        used = min(width, N - first)
        for k in range(K):
            place = start + first * K + k * width
            for j in range(used):
                W[k, first + j] = buffer[place + j]
        first += width
    length = round_up(K, lanes)
    for j in range(columns, N):
        place = start + columns * K + (j - columns) * length
        for k in range(K):
            W[k, j] = buffer[place + k]


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
