"""The output heads: what turns scores into predictions, with the loss that belongs to each.

Every pair is canonical, so the gradient of the loss by a score is prediction minus target. The
softmax, which needs a whole row at once, has files of its own.
"""

from typing import NamedTuple

from .llvm.functions import outlined
from .llvm.vector_math import exp, exp_nonpositive, exp_nonpositive_subnormal, log
from .softmax_rows import clipped

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
#: :data:`.softmax_rows.EPSILON`.
CLIPPED_LOGISTIC = len(HEADS)

#: A score whose loss, with a target of 0, is 0 for each of the heads below but the identity; and
#: a target with which that of clipped probabilities is 0.
NOWHERE, NO_TARGET = -1e30, -1.0


def _logistic(emit, s, exp=exp_nonpositive):
    """Return logistic(s) and exp(-|s|)."""
    z = exp(emit, -abs(s))
    return emit.where(s >= 0.0, 1.0, z) / (1.0 + z), z


def _logistic_loss(emit, s, y):
    p, z = _logistic(emit, s)
    return emit.at_least(s, 0.0) - s * y + log(emit, 1.0 + z), p - y


def _clipped_logistic_loss(emit, s, y):
    p, _ = _logistic(emit, s)
    # As it is defined, of a probability and of what is left of 1: for a target of 0 or 1.
    right = clipped(emit, p)
    right = emit.where(y > 0.5, right, 1.0 - right)
    return emit.where(y < 0.0, 0.0, -log(emit, right)), p - y


def _squared_loss(emit, s, y):
    d = s - y
    return 0.5 * (d * d), d


def _poisson_loss(emit, s, y):
    mean = exp(emit, s)
    # y log(y) - y does not depend on the network, and makes the loss of the best one 0.
    own = y * (log(emit, y) - 1.0)
    return mean - y * s + emit.where(y > 0.0, own, 0.0), mean - y


#: By code, what emits the loss of a vector of scores and its gradient by them.
LOSSES = {
    LOGISTIC: _logistic_loss,
    CLIPPED_LOGISTIC: _clipped_logistic_loss,
    EXPONENTIAL: _poisson_loss,
    IDENTITY: _squared_loss,
}

#: By code, what emits the prediction for a vector of scores; of a softmax, once it is taken.
#: Whoever takes the logarithm of a subnormal probability expects a number.
PREDICTIONS = {
    SOFTMAX: lambda emit, s: s,
    LOGISTIC: lambda emit, s: _logistic(emit, s, exp_nonpositive_subnormal)[0],
    EXPONENTIAL: exp,
    IDENTITY: lambda emit, s: s,
}


class Losses(NamedTuple):
    """What :func:`element_losses` takes."""

    head: int  #: code, not that of the softmax; or CLIPPED_LOGISTIC
    S: int  #: address of the scores, modified
    targets: int  #: address of as many
    elements: int
    factors: int  #: address of a vector by which gradients are multiplied
    sums: int  #: address of a vector for the sum of the losses of each lane


@outlined(Losses)
def element_losses(emit, f):
    """Replace scores by the gradients of their loss, ``S <- factor (prediction - target)``."""
    for head in emit.cases(f.head, LOSSES, "head"):
        nowhere = emit.constant(0.0 if head == IDENTITY else NOWHERE)
        no_target = emit.constant(NO_TARGET if head == CLIPPED_LOGISTIC else 0.0)
        factors = emit.load(f.factors)

        def one(
            load, store, carried, head=head, nowhere=nowhere, no_target=no_target, factors=factors
        ):
            target = load(f.targets, no_target)
            loss, gradient = LOSSES[head](emit, load(f.S, nowhere), target)
            store(factors * gradient, f.S)
            return [carried[0] + loss]

        (total,) = emit.vectors(f.elements, [emit.constant(0.0)], one)
        emit.store(total, f.sums)
        emit.returns()
