"""Products with a matrix of which many elements are 0, as a ReLU leaves them.

A bit for each element marks those that are not 0; a product visits the bits that are set, one
after the other, and skips the rest. A tile is a single row, as each has its zeros elsewhere, and
up to two panels wide: a step of its sum loads a vector for every multiply-add, as many as a
processor can, where the tiles of :mod:`.llvm.tiles` load one for two. Every sum runs over its
terms in ascending order, and a term that is 0 changes nothing: the bits of a result are those of
the product that skips nothing (of finite numbers, but for the sign of a 0).
"""

from typing import NamedTuple

from .llvm.functions import outlined
from .llvm.processor import CACHE_LINE, FIRST_LEVEL, VECTOR_BYTES
from .llvm.tiles import NR

#: Elements that one word of marks tells of. Two panels of so many rows are 24 KiB in vectors of 64
#: bytes, and stay in the first-level cache while all rows of A meet them.
WORD = 64
#: Least and most vectors across a tile: a panel and some of the next one, or both. Of rows of which
#: half is 0, a word by 6 vectors takes 245 to 270 cycles, by 4 vectors 180 to 205 (to load alone
#: takes 224 and 160), where without skipping it is 400 and 270 (float32, Zen 4).
NARROWEST, WIDEST = NR + 1, 2 * NR
#: Rows between the one that is marked and the one that is prefetched meanwhile. With half of the
#: inputs 0, steps of 784-100-10 take 0.95 of the time without marks so, and 1.09 without this
#: (float32, Zen 4).
AHEAD = 4
#: Whether it pays to skip the half that a ReLU leaves. Where a processor multiplies two vectors of
#: 64 bytes in a cycle, as those do whose first level has 48 KiB, a word by six vectors takes about
#: 140 cycles, but in full only 190 to 230, and the sums that come and go with each word take up the
#: rest: steps took 3 to 9 % more time with the half skipped (an Intel server, Emerald Rapids).
HALF_PAYS = VECTOR_BYTES < 64 or FIRST_LEVEL < 48 << 10
#: Share of the elements that are not 0 up to which the others are skipped. Steps of 256-512-512-10
#: take 0.4 of the time without skipping where a tenth is not 0, 0.66 of it at 0.3, 0.8 to 0.9 at
#: 0.5, 0.91 to 1.03 at 0.6, and up to 1.1 at 0.7 (Zen 4).
MOST = 0.65 if HALF_PAYS else 0.4


