"""The register tiles: a matrix product's inner loop, emitted as LLVM IR.

A matrix product spends its time in one loop: multiply a few rows of one operand by a few vectors
of the other, into accumulators that never leave the registers. Numba cannot be told to keep them
there, so the three forms of that loop that a network needs are emitted here by hand:

- :func:`multiply_panel` (forward): ``out[i, v] = bias[v] + sum_p A[i, p] B[p, v]``, the rows of A
  reached through a table of addresses, so that a minibatch is never gathered;
- :func:`multiply_group`: the same for four columns, with lanes along p on both sides, so that the
  last few columns do not cost a whole vector;
- :func:`outer_panel` and :func:`outer_group` (weight gradient):
  ``out[k, v] = sum_p A[p, k] B[p, v]``, the rows of A or of B through such a table.

What else happens to a tile (masks, optimiser) stands elsewhere. Every sum runs over p in ascending
order, whatever the size of the tile, so neighbouring tiles of different heights give the same bits.

Each is one LLVM function that its callers do not inline: the tiles are compiled once in a module.
For the same reason they belong into outermost kernels: Numba compiles a function anew for each
kernel that calls it, and all of them in a chain of three took five times as long.
"""

from llvmlite import ir

from .emitter import (
    CACHE_LINE,
    INT32,
    INT64,
    VECTOR_BYTES,
    VECTOR_REGISTERS,
    integer,
    outlined,
)

#: Rows in the tallest tile: 24 accumulators need 32 registers, 12 fit into 16. Three vectors by
#: eight rows keep two FMA units busy with 11 loads for 24 FMAs: 97 % of the peak from L1 on an Ice
#: Lake core, 96 to 99 % on a Zen 4; 6x4 and 5x5 measure the same, 8x2 and 12x2 fall to 90 %, 8x1 to
#: half.
TALL = 8 if VECTOR_REGISTERS == 32 else 4
SHORT = TALL // 2
#: Vectors across the widest tile.
WIDE = 3
#: Columns that one dot tile computes. A tile of its own for two took 2 % off a step of 3072-50-10,
#: which has two left over: what such a group costs is to read the rows once more.
GROUP = 4
#: Vectors of K that one tile of a group's gradient covers.
GROUP_VECTORS = 4
#: Vectors in the largest tile of a gradient.
TILE_VECTORS = max(TALL * WIDE, GROUP * GROUP_VECTORS)
#: Steps of p that the tall tiles take between two branches. On 200 steps from L1, 2 instead of 1
#: lifts the weight-gradient tile from 72 to 80 % of the peak (fewer address instructions).
UNROLL = 2


def _rows_tile(emit, height, width, rows, later, B, count, bias, floor, out, out_stride):
    """Multiply `height` rows by `width` vectors and write ``max(bias + A B, floor)``.

    The addresses of the rows are at `rows`; those at `later` come next, and are prefetched.
    """
    builder, step = emit.builder, VECTOR_BYTES
    pointers = [
        emit.pointer(emit.load_address(emit.at(rows, integer(8 * m)))) for m in range(height)
    ]
    start = [emit.load(emit.at(bias, integer(v * step))) for v in range(width)] * height

    def body(p, u, sums):
        if later is not None and u * height * emit.size % CACHE_LINE == 0:
            _prefetch_line(emit, height, later, builder.add(p, integer(u)))
        line = emit.at(B, (builder.add(p, integer(u)), width * step))
        vectors = [emit.load(emit.at(line, integer(v * step))) for v in range(width)]
        following = []
        for m in range(height):
            # Two GEPs, so that LLVM keeps u as a displacement and increments p once.
            a = emit.splat(builder.load(builder.gep(builder.gep(pointers[m], [p]), [integer(u)])))
            following += [emit.fma(a, vectors[v], sums[m * width + v]) for v in range(width)]
        return following

    sums = emit.unrolled(count, start, body, UNROLL if height == TALL else 1)
    lowest = emit.splat(floor)
    for m in range(height):
        for v in range(width):
            value = emit.at_least(sums[m * width + v], lowest)
            emit.store(value, emit.at(out, (m, out_stride), integer(v * step)))


