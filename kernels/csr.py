"""Rows in CSR form times a matrix, and their gradient: the emitted functions.

A product then costs one multiply-add of a row of W for each non-zero, with a row of sums in
registers, and the gradient the same into a row of W. Both visit the columns in blocks, so that the
rows of W at hand stay in a cache: each row of the batch has a *cursor*, the position of its next
non-zero, which a block leaves where the following one goes on. A sum runs over the columns, or over
the rows of the batch, in ascending order, so any division into blocks gives the same bits.

In memory, W has K rows of `across` whole vectors, zeros behind the last column. Cursors, and where
a row ends, are int64 positions in the int32 `indices`, ascending in each row, and in the `values`.
"""

from typing import NamedTuple

from ._jit import shared
from .llvm.functions import outlined
from .llvm.processor import CACHE_LINE, FIRST_LEVEL, VECTOR_BYTES
from .llvm.values import INT32

#: Vectors of W that are taken at a time: so many sums, or so many of the gradient's factors, stay
#: in registers, and wider layers walk over the non-zeros again. 100 columns as 7 vectors cost 9.2
#: cycles a non-zero on a Zen 4 core, of which multiply-adds need 7.
CHUNK = 8
#: Bytes of W that stay near, in the first-level cache or just beyond, and in the second, beside
#: all else. On a Zen 4 core (32 KiB), 64 columns of 448 bytes fit: of dense rows they cost 9.2
#: cycles a non-zero, and 96 columns 14.7; but of digits, where a fifth of the rows uses a column,
#: 98 columns take 3 to 8% less than 64. On a Zen 5 core (48 KiB, and a fast second level), 96
#: columns take a step on 200 digits from 172 to 155 us, and 137 columns to 148.
NEAR = (44 if FIRST_LEVEL < 48 << 10 else 60) << 10
FAR = 512 << 10
#: The row whose next non-zeros a forward product prefetches, counted from the one at hand, and how
#: many lines of their columns and of their values: no processor foresees where a shuffled row lies.
#: On a Zen 4 core, 200 of 20,000 images of digits times 100 columns of float32 take 103 instead of
#: 145 us, and as long as without (87 us) where they lie in the second level. 2 or 8 rows ahead
#: are as good; one line takes 5 to 20% more.
AHEAD, LINES = 4, 2


def _chunks(emit, across, body):
    """Run ``body(width, offset, last)`` for each chunk of `across` vectors, as even as they go.

    `width` is a Python int, 1..CHUNK; `offset` is in bytes, `last` says whether no chunk follows.
    """

    def one(p, carried):
        (v,) = carried
        left = across - v
        pieces = (left + (CHUNK - 1)) // CHUNK
        width = (left + (pieces - 1)) // pieces
        last, offset = pieces == 1, v * VECTOR_BYTES
        for w in emit.cases(width, range(1, CHUNK + 1), "width"):
            body(w, offset, last)
        return [v + width]

    emit.while_loop(0, [emit.integer(0)], lambda p, carried: [across - carried[0] > 0], one)


class _Row:
    """The non-zeros of row i of the batch that are left to visit."""

    def __init__(self, emit, i, cursor, end, indices):
        self.emit, self.indices = emit, emit.pointer(indices, INT32)
        self.cursor = cursor + i * 8
        self.start = emit.load_integer(self.cursor)
        self.end = emit.load_integer(end + i * 8)

    def column(self, p):
        """Return the column of the non-zero at position p."""
        return self.emit.index(self.indices, p)

    def visit(self, k1, last, carried, body):
        """Run ``carried = body(p, k, carried)`` for the non-zeros in front of column k1.

        The cursor moves behind them if this is the `last` chunk. Returns what was carried.

        The columns are looked at as they come. To prefetch the rows of W of later ones gained
        little where W is in the third-level cache (200 non-zeros of 20,000 columns: 242 to 227 us
        for 200 rows) and cost much where it is in the first (88 to 116 us for digits).
        """
        columns = []

        def goes_on(p, _):
            yield p < self.end
            # The position behind the last non-zero may be behind the last of the array.
            columns.append(self.column(p))
            yield columns[0] < k1

        p, values = self.emit.while_loop(
            self.start, carried, goes_on, lambda p, values: body(p, columns[0], values)
        )
        self.emit.store(self.emit.where(last, p, self.start), self.cursor)
        return values


def _prefetch_row(emit, f, i):
    """Prefetch the next non-zeros of row i of the batch, which may have none any more."""
    p = emit.load_integer(f.cursor + i * 8)
    for array, size in ((f.indices, 4), (f.values, emit.size)):
        for line in range(LINES):
            emit.prefetch(array + p * size + line * CACHE_LINE)


class CSRMultiply(NamedTuple):
    """What :func:`csr_multiply` takes."""

    cursor: int  #: address of the cursor of row 0, modified
    end: int  #: address of the position behind the last non-zero of row 0
    indices: int  #: address of the columns
    values: int  #: address of the numbers
    first: int  #: first row
    stop: int  #: first row that is left out
    k1: int  #: first column that is left out
    start: int  #: address of what is added to, or 0 for what `out` holds
    W: int  #: address of row 0 of the weights
    across: int  #: vectors of a row of the weights and of `out`
    out: int  #: address of row 0 of the result
    stride: int  #: bytes from one row of the result to the next


