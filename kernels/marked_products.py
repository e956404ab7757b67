"""Whole products that skip zeros: rows by two panels, and the gradient of some rows of a panel.

What they do is planned with the loop's other operations; what one word of marks tells of is the
work of :mod:`.marked`. They are emitted, as Numba takes several times as long to compile the same.
"""

from typing import NamedTuple

from .llvm.functions import outlined
from .llvm.processor import VECTOR_BYTES
from .llvm.tiles import NR, MultiplyPanel, multiply_panel
from .marked import MOST, WORD, CountMarks, MultiplyMarked, count_marks, multiply_marked
from .transpose import CopyRows, Transpose, copy_rows, transpose


class MultiplyPair(NamedTuple):
    """Some rows of a product with two panels; their zeros are skipped if there are enough of them.

    The fields that a :class:`.llvm.tiles.MultiplyPanel` has, too, are its own.
    """

    table: int
    first: int
    stop: int
    offset: int
    panel: int  #: the first, of NR vectors
    vectors: int  #: of both
    K: int
    start: int
    start_stride: int
    relu: int
    out: int
    stride: int
    gate: int
    known: int
    following: int
    pace: int
    beside: int  #: the second panel
    following_beside: int  #: what is multiplied by after what follows
    marks: int  #: of the first of the K elements, in row 0
    words: int  #: from the marks of one row to those of the next


@outlined(MultiplyPair)
def multiply_pair(emit, f):
    """Multiply rows by two panels: by both together if enough zeros are skipped, or one by one."""
    rows = f.stop - f.first
    marks = f.marks + f.first * f.words
    marked = count_marks.emitted(emit, CountMarks(marks, f.words, rows, f.K))
    with emit.either(marked <= emit.double_of(rows * f.K) * MOST) as (few, many):
        with few:
            _multiply_marked(emit, f, rows, marks)
        with many:
            panel = MultiplyPanel(*(getattr(f, name) for name in MultiplyPanel._fields))
            beside = panel._replace(
                panel=f.beside,
                vectors=f.vectors - NR,
                start=f.start + NR * VECTOR_BYTES,
                out=f.out + NR * VECTOR_BYTES,
                gate=emit.where(f.gate != 0, f.gate + NR * VECTOR_BYTES, 0),
            )
            multiply_panel.emitted(emit, panel._replace(vectors=NR, following=f.beside))
            multiply_panel.emitted(emit, beside)
    emit.returns()


def _multiply_marked(emit, f, rows, marks):
    """Multiply rows by two panels, a word of marks after the other; prefetch what comes next."""
    line, beside_line = NR * VECTOR_BYTES, (f.vectors - NR) * VECTOR_BYTES
    out = f.out + f.first * f.stride

    def word(k, carried):
        start, start_stride = carried
        last = k + WORD >= f.K
        product = MultiplyMarked(
            rows=rows,
            table=f.table + f.first * 8,
            offset=f.offset + k * emit.size,
            marks=marks + k // WORD * 8,
            words=f.words,
            terms=emit.at_most(f.K - k, WORD),
            B=f.panel + k * line,
            B_stride=line,
            beside=f.beside + k * beside_line,
            beside_stride=beside_line,
            vectors=f.vectors,
            start=start,
            start_stride=start_stride,
            relu=emit.where(last, f.relu, 0),
            out=out,
            stride=f.stride,
            gate=emit.where(last & (f.gate != 0), f.gate + f.first * f.stride, 0),
            each=1,
            later=0,
            ahead=emit.where(last, f.following, f.panel + (k + WORD) * line),
            beside_ahead=emit.where(last, f.following_beside, f.beside + (k + WORD) * beside_line),
        )
        multiply_marked.emitted(emit, product)
        return [out, f.stride]

    begun = [f.start + f.first * f.start_stride, f.start_stride]
    emit.while_loop(0, begun, lambda k, _: [k < f.K], word, WORD)


