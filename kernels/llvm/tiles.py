"""Register tiles: a small block of a product, its sums in registers from the first to the last.

A tile of m rows and v vectors of columns loads v vectors and m single elements for its m v
multiply-adds. Two ways round, the tiles of a product are divided into *panels*, v whole vectors of
columns wide, with columns along the lanes; columns that would fill a vector only in part lie in
*groups*, whose tiles have the sum along the lanes. How weights lie in memory is said in
:mod:`..layout`, and which tiles make up a product in the loops around them.

Every sum runs over its terms in ascending order, whatever the size of the tile, so neighbouring
tiles of different heights give the same bits. The rows of a batch are reached through a table of
addresses, so that no batch is ever gathered.
"""

from typing import NamedTuple

from llvmlite import ir

from .functions import outlined
from .processor import CACHE_LINE, VECTOR_BYTES, VECTOR_REGISTERS

#: Rows of the tallest tile, and vectors across the widest, as BLIS names them. 24 sums need 32
#: registers, 12 fit into 16. Three vectors by eight rows keep two FMA units busy with 11 loads for
#: 24 FMAs: 97 % of the peak from L1 on an Ice Lake core, 96 to 99 % on a Zen 4; 6x4 and 5x5 measure
#: the same, 8x2 and 12x2 fall to 90 %, 8x1 to half.
MR, NR = (8 if VECTOR_REGISTERS >= 32 else 4), 3
#: Heights of tiles: what is left over below one is done by the next. With one of two rows, batches
#: of 2, 3 and 10 take 19, 15 and 6 % less time (784-128-10 with SGD in float32, Zen 4).
HEIGHTS = (8, 4, 2, 1) if MR == 8 else (4, 2, 1)
#: Columns that one tile of a group computes. A tile of its own for two took 2 % off a step of
#: 3072-50-10, which has two left over: what such a group costs is to read the rows once more.
GROUP = 4
#: Rows in the tallest tile of a group, and vectors of K that one tile of its gradient covers. 16
#: sums would fill 16 registers, and go through memory: with 8, 3072-50-10 takes 3 to 7 % less time
#: in float32 with AVX2, 64-100-10 and 784-100-10 up to 4 % (Zen 4).
GROUP_ROWS = GROUP_VECTORS = 4 if VECTOR_REGISTERS >= 32 else 2
#: The columns of a group that a tile may compute: one alone, or all, of which some may be padding.
#: Of the one output of two classes, or of a number to predict, the others' would be in vain.
GROUP_COLUMNS = 1, GROUP
#: Vectors in the largest tile of a gradient.
TILE_VECTORS = max(MR * NR, GROUP * GROUP_VECTORS)
#: Steps of the sum that the tall tiles take between two branches. On 200 steps from L1, 2 instead
#: of 1 lifts the weight-gradient tile from 72 to 80 % of the peak (fewer address instructions).
#: Steps with AVX2's 4x3 tiles take up to 2 % less time, and with 4 instead of 2 up to 3 % more.
UNROLL = 2


def unroll(vectors):
    """Return the steps between two branches of the forward product's tall tiles of a width.

    One vector across leaves a processor time for little else: with 4 instead of 2, steps of
    64-100-10 and 20-100-1 take 2 % less time in float32 (Zen 5).
    """
    return 2 * UNROLL if vectors == 1 else UNROLL


class MultiplyPanel(NamedTuple):
    """Some rows of a product with one panel of weights: ``out = start + A W``."""

    table: int  #: address of the int64 addresses of the rows of A
    first: int  #: first row
    stop: int  #: first row that is left out
    offset: int  #: bytes from the address of a row to the first of its K contiguous elements
    panel: int  #: address of K rows of `vectors` vectors, one behind the other
    vectors: int  #: 1..NR
    K: int
    start: int  #: address of what is added to row 0: a bias, or `out` to go on from there
    start_stride: int  #: bytes from one row of it to the next, 0 for a bias
    relu: int  #: 1 for ``max(out, 0)``, 0 for `out` itself, and with a gate
    out: int  #: address of row 0 of the result, in the columns of the panel
    stride: int  #: bytes from one row of the result to the next
    gate: int  #: address of what lies as the result does, which is 0 where that is; 0 for none
    known: int  #: the table holds all rows below this one, which may be prefetched
    following: int  #: address of what is multiplied next, to be prefetched meanwhile
    pace: int  #: bytes of it for each step of the sum of each tile of MR rows


