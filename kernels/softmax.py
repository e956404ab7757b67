"""Softmax, cross-entropy and their gradient, in place."""

import math

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ._jit import kernel
from .emitter import outlined
from .machine import address_of, cast_like
from .vector_math import exp_nonpositive

#: Rows whose totals are multiplied before one logarithm is taken: sum(log(t)) = log(prod(t)).
#: A total lies in [1, C], so four of them stay far inside float64.
ROWS_PER_LOG = 4


def _softmax_rows(emit, S, stride, width, y, first, stop, scale):
    """Emit the rows' loop: three passes over a row that stays in registers or L1."""
    builder, double = emit.builder, ir.DoubleType()
    lowest, zeros, scales = emit.constant(-math.inf), emit.constant(0.0), emit.splat(scale)

    def largest(a, b):
        # Where one is NaN, so are the difference to the maximum and the total.
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)

    def one_row(i, _, carried):
        product, rights = carried
        row = emit.at(S, (i, stride))
        label = builder.load(emit.pointer(emit.at(y, (i, 8)), ir.IntType(64)))
        right = emit.pointer(emit.at(row, (label, emit.size)))

        def maximum(load, store, carried):
            return [largest(load(row, lowest), carried[0])]

        (top,) = emit.vectors(width, [lowest], maximum)
        top = emit.across(top, largest)
        difference = builder.fsub(builder.load(right), emit.first(top))

        def exponential(load, store, carried):
            value = exp_nonpositive(emit, builder.fsub(load(row, lowest), top))
            store(value, row)
            return [builder.fadd(carried[0], value)]

        (total,) = emit.vectors(width, [zeros], exponential)
        total = emit.across(total, builder.fadd)
        factor = builder.fdiv(scales, total)

        def normalise(load, store, carried):
            store(builder.fmul(load(row), factor), row)
            return carried

        emit.vectors(width, [], normalise)
        builder.store(builder.fsub(builder.load(right), scale), right)
        one_total = emit.first(total)
        if emit.size == 4:
            one_total, difference = (builder.fpext(v, double) for v in (one_total, difference))
        return [builder.fmul(product, one_total), builder.fadd(rights, difference)]

    start = [ir.Constant(double, 1.0), ir.Constant(double, 0.0)]
    _, (product, rights) = emit.loop(first, stop, start, one_row)
    log = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(double, [double]), "llvm.log.f64"
    )
    builder.ret(builder.fsub(builder.call(log, [product]), rights))


#: ``softmax_rows(like, (S, stride, width, y, first, stop, scale))`` replaces the scores of rows
#: first..stop, at most ROWS_PER_LOG, by ``scale (softmax - onehot(y))`` and returns their summed
#: loss, a float64. Row i lies at ``S + i stride``, its label (int64) at ``y + 8 i``. Columns beyond
#: the last class may be included where their scores are -inf: their exponentials are 0.
softmax_rows = outlined("softmax_rows", 7, {6}, _softmax_rows, returns=types.float64)


@kernel
def softmax_gradient(S, y):
    """Replace the scores `S` by the gradient of the mean cross-entropy; return the summed loss.

    ``S <- (softmax(S) - onehot(y)) / n``: the right class loses 1, and the 1/n comes from the
    mean over rows. The loss of a row is ``log(sum(exp(S))) - S[y]``, shifted by its maximum.

    Parameters
    ----------
    S : ndarray of shape (n, C)
        Scores, each row contiguous, float32 or float64; modified in place.
    y : ndarray of shape (n,)
        The right class of each row, int64 in 0..C-1: a label outside is an out-of-bounds write.

    Returns
    -------
    float
        Sum over rows of -log(softmax(S)[y]); divide by n for the mean.
    """
    n, C = S.shape
    if n == 0:
        return 0.0
    like = S[0, 0]
    scale, loss = cast_like(like, 1.0 / n), 0.0
    for first in range(0, n, ROWS_PER_LOG):
        stop = min(first + ROWS_PER_LOG, n)
        places = (address_of(S), S.strides[0], C, address_of(y), first, stop, scale)
        loss += softmax_rows(like, places)
    return loss
