"""The limit: a loop of nothing but fused multiply-adds in registers."""

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from ._jit import kernel
from .emitter import INT64, VECTOR_BYTES, Emitter, integer

#: Independent sums: more than latency times units of any current core (4 x 2), and few registers.
SUMS = 12


@intrinsic
def _fma_loop(context, x, repetitions):
    def codegen(context, builder, signature, arguments):
        emit = Emitter(builder, x)
        factor = emit.splat(arguments[0])
        sums = [ir.Constant(emit.vector, [float(i)] * emit.lanes) for i in range(SUMS)]
        count = builder.sext(arguments[1], INT64) if arguments[1].type != INT64 else arguments[1]
        _, sums = emit.loop(
            integer(0), count, sums, lambda p, u, sums: [emit.fma(factor, s, factor) for s in sums]
        )
        total = sums[0]
        for other in sums[1:]:
            total = builder.fadd(total, other)
        value = builder.extract_element(total, ir.Constant(ir.IntType(32), 0))
        for lane in range(1, emit.lanes):
            other = builder.extract_element(total, ir.Constant(ir.IntType(32), lane))
            value = builder.fadd(value, other)
        return value

    return x(x, repetitions), codegen


@kernel
def fma_loop(x, repetitions):
    """Run `repetitions` times SUMS vector multiply-adds; the result only keeps them alive.

    Parameters
    ----------
    x : float32 or float64
        Its type is what is measured; 0.5 keeps the sums finite.
    repetitions : int
    """
    return _fma_loop(x, repetitions)


def flops_per_repetition(dtype):
    """Return the flops of one repetition of :func:`fma_loop` on float32 or float64."""
    return 2 * SUMS * (VECTOR_BYTES // np.dtype(dtype).itemsize)
