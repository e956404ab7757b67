"""The two matrix products of a layer on packed weights, tile by tile.

Internal to the package: operands are addresses, sizes were checked by the thin side, and each
call does one thread's share. :mod:`.affine` wraps them for arrays of any exact size.
"""

from typing import NamedTuple

from ._jit import kernel, shared
from .emitter import VECTOR_BYTES
from .layout import panel_columns, round_up
from .machine import cast_like, lanes_of
from .simd import (
    GROUP,
    GROUP_VECTORS,
    SHORT,
    TALL,
    WIDE,
    multiply_group,
    multiply_panel,
    outer_group,
    outer_panel,
)
from .update import SGD, optimizer_step


class Rows(NamedTuple):
    """Rows first..stop of an operand, each reached through a table of addresses (int64)."""

    table: int
    first: int
    stop: int


class Matrix(NamedTuple):
    """A row-major matrix of activations: the address of its first row, bytes between rows."""

    address: int
    stride: int


#: Bytes of X that a block of rows may take: it is read again for every panel, so it should stay
#: in the second-level cache beside the panel.
BLOCK_BYTES = 1 << 18


@shared
def block_rows(count, K, size):
    """Return how many of `count` rows of K elements to multiply by all panels in turn."""
    if count * K * size <= 2 * BLOCK_BYTES:
        return max(count, 1)
    return max(BLOCK_BYTES // (K * size) // TALL, 1) * TALL


def block_columns(count, K, size):
    """Return how many of K columns of `count` rows to sum over for all panels in turn."""
    if count * K * size <= 2 * BLOCK_BYTES:
        return max(K, 1)
    across = GROUP_VECTORS * VECTOR_BYTES // size
    return max(BLOCK_BYTES // (count * size) // across, 1) * across


@kernel
def multiply(like, rows, K, N, weights, bias, floor, out):
    """Write ``max(A W + bias, floor)`` for the rows of A in `rows` into the same rows of `out`.

    Parameters
    ----------
    like : float32 or float64
        Any value of the element type.
    rows : Rows
        The rows of A, K contiguous elements each.
    K, N : int
        Shape of W, packed at the address `weights`.
    bias : int
        Address of N elements, padded to whole vectors.
    floor : float32 or float64
        0 for the ReLU, -inf for none.
    out : Matrix
        Its row i receives row i of the product, in columns padded to whole vectors.
    """
    lanes = lanes_of(like)
    size = VECTOR_BYTES // lanes
    columns = panel_columns(K, N, lanes)
    block = block_rows(rows.stop - rows.first, K, size)
    for lo in range(rows.first, rows.stop, block):
        hi = min(lo + block, rows.stop)
        for first in range(0, columns, WIDE * lanes):
            width = min(WIDE, (columns - first) // lanes)
            B, place = weights + first * K * size, out.address + first * size
            places = rows.table, lo, hi, B, width, K, bias + first * size
            multiply_panel(like, places + (floor, place, out.stride, rows.stop))
        length = round_up(K, lanes) * size
        for first in range(columns, N, GROUP):
            B = weights + columns * K * size + (first - columns) * length
            place = out.address + first * size
            multiply_group(
                like,
                (rows.table, lo, hi, B, length, K, bias + first * size, floor, place, out.stride),
            )


# ----------------------------------------------------------------------- weight gradient and step


@shared
def units(K, N, lanes):
    """Return how many units of work the update of a packed K by N matrix has.

    A unit is TALL rows of all panels; behind them come those of the groups, GROUP_VECTORS vectors
    of K each. Threads divide the units, so each weight is always updated by the same code.
    """
    count = (K + TALL - 1) // TALL
    if panel_columns(K, N, lanes) < N:
        count += (K + GROUP_VECTORS * lanes - 1) // (GROUP_VECTORS * lanes)
    return count


@kernel
def descend(like, rows, K, N, dZ, weights, learning_rate, l2, tile):
    """Step down the gradient: ``W <- W - learning_rate (A^T dZ + l2 W)``.

    Parameters
    ----------
    like : float32 or float64
        Any value of the element type.
    rows : Rows
        All rows of A (first is 0), K contiguous elements each.
    K, N : int
        Shape of W.
    dZ : Matrix
        Gradient of the output, with zeros from column N up to whole vectors.
    weights : int
        Address of W, packed; modified in place.
    learning_rate, l2 : float32 or float64
    tile : int
        Address of room for one tile, TILE_VECTORS vectors.
    """
    lanes = lanes_of(like)
    size = VECTOR_BYTES // lanes
    columns = panel_columns(K, N, lanes)
    none = cast_like(like, 0.0)
    numbers = learning_rate, l2, none, none, none, none, none, none
    for first in range(0, columns, WIDE * lanes):
        width = min(WIDE, (columns - first) // lanes)
        across, side = width * lanes, dZ.address + first * size
        k = 0
        while k < K:
            height = tile_height(K - k)
            outer_panel(
                like,
                (height, width, rows.table, k * size, side, dZ.stride, rows.stop, tile),
            )
            place = weights + (first * K + k * across) * size
            optimizer_step(like, (SGD, place, tile, height * across, 0, 0) + numbers)
            k += height
    length, across = round_up(K, lanes), GROUP_VECTORS * lanes
    for k in range(0, K if columns < N else 0, across):
        count = min(across, K - k)
        for first in range(columns, N, GROUP):
            side = dZ.address + first * size
            outer_group(like, (rows.table, k * size, count, side, dZ.stride, rows.stop, tile))
            place = weights + (columns * K + (first - columns) * length + k) * size
            for c in range(GROUP):
                target, source = place + c * length * size, tile + c * across * size
                whole = round_up(count, lanes)
                optimizer_step(like, (SGD, target, source, whole, 0, 0) + numbers)


@shared
def tile_height(rows_left):
    """Return the height of the next tile: TALL, SHORT or 1."""
    if rows_left >= TALL:
        return TALL
    return SHORT if rows_left >= SHORT else 1
