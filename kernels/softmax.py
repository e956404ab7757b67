"""Softmax, cross-entropy and their gradient, in place."""

import math

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ._jit import kernel
from .emitter import integer, outlined
from .machine import address_of, cast_like
from .vector_math import exp_nonpositive

#: Rows whose totals are multiplied before one logarithm is taken: sum(log(t)) = log(prod(t)).
#: A total lies in [1, C], so four of them stay far inside float64.
ROWS_PER_LOG = 4


def _softmax_rows(emit, S, stride, width, classes, y, first, stop, weights, smoothing, scale):
    """Emit the loop over rows, in a plain and in a general form: see below."""
    with emit.builder.if_then(emit.builder.icmp_signed("==", weights, integer(0))):
        _plain_rows(emit, S, stride, width, y, first, stop, scale)
    _general_rows(emit, S, stride, width, classes, y, first, stop, weights, smoothing, scale)


class Row:
    """One row of scores; `top` and `total` are vectors with the same number in every lane.

    The row stays in registers or L1 between its passes. Columns beyond the last class may be among
    the `width` where their scores are -inf.
    """

    def __init__(self, emit, place, width):
        builder = emit.builder
        self.emit, self.place, self.width = emit, place, width
        lowest = emit.constant(-math.inf)

        def largest(a, b):
            # Where one is NaN, so are the difference to the maximum and the total.
            return builder.select(builder.fcmp_ordered(">", a, b), a, b)

        def maximum(load, store, carried):
            return [largest(load(place, lowest), carried[0])]

        (top,) = emit.vectors(width, [lowest], maximum)
        self.top = emit.across(top, largest)

    def choose(self, y, i):
        """Take the i-th label at y as the right class; return its score less `top`."""
        emit, builder = self.emit, self.emit.builder
        label = emit.load_address(emit.at(y, (i, 8)))
        self.right = emit.pointer(emit.at(self.place, (label, emit.size)))
        return builder.fsub(builder.load(self.right), emit.first(self.top))

    def exponentials(self):
        """Replace the scores by exp(score - top), and keep their sum."""
        emit, builder, lowest = self.emit, self.emit.builder, self.emit.constant(-math.inf)

        def exponential(load, store, carried):
            value = exp_nonpositive(emit, builder.fsub(load(self.place, lowest), self.top))
            store(value, self.place)
            return [builder.fadd(carried[0], value)]

        (total,) = emit.vectors(self.width, [emit.constant(0.0)], exponential)
        self.total = emit.across(total, builder.fadd)

    def scaled(self, factor, shift=None, count=None):
        """Multiply by factor / total, and add the shift."""
        emit, builder = self.emit, self.emit.builder
        quotient = builder.fdiv(factor, self.total)

        def normalise(load, store, carried):
            value = load(self.place)
            scaled = (
                builder.fmul(value, quotient) if shift is None else emit.fma(value, quotient, shift)
            )
            store(scaled, self.place)
            return carried

        emit.vectors(self.width if count is None else count, [], normalise)

    def lower(self, amount):
        """Subtract from the right class."""
        builder = self.emit.builder
        builder.store(builder.fsub(builder.load(self.right), amount), self.right)


def _log(emit, value):
    double = ir.DoubleType()
    log = cgutils.get_or_insert_function(
        emit.builder.module, ir.FunctionType(double, [double]), "llvm.log.f64"
    )
    return emit.builder.call(log, [value])


def _plain_rows(emit, S, stride, width, y, first, stop, scale):
    """Emit the rows without weights and smoothing, one logarithm for all; and the return."""
    builder, double = emit.builder, ir.DoubleType()
    scales = emit.splat(scale)

    def one_row(i, _, carried):
        row = Row(emit, emit.at(S, (i, stride)), width)
        difference = row.choose(y, i)
        row.exponentials()
        row.scaled(scales)
        row.lower(scale)
        total, difference = (emit.widened(v) for v in (emit.first(row.total), difference))
        return [builder.fmul(carried[0], total), builder.fadd(carried[1], difference)]

    start = [ir.Constant(double, 1.0), ir.Constant(double, 0.0)]
    _, (product, rights) = emit.loop(first, stop, start, one_row)
    builder.ret(builder.fsub(_log(emit, product), rights))


def _general_rows(emit, S, stride, width, classes, y, first, stop, weights, smoothing, scale):
    """Emit the rows with a weight each, towards ``(1 - smoothing) onehot(y) + smoothing / C``."""
    builder, double = emit.builder, ir.DoubleType()
    count = builder.sitofp(classes, emit.scalar)
    share = builder.fdiv(smoothing, count)
    rest = builder.fsub(ir.Constant(emit.scalar, 1.0), smoothing)

    def one_row(i, _, carried):
        row = Row(emit, emit.at(S, (i, stride)), width)
        difference = row.choose(y, i)

        def differences(load, store, carried):
            return [builder.fadd(carried[0], builder.fsub(load(row.place, row.top), row.top))]

        (sums,) = emit.vectors(classes, [emit.constant(0.0)], differences)
        sums = emit.first(emit.across(sums, builder.fadd))
        row.exponentials()
        weight = emit.load_scalar(emit.at(weights, (i, emit.size)))
        factor = builder.fmul(scale, weight)
        shift = emit.splat(builder.fneg(builder.fmul(factor, share)))
        row.scaled(emit.splat(factor), shift, classes)
        row.lower(builder.fmul(factor, rest))
        total, difference, sums, one, part, weight = (
            emit.widened(v) for v in (emit.first(row.total), difference, sums, rest, share, weight)
        )
        target = builder.fadd(builder.fmul(one, difference), builder.fmul(part, sums))
        loss = builder.fmul(weight, builder.fsub(_log(emit, total), target))
        return [builder.fadd(carried[0], loss)]

    _, (loss,) = emit.loop(first, stop, [ir.Constant(double, 0.0)], one_row)
    builder.ret(loss)


#: ``softmax_rows(like, (S, stride, width, classes, y, first, stop, weights, smoothing, scale))``
#: replaces the scores of rows first..stop, at most ROWS_PER_LOG, by ``scale (softmax - onehot(y))``
#: and returns their summed loss, a float64. Row i lies at ``S + i stride``, its label (int64) at
#: ``y + 8 i``. Columns from `classes` up to `width` may be included where their scores are -inf:
#: their exponentials are 0. Where `weights` is not 0, it is the address of a weight for each row,
#: and the target is ``(1 - smoothing) onehot(y) + smoothing / classes``.
softmax_rows = outlined("softmax_rows", 10, {8, 9}, _softmax_rows, returns=types.float64)


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
    scale, zero, loss = cast_like(like, 1.0 / n), cast_like(like, 0.0), 0.0
    for first in range(0, n, ROWS_PER_LOG):
        stop = min(first + ROWS_PER_LOG, n)
        places = (address_of(S), S.strides[0], C, C, address_of(y), first, stop, 0, zero, scale)
        loss += softmax_rows(like, places)
    return loss
