"""Tiles of a weight gradient: its sums in registers, and the step that weights take from there.

They are register tiles as those of :mod:`.llvm.tiles`, whose sums run over the rows of a batch.
"""

from typing import NamedTuple

from .llvm.functions import outlined
from .llvm.processor import VECTOR_BYTES
from .llvm.tiles import GROUP_COLUMNS, GROUP_VECTORS, HEIGHTS, MR, NR, UNROLL
from .llvm.values import INT64
from .rules import descend


class OuterPanel(NamedTuple):
    """The gradient of some rows of a panel: ``out[k, v] = sum_i A[i, k] dZ[i, v]``."""

    height: int  #: rows of the gradient: one of HEIGHTS
    vectors: int  #: 1..NR
    table: int  #: address of the int64 addresses of the rows of A
    offset: int  #: bytes from there to column k = 0 of the tile
    later: int  #: address of a table of as many addresses
    ahead: int  #: bytes from there to what is prefetched
    dZ: int  #: address of row 0 of the output's gradient, in the columns of the panel
    stride: int  #: bytes from one row of it to the next
    rows: int  #: rows that are summed over
    more: int  #: 0 to begin anew, else to go on from what is in the tile
    added: int  #: address of as many sums to add at the end; 0 for none
    out: int  #: address of the tile, `height` rows of `vectors` vectors
    weights: int  #: address of as many weights, which step by the gradient; 0 to write it out
    numbers: int  #: address of the step's Numbers
    squares: int  #: address of a float64, to which their squares are added; 0 for no penalty


class OuterGroup(NamedTuple):
    """The gradient of a stretch of a group: ``out[c, k] = sum_i dZ[i, c] A[i, k]``."""

    columns: int  #: one of GROUP_COLUMNS
    table: int  #: address of the int64 addresses of the rows of A
    offset: int  #: bytes from there to element k = 0 of the stretch
    elements: int  #: elements of the stretch, at most GROUP_VECTORS vectors; no more of A is read
    dZ: int  #: address of row 0 of the output's gradient, in the columns of the group
    stride: int  #: bytes from one row of it to the next
    rows: int  #: rows that are summed over
    out: int  #: address of the tile, GROUP rows of GROUP_VECTORS vectors


def _sum_of_products(emit, height, vectors, sums, rows, operands):
    """Emit the sum over rows of `height` single elements times `vectors` vectors.

    ``operands(p, u)`` returns the addresses of the elements of row p + u, and its vectors.
    """

    def body(p, u, sums):
        elements, loaded = operands(p, u)
        following = []
        for m in range(height):
            a = emit.splat(emit.load_scalar(elements + m * emit.size))
            following += [
                emit.fma(a, loaded[v], sums[m * len(loaded) + v]) for v in range(len(loaded))
            ]
        return following

    return emit.unrolled(rows, sums, body, UNROLL if height == MR else 1)


@outlined(OuterPanel, unrolls=False)
def outer_panel(emit, f):
    """Sum one tile of a weight gradient, ``g[k, v] = sum_i A[i, k] dZ[i, v]``, and follow it.

    Where there are `weights`, these take the step of SGD while the sums are in registers; else the
    sums are written to `out`. `height` rows of `vectors` vectors of either are reached, and as many
    elements and vectors of each row. A step of few rows spends much of its time beyond the sums:
    784-128-10 takes 33 % less time with batches of 1, 16 % with 4, 4 % with 32 than by way of `out`
    (float32, Zen 4).
    """
    table, later = emit.pointer(f.table, INT64), emit.pointer(f.later, INT64)
    sizes = [(h, v) for h in reversed(HEIGHTS) for v in range(1, NR + 1)]
    codes = {4 * height + vectors: (height, vectors) for height, vectors in sizes}
    for code in emit.cases(f.vectors + f.height * 4, codes, "tile"):
        height, vectors = codes[code]

        def operands(p, u, vectors=vectors):
            elements = emit.element(table, p, u) + f.offset
            emit.prefetch(emit.element(later, p, u) + f.ahead)
            line = f.dZ + (p + u) * f.stride
            return elements, [emit.load(line + v * VECTOR_BYTES) for v in range(vectors)]

        places = [f.out + number * VECTOR_BYTES for number in range(height * vectors)]
        sums = emit.load_if(f.more != 0, places)
        sums = _sum_of_products(emit, height, vectors, sums, f.rows, operands)
        others = [f.added + number * VECTOR_BYTES for number in range(len(sums))]
        sums = emit.plus_if(f.added != 0, sums, others)
        with emit.only_if(f.squares != 0):
            total = emit.load_double(f.squares) + descend(emit, f.weights, f.numbers, sums, True)
            emit.store_double(total, f.squares)
            emit.returns()
        with emit.only_if(f.weights != 0):
            descend(emit, f.weights, f.numbers, sums, False)
            emit.returns()
        for total, place in zip(sums, places, strict=True):
            emit.store(total, place)
        emit.returns()


@outlined(OuterGroup)
def outer_group(emit, f):
    """Write one tile of a group's gradient: ``out[c, k] = sum_i dZ[i, c] A[i, k]``.

    GROUP rows of GROUP_VECTORS vectors lie at `out`; of those of the columns, the vectors that hold
    elements below `elements` are written. A is not read beyond `elements`.
    """
    table, line = emit.pointer(f.table, INT64), GROUP_VECTORS * VECTOR_BYTES

    def tile(columns, k, vectors, load):
        def operands(p, u):
            row = emit.element(table, p, u) + f.offset + k * emit.size
            return f.dZ + (p + u) * f.stride, load(row)

        sums = [emit.constant(0.0)] * (columns * vectors)
        sums = _sum_of_products(emit, columns, vectors, sums, f.rows, operands)
        for c in range(columns):
            for v in range(vectors):
                place = f.out + c * line + k * emit.size + v * VECTOR_BYTES
                emit.store(sums[c * vectors + v], place)

    def whole(row):
        return [emit.load(row + v * VECTOR_BYTES) for v in range(GROUP_VECTORS)]

    def one(k, columns):
        left = f.elements - k
        tile(columns, k, 1, lambda row: [emit.load_first(row, left)])

    for columns in emit.cases(f.columns, GROUP_COLUMNS, "columns"):
        with emit.either(f.elements >= GROUP_VECTORS * emit.lanes) as (complete, partial):
            with complete:
                tile(columns, emit.integer(0), GROUP_VECTORS, whole)
            with partial:
                stop = f.elements + (emit.lanes - 1)
                emit.steps(0, stop, emit.lanes, lambda k, columns=columns: one(k, columns))
    emit.returns()
