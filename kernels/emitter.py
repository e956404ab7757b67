"""Vector instructions, emitted as LLVM IR, for the loops that Numba cannot be told to vectorise.

:class:`Emitter` appends loads, stores, arithmetic and loops on vectors to a function, and
:func:`outlined` makes such a function callable from kernels. Addresses are ``intp``, in bytes; the
callers own the bounds. Loads assume no more than the alignment of one element.
"""

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic


def _features():
    """Return the names of what numba compiles for: what this processor has, or what it is told."""
    listed = config.CPU_FEATURES
    if listed is None:
        # Numba's own reading: empty where LLVM does not know, no AVX where numba avoids it.
        listed = get_host_cpu_features()
    return {name[1:] for name in listed.split(",") if name.startswith("+")}


def vector_registers(triple, features):
    """Return how many vector registers a processor has, by LLVM's names of it and its features.

    By the name on ARM: all of 64 bits have 32, whether or not the system lists ``neon``; those of
    32 bits list it and have 16.
    """
    return 32 if triple.startswith(("aarch64", "arm64")) or "avx512f" in features else 16


FEATURES = _features()
#: Vector registers of the processor that is compiled for.
VECTOR_REGISTERS = vector_registers(llvm.get_process_triple(), FEATURES)
#: Bytes in one vector.
VECTOR_BYTES = 64 if "avx512f" in FEATURES else 32 if "avx" in FEATURES else 16
#: Bytes that a processor's caches move at a time; no vector is longer.
CACHE_LINE = 64

INT64 = ir.IntType(64)
INT32 = ir.IntType(32)


def integer(value):
    """Return an int64 constant."""
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

    def prefetch(self, address):
        """Have the cache line at an address fetched; it may be of any memory, or of none."""
        pointer = self.pointer(address)
        kinds = [pointer.type, INT32, INT32, INT32]
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(ir.VoidType(), kinds), "llvm.prefetch.p0"
        )
        # To be read, into the first-level cache, as data.
        self.builder.call(function, [pointer] + [ir.Constant(INT32, x) for x in (0, 3, 1)])

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

    def _unary(self, name, value):
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(self.vector, [self.vector]),
            f"llvm.{name}.v{self.lanes}f{8 * self.size}",
        )
        return self.builder.call(function, [value])

    def square_root(self, value):
        """Return the square root of each lane, correctly rounded."""
        return self._unary("sqrt", value)

    def absolute(self, value):
        """Return |value|."""
        return self._unary("fabs", value)

    def at_least(self, value, floor):
        """Return max(value, floor) with NaN kept: the comparison is false for NaN."""
        below = self.builder.fcmp_ordered("<", value, floor)
        return self.builder.select(below, floor, value)

    def at(self, base, *terms):
        """Return base + sum of byte offsets; a pair is (index, stride)."""
        for term in terms:
            if isinstance(term, tuple):
                index, stride = term
                index = integer(index) if isinstance(index, int) else index
                stride = integer(stride) if isinstance(stride, int) else stride
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
        p.add_incoming(builder.add(p, integer(unroll)), builder.block)
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
        whole = builder.sdiv(count, integer(self.lanes))
        left = builder.sub(count, builder.mul(whole, integer(self.lanes)))

        def complete(v, _, carried):
            offset = builder.mul(v, integer(VECTOR_BYTES))
            return body(
                lambda base, rest=None: self.load(self.at(base, offset)),
                lambda value, base: self.store(value, self.at(base, offset)),
                carried,
            )

        _, carried = self.loop(integer(0), whole, carried, complete)
        before, offset = builder.block, builder.mul(whole, integer(VECTOR_BYTES))
        with builder.if_then(builder.icmp_signed(">", left, integer(0))):
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

    def widened(self, scalar):
        """Return an element as a float64."""
        return self.builder.fpext(scalar, ir.DoubleType()) if self.size == 4 else scalar

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
        following = builder.add(i, integer(step))
        builder.cbranch(builder.icmp_signed("<=", following, stop), inside, done)
        builder.position_at_end(inside)
        body(i)
        i.add_incoming(following, builder.block)
        builder.branch(head)
        builder.position_at_end(done)
        return i

    def unrolled(self, count, accumulators, body, unroll):
        """Run `body` for p in range(count), `unroll` at a time, then the rest one by one."""
        p = integer(0)
        if unroll > 1:
            whole = self.builder.and_(count, integer(-unroll))
            p, accumulators = self.loop(p, whole, accumulators, body, unroll)
        return self.loop(p, count, accumulators, body)[1]


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