class MultiplyGroup(NamedTuple):
    """Some rows of a product with one group of GROUP columns: ``out = A W + bias``.

    A sum over a part of K goes on from, and ends as, GROUP vectors for each row, whose lanes the
    last part adds up.
    """

    table: int  #: address of the int64 addresses of the rows of A
    first: int  #: first row
    stop: int  #: first row that is left out
    offset: int  #: bytes from the address of a row to the first of its K contiguous elements
    group: int  #: address of GROUP columns, each contiguous along K and padded to whole vectors
    length: int  #: bytes from one column to the next
    columns: int  #: one of GROUP_COLUMNS; the result of the others is their bias
    K: int
    start: int  #: address of the vectors that row 0 begins with: zeros, or the sums so far
    start_stride: int  #: bytes from one row of them to the next, 0 for zeros
    sums: int  #: address of the vectors that row 0 ends with; 0 for the last part of K
    bias: int  #: address of a number for each column
    relu: int  #: 1 for ``max(out, 0)``, 0 for `out` itself
    out: int  #: address of row 0 of the result, in the columns of the group
    stride: int  #: bytes from one row of the result to the next


def lowest(emit, relu, vector=None):
    """Return what no result falls below: 0 for the ReLU, else -inf, which changes nothing."""
    return emit.splat(emit.where(relu != 0, emit.number(0.0), -float("inf")), vector)


# ------------------------------------------------------------------------------- forward product


def _panel_tile(emit, f, i, height, vectors, floor):
    """Emit `height` rows from row i on, times a panel that is `vectors` vectors wide."""
    rows = [emit.load_integer(f.table + (i + m) * 8) + f.offset for m in range(height)]
    pointers = [emit.pointer(row) for row in rows]
    start = []
    for m in range(height):
        line = f.start + (i + m) * f.start_stride
        start += [emit.load(line + v * VECTOR_BYTES) for v in range(vectors)]
    later = None
    if height == MR:
        following, last = i + MR, f.known - MR
        later = f.table + emit.where(following < last, following, last) * 8
        steps_before = (i - f.first) // MR * f.K

    def body(p, u, sums):
        if later is not None and u * height * emit.size % CACHE_LINE == 0:
            _prefetch_line(emit, height, later, f.offset, p + u)
        if later is not None and u == 0:
            emit.prefetch(f.following + (steps_before + p) * f.pace, level=2)
        line = f.panel + (p + u) * (vectors * VECTOR_BYTES)
        loaded = [emit.load(line + v * VECTOR_BYTES) for v in range(vectors)]
        following = []
        for m in range(height):
            a = emit.splat(emit.element(pointers[m], p, u))
            following += [emit.fma(a, loaded[v], sums[m * vectors + v]) for v in range(vectors)]
        return following

    sums = emit.unrolled(f.K, start, body, unroll(vectors) if height == MR else 1)
    places = [(i + m) * f.stride + v * VECTOR_BYTES for m in range(height) for v in range(vectors)]
    with emit.either(f.gate != 0) as (gated, plain):
        with gated:
            for value, place in zip(sums, places, strict=True):
                opened = emit.where(emit.load(f.gate + place) <= 0.0, 0.0, value)
                emit.store(opened, f.out + place)
        with plain:
            for value, place in zip(sums, places, strict=True):
                emit.store(emit.at_least(value, floor), f.out + place)