def _prefetch_line(emit, height, later, p):
    """Prefetch what step p of a tile can of the `height` rows at `later`: all, when it is done.

    A line of each row in turn. No processor foresees the rows of a shuffled batch: of 200 rows
    among 10,000, a product with 48 columns reached 224 GFLOP/s without and 266 with it for 3,072
    inputs, with 96 columns for 784 inputs 250 and 267 (Zen 5, peak 276). A whole step takes 661
    and no longer 699 us for 3072-50-10 on 50,000 rows, 296 and no longer 311 for 784-100-10 on
    60,000.
    """
    builder = emit.builder
    # A step uses height elements, and a line is worth so many steps.
    line = builder.ashr(p, integer((CACHE_LINE // (height * emit.size)).bit_length() - 1))
    row = emit.load_address(emit.at(later, (builder.and_(line, integer(height - 1)), 8)))
    emit.prefetch(emit.at(row, (builder.ashr(line, integer(height.bit_length() - 1)), CACHE_LINE)))


def _multiply_panel(emit, table, first, stop, B, width, count, bias, floor, out, out_stride, known):
    builder = emit.builder
    widths = {w: builder.append_basic_block(f"width.{w}") for w in range(1, WIDE + 1)}
    choice = builder.switch(width, widths[WIDE])
    for w in range(1, WIDE):
        choice.add_case(integer(w), widths[w])
    for w, block in widths.items():
        builder.position_at_end(block)
        i = first
        for height in (TALL, SHORT, 1):

            def tile(i, height=height, w=w):
                place = emit.at(out, (i, out_stride))
                rows, later = emit.at(table, (i, 8)), None
                if height == TALL:
                    following = builder.add(i, integer(TALL))
                    last = builder.sub(known, integer(TALL))
                    there = builder.icmp_signed("<", following, last)
                    later = emit.at(table, (builder.select(there, following, last), 8))
                _rows_tile(emit, height, w, rows, later, B, count, bias, floor, place, out_stride)

            i = emit.steps(i, stop, height, tile)
        builder.ret_void()


#: ``multiply_panel(like, (table, first, stop, B, width, K, bias, floor, out, out_stride, known))``
#: multiplies rows first..stop, whose addresses are in the int64 `table`, by one panel of `width`
#: vectors, K rows one behind the other at B. Row i of the result, ``max(bias + A B, floor)``, goes
#: to ``out + i out_stride``: a `floor` of 0 is the ReLU, one of -inf changes nothing, and a NaN
#: stays. The table holds all rows below `known`, which is no less than `stop`: they may be
#: prefetched. `like` is any scalar of the element type.
multiply_panel = outlined("multiply_panel", 11, {7}, _multiply_panel)


def _dot_tile(emit, height, rows, B, B_stride, count, bias, floor, out, out_stride):
    """Multiply `height` rows by GROUP columns, with lanes along the sum."""
    builder = emit.builder
    pairs = [(m, c) for m in range(height) for c in range(GROUP)]
    starts = [emit.load_address(emit.at(rows, integer(8 * m))) for m in range(height)]

    def step(p, load, sums):
        offset = builder.mul(p, integer(emit.size))
        a = [load(emit.at(start, offset)) for start in starts]
        b = [emit.load(emit.at(B, (c, B_stride), offset)) for c in range(GROUP)]
        return [emit.fma(a[m], b[c], total) for (m, c), total in zip(pairs, sums, strict=True)]

    zero = emit.constant(0.0)
    whole = builder.sdiv(count, integer(emit.lanes))
    _, sums = emit.loop(
        integer(0),
        whole,
        [zero] * len(pairs),
        lambda p, u, sums: step(builder.mul(p, integer(emit.lanes)), emit.load, sums),
    )
    done = builder.mul(whole, integer(emit.lanes))
    left = builder.sub(count, done)
    before = builder.block
    with builder.if_then(builder.icmp_signed(">", left, integer(0))):
        last = step(done, lambda place: emit.load_first(place, left), sums)
        after = builder.block
    merged = [builder.phi(emit.vector) for _ in sums]
    for phi, with_rest, without in zip(merged, last, sums, strict=True):
        phi.add_incoming(with_rest, after)
        phi.add_incoming(without, before)

    totals = _sum_lanes(emit, merged)
    group = ir.VectorType(emit.scalar, GROUP)
    biases = builder.load(emit.pointer(bias, group))
    biases.align = emit.size
    lowest = emit.splat(floor, group)
    for m in range(height):
        four = ir.Constant(group, ir.Undefined)
        for c, (vector, lane) in enumerate(totals[m * GROUP : (m + 1) * GROUP]):
            value = builder.extract_element(vector, ir.Constant(INT32, lane))
            four = builder.insert_element(four, value, ir.Constant(INT32, c))
        four = emit.at_least(builder.fadd(four, biases), lowest)
        emit.store(four, emit.at(out, (m, out_stride)))


def _multiply_group(emit, table, first, stop, B, B_stride, count, bias, floor, out, out_stride):
    i = first
    for height in (4, 1):

        def tile(i, height=height):
            place = emit.at(out, (i, out_stride))
            rows = emit.at(table, (i, 8))
            _dot_tile(emit, height, rows, B, B_stride, count, bias, floor, place, out_stride)

        i = emit.steps(i, stop, height, tile)
    emit.builder.ret_void()


#: ``multiply_group(like, (table, first, stop, B, B_stride, K, bias, floor, out, out_stride))``:
#: as multiply_panel, but B holds GROUP rows of weights, each contiguous along K and padded with
#: zeros to whole vectors. Rows of A are not read beyond K.
multiply_group = outlined("multiply_group", 10, {7}, _multiply_group)


def _outer_tile(
    emit, height, width, by_table, by_stride, count, out, out_stride, gathered, lanes=None
):
    """Write the sum over p of `height` columns of A times `width` vectors of B.

    `by_table` is (table, offset), `by_stride` (address, stride); `gathered` says which of A and B
    is reached through the table. With `lanes`, only so many lanes of B are loaded.
    """
    builder, step = emit.builder, VECTOR_BYTES
    addresses = emit.pointer(by_table[0], INT64)

    def body(p, u, sums):
        place = builder.gep(builder.gep(addresses, [p]), [integer(u)])
        there = builder.add(builder.load(place), by_table[1])
        here = emit.at(by_stride[0], (builder.add(p, integer(u)), by_stride[1]))
        A, B = (there, here) if gathered == "A" else (here, there)
        if gathered == "A":
            # For the tile after the next; a third of what prefetching gains, see _prefetch_line.
            emit.prefetch(emit.at(A, integer(CACHE_LINE)))
        if lanes is None:
            vectors = [emit.load(emit.at(B, integer(v * step))) for v in range(width)]
        else:
            vectors = [emit.load_first(B, lanes)]
        following = []
        for m in range(height):
            a = emit.splat(emit.load_scalar(emit.at(A, integer(m * emit.size))))
            following += [emit.fma(a, vectors[v], sums[m * width + v]) for v in range(width)]
        return following

    sums = [emit.constant(0.0)] * (height * width)
    sums = emit.unrolled(count, sums, body, UNROLL if height * width > 12 else 1)
    for m in range(height):
        for v in range(width):
            emit.store(sums[m * width + v], emit.at(out, integer(m * out_stride + v * step)))


def _outer_panel(emit, height, width, table, offset, dZ, stride, count, out):
    builder = emit.builder
    sizes = [(h, w) for h in (1, SHORT, TALL) for w in range(1, WIDE + 1)]
    blocks = {size: builder.append_basic_block(f"tile.{size[0]}x{size[1]}") for size in sizes}
    code = emit.at(width, (height, 4))
    choice = builder.switch(code, blocks[TALL, WIDE])
    for (h, w), block in blocks.items():
        if (h, w) != (TALL, WIDE):
            choice.add_case(integer(4 * h + w), block)
        builder.position_at_end(block)
        line = w * VECTOR_BYTES
        _outer_tile(emit, h, w, (table, offset), (dZ, stride), count, out, line, "A")
        builder.ret_void()


#: ``outer_panel(like, (height, width, table, offset, dZ, stride, n, out))`` writes the gradient of
#: `height` (TALL, SHORT or 1) rows of a panel of `width` vectors, one behind the other: row p of A
#: lies at ``table[p] + offset``, row p of the output's gradient at ``dZ + p stride``.
outer_panel = outlined("outer_panel", 8, set(), _outer_panel)


def _outer_group(emit, table, offset, count_k, dZ, stride, count, out):
    builder, line = emit.builder, GROUP_VECTORS * VECTOR_BYTES
    whole = integer(GROUP_VECTORS * emit.lanes)
    with builder.if_else(builder.icmp_signed(">=", count_k, whole)) as (complete, partial):
        with complete:
            by_table, by_stride = (table, offset), (dZ, stride)
            _outer_tile(emit, GROUP, GROUP_VECTORS, by_table, by_stride, count, out, line, "B")
        with partial:

            def tile(k):
                there = emit.at(offset, (k, emit.size))
                place, left = emit.at(out, (k, emit.size)), builder.sub(count_k, k)
                by_table, by_stride = (table, there), (dZ, stride)
                _outer_tile(emit, GROUP, 1, by_table, by_stride, count, place, line, "B", left)

            emit.steps(integer(0), builder.add(count_k, integer(emit.lanes - 1)), emit.lanes, tile)
    builder.ret_void()


#: ``outer_group(like, (table, offset, count, dZ, stride, n, out))`` writes the gradient of GROUP
#: columns for up to GROUP_VECTORS vectors of k, `count` elements: GROUP rows of GROUP_VECTORS
#: vectors at `out`. Row p of A lies at ``table[p] + offset`` and is not read beyond `count`.
outer_group = outlined("outer_group", 7, set(), _outer_group)


def _sum_lanes(emit, vectors):
    """Sum the lanes of many vectors together; return (vector, lane) of each total, in order.

    Halving two vectors at once (low halves plus high halves, side by side) takes 15 additions for
    16 vectors of 16 lanes, where one by one they take 64.
    """
    lanes, builder = emit.lanes, emit.builder
    width = lanes
    groups = [[(index, 0)] for index in range(len(vectors))]  # (vector, first lane) inside each
    while width > 1:
        half = width // 2
        if len(vectors) % 2:
            vectors = [*vectors, vectors[-1]]
            groups = [*groups, []]
        merged, merged_groups = [], []
        blocks = lanes // width
        for left in range(0, len(vectors), 2):
            low = [b * width + i for b in range(blocks) for i in range(half)]
            high = [lane + half for lane in low]
            masks = [part + [lanes + lane for lane in part] for part in (low, high)]
            parts = [
                builder.shuffle_vector(
                    vectors[left],
                    vectors[left + 1],
                    ir.Constant(ir.VectorType(INT32, lanes), mask),
                )
                for mask in masks
            ]
            merged.append(builder.fadd(parts[0], parts[1]))
            moved = [(index, first // 2) for index, first in groups[left]]
            moved += [(index, lanes // 2 + first // 2) for index, first in groups[left + 1]]
            merged_groups.append(moved)
        vectors, groups, width = merged, merged_groups, half
    totals = {}
    for vector, group in zip(vectors, groups, strict=True):
        for index, lane in group:
            totals[index] = (vector, lane)
    return [totals[index] for index in sorted(totals)]
