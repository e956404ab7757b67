"""The transposes of packed weights, which take gradients back through a layer.

The rows of a panel become columns: lanes by lanes elements at a time are turned inside of the
registers. The columns of a group lie as the transpose wants them, and are copied.
"""

from typing import NamedTuple

from .llvm.functions import outlined
from .llvm.processor import CACHE_LINE


class Transpose(NamedTuple):
    """What :func:`transpose` takes."""

    W: int  #: address of row 0
    stride: int  #: bytes from one row of W to the next
    rows: int
    columns: int
    out: int  #: address of row 0 of the transpose
    out_stride: int  #: bytes from one row of it to the next


class TransposeListed(NamedTuple):
    """What :func:`transpose_listed` takes."""

    table: int  #: address of the int64 addresses of the rows
    offset: int  #: bytes from the address of a row to its column 0
    rows: int
    columns: int
    out: int  #: address of row 0 of the transpose
    out_stride: int  #: bytes from one row of it to the next


class CopyRows(NamedTuple):
    """What :func:`copy_rows` takes."""

    X: int  #: address of row 0
    stride: int  #: bytes from one row of X to the next
    rows: int
    elements: int  #: elements of a row
    out: int  #: address of row 0 of the copy
    out_stride: int  #: bytes from one row of it to the next


def _turned(emit, vectors):
    """Return the columns of a square of as many vectors as each has lanes.

    Halves of two rows change places, then quarters, down to single elements: four shuffles for each
    of 16 rows.
    """
    lanes, distance = emit.lanes, emit.lanes // 2
    while distance:
        # Lane c of a pair of rows, the upper one's lanes counted from `lanes` on.
        upper = [c + lanes - distance if c & distance else c for c in range(lanes)]
        lower = [c + lanes if c & distance else c + distance for c in range(lanes)]
        turned = list(vectors)
        for i in range(lanes):
            if not i & distance:
                pair = vectors[i], vectors[i + distance]
                turned[i] = emit.shuffled(*pair, upper)
                turned[i + distance] = emit.shuffled(*pair, lower)
        vectors, distance = turned, distance // 2
    return vectors


class Square(NamedTuple):
    """What :func:`turn` takes."""

    source: int  #: address of row 0
    stride: int  #: bytes from one row of it to the next
    rows: int  #: at most as many as a vector has lanes
    columns: int  #: likewise
    out: int  #: address of row 0 of the transpose
    out_stride: int  #: bytes from one row of it to the next
    filled: int  #: elements of it to write: `rows`, or more, then of the last row again


@outlined(Square)
def turn(emit, f):
    """Write ``out[j, k] = source[k, j]`` for k below `filled` and j below `columns`.

    The last row of `source` stands for those behind it.
    """
    rows = _lines(emit, f.source, f.stride, f.rows)
    _turn_edge(emit, rows, f.columns, _lines(emit, f.out, f.out_stride, f.columns), f.filled)
    emit.returns()


def _lines(emit, start, stride, count):
    """Return the addresses of as many rows as there are lanes, the last of `count` again."""
    places = [start]
    for lane in range(1, emit.lanes):
        places.append(places[-1] + emit.where(count > lane, stride, 0))
    return places


def _turn_edge(emit, rows, columns, places, filled):
    """Turn `columns` elements of each of some rows, and write the first `filled` of each result."""
    written = zip(_turned(emit, [emit.load_first(row, columns) for row in rows]), places)
    # From the end, so that of several the one that belongs there is the last.
    for value, place in reversed(list(written)):
        emit.store_first(value, place, filled)


@outlined(Transpose)
def transpose(emit, f):
    """Write ``out[j, k] = W[k, j]`` for k below `rows` and j below `columns`, and nothing else.

    Written element by element, transposes took a tenth of a step of 128-512-512-512-10. All lines
    that are written are prefetched together first: 15 to 27 % less time for 256-2048-2048-10, whose
    transposes are a fortieth of a step (Zen 5).
    """
    lanes = emit.lanes

    def square(k, j):
        source = f.W + k * f.stride + j * emit.size
        target = f.out + j * f.out_stride + k * emit.size
        down, across = f.rows - k, f.columns - j
        lines = [source + i * f.stride for i in range(lanes)]
        places = [target + i * f.out_stride for i in range(lanes)]
        with emit.either((down >= lanes) & (across >= lanes)) as (inside, at_the_edge):
            with inside:
                for value, place in zip(_turned(emit, [emit.load(x) for x in lines]), places):
                    emit.store(value, place)
            with at_the_edge:
                down, across = emit.at_most(down, lanes), emit.at_most(across, lanes)
                edge = Square(source, f.stride, down, across, target, f.out_stride, down)
                turn.emitted(emit, edge)

    def strip(k):
        emit.steps(0, f.columns + (lanes - 1), lanes, lambda j: square(k, j))

    def prefetch(j):
        line, length = f.out + j * f.out_stride, f.rows * emit.size
        emit.steps(
            0, length + (CACHE_LINE - 1), CACHE_LINE, lambda done: emit.prefetch(line + done)
        )

    emit.steps(0, f.columns, 1, prefetch)
    emit.steps(0, f.rows + (lanes - 1), lanes, strip)
    emit.returns()


@outlined(TransposeListed)
def transpose_listed(emit, f):
    """Do what :func:`transpose` does with rows that lie where a table says; nothing is fetched."""
    lanes = emit.lanes

    def square(k, j):
        down, across = emit.at_most(f.rows - k, lanes), emit.at_most(f.columns - j, lanes)
        target = f.out + j * f.out_stride + k * emit.size
        numbers = [emit.at_most(k + i, f.rows - 1) for i in range(lanes)]
        rows = [emit.load_integer(f.table + i * 8) + f.offset + j * emit.size for i in numbers]
        with emit.either((down >= lanes) & (across >= lanes)) as (inside, at_the_edge):
            with inside:
                for i, value in enumerate(_turned(emit, [emit.load(row) for row in rows])):
                    emit.store(value, target + i * f.out_stride)
            with at_the_edge:
                _turn_edge(emit, rows, across, _lines(emit, target, f.out_stride, across), down)

    def strip(k):
        emit.steps(0, f.columns + (lanes - 1), lanes, lambda j: square(k, j))

    emit.steps(0, f.rows + (lanes - 1), lanes, strip)
    emit.returns()


@outlined(CopyRows)
def copy_rows(emit, f):
    """Copy `elements` elements of each of some rows: ``out[i, j] = X[i, j]``, and nothing else."""

    def row(i):
        def elements(load, store, carried):
            store(load(f.X + i * f.stride), f.out + i * f.out_stride)
            return carried

        emit.vectors(f.elements, [], elements)

    emit.steps(0, f.rows, 1, row)
    emit.returns()
