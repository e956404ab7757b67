"""The output heads: what turns scores into predictions, with the loss that belongs to each.

Every pair is canonical, so the gradient of the loss by a score is prediction minus target. The
softmax, which needs a whole row at once, has a file of its own.
"""

from typing import NamedTuple

from ._jit import kernel
from .llvm.functions import outlined
from .llvm.intrinsics import address_of, cast_like
from .llvm.vector_math import exp, exp_nonpositive, log
from .softmax import Row, clipped

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

#: The code of the logistic's loss where it counts no probability as less than an epsilon, see
#: :data:`.softmax.EPSILON`.
CLIPPED_LOGISTIC = len(HEADS)

#: A score whose loss, with a target of 0, is 0 for each of the heads below.
_NOWHERE = -1e30


def _logistic(emit, s):
    """Return logistic(s) and exp(-|s|)."""
    z = exp_nonpositive(emit, -abs(s))
    return emit.where(s >= 0.0, 1.0, z) / (1.0 + z), z


def _logistic_loss(emit, s, y):
    p, z = _logistic(emit, s)
    return emit.at_least(s, 0.0) - s * y + log(emit, 1.0 + z), p - y


def _clipped_logistic_loss(emit, s, y):
    p, _ = _logistic(emit, s)
    # As it is defined, of a probability and of what is left of 1: for a target of 0 or 1.
    right = clipped(emit, p)
    right = emit.where(y > 0.5, right, 1.0 - right)
    return emit.where(s > _NOWHERE, -log(emit, right), 0.0), p - y


def _squared_loss(emit, s, y):
    d = s - y
    return 0.5 * (d * d), d


def _poisson_loss(emit, s, y):
    mean = exp(emit, s)
    # y log(y) - y does not depend on the network, and makes the loss of the best one 0.
    own = y * (log(emit, y) - 1.0)
    return mean - y * s + emit.where(y > 0.0, own, 0.0), mean - y


#: By code, what emits the loss of a vector of scores and its gradient by them.
_LOSSES = {
    LOGISTIC: _logistic_loss,
    CLIPPED_LOGISTIC: _clipped_logistic_loss,
    EXPONENTIAL: _poisson_loss,
    IDENTITY: _squared_loss,
}


class LossRows(NamedTuple):
    """What :func:`loss_rows` takes."""

    head: int  #: code, not that of the softmax; or CLIPPED_LOGISTIC
    S: int  #: address of row 0 of the scores, modified
    stride: int  #: bytes from one row to the next
    outputs: int  #: columns
    targets: int  #: address of the int64 address of the target of row 0
    first: int  #: first row
    stop: int  #: first row that is left out
    weights: int  #: address of the weight of row 0
    scale: float  #: on the gradient


@outlined(LossRows, returns=float)
def loss_rows(emit, f):
    """Replace some scores by the gradient of their loss; return the summed loss, a float64.

    ``S <- scale weight (prediction - target)``; columns beyond `outputs` stay.
    """
    for head in emit.cases(f.head, _LOSSES, "head"):
        nowhere = emit.constant(0.0 if head == IDENTITY else _NOWHERE)

        def one_row(i, _, carried, head=head, nowhere=nowhere):
            row, target = f.S + i * f.stride, emit.load_integer(f.targets + i * 8)
            weight = emit.load_scalar(f.weights + i * emit.size)
            factor = emit.splat(f.scale * weight)

            def outputs(load, store, carried):
                loss, gradient = _LOSSES[head](emit, load(row, nowhere), load(target))
                store(factor * gradient, row)
                return [carried[0] + loss]

            (total,) = emit.vectors(f.outputs, [emit.constant(0.0)], outputs)
            return [carried[0] + emit.widened(weight) * emit.widened(emit.total(total))]

        _, (loss,) = emit.loop(f.first, f.stop, [emit.double(0.0)], one_row)
        emit.returns(loss)


class PredictRows(NamedTuple):
    """What :func:`predict_rows` takes."""

    head: int  #: code
    S: int  #: address of row 0 of the scores; a softmax overwrites them
    stride: int  #: bytes from one row to the next
    width: int  #: columns of a softmax, see :class:`.softmax.SoftmaxRows`
    outputs: int  #: columns to write
    first: int  #: first row
    stop: int  #: first row that is left out
    out: int  #: address of row 0 of the predictions
    out_stride: int  #: bytes from one row of them to the next


@outlined(PredictRows)
def predict_rows(emit, f):
    """Write the predictions of some rows: softmax, logistic, the scores or their exponentials.

    `outputs` elements of each row first..stop of `out` are written.
    """
    functions = {
        SOFTMAX: lambda s: s,
        LOGISTIC: lambda s: _logistic(emit, s)[0],
        EXPONENTIAL: lambda s: exp(emit, s),
        IDENTITY: lambda s: s,
    }
    for head in emit.cases(f.head, functions, "head"):

        def one_row(i, head=head):
            row, target = f.S + i * f.stride, f.out + i * f.out_stride
            if head == SOFTMAX:
                scores = Row(emit, row, f.width)
                scores.exponentials()
                scores.scaled(emit.constant(1.0))

            def outputs(load, store, carried):
                store(functions[head](load(row)), target)
                return carried

            emit.vectors(f.outputs, [], outputs)

        emit.steps(f.first, f.stop, 1, one_row)
        emit.returns()


@kernel
def _weighted_loss(code, S, targets, weights, table):
    n, outputs = S.shape
    if S.size == 0:
        return 0.0
    like = S[0, 0]
    for i in range(n):
        table[i] = address_of(targets) + i * targets.strides[0]
    scale, places = cast_like(like, 1.0 / n), (address_of(S), address_of(table))
    weighted = address_of(weights)
    rows = LossRows(code, places[0], S.strides[0], outputs, places[1], 0, n, weighted, scale)
    return loss_rows(like, rows)


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
