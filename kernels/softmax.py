"""Softmax, cross-entropy and their gradient, in place."""

import math

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ._jit import kernel
from .machine import address_of, cast_like
from .simd import INT32, VECTOR_BYTES, outlined
from .vector_math import exp_nonpositive

#: Rows whose totals are multiplied before one logarithm is taken: sum(log(t)) = log(prod(t)).
#: A total lies in [1, C], so four of them stay far inside float64.
ROWS_PER_LOG = 4


def _across(emit, vector, combine):
    """Combine all lanes; every lane of the result holds it."""
    distance = emit.lanes // 2
    while distance:
        mask = [lane ^ distance for lane in range(emit.lanes)]
        order = ir.Constant(ir.VectorType(INT32, emit.lanes), mask)
        other = emit.builder.shuffle_vector(vector, vector, order)
        vector = combine(vector, other)
        distance //= 2
    return vector


def _softmax_rows(emit, S, stride, width, y, first, stop, scale):
    """Emit the rows' loop: three passes over a row that stays in registers or L1."""
    builder, lanes, step = emit.builder, emit.lanes, VECTOR_BYTES
    whole = builder.sdiv(width, emit.integer(lanes))
    left = builder.sub(width, builder.mul(whole, emit.integer(lanes)))
    lowest = ir.Constant(emit.vector, [-math.inf] * lanes)
    zeros = ir.Constant(emit.vector, [0.0] * lanes)
    double = ir.DoubleType()
    scales = emit.splat(scale)

    def largest(a, b):
        # Where one is NaN, so are the difference to the maximum and the total.
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)

    def over_row(row, carried, body):
        """Run ``body(load, store, carried)`` for each vector of a row, the last one partial."""

        def vector(v, _, carried):
            place = emit.at(row, (v, step))
            return [body(lambda: emit.load(place), lambda x: emit.store(x, place), *carried)]

        _, carried = emit.loop(emit.integer(0), whole, carried, vector)
        before, place = builder.block, emit.at(row, (whole, step))
        with builder.if_then(builder.icmp_signed(">", left, emit.integer(0))):
            after = body(
                lambda: emit.load_first(place, left, lowest),
                lambda x: emit.store_first(x, place, left),
                *carried,
            )
            inside = builder.block
        merged = builder.phi(emit.vector)
        merged.add_incoming(carried[0], before)
        merged.add_incoming(after, inside)
        return merged

    def one_row(i, _, carried):
        product, rights = carried
        row = emit.at(S, (i, stride))
        label = builder.load(emit.pointer(emit.at(y, (i, 8)), ir.IntType(64)))
        right = emit.pointer(emit.at(row, (label, emit.size)))

        top = over_row(row, [lowest], lambda load, store, m: largest(load(), m))
        top = _across(emit, top, largest)
        difference = builder.fsub(
            builder.load(right), builder.extract_element(top, ir.Constant(INT32, 0))
        )

        def exponential(load, store, total):
            value = exp_nonpositive(emit, builder.fsub(load(), top))
            store(value)
            return builder.fadd(total, value)

        total = _across(emit, over_row(row, [zeros], exponential), builder.fadd)
        factor = builder.fdiv(scales, total)

        def normalise(load, store, nothing):
            store(builder.fmul(load(), factor))
            return nothing

        over_row(row, [zeros], normalise)
        builder.store(builder.fsub(builder.load(right), scale), right)
        one_total = builder.extract_element(total, ir.Constant(INT32, 0))
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
