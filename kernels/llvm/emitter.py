"""Vector instructions, emitted as LLVM IR, for the loops that Numba cannot be told to vectorise.

An :class:`Emitter` loads and stores vectors, computes with them what no operator of a
:class:`.values.Value` says, and inherits the flow of a function. Addresses are integers, in bytes;
the callers own the bounds. Loads assume no more than the alignment of one element. What is computed
with these instructions stands in other files.
"""

import contextlib

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .flow import Flow
from .processor import VECTOR_BYTES
from .values import DOUBLE, INT8, INT32, INT64, Value


class Emitter(Flow):
    """Vector instructions for one element type, appended to an LLVM IR builder."""

    def __init__(self, builder, element):
        self.builder, self.kind = builder, element
        self.size = 4 if element is types.float32 else 8
        self.lanes = VECTOR_BYTES // self.size
        self.scalar = ir.FloatType() if self.size == 4 else DOUBLE
        self.vector = ir.VectorType(self.scalar, self.lanes)
        #: Flags of floating-point operations; none stands for those that Numba gives all of them.
        self.flags = ()

    # ------------------------------------------------------------------------------- constants

    def integer(self, number):
        """Return an int64 constant."""
        return Value(self, ir.Constant(INT64, number))

    def constant(self, number):
        """Return a vector of one number in every lane."""
        return Value(self, ir.Constant(self.vector, [number] * self.lanes))

    def number(self, number):
        """Return one element."""
        return Value(self, ir.Constant(self.scalar, number))

    def double(self, number):
        """Return a float64 constant."""
        return Value(self, ir.Constant(DOUBLE, number))

    def splat(self, scalar, vector=None):
        """Return a vector, of the type `vector`, that holds `scalar` in every lane."""
        vector = vector or self.vector
        undefined = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar.ir, ir.Constant(INT32, 0))
        zeros = ir.Constant(ir.VectorType(INT32, vector.count), [0] * vector.count)
        return Value(self, self.builder.shuffle_vector(first, undefined, zeros))

    # ---------------------------------------------------------------------------------- memory

    def pointer(self, address, kind=None):
        """Return an address as a pointer to `kind`, a scalar if none is given."""
        return self.builder.inttoptr(address.ir, (kind or self.scalar).as_pointer())

    def load(self, address, kind=None):
        """Load a vector from an address that may be aligned to one element only."""
        value = self.builder.load(self.pointer(address, kind or self.vector))
        value.align = self.size
        return Value(self, value)

    def load_if(self, condition, addresses):
        """Load vectors where a condition holds, else touch nothing and return zeros."""
        zeros, before = [self.constant(0.0)] * len(addresses), self.builder.block
        with self.only_if(condition):
            loaded, after = [self.load(address) for address in addresses], self.builder.block
        return self.joined(before, zeros, after, loaded)

    def plus_if(self, condition, values, addresses):
        """Add the vectors at some addresses where a condition holds, else touch nothing."""
        before = self.builder.block
        with self.only_if(condition):
            pairs = zip(values, addresses, strict=True)
            sums, after = [value + self.load(place) for value, place in pairs], self.builder.block
        return self.joined(before, values, after, sums)

    def load_scalar(self, address):
        """Load one element."""
        return Value(self, self.builder.load(self.pointer(address)))

    def load_double(self, address):
        """Load a float64."""
        return Value(self, self.builder.load(self.pointer(address, DOUBLE)))

    def load_integer(self, address):
        """Load an int64, such as an address."""
        return Value(self, self.builder.load(self.pointer(address, INT64)))

    def element(self, pointer, p, u):
        """Load element p + u behind a pointer, u being a Python number.

        In two steps, so that LLVM keeps u as a displacement and increments p once.
        """
        place = self.builder.gep(self.builder.gep(pointer, [p.ir]), [ir.Constant(INT64, u)])
        return Value(self, self.builder.load(place))

    def index(self, pointer, p):
        """Load the int32 at place p behind a pointer, as an int64."""
        loaded = self.builder.load(self.builder.gep(pointer, [p.ir]))
        return Value(self, self.builder.sext(loaded, INT64))

    def load_bytes(self, address, count=1):
        """Load `count` bytes as elements, a vector of them if they are several."""
        kind = ir.VectorType(INT8, count) if count > 1 else INT8
        loaded = self.builder.load(self.pointer(address, kind))
        loaded.align = 1
        wanted = ir.VectorType(self.scalar, count) if count > 1 else self.scalar
        return Value(self, self.builder.uitofp(loaded, wanted))

    def load_first(self, address, count, rest=None):
        """Load the first `count` lanes, touching no more; `rest` (or 0) fills the others."""
        mask, pointer = self._first(count), self.pointer(address, self.vector)
        rest = self.constant(0.0) if rest is None else rest
        kinds = [pointer.type, INT32, mask.type, self.vector]
        alignment = ir.Constant(INT32, self.size)
        loaded = self._masked("load", kinds, self.vector, pointer, alignment, mask, rest.ir)
        return Value(self, loaded)

    def store(self, value, address):
        """Store a vector or an element; `address` may be aligned to one element only."""
        done = self.builder.store(value.ir, self.pointer(address, value.ir.type))
        done.align = self.size

    def store_double(self, value, address):
        """Store a float64."""
        self.builder.store(value.ir, self.pointer(address, DOUBLE))

    def store_first(self, value, address, count):
        """Store the first `count` lanes of a vector, touching no more."""
        mask, pointer = self._first(count), self.pointer(address, self.vector)
        kinds = [self.vector, pointer.type, INT32, mask.type]
        alignment = ir.Constant(INT32, self.size)
        self._masked("store", kinds, ir.VoidType(), value.ir, pointer, alignment, mask)

    def room(self, vectors):
        """Return the address of so many vectors on the function's stack."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(self.vector, vectors)
            place.align = VECTOR_BYTES
            return Value(self, self.builder.ptrtoint(place, INT64))

    def load_integers(self, address, count):
        """Load `count` int64 into lanes as wide as elements are; the last one fills the others."""
        kind, mask = self.integers(8), self._first(count)
        pointer = self.pointer(address, kind)
        kinds = [pointer.type, INT32, mask.type, kind]
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(kind, kinds),
            f"llvm.masked.load.v{self.lanes}i64.p0",
        )
        last = self.splat(self.load_integer(address + (count - 1) * 8), kind)
        loaded = self.builder.call(function, [pointer, ir.Constant(INT32, 8), mask, last.ir])
        if self.size == 4:
            loaded = self.builder.trunc(loaded, self.integers(4))
        return Value(self, loaded)

    def store_integers(self, vector, address, count):
        """Store the first `count` integers, as wide as elements are, as int64."""
        kind, mask = self.integers(8), self._first(count)
        if self.size == 4:
            vector = Value(self, self.builder.sext(vector.ir, kind))
        pointer = self.pointer(address, kind)
        kinds = [kind, pointer.type, INT32, mask.type]
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(ir.VoidType(), kinds),
            f"llvm.masked.store.v{self.lanes}i64.p0",
        )
        self.builder.call(function, [vector.ir, pointer, ir.Constant(INT32, 8), mask])

    def narrowed(self, integer):
        """Return an int64 as an integer of as many bits as an element has."""
        return self.truncated(integer) if self.size == 4 else integer

    def prefetch(self, address, level=1):
        """Have the line at an address fetched into a level of cache; it may be of any memory."""
        pointer = self.pointer(address)
        kinds = [pointer.type, INT32, INT32, INT32]
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(ir.VoidType(), kinds), "llvm.prefetch.p0"
        )
        # To be read, how near, as data.
        self.builder.call(function, [pointer] + [ir.Constant(INT32, x) for x in (0, 4 - level, 1)])

    def _first(self, count):
        """Return the mask of the first `count` lanes."""
        lanes = ir.VectorType(INT64, self.lanes)
        lane = Value(self, ir.Constant(lanes, list(range(self.lanes))))
        return (lane < count).ir

    def _masked(self, name, kinds, result, *arguments):
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(result, kinds),
            f"llvm.masked.{name}.v{self.lanes}f{8 * self.size}.p0",
        )
        return self.builder.call(function, arguments)

    # ------------------------------------------------------------------------------ arithmetic

    @contextlib.contextmanager
    def as_written(self):
        """Keep floating-point operations within as they are written, none of them merged.

        Numba gives the kernels' fast-math flags to every operation that has no flag of its own.
        This flag leaves open the sign of a zero, and nothing else.
        """
        before, self.flags = self.flags, ("nsz",)
        try:
            yield
        finally:
            self.flags = before

    def fma(self, a, b, c):
        """Return a b + c of three vectors, of which some may be Python's numbers."""
        vectors = [x if isinstance(x, Value) else self.constant(x) for x in (a, b, c)]
        # fmuladd, not fma: one instruction where the processor has it, and not a slow call into
        # the C library where it has not. llvmlite's declare_intrinsic takes no vector types.
        return self._call("fmuladd", vectors)

    def square_root(self, value):
        """Return the square root of each lane, correctly rounded."""
        return self._call("sqrt", [value])

    def absolute(self, value):
        """Return |value|."""
        return self._call("fabs", [value])

    def logarithm(self, value):
        """Return the natural logarithm of one float64, by the C library."""
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(DOUBLE, [DOUBLE]), "llvm.log.f64"
        )
        return Value(self, self.builder.call(function, [value.ir]))

    def _call(self, name, vectors):
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(self.vector, [self.vector] * len(vectors)),
            f"llvm.{name}.v{self.lanes}f{8 * self.size}",
        )
        return Value(self, self.builder.call(function, [vector.ir for vector in vectors]))

    def where(self, condition, yes, no):
        """Return `yes` in the lanes where the condition holds, else `no`; either may be a number.

        Two numbers stand for vectors.
        """
        if not isinstance(yes, Value) and not isinstance(no, Value):
            yes = self.constant(yes)
        yes, no = (yes, yes.like(no)) if isinstance(yes, Value) else (no.like(yes), no)
        return Value(self, self.builder.select(condition.ir, yes.ir, no.ir))

    def at_least(self, value, floor):
        """Return max(value, floor) with NaN kept: the comparison is false for NaN."""
        return self.where(value < floor, value.like(floor), value)

    def at_most(self, value, ceiling):
        """Return min(value, ceiling) with NaN kept."""
        return self.where(value > ceiling, value.like(ceiling), value)

    def widened(self, scalar):
        """Return an element as a float64."""
        return Value(self, self.builder.fpext(scalar.ir, DOUBLE)) if self.size == 4 else scalar

    def of_integer(self, integer):
        """Return an int64 as an element."""
        return Value(self, self.builder.sitofp(integer.ir, self.scalar))

    def double_of(self, integer):
        """Return an int64 as a float64."""
        return Value(self, self.builder.sitofp(integer.ir, DOUBLE))

    # ------------------------------------------------------------------------------------ bits

    def integers(self, size):
        """Return the type of a vector of as many integers as there are lanes, `size` bytes each."""
        return ir.VectorType(ir.IntType(8 * size), self.lanes)

    def bits(self, vector):
        """Return a vector's bits, as integers."""
        return Value(self, self.builder.bitcast(vector.ir, self.integers(self.size)))

    def of_bits(self, integers):
        """Return the vector of some bits."""
        return Value(self, self.builder.bitcast(integers.ir, self.vector))

    def numbered(self, start):
        """Return the int32 numbers ``start``, ``start + 1``, ... of the lanes."""
        lanes = self.integers(4)
        first = self.splat(self.truncated(start), lanes)
        return first + Value(self, ir.Constant(lanes, list(range(self.lanes))))

    def lanes_where(self, condition):
        """Return the truth values of all lanes as an int64: that of lane 0 is its lowest bit."""
        together = self.builder.bitcast(condition.ir, ir.IntType(self.lanes))
        return Value(self, self.builder.zext(together, INT64))

    def lowest_bit(self, integer):
        """Return the number of the lowest bit that is set in an int64 other than 0."""
        nonzero = ir.Constant(ir.IntType(1), 1)
        return Value(self, self.builder.cttz(integer.ir, nonzero))

    def count_bits(self, integer):
        """Return how many bits are set in an int64."""
        return Value(self, self.builder.ctpop(integer.ir))

    def truncated(self, integer):
        """Return the lower 32 bits of an int64."""
        return Value(self, self.builder.trunc(integer.ir, INT32))

    # ----------------------------------------------------------------------------------- lanes

    def across(self, vector, combine):
        """Combine all lanes; every lane of the result holds it."""
        distance = self.lanes // 2
        while distance:
            other = self.shuffled(vector, vector, [lane ^ distance for lane in range(self.lanes)])
            vector = combine(vector, other)
            distance //= 2
        return vector

    def total(self, vector):
        """Return the sum of all lanes, one element."""
        return self.lane(self.across(vector, lambda a, b: a + b), 0)

    def lane(self, vector, number):
        """Return the element in a lane."""
        return Value(self, self.builder.extract_element(vector.ir, ir.Constant(INT32, number)))

    def shuffled(self, left, right, lanes):
        """Return some lanes of two vectors, those of `right` counted from the end of `left` on."""
        mask = ir.Constant(ir.VectorType(INT32, len(lanes)), lanes)
        return Value(self, self.builder.shuffle_vector(left.ir, right.ir, mask))

    def gathered(self, elements):
        """Return a vector of as many elements."""
        vector = ir.Constant(ir.VectorType(self.scalar, len(elements)), ir.Undefined)
        for place, element in enumerate(elements):
            vector = self.builder.insert_element(vector, element.ir, ir.Constant(INT32, place))
        return Value(self, vector)
