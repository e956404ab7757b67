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

Whatever else happens to a tile (masks, optimiser) is plain njit code elsewhere. All operands are
addresses and byte strides (``intp``); the callers own the bounds. Loads assume no more than the
alignment of one element. Every sum runs over p in ascending order, whatever the size of the tile,
so neighbouring tiles of different heights give the same bits.

Each is one LLVM function that its callers do not inline: the tiles are compiled once in a module.
For the same reason they belong into outermost kernels: Numba compiles a function anew for each
kernel that calls it, and all of them in a chain of three took five times as long.
"""

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


def _vector_bytes_and_rows():
    """Choose the tile for this processor: 24 accumulators need 32 registers, 12 fit into 16."""
    if config.CPU_FEATURES is not None:
        features = {f[1:] for f in config.CPU_FEATURES.split(",") if f.startswith("+")}
    else:
        features = {name for name, present in llvm.get_host_cpu_features().items() if present}
    if "avx512f" in features:
        return 64, 8
    if "avx" in features:
        return 32, 4
    return 16, 8 if "neon" in features else 4


#: Bytes in one vector, and rows in the tallest tile. Three vectors by eight rows keep two FMA
#: units busy with 11 loads for 24 FMAs: 97 % of the peak from L1 on an Ice Lake core (2 x 512
#: bit); 6x4 and 5x5 measure the same, 8x2 and 12x2 fall to 90 %, 8x1 to half.
VECTOR_BYTES, TALL = _vector_bytes_and_rows()
SHORT = TALL // 2
#: Vectors across the widest tile.
WIDE = 3
#: Columns that one dot tile computes.
GROUP = 4

INT64 = ir.IntType(64)
INT32 = ir.IntType(32)
BYTES = ir.IntType(8).as_pointer()


def _int(value):
    return ir.Constant(INT64, value)


class Emitter:
    """Vector instructions for one element type, appended to an LLVM IR builder."""

    def __init__(self, builder, element):
        self.builder = builder
        self.size = 4 if element is types.float32 else 8
        self.lanes = VECTOR_BYTES // self.size
        self.scalar = ir.FloatType() if self.size == 4 else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        # fmuladd, not fma: one instruction where the processor has it, and not a slow call into
        # the C library where it has not. llvmlite's declare_intrinsic takes no vector types.
        self.multiply_add = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(self.vector, [self.vector] * 3),
            f"llvm.fmuladd.v{self.lanes}f{8 * self.size}",
        )

    @staticmethod
    def integer(value):
        """Return an int64 constant."""
        return ir.Constant(INT64, value)

    def pointer(self, address, kind=None):
        """Return an address as a pointer to `kind`, a scalar if none is given."""
        return self.builder.inttoptr(address, (kind or self.scalar).as_pointer())

    def load(self, address):
        """Load a vector from an address that may be aligned to one element only."""
        value = self.builder.load(self.pointer(address, self.vector))
        value.align = self.size
        return value

    def _first(self, count):
        """Return the mask of the first `count` lanes."""
        lanes = ir.VectorType(INT64, self.lanes)
        lane = ir.Constant(lanes, list(range(self.lanes)))
        return self.builder.icmp_signed("<", lane, self.splat(count, lanes))

    def _masked(self, name, kinds, result, *arguments):
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(result, kinds),
            f"llvm.masked.{name}.v{self.lanes}f{8 * self.size}.p0",
        )
        return self.builder.call(function, arguments)

    def load_first(self, address, count, rest=None):
        """Load the first `count` lanes, touching no more; `rest` (or 0) fills the others."""
        mask, pointer = self._first(count), self.pointer(address, self.vector)
        rest = self.constant(0.0) if rest is None else rest
        kinds = [pointer.type, INT32, mask.type, self.vector]
        alignment = ir.Constant(INT32, self.size)
        return self._masked("load", kinds, self.vector, pointer, alignment, mask, rest)

    def store_first(self, value, address, count):
        """Store the first `count` lanes of a vector, touching no more."""
        mask, pointer = self._first(count), self.pointer(address, self.vector)
        kinds = [self.vector, pointer.type, INT32, mask.type]
        alignment = ir.Constant(INT32, self.size)
        self._masked("store", kinds, ir.VoidType(), value, pointer, alignment, mask)

    def load_scalar(self, address):
        """Load one element."""
        return self.builder.load(self.pointer(address))

    def load_address(self, address):
        """Load an int64."""
        return self.builder.load(self.pointer(address, INT64))

    def store(self, value, address):
        """Store a vector or an element; `address` may be aligned to one element only."""
        done = self.builder.store(value, self.pointer(address, value.type))
        done.align = self.size

    def splat(self, scalar, vector=None):
        """Return a vector, of the type `vector`, that holds `scalar` in every lane."""
        vector = vector or self.vector
        undefined = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(INT32, 0))
        zeros = ir.Constant(ir.VectorType(INT32, vector.count), [0] * vector.count)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def fma(self, a, b, c):
        """Return a b + c of three vectors."""
        return self.builder.call(self.multiply_add, [a, b, c])

    def at_least(self, value, floor):
        """Return max(value, floor) with NaN kept: the comparison is false for NaN."""
        below = self.builder.fcmp_ordered("<", value, floor)
        return self.builder.select(below, floor, value)

    def at(self, base, *terms):
        """Return base + sum of byte offsets; a pair is (index, stride)."""
        for term in terms:
            if isinstance(term, tuple):
                index, stride = term
                index = _int(index) if isinstance(index, int) else index
                stride = _int(stride) if isinstance(stride, int) else stride
                term = self.builder.mul(index, stride)
            base = self.builder.add(base, term)
        return base

    def loop(self, start, stop, accumulators, body, unroll=1):
        """Emit ``for p in range(start, stop, unroll)`` around `unroll` copies of `body`.

        `accumulators` is a flat list of values carried in registers; ``body(p, u, accumulators)``
        returns the next ones, for the element ``p + u``. Returns the counter and them.
        """
        builder = self.builder
        entry = builder.block
        head = builder.append_basic_block("tile.head")
        inside = builder.append_basic_block("tile.body")
        done = builder.append_basic_block("tile.done")
        builder.branch(head)

        builder.position_at_end(head)
        p = builder.phi(INT64)
        p.add_incoming(start, entry)
        carried = [builder.phi(value.type) for value in accumulators]
        for phi, value in zip(carried, accumulators, strict=True):
            phi.add_incoming(value, entry)
        builder.cbranch(builder.icmp_signed("<", p, stop), inside, done)

        builder.position_at_end(inside)
        values = carried
        for u in range(unroll):
            values = body(p, u, values)
        p.add_incoming(builder.add(p, _int(unroll)), builder.block)
        for phi, value in zip(carried, values, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)

        builder.position_at_end(done)
        return p, carried

    def vectors(self, count, carried, body):
        """Run `body` for each vector of `count` elements, the last one partial; return the carried.

        ``body(load, store, carried)`` returns the next carried vectors; ``load(base, rest=None)``
        and ``store(value, base)`` reach the current vector of the array at `base`. Lanes beyond
        the last element hold `rest` (or 0) and are not stored.
        """
        builder = self.builder
        whole = builder.sdiv(count, _int(self.lanes))
        left = builder.sub(count, builder.mul(whole, _int(self.lanes)))

        def complete(v, _, carried):
            offset = builder.mul(v, _int(VECTOR_BYTES))
            return body(
                lambda base, rest=None: self.load(self.at(base, offset)),
                lambda value, base: self.store(value, self.at(base, offset)),
                carried,
            )

        _, carried = self.loop(_int(0), whole, carried, complete)
        before, offset = builder.block, builder.mul(whole, _int(VECTOR_BYTES))
        with builder.if_then(builder.icmp_signed(">", left, _int(0))):
            after = body(
                lambda base, rest=None: self.load_first(self.at(base, offset), left, rest),
                lambda value, base: self.store_first(value, self.at(base, offset), left),
                carried,
            )
            inside = builder.block
        merged = [builder.phi(self.vector) for _ in carried]
        for phi, old, new in zip(merged, carried, after, strict=True):
            phi.add_incoming(old, before)
            phi.add_incoming(new, inside)
        return merged

    def across(self, vector, combine):
        """Combine all lanes; every lane of the result holds it."""
        distance = self.lanes // 2
        while distance:
            mask = [lane ^ distance for lane in range(self.lanes)]
            order = ir.Constant(ir.VectorType(INT32, self.lanes), mask)
            other = self.builder.shuffle_vector(vector, vector, order)
            vector = combine(vector, other)
            distance //= 2
        return vector

    def first(self, vector):
        """Return the element in lane 0."""
        return self.builder.extract_element(vector, ir.Constant(INT32, 0))

    def constant(self, number):
        """Return a vector of one number in every lane."""
        return ir.Constant(self.vector, [number] * self.lanes)

    def steps(self, start, stop, step, body):
        """Emit ``for i in range(start, stop - step + 1, step)``; return the first i not done."""
        builder = self.builder
        entry = builder.block
        head = builder.append_basic_block("steps.head")
        inside = builder.append_basic_block("steps.body")
        done = builder.append_basic_block("steps.done")
        builder.branch(head)
        builder.position_at_end(head)
        i = builder.phi(INT64)
        i.add_incoming(start, entry)
        following = builder.add(i, _int(step))
        builder.cbranch(builder.icmp_signed("<=", following, stop), inside, done)
        builder.position_at_end(inside)
        body(i)
        i.add_incoming(following, builder.block)
        builder.branch(head)
        builder.position_at_end(done)
        return i

    def unrolled(self, count, accumulators, body, unroll):
        """Run `body` for p in range(count), `unroll` at a time, then the rest one by one."""
        p = _int(0)
        if unroll > 1:
            whole = self.builder.and_(count, _int(-unroll))
            p, accumulators = self.loop(p, whole, accumulators, body, unroll)
        return self.loop(p, count, accumulators, body)[1]


#: Steps of p that the tall tiles take between two branches. On 200 steps from L1, 2 instead of 1
#: lifts the weight-gradient tile from 72 to 80 % of the peak (fewer address instructions).
UNROLL = 2


def outlined(name, argument_count, scalars, body, returns=None):
    """Make an intrinsic that calls an LLVM function, which its first use in a module defines.

    ``intrinsic(like, arguments)`` takes a tuple of `argument_count` addresses or counts, those at
    the positions `scalars` being of the type of ``like``; ``body(emit, *arguments)`` emits the
    code, and its return. `returns` is the Numba type of the result, None for none.
    """

    @intrinsic
    def call(context, like, arguments):
        kinds = [like if i in scalars else types.intp for i in range(argument_count)]
        result = types.void if returns is None else returns
        signature = result(like, types.Tuple.from_types(kinds))

        def codegen(context, builder, signature, values):
            unpacked = cgutils.unpack_tuple(builder, values[1], argument_count)
            module, full_name = builder.module, f"fastnn_{name}_{like}"
            if full_name not in module.globals:
                kind = ir.VoidType() if returns is None else context.get_value_type(returns)
                kind = ir.FunctionType(kind, [value.type for value in unpacked])
                function = ir.Function(module, kind, full_name)
                function.linkage = "internal"
                function.attributes.add("noinline")
                inside = ir.IRBuilder(function.append_basic_block("entry"))
                body(Emitter(inside, like), *function.args)
            value = builder.call(module.globals[full_name], unpacked)
            return context.get_dummy_value() if returns is None else value

        return signature, codegen

    return call


def _rows_tile(emit, height, width, rows, B, count, bias, floor, out, out_stride):
    """Multiply `height` rows by `width` vectors and write ``max(bias + A B, floor)``."""
    builder, step = emit.builder, VECTOR_BYTES
    pointers = [emit.pointer(emit.load_address(emit.at(rows, _int(8 * m)))) for m in range(height)]
    start = [emit.load(emit.at(bias, _int(v * step))) for v in range(width)] * height

    def body(p, u, sums):
        line = emit.at(B, (builder.add(p, _int(u)), width * step))
        vectors = [emit.load(emit.at(line, _int(v * step))) for v in range(width)]
        following = []
        for m in range(height):
            # Two GEPs, so that LLVM keeps u as a displacement and increments p once.
            a = emit.splat(builder.load(builder.gep(builder.gep(pointers[m], [p]), [_int(u)])))
            following += [emit.fma(a, vectors[v], sums[m * width + v]) for v in range(width)]
        return following

    sums = emit.unrolled(count, start, body, UNROLL if height == TALL else 1)
    lowest = emit.splat(floor)
    for m in range(height):
        for v in range(width):
            value = emit.at_least(sums[m * width + v], lowest)
            emit.store(value, emit.at(out, (m, out_stride), _int(v * step)))


def _multiply_panel(emit, table, first, stop, B, width, count, bias, floor, out, out_stride):
    builder = emit.builder
    widths = {w: builder.append_basic_block(f"width.{w}") for w in range(1, WIDE + 1)}
    choice = builder.switch(width, widths[WIDE])
    for w in range(1, WIDE):
        choice.add_case(_int(w), widths[w])
    for w, block in widths.items():
        builder.position_at_end(block)
        i = first
        for height in (TALL, SHORT, 1):

            def tile(i, height=height, w=w):
                place = emit.at(out, (i, out_stride))
                rows = emit.at(table, (i, 8))
                _rows_tile(emit, height, w, rows, B, count, bias, floor, place, out_stride)

            i = emit.steps(i, stop, height, tile)
        builder.ret_void()


#: ``multiply_panel(like, (table, first, stop, B, width, K, bias, floor, out, out_stride))``
#: multiplies rows first..stop, whose addresses are in the int64 `table`, by one panel of `width`
#: vectors, K rows one behind the other at B. Row i of the result, ``max(bias + A B, floor)``, goes
#: to ``out + i out_stride``: a `floor` of 0 is the ReLU, one of -inf changes nothing, and a NaN
#: stays. `like` is any scalar of the element type.
multiply_panel = outlined("multiply_panel", 10, {7}, _multiply_panel)


def _dot_tile(emit, height, rows, B, B_stride, count, bias, floor, out, out_stride):
    """Multiply `height` rows by GROUP columns, with lanes along the sum."""
    builder = emit.builder
    pairs = [(m, c) for m in range(height) for c in range(GROUP)]
    starts = [emit.load_address(emit.at(rows, _int(8 * m))) for m in range(height)]

    def step(p, load, sums):
        offset = builder.mul(p, _int(emit.size))
        a = [load(emit.at(start, offset)) for start in starts]
        b = [emit.load(emit.at(B, (c, B_stride), offset)) for c in range(GROUP)]
        return [emit.fma(a[m], b[c], total) for (m, c), total in zip(pairs, sums, strict=True)]

    zero = emit.constant(0.0)
    whole = builder.sdiv(count, _int(emit.lanes))
    _, sums = emit.loop(
        _int(0),
        whole,
        [zero] * len(pairs),
        lambda p, u, sums: step(builder.mul(p, _int(emit.lanes)), emit.load, sums),
    )
    done = builder.mul(whole, _int(emit.lanes))
    left = builder.sub(count, done)
    before = builder.block
    with builder.if_then(builder.icmp_signed(">", left, _int(0))):
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
        place = builder.gep(builder.gep(addresses, [p]), [_int(u)])
        there = builder.add(builder.load(place), by_table[1])
        here = emit.at(by_stride[0], (builder.add(p, _int(u)), by_stride[1]))
        A, B = (there, here) if gathered == "A" else (here, there)
        if lanes is None:
            vectors = [emit.load(emit.at(B, _int(v * step))) for v in range(width)]
        else:
            vectors = [emit.load_first(B, lanes)]
        following = []
        for m in range(height):
            a = emit.splat(emit.load_scalar(emit.at(A, _int(m * emit.size))))
            following += [emit.fma(a, vectors[v], sums[m * width + v]) for v in range(width)]
        return following

    sums = [emit.constant(0.0)] * (height * width)
    sums = emit.unrolled(count, sums, body, UNROLL if height * width > 12 else 1)
    for m in range(height):
        for v in range(width):
            emit.store(sums[m * width + v], emit.at(out, _int(m * out_stride + v * step)))


def _outer_panel(emit, height, width, table, offset, dZ, stride, count, out):
    builder = emit.builder
    sizes = [(h, w) for h in (1, SHORT, TALL) for w in range(1, WIDE + 1)]
    blocks = {size: builder.append_basic_block(f"tile.{size[0]}x{size[1]}") for size in sizes}
    code = emit.at(width, (height, 4))
    choice = builder.switch(code, blocks[TALL, WIDE])
    for (h, w), block in blocks.items():
        if (h, w) != (TALL, WIDE):
            choice.add_case(_int(4 * h + w), block)
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
    whole = _int(GROUP_VECTORS * emit.lanes)
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

            emit.steps(_int(0), builder.add(count_k, _int(emit.lanes - 1)), emit.lanes, tile)
    builder.ret_void()


#: Vectors of K that one tile of a group's gradient covers.
GROUP_VECTORS = 4

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