@outlined(CSRMultiply)
def csr_multiply(emit, f):
    """Add the non-zeros of some rows, times rows of W: ``out[i] = start + sum_k A[i, k] W[k]``.

    k runs from the cursors up to k1, and the cursors move there. `across` vectors of each row
    first..stop of `out` are written.
    """
    length, continuing = f.across * VECTOR_BYTES, f.start == 0
    elements = emit.pointer(f.values)

    def chunk(width, offset, last):
        weights, places = f.W + offset, [v * VECTOR_BYTES for v in range(width)]

        def one_row(i):
            _prefetch_row(emit, f, emit.where(i + AHEAD < f.stop, i + AHEAD, i))
            target = f.out + i * f.stride + offset
            source = emit.where(continuing, target, f.start + offset)
            # Before the row's cursor is: the other way round takes 98 instead of 90 us for digits.
            sums = [emit.load(source + place) for place in places]
            row = _Row(emit, i, f.cursor, f.end, f.indices)

            def nonzero(p, k, sums):
                value, line = emit.splat(emit.element(elements, p, 0)), weights + k * length
                return [
                    emit.fma(value, emit.load(line + place), total)
                    for total, place in zip(sums, places, strict=True)
                ]

            sums = row.visit(f.k1, last, sums, nonzero)
            for total, place in zip(sums, places, strict=True):
                emit.store(total, target + place)

        emit.steps(f.first, f.stop, 1, one_row)

    _chunks(emit, f.across, chunk)
    emit.returns()


class CSROuter(NamedTuple):
    """What :func:`csr_outer` takes."""

    rows: int
    cursor: int  #: address of the cursor of row 0, modified
    end: int  #: address of the position behind the last non-zero of row 0
    indices: int  #: address of the columns
    values: int  #: address of the numbers
    k0: int  #: first column; no cursor is in front of it
    k1: int  #: first column that is left out
    dZ: int  #: address of row 0 of the output's gradient
    stride: int  #: bytes from one row of it to the next
    target: int  #: address of row k0 of what is added to
    across: int  #: vectors of a row of dZ and of the target
    factor: float  #: on the gradient


@outlined(CSROuter)
def csr_outer(emit, f):
    """Add the gradient of some rows of W: ``target[k] += factor sum_i A[i, k] dZ[i]``.

    k runs from the cursors up to k1, and the cursors move there. The target is a tile of zeros, or
    with a factor of -learning_rate the weights themselves, of which only the rows that have a
    non-zero are touched.
    """
    length = f.across * VECTOR_BYTES
    origin, elements = f.target - f.k0 * length, emit.pointer(f.values)

    def chunk(width, offset, last):
        base, places = origin + offset, [v * VECTOR_BYTES for v in range(width)]

        def one_row(i):
            source = f.dZ + i * f.stride + offset
            gradient = [emit.load(source + place) for place in places]
            row = _Row(emit, i, f.cursor, f.end, f.indices)

            def nonzero(p, k, _):
                # Stores bound this loop, at two cycles each for vectors of 64 bytes. Two rows of
                # the batch at once, merged by column so that a common one is stored once, need
                # fewer, but the merge costs as much: 159 instead of 149 us for 200 digits.
                value = emit.splat(f.factor * emit.element(elements, p, 0))
                line = base + k * length
                for d, place in zip(gradient, places, strict=True):
                    emit.store(emit.fma(value, d, emit.load(line + place)), line + place)
                return []

            row.visit(f.k1, last, [], nonzero)

        emit.steps(0, f.rows, 1, one_row)

    _chunks(emit, f.across, chunk)
    emit.returns()


class CSRSeek(NamedTuple):
    """What :func:`csr_seek` takes."""

    cursor: int  #: address of the cursor of row 0, written
    begin: int  #: address of the position of the first non-zero of row 0
    end: int  #: address of the position behind its last one
    indices: int  #: address of the columns
    rows: int
    k0: int


@outlined(CSRSeek)
def csr_seek(emit, f):
    """Set the cursors of some rows to their first non-zero that is not in front of column k0."""

    def one_row(i):
        row = _Row(emit, i, f.begin, f.end, f.indices)

        def bisect(p, carried):
            low, count = carried
            half = count >> 1
            before = row.column(low + half) < f.k0
            low = emit.where(before, low + half + 1, low)
            return [low, emit.where(before, count - half - 1, half)]

        start = [row.start, row.end - row.start]
        _, (low, _) = emit.while_loop(0, start, lambda p, carried: [carried[1] > 0], bisect)
        emit.store(low, f.cursor + i * 8)

    emit.steps(0, f.rows, 1, one_row)
    emit.returns()


@shared
def csr_block_columns(nonzeros, K, across):
    """Return how many columns to visit at a time.

    Blocks of columns keep their rows of W in a cache until all rows of the batch have used them,
    but each costs every row of the batch about 25 cycles (a mispredicted end of a loop, loads and
    stores of its sums). Measured with 100 columns of float32, for 200 rows on a Zen 4 core: blocks
    for the first-level cache (64 columns) against one block of 784 take 87 against 119 us where
    they hold 13 non-zeros a row, 55 against 62 with 6, 35 against 32 with 3; blocks for the second
    (1,000) against one of 20,000 take 407 against 510 us with 20, 229 against 246 with 10, 136
    against 119 with 5. The gradient depends less on them (148 to 155 us for digits).

    Parameters
    ----------
    nonzeros : float
        Non-zeros in a row of the input, on average.
    K : int
        Columns of the input.
    across : int
        Vectors in a row of W.

    Returns
    -------
    int
        In 1..K, or 1 if K is 0: all blocks but the last have this width.
    """
    if K <= 1:
        return 1
    pieces = max((across + CHUNK - 1) // CHUNK, 1)
    row = max((across + pieces - 1) // pieces, 1) * VECTOR_BYTES
    for cache, enough in ((NEAR, 5), (FAR, 10)):
        width = cache // row
        if width < K and nonzeros * width >= enough * K:
            blocks = (K + width - 1) // width
            return (K + blocks - 1) // blocks
    return K
