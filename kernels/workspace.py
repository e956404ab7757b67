"""The workspace of the affine map's kernels, and how it is divided. Callers allocate it once."""

from typing import NamedTuple

import numpy as np

from ._jit import shared
from .layout import empty_aligned, matrix_size, round_up, row_stride
from .llvm.processor import VECTOR_BYTES
from .llvm.tiles import TILE_VECTORS


class Pieces(NamedTuple):
    """Where the pieces of a workspace start, in elements; all but the last begin a vector."""

    table: int
    tile: int
    vector: int
    sums: int
    weights: int
    activations: int
    stop: int


@shared
def pieces_of(n, K, N, itemsize):
    """Divide a workspace for n rows and a K by N matrix, or its transpose."""
    lanes = VECTOR_BYTES // itemsize
    widest = max(row_stride(K, itemsize), row_stride(N, itemsize))
    tile = round_up(n * 8 // itemsize, lanes)
    vector = tile + TILE_VECTORS * lanes
    sums = vector + widest
    weights = sums + widest
    activations = weights + max(matrix_size(K, N, lanes), matrix_size(N, K, lanes))
    return Pieces(0, tile, vector, sums, weights, activations, activations + n * widest)


def empty_workspace(n, K, N, dtype):
    """Allocate what the kernels of the affine map need for n rows and a K by N matrix.

    Parameters
    ----------
    n, K, N : int
        Rows of the batch, inputs and outputs of the affine map.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray of shape (elements,)
        To be passed as `workspace` any number of times; its contents mean nothing.
    """
    return empty_aligned(pieces_of(n, K, N, np.dtype(dtype).itemsize).stop, dtype)
