"""The output heads: what turns scores into predictions, with the loss that belongs to each.

Every pair is canonical, so the gradient of the loss by a score is prediction minus target. The
softmax, which needs a whole row at once, has a file of its own.
"""

from llvmlite import ir
from numba import types

from ._jit import kernel
from .emitter import integer, outlined
from .machine import address_of, cast_like
from .softmax import Row
from .vector_math import exp, exp_nonpositive, log

#: The heads, by code, with their losses for a score s and a target y, summed over the outputs:
#: cross-entropy of the softmax; cross-entropy of each output's logistic, for one class or several
#: at once; half the squared error of the score itself; half the Poisson deviance of exp(s).
SOFTMAX, LOGISTIC, IDENTITY, EXPONENTIAL = range(4)
HEADS = {
    "softmax": SOFTMAX,
    "logistic": LOGISTIC,
    "identity": IDENTITY,
    "exponential": EXPONENTIAL,
}

#: A score whose loss, with a target of 0, is 0 for each of the heads below.
_NOWHERE = -1e30


def _logistic(emit, s):
    """Return logistic(s) and exp(-|s|)."""
    builder, one = emit.builder, emit.constant(1.0)
    z = exp_nonpositive(emit, builder.fneg(emit.absolute(s)))
    positive = builder.fcmp_ordered(">=", s, emit.constant(0.0))
    return builder.fdiv(builder.select(positive, one, z), builder.fadd(one, z)), z


def _logistic_loss(emit, s, y):
    builder, zero, one = emit.builder, emit.constant(0.0), emit.constant(1.0)
    p, z = _logistic(emit, s)
    linear = builder.fsub(emit.at_least(s, zero), builder.fmul(s, y))
    return builder.fadd(linear, log(emit, builder.fadd(one, z))), builder.fsub(p, y)


def _squared_loss(emit, s, y):
    d = emit.builder.fsub(s, y)
    return emit.builder.fmul(emit.constant(0.5), emit.builder.fmul(d, d)), d


def _poisson_loss(emit, s, y):
    builder, zero = emit.builder, emit.constant(0.0)
    mean = exp(emit, s)
    # y log(y) - y does not depend on the network, and makes the loss of the best one 0.
    counted = builder.fcmp_ordered(">", y, zero)
    own = builder.fmul(y, builder.fsub(log(emit, y), emit.constant(1.0)))
    loss = builder.fsub(mean, builder.fmul(y, s))
    return builder.fadd(loss, builder.select(counted, own, zero)), builder.fsub(mean, y)


_LOSSES = {LOGISTIC: _logistic_loss, IDENTITY: _squared_loss, EXPONENTIAL: _poisson_loss}


def _loss_rows(emit, code, S, stride, outputs, targets, first, stop, weights, scale):
    builder, double = emit.builder, ir.DoubleType()
    blocks = {c: builder.append_basic_block(f"head.{c}") for c in _LOSSES}
    choice = builder.switch(code, blocks[IDENTITY])
    for c in (LOGISTIC, EXPONENTIAL):
        choice.add_case(integer(c), blocks[c])
    for c, block in blocks.items():
        builder.position_at_end(block)

        def one_row(i, _, carried, c=c):
            row = emit.at(S, (i, stride))
            target = emit.load_address(emit.at(targets, (i, 8)))
            weight = emit.load_scalar(emit.at(weights, (i, emit.size)))
            factor = emit.splat(builder.fmul(scale, weight))
            nowhere = emit.constant(0.0 if c == IDENTITY else _NOWHERE)

            def outputs_of(load, store, carried):
                loss, gradient = _LOSSES[c](emit, load(row, nowhere), load(target))
                store(builder.fmul(factor, gradient), row)
                return [builder.fadd(carried[0], loss)]

            (total,) = emit.vectors(outputs, [emit.constant(0.0)], outputs_of)
            total = emit.widened(emit.first(emit.across(total, builder.fadd)))
            return [builder.fadd(carried[0], builder.fmul(emit.widened(weight), total))]

        _, (loss,) = emit.loop(first, stop, [ir.Constant(double, 0.0)], one_row)
        builder.ret(loss)