def _prefetch_line(emit, height, later, offset, p):
    """Prefetch what step p of a tile can of the `height` rows at `later`: all, when it is done.

    A line of each row in turn. No processor foresees the rows of a shuffled batch: of 200 rows
    among 10,000, a product with 48 columns reached 224 GFLOP/s without and 266 with it for 3,072
    inputs, with 96 columns for 784 inputs 250 and 267 (Zen 5, peak 276). A whole step takes 661
    instead of 699 us for 3072-50-10 on 50,000 rows, 296 instead of 311 for 784-100-10 on 60,000.
    """
    # A step uses height elements, and a line is worth so many steps.
    line = p >> (CACHE_LINE // (height * emit.size)).bit_length() - 1
    row = emit.load_integer(later + (line & (height - 1)) * 8)
    emit.prefetch(row + offset + (line >> height.bit_length() - 1) * CACHE_LINE)


@outlined(MultiplyPanel)
def multiply_panel(emit, f):
    """Multiply rows by one panel: ``out[i, v] = start[i, v] + sum_k A[i, k] W[k, v]``, or its ReLU.

    Or it is taken back through a ReLU, whose output is the gate: 0 where that is not above 0 (a NaN
    lets it through). Only rows first..stop of `out` are written, `vectors` vectors of each; a NaN
    stays one. Besides the operands, the rows that come next are prefetched, to which the table has
    to lead, and what is multiplied next.
    """
    for vectors in emit.cases(f.vectors, range(1, NR + 1), "vectors"):
        floor, i = lowest(emit, f.relu), f.first
        for height in HEIGHTS:

            def tile(i, height=height, vectors=vectors, floor=floor):
                _panel_tile(emit, f, i, height, vectors, floor)

            i = emit.steps(i, f.stop, height, tile)
    emit.returns()


def _group_tile(emit, f, i, height, columns):
    """Emit `height` rows from row i on, times some columns, with lanes along the sum."""
    pairs = [(m, c) for m in range(height) for c in range(columns)]
    rows = [emit.load_integer(f.table + (i + m) * 8) + f.offset for m in range(height)]
    begun = [f.start + (i + m) * f.start_stride + c * VECTOR_BYTES for m, c in pairs]

    def step(p, load, sums):
        offset = p * emit.size
        a = [load(row + offset) for row in rows]
        b = [emit.load(f.group + c * f.length + offset) for c in range(columns)]
        return [emit.fma(a[m], b[c], total) for (m, c), total in zip(pairs, sums, strict=True)]

    whole = f.K // emit.lanes
    _, sums = emit.loop(
        0,
        whole,
        [emit.load(place) for place in begun],
        lambda p, u, sums: step(p * emit.lanes, emit.load, sums),
    )
    done = whole * emit.lanes
    left, before = f.K - done, emit.builder.block
    with emit.only_if(left > 0):
        last = step(done, lambda place: emit.load_first(place, left), sums)
        after = emit.builder.block
    sums = emit.joined(before, sums, after, last)
    with emit.either(f.sums != 0) as (more_follows, complete):
        with more_follows:
            for (m, c), total in zip(pairs, sums, strict=True):
                place = f.sums + (i + m) * (GROUP * VECTOR_BYTES) + c * VECTOR_BYTES
                emit.store(total, place)
        with complete:
            totals, four = _sum_lanes(emit, sums), ir.VectorType(emit.scalar, GROUP)
            bias, floor = emit.load(f.bias, four), lowest(emit, f.relu, four)
            for m in range(height):
                sums = totals[m * columns :][:columns]
                lanes = [emit.lane(vector, lane) for vector, lane in sums]
                lanes += [emit.number(0.0)] * (GROUP - columns)
                value = emit.at_least(emit.gathered(lanes) + bias, floor)
                emit.store(value, f.out + (i + m) * f.stride)


@outlined(MultiplyGroup)
def multiply_group(emit, f):
    """Multiply rows by one group: ``out[i, c] = bias[c] + sum_k A[i, k] W[k, c]``, or its ReLU.

    Only rows first..stop of `out` are written, GROUP elements of each, or of `sums`, GROUP vectors
    of each; rows of A are not read beyond K.
    """
    for columns in emit.cases(f.columns, GROUP_COLUMNS, "columns"):
        i = f.first
        for height in (GROUP_ROWS, 1):

            def tile(i, height=height, columns=columns):
                _group_tile(emit, f, i, height, columns)

            i = emit.steps(i, f.stop, height, tile)
    emit.returns()


def _sum_lanes(emit, vectors):
    """Sum the lanes of many vectors together; return (vector, lane) of each total, in order.

    Halving two vectors at once (low halves plus high halves, side by side) takes 15 additions for
    16 vectors of 16 lanes, where one by one they take 64.
    """
    lanes = width = emit.lanes
    groups = [[(index, 0)] for index in range(len(vectors))]  # (vector, first lane) inside each
    while width > 1:
        half = width // 2
        if len(vectors) % 2:
            vectors = [*vectors, vectors[-1]]
            groups = [*groups, []]
        merged, merged_groups = [], []
        for left in range(0, len(vectors), 2):
            low = [b * width + i for b in range(lanes // width) for i in range(half)]
            high = [lane + half for lane in low]
            low, high = (
                emit.shuffled(
                    vectors[left], vectors[left + 1], part + [lanes + lane for lane in part]
                )
                for part in (low, high)
            )
            merged.append(low + high)
            moved = [(index, first // 2) for index, first in groups[left]]
            moved += [(index, lanes // 2 + first // 2) for index, first in groups[left + 1]]
            merged_groups.append(moved)
        vectors, groups, width = merged, merged_groups, half
    totals = {}
    for vector, group in zip(vectors, groups, strict=True):
        for index, lane in group:
            totals[index] = (vector, lane)
    return [totals[index] for index in sorted(totals)]