class OuterMarked(NamedTuple):
    """The gradient of some rows of a panel: ``out[k, u] = sum_i X[i, k] dZ[i, u]``."""

    units: int  #: columns of the panel
    table: int  #: address of the addresses of the units, rows of the turned gradient
    offset: int  #: bytes from there to the gradient by row 0 of the batch
    marks: int  #: address of the words of unit 0
    words: int  #: bytes from the words of one unit to those of the next
    rows: int  #: of the batch
    X: int  #: address of the first of the elements k in row 0
    X_stride: int  #: bytes from one row of X to the next
    across: int  #: vectors of elements k, NARROWEST..WIDEST
    zeros: int  #: address of as many vectors of zeros
    out: int  #: address of row k = 0 of the result, whole rows of `units` elements; as many follow
    fetches: int  #: 1 to prefetch with every row what comes next
    later: int  #: address of a table of as many addresses as there are rows
    ahead: int  #: bytes from there to what is prefetched


@outlined(OuterMarked)
def outer_marked(emit, f):
    """Sum the gradient of some rows of a panel, skipping what gives a unit no gradient.

    The rows of the panel lie along the lanes here, unit by unit: the sums are turned at the end.
    """
    # Behind the result: a row for each unit.
    line, turned = f.across * VECTOR_BYTES, f.out + f.units * f.across * VECTOR_BYTES
    each = emit.where(f.fetches != 0, (f.units + (WORD - 1)) // f.units, 0)

    def product(first):
        return {
            "rows": f.units,
            "offset": f.offset + first * emit.size,
            "B": f.X + first * f.X_stride,
            "B_stride": f.X_stride,
            "vectors": f.across,
            "each": each,
            "later": f.later + first * 8,
            "ahead": f.ahead,
            "beside_ahead": f.ahead + NR * VECTOR_BYTES,
        }

    _sum_by_words(emit, f, turned, line, product)
    width = f.across * emit.lanes
    transpose.emitted(
        emit, Transpose(turned, line, f.units, width, f.out, out_stride=f.units * emit.size)
    )
    emit.returns()


def _sum_by_words(emit, f, out, line, product):
    """Emit a sum over the rows of a batch, a word of marks after the other; it goes on in `out`.

    ``product(first)`` returns what the word has of its own that begins with a row: some fields of
    the product with the vectors that lie side by side in rows of B.
    """

    def word(first, carried):
        start, start_stride = carried
        own = product(first)
        whole = MultiplyMarked(
            table=f.table,
            marks=f.marks + first // WORD * 8,
            words=f.words,
            terms=emit.at_most(f.rows - first, WORD),
            beside=own["B"] + NR * VECTOR_BYTES,
            beside_stride=own["B_stride"],
            start=start,
            start_stride=start_stride,
            relu=0,
            out=out,
            stride=line,
            gate=0,
            **own,
        )
        multiply_marked.emitted(emit, whole)
        return [out, line]

    begun = [f.zeros, emit.integer(0)]
    emit.while_loop(0, begun, lambda first, _: [first < f.rows], word, WORD)


class OuterPair(NamedTuple):
    """The gradient of some rows of two panels: ``out[k, u] = sum_i X[i, k] dZ[i, u]``."""

    inputs: int  #: rows of the panels
    table: int  #: address of the addresses of the inputs k, rows of the turned X
    marks: int  #: address of the words of the first input
    words: int  #: bytes from the words of one input to those of the next
    rows: int  #: of the batch
    dZ: int  #: address of the first panel's columns of the gradient by row 0 of the batch
    stride: int  #: bytes from one row of it to the next
    vectors: int  #: across both panels, NARROWEST..WIDEST
    zeros: int  #: address of as many vectors of zeros
    sums: int  #: address of room for the rows of both panels, side by side
    out: int  #: address of the rows of the first panel; those of the second follow


@outlined(OuterPair)
def outer_pair(emit, f):
    """Sum the gradient of some rows of two panels, skipping inputs that are 0."""
    line, half = f.vectors * VECTOR_BYTES, NR * VECTOR_BYTES

    def product(first):
        return {
            "rows": f.inputs,
            "offset": first * emit.size,
            "B": f.dZ + first * f.stride,
            "B_stride": f.stride,
            "vectors": f.vectors,
            **dict.fromkeys(("each", "later", "ahead", "beside_ahead"), 0),
        }

    _sum_by_words(emit, f, f.sums, line, product)
    narrow, beside = line - half, f.out + f.inputs * half
    one = CopyRows(f.sums, line, f.inputs, NR * emit.lanes, f.out, half)
    other = CopyRows(f.sums + half, line, f.inputs, (f.vectors - NR) * emit.lanes, beside, narrow)
    copy_rows.emitted(emit, one)
    copy_rows.emitted(emit, other)
    emit.returns()
