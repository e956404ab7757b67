"""What Numba cannot say: the address of an array, what is at an address, an atomic."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .processor import VECTOR_BYTES
from .values import INT64


@intrinsic
def address_of(context, array):
    """Return the address of the first element of `array` as a signed integer.

    ``array.ctypes.data`` is unsigned, and unsigned plus signed is a float in Numba.
    """
    signature = types.intp(array)

    def codegen(context, builder, signature, arguments):
        fields = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.ptrtoint(fields.data, INT64)

    return signature, codegen


@intrinsic
def lanes_of(context, like):
    """Return how many elements of the type of `like` fill a vector, as a constant."""
    lanes = VECTOR_BYTES * 8 // like.bitwidth
    return types.intp(like), lambda *_: ir.Constant(INT64, lanes)


@intrinsic
def cast_like(context, like, value):
    """Return the float64 `value` in the type of `like`, so that it promotes nothing."""
    signature = like(like, types.float64)

    def codegen(context, builder, _, arguments):
        return context.cast(builder, arguments[1], types.float64, like)

    return signature, codegen


@intrinsic
def read_integer(context, address):
    """Return the int64 at `address`."""
    signature = types.int64(types.intp)

    def codegen(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], INT64.as_pointer()))

    return signature, codegen


@intrinsic
def read(context, like, address):
    """Return the number of the type of `like` at `address`."""
    signature = like(like, types.intp)

    def codegen(context, builder, signature, arguments):
        kind = context.get_value_type(signature.return_type)
        return builder.load(builder.inttoptr(arguments[1], kind.as_pointer()))

    return signature, codegen


@intrinsic
def call_uint32(context, function, argument):
    """Call the C function at an address with a pointer, and return its uint32."""
    signature = types.uint32(types.intp, types.intp)

    def codegen(context, builder, signature, arguments):
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.IntType(32), [pointer]).as_pointer()
        called = builder.inttoptr(arguments[0], kind)
        return builder.call(called, [builder.inttoptr(arguments[1], pointer)])

    return signature, codegen


@intrinsic
def on_stack(context, numbers):
    """Return the address of some numbers of one type, one behind the other in this call's stack."""

    def codegen(context, builder, signature, arguments):
        parts = cgutils.unpack_tuple(builder, arguments[0], len(numbers))
        kind = ir.ArrayType(parts[0].type, len(numbers))
        room = cgutils.alloca_once(builder, kind)
        for i, part in enumerate(parts):
            builder.store(part, cgutils.gep_inbounds(builder, room, 0, i))
        return builder.ptrtoint(room, INT64)

    return types.intp(numbers), codegen


@intrinsic
def atomic_add(context, address, amount):
    """Add `amount` to the int64 at `address`; what was written before is visible to its readers."""
    signature = types.int64(types.intp, types.int64)

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], INT64.as_pointer())
        return builder.atomic_rmw("add", pointer, arguments[1], "acq_rel")

    return signature, codegen


@intrinsic
def atomic_load(context, address):
    """Read the int64 at `address`, with all that its writer had written before."""
    signature = types.int64(types.intp)

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], INT64.as_pointer())
        return builder.load_atomic(pointer, "acquire", 8)

    return signature, codegen