def wide_tiles(vectors):
    """Tell whether tiles across so many vectors are wide enough to skip zeros.

    Two of the narrowest take as long as tiles that skip nothing: with the 8 vectors of 64-100-10,
    steps took 4 % more in float64 and 5 to 10 % with AVX2 (Zen 4).
    """
    return vectors >= WIDEST and vectors > NARROWEST * -(-vectors // WIDEST)


class Mark(NamedTuple):
    """What :func:`mark` takes."""

    table: int  #: address of the int64 addresses of the rows of A
    offset: int  #: bytes from the address of a row to the first of its elements
    rows: int
    elements: int  #: elements of each row
    marks: int  #: address of the words of row 0
    words: int  #: bytes from the words of one row to those of the next


@outlined(Mark)
def mark(emit, f):
    """Set a bit for each element that is not 0, and clear the others up to the end of a word.

    Bit b of word w of a row is that of element 64 w + b. NaN is not 0.
    """

    def row(i):
        line, words = emit.load_integer(f.table + i * 8) + f.offset, f.marks + i * f.words
        later = emit.load_integer(f.table + emit.at_most(i + AHEAD, f.rows - 1) * 8) + f.offset

        def opened(vector, first):
            zeros = emit.lanes_where(vector == 0.0)
            return (zeros ^ ((1 << emit.lanes) - 1)) << first

        def word(k):
            bits = emit.integer(0)
            for place in range(0, WORD * emit.size, CACHE_LINE):
                emit.prefetch(later + k * emit.size + place, level=2)
            for first in range(0, WORD, emit.lanes):
                bits = bits | opened(emit.load(line + (k + first) * emit.size), first)
            emit.store(bits, words + (k // WORD) * 8)

        done = emit.steps(0, f.elements, WORD, word)
        left, place = f.elements - done, done * emit.size

        def rest(first, bits):
            offset = place + first * emit.size
            emit.prefetch(later + offset, level=2)
            return [bits[0] | opened(emit.load_first(line + offset, left - first), first)]

        def goes_on(first, _):
            return [first < left]

        with emit.only_if(left > 0):
            _, bits = emit.while_loop(0, [emit.integer(0)], goes_on, rest, emit.lanes)
            emit.store(bits[0], words + (done // WORD) * 8)

    emit.steps(0, f.rows, 1, row)
    emit.returns()


class CountMarks(NamedTuple):
    """What :func:`count_marks` takes."""

    marks: int  #: address of the words of row 0
    words: int  #: bytes from the words of one row to those of the next
    rows: int
    elements: int  #: elements of each row


@outlined(CountMarks, returns=float)
def count_marks(emit, f):
    """Return how many of some elements are marked as not 0."""

    def row(i, _, count):
        words = f.marks + i * f.words

        def word(w, _, count):
            return [count[0] + emit.count_bits(emit.load_integer(words + w * 8))]

        return emit.loop(0, (f.elements + (WORD - 1)) // WORD, count, word)[1]

    _, count = emit.loop(0, f.rows, [emit.integer(0)], row)
    emit.returns(emit.double_of(count[0]))


class MultiplyMarked(NamedTuple):
    """A part of a product, at most WORD terms of each sum: ``out = start + A B``."""

    rows: int
    table: int  #: address of the int64 addresses of the rows of A
    offset: int  #: bytes from the address of a row to the first of these terms
    marks: int  #: address of the word of row 0
    words: int  #: bytes from the word of one row to that of the next
    terms: int  #: 1..WORD
    B: int  #: address of NR vectors of the first row of B
    B_stride: int  #: bytes from one row to the next
    beside: int  #: address of the vectors of the first row that come after them
    beside_stride: int  #: bytes from those of one row to those of the next
    vectors: int  #: of both, NARROWEST..WIDEST
    start: int  #: address of what is added to row 0, NR vectors and the others NR vectors on
    start_stride: int  #: bytes from one row of it to the next, 0 for a bias
    relu: int  #: 1 for ``max(out, 0)``, 0 for `out` itself, and with a gate
    out: int  #: address of row 0 of the result
    stride: int  #: bytes from one row of the result to the next
    gate: int  #: address of what lies as the result does, which is 0 where that is; 0 for none
    each: int  #: how many rows are prefetched with each row of A; 0 for none
    later: int  #: address of a table of the addresses of such rows, one a term; 0 for rows of B
    ahead: int  #: bytes from those addresses, or the address of the first of these rows of B
    beside_ahead: int  #: the same of the vectors that come after NR


def _prefetch(emit, *places):
    """Prefetch NR vectors at each of some addresses into the second-level cache."""
    for offset in range(0, NR * VECTOR_BYTES, CACHE_LINE):
        for place in places:
            emit.prefetch(place + offset, level=2)


@outlined(MultiplyMarked)
def multiply_marked(emit, f):
    """Multiply rows by a part of two panels: ``out[i, v] = start[i, v] + sum_k A[i, k] B[k, v]``.

    The sum is over the marked k; neither A nor B is read elsewhere. The result is its ReLU where
    `relu` says so, or it is taken back through a ReLU, whose output is the gate. Steps of
    256-2048-2048-10 take a quarter less time with all that is prefetched here (Zen 4).
    """
    lowest = emit.splat(emit.where(f.relu != 0, emit.number(0.0), -float("inf")))
    within = emit.integer(-1).shifted_down(WORD - f.terms)

    def prefetch(number):
        with emit.either(f.later != 0) as (listed, apart):
            with listed:
                row = emit.load_integer(f.later + number * 8)
                _prefetch(emit, row + f.ahead, row + f.beside_ahead)
            with apart:
                line, beside = number * f.B_stride, number * f.beside_stride
                _prefetch(emit, f.ahead + line, f.beside_ahead + beside)

    for vectors in emit.cases(f.vectors, range(NARROWEST, WIDEST + 1), "vectors"):
        places = [v * VECTOR_BYTES for v in range(vectors)]

        def row(i, vectors=vectors, places=places):
            elements = emit.pointer(emit.load_integer(f.table + i * 8) + f.offset)
            start, out = f.start + i * f.start_stride, f.out + i * f.stride

            def step(_, carried):
                word, *sums = carried
                k = emit.lowest_bit(word)
                a = emit.splat(emit.element(elements, k, 0))
                line, beside = f.B + k * f.B_stride, f.beside + k * f.beside_stride
                loaded = [emit.load(line + place) for place in places[:NR]]
                loaded += [emit.load(beside + place) for place in places[: vectors - NR]]
                sums = [emit.fma(a, b, total) for b, total in zip(loaded, sums, strict=True)]
                return [word & (word - 1), *sums]

            stop = emit.at_most((i + 1) * f.each, f.terms)
            emit.steps(i * f.each, stop, 1, prefetch)
            # The next row of A, whose elements are visited at random.
            following = emit.load_integer(f.table + emit.at_most(i + 1, f.rows - 1) * 8)
            for place in range(0, WORD * emit.size, CACHE_LINE):
                emit.prefetch(following + f.offset + place)
            word = emit.load_integer(f.marks + i * f.words) & within
            begun = [word, *(emit.load(start + place) for place in places)]
            _, ended = emit.while_loop(0, begun, lambda _, carried: [carried[0] != 0], step)
            with emit.either(f.gate != 0) as (gated, plain):
                with gated:
                    for value, place in zip(ended[1:], places, strict=True):
                        opened = emit.load(f.gate + i * f.stride + place) <= 0.0
                        emit.store(emit.where(opened, 0.0, value), out + place)
                with plain:
                    for value, place in zip(ended[1:], places, strict=True):
                        emit.store(emit.at_least(value, lowest), out + place)

        emit.steps(0, f.rows, 1, row)
    emit.returns()
