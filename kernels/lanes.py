"""Narrow rows, each in a lane: a few columns of scores, a vector of as many rows each.

What is found of a row by steps that wait for each other (the largest score, a sum), and what fills
a vector only in part, is done for as many rows at once as a vector has lanes. Rows become columns,
and columns rows, inside of the registers.
"""

from .llvm.processor import VECTOR_BYTES
from .softmax_rows import ROWS_PER_LOG
from .transpose import Square, turn

#: Most columns of a row in a lane, a multiple of all lanes. A softmax of so many takes 12 ns a row
#: in float32 and 27 in float64, and 13 and 22 row by row; with vectors of 32 bytes 20 and 46, and
#: 18 and 37 (Zen 5). One of 26 takes 11 and 23, and 33 and 44; 18 and 39, and 36 and 54.
MOST_COLUMNS = 32
#: Vectors of memory that are worked in: two more hold what becomes of each row.
ROOM = MOST_COLUMNS + 2


class Columns:
    """Columns of some rows, each a vector.

    Parameters
    ----------
    emit : Emitter
    start : Value
        Address of column 0.
    count : Value
        Rows. Lanes to spare repeat the last row.
    """

    def __init__(self, emit, start, count):
        self.emit, self.start, self.count = emit, start, count

    def read(self, rows, stride, columns):
        """Read columns from rows at an address."""
        emit = self.emit

        def square(j):
            there = rows + j * emit.size, stride, self.count, emit.at_most(columns - j, emit.lanes)
            here = self.start + j * VECTOR_BYTES, VECTOR_BYTES, emit.lanes
            turn.emitted(emit, Square(*there, *here))

        emit.steps(0, columns + (emit.lanes - 1), emit.lanes, square)

    def write(self, rows, stride, columns):
        """Write columns into rows at an address."""
        emit = self.emit

        def square(j):
            left = emit.at_most(columns - j, emit.lanes)
            here = self.start + j * VECTOR_BYTES, VECTOR_BYTES, left, self.count
            turn.emitted(emit, Square(*here, rows + j * emit.size, stride, left))

        emit.steps(0, columns + (emit.lanes - 1), emit.lanes, square)

    def place(self, c):
        """Return the address of column c."""
        return self.start + c * VECTOR_BYTES

    def __getitem__(self, c):
        return self.emit.load(self.place(c))

    def __setitem__(self, c, vector):
        self.emit.store(vector, self.place(c))

    def element(self, c, row):
        """Return an element of column c as a float64."""
        place = self.place(c) + row * self.emit.size
        return self.emit.widened(self.emit.load_scalar(place))


def blocks(emit, f, body):
    """Do something with some rows at a time, as many as there are lanes.

    Parameters
    ----------
    emit : Emitter
    f : NamedTuple
        With rows `first` to `stop`, the address `S` of row 0, and the `stride` of rows.
    body : callable
        ``body(columns, first)`` works on the :class:`Columns` of the rows from `first` on, which
        are still to be read, and returns a float64.

    Returns
    -------
    Value
        The sum of what `body` returns.
    """
    room = emit.room(ROOM)

    def block(first, carried):
        count = emit.at_most(f.stop - first, emit.lanes)
        return [carried[0] + body(Columns(emit, room, count), first)]

    start = [emit.double(0.0)]
    return emit.while_loop(f.first, start, lambda i, _: [i < f.stop], block, emit.lanes)[1][0]


def by_fours(emit, first, stop, losses, loss):
    """Write down the losses of each ROWS_PER_LOG rows; return the sum of all.

    Parameters
    ----------
    emit : Emitter
    first, stop : Value
        Rows; the first one begins four, or as many as there are lanes.
    losses : Value
        Address of a float64 for the first rows of all, or 0 to write nothing.
    loss : callable
        ``loss(first, stop)`` returns the loss of some rows.
    """
    step = min(ROWS_PER_LOG, emit.lanes)

    def some(i, carried):
        total = loss(i, emit.at_most(stop, i + step))
        with emit.only_if(losses != 0):
            place, written = losses + i // ROWS_PER_LOG * 8, total
            if step < ROWS_PER_LOG:
                before = emit.load_double(place)
                written = emit.where(i & (ROWS_PER_LOG - 1) == 0, 0.0, before) + total
            emit.store(written, place)
        return [carried[0] + total]

    start = [emit.double(0.0)]
    return emit.while_loop(first, start, lambda i, _: [i < stop], some, step)[1][0]