#: ``loss_rows(like, (code, S, stride, outputs, targets, first, stop, weights, scale))`` replaces
#: the scores of rows first..stop by ``scale weight (prediction - target)`` and returns their summed
#: loss, a float64. Row i lies at ``S + i stride``; the int64 at ``targets + 8 i`` is the address of
#: its target, and its weight lies at element i of `weights`. Columns beyond `outputs` stay.
loss_rows = outlined("loss_rows", 9, {8}, _loss_rows, returns=types.float64)


def _predict_rows(emit, code, S, stride, width, outputs, first, stop, out, out_stride):
    builder = emit.builder
    blocks = {c: builder.append_basic_block(f"head.{c}") for c in HEADS.values()}
    choice = builder.switch(code, blocks[IDENTITY])
    for c in (SOFTMAX, LOGISTIC, EXPONENTIAL):
        choice.add_case(integer(c), blocks[c])
    functions = {
        SOFTMAX: lambda s: s,
        LOGISTIC: lambda s: _logistic(emit, s)[0],
        IDENTITY: lambda s: s,
        EXPONENTIAL: lambda s: exp(emit, s),
    }
    for c, block in blocks.items():
        builder.position_at_end(block)

        def one_row(i, _, carried, c=c):
            row, target = emit.at(S, (i, stride)), emit.at(out, (i, out_stride))
            if c == SOFTMAX:
                scores = Row(emit, row, width)
                scores.exponentials()
                scores.scaled(emit.constant(1.0))

            def outputs_of(load, store, carried):
                store(functions[c](load(row)), target)
                return carried

            emit.vectors(outputs, [], outputs_of)
            return carried

        emit.loop(first, stop, [], one_row)
        builder.ret_void()


#: ``predict_rows(like, (code, S, stride, width, outputs, first, stop, out, out_stride))`` writes
#: the predictions of rows first..stop, `outputs` elements each, to ``out + i out_stride``: the
#: softmax (which overwrites its scores; `width` as for softmax_rows), the logistic, the score
#: itself or its exponential.
predict_rows = outlined("predict_rows", 9, set(), _predict_rows)


@kernel
def _weighted_loss(code, S, targets, weights, table):
    n, outputs = S.shape
    if S.size == 0:
        return 0.0
    like = S[0, 0]
    for i in range(n):
        table[i] = address_of(targets) + i * targets.strides[0]
    places = code, address_of(S), S.strides[0], outputs, address_of(table), 0, n
    return loss_rows(like, places + (address_of(weights), cast_like(like, 1.0 / n)))


@kernel
def logistic_gradient(S, Y, weights, table):
    """Replace the scores `S` by the gradient of the mean cross-entropy; return the summed loss.

    ``S <- weights (logistic(S) - Y) / n``. The loss of an element is
    ``max(s, 0) - s y + log(1 + exp(-|s|))``, which overflows nowhere.

    Parameters
    ----------
    S : ndarray of shape (n, outputs)
        Scores, each row contiguous, float32 or float64; modified in place.
    Y : ndarray of shape (n, outputs)
        Targets in [0, 1], of the dtype of `S`, each row contiguous.
    weights : ndarray of shape (n,)
        Of each row's loss, of the dtype of `S`.
    table : ndarray of shape (n,)
        Workspace, int64.

    Returns
    -------
    float
        Sum over rows and outputs of the weighted loss; divide by n for the mean over rows.
    """
    return _weighted_loss(LOGISTIC, S, Y, weights, table)


@kernel
def squared_error_gradient(S, Y, weights, table):
    """Replace the scores `S` by the gradient of half the squared error; return the summed loss.

    ``S <- weights (S - Y) / n``; the loss of an element is ``(s - y)^2 / 2``. Parameters and result
    are those of :func:`logistic_gradient`, with any numbers as targets.
    """
    return _weighted_loss(IDENTITY, S, Y, weights, table)


@kernel
def poisson_gradient(S, Y, weights, table):
    """Replace the scores `S` by the gradient of half the Poisson deviance; return the summed loss.

    ``S <- weights (exp(S) - Y) / n``; the loss of an element is ``y log(y / exp(s)) - y + exp(s)``.
    Parameters and result are those of :func:`logistic_gradient`, with targets of at least 0.
    """
    return _weighted_loss(EXPONENTIAL, S, Y, weights, table)
