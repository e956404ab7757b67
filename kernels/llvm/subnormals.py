"""Subnormal numbers count as 0 while a training runs: some processors take long over them.

What an optimiser remembers of a weight whose gradient is 0 falls by a tenth at each step, and so do
weights that nothing but a penalty moves. After some hundred steps they are below the smallest
normal number, and stay there for good: nine tenths of the smallest number of all is rounded to
itself. For each instruction that meets one, an Intel server takes some 170 cycles: a step of
momentum over such numbers takes 13 times as long as over others, one of Adam 12 times (10,000
float32 from the first level, Emerald Rapids). A Zen 4 takes 1.05 and 2.4 times as long. Of digits
that are learnt with scikit-learn's defaults in float32, one velocity in forty ends so, and with
batches of 32 one weight in thirteen.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .processor import X86
from .values import INT32

#: Bits of the control word, MXCSR: subnormal results become 0, subnormal operands count as 0.
#: Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, section 10.2.3.
FLUSH_RESULTS, FLUSH_OPERANDS = 1 << 15, 1 << 6


def _access(builder, name, place):
    """Emit one of the two instructions that reach the control word, by its name in LLVM."""
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(place, pointer)])


@intrinsic
def flush_subnormals(context, wanted):
    """Have this thread take subnormal numbers for 0, if `wanted` is not 0.

    Return its control word as it was: who calls this has to call :func:`restore_subnormals` with
    it. Elsewhere than on x86, where they cost little, nothing happens.
    """

    def codegen(context, builder, signature, arguments):
        if not X86:
            return ir.Constant(INT32, 0)
        place = cgutils.alloca_once(builder, INT32)
        _access(builder, "stmxcsr", place)
        before = builder.load(place)
        flushing = builder.or_(before, ir.Constant(INT32, FLUSH_RESULTS | FLUSH_OPERANDS))
        is_wanted = builder.icmp_signed("!=", arguments[0], ir.Constant(arguments[0].type, 0))
        builder.store(builder.select(is_wanted, flushing, before), place)
        _access(builder, "ldmxcsr", place)
        return before

    return types.uint32(types.int64), codegen


@intrinsic
def restore_subnormals(context, before):
    """Give this thread the control word back that :func:`flush_subnormals` returned."""

    def codegen(context, builder, signature, arguments):
        if X86:
            place = cgutils.alloca_once(builder, INT32)
            builder.store(arguments[0], place)
            _access(builder, "ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.uint32), codegen
