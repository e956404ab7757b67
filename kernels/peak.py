"""The limit: a loop of nothing but fused multiply-adds in registers."""

from typing import NamedTuple

import numpy as np

from ._jit import kernel
from .llvm.functions import outlined
from .llvm.processor import VECTOR_BYTES

#: Independent sums: more than latency times units of any current core (4 x 2), and few registers.
SUMS = 12


class Repetitions(NamedTuple):
    """What :func:`multiply_adds` takes."""

    x: float
    repetitions: int


@outlined(Repetitions, returns=float)
def multiply_adds(emit, f):
    """Do SUMS vector multiply-adds, ``s <- x s + x``, so many times; return their sum."""
    factor = emit.splat(f.x)
    sums = [emit.constant(float(i)) for i in range(SUMS)]
    _, sums = emit.loop(
        0, f.repetitions, sums, lambda p, u, sums: [emit.fma(factor, s, factor) for s in sums]
    )
    total = sums[0]
    for other in sums[1:]:
        total = total + other
    emit.returns(emit.widened(emit.total(total)))


@kernel
def fma_loop(x, repetitions):
    """Run `repetitions` times SUMS vector multiply-adds; the result only keeps them alive.

    Parameters
    ----------
    x : float32 or float64
        Its type is what is measured; 0.5 keeps the sums finite.
    repetitions : int
    """
    return multiply_adds(x, Repetitions(x, repetitions))


def flops_per_repetition(dtype):
    """Return the flops of one repetition of :func:`fma_loop` on float32 or float64."""
    return 2 * SUMS * (VECTOR_BYTES // np.dtype(dtype).itemsize)
