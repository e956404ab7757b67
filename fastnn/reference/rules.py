"""What becomes of weights: the rules by name, the twin of the table in kernels.rules."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Numbers(NamedTuple):
    """What a step multiplies and adds."""

    rate: float  #: the learning rate, with the corrections of the rule
    decay: float = 1.0  #: factor on the weight
    beta_1: float = 0.0
    beta_2: float = 0.0
    epsilon: float = 0.0


class Rule(NamedTuple):
    """``step(W, g, memory, n)`` updates W, and the arrays of the memory, in place."""

    step: Callable
    memories: int  #: numbers that are remembered of each weight


def penalised(W, dW, l2):
    """Return the gradient with that of the penalty: ``dW + l2 W``."""
    return dW + W.dtype.type(l2) * W


def _converted(step):
    """Decorate a step: its numbers are of the dtype of the weights, so that nothing is promoted."""

    def converted(W, g, memory, numbers):
        step(W, g, memory, Numbers(*map(W.dtype.type, numbers)))

    return converted


@_converted
def _sgd(W, g, memory, n):
    W -= n.rate * g


@_converted
def _momentum(W, g, memory, n):
    (v,) = memory
    v *= n.beta_1
    v -= n.rate * g
    W += v


@_converted
def _nesterov(W, g, memory, n):
    (v,) = memory
    v *= n.beta_1
    v -= n.rate * g
    W += n.beta_1 * v - n.rate * g


@_converted
def _adam(W, g, memory, n):
    m, v = memory
    m *= n.beta_1
    m += (1 - n.beta_1) * g
    v *= n.beta_2
    v += (1 - n.beta_2) * g * g
    W *= n.decay
    W -= n.rate * m / (np.sqrt(v) + n.epsilon)


@_converted
def _lion(W, g, memory, n):
    (m,) = memory
    W *= n.decay
    W -= n.rate * np.sign(n.beta_1 * m + (1 - n.beta_1) * g)
    m *= n.beta_2
    m += (1 - n.beta_2) * g


@_converted
def _rmsprop(W, g, memory, n):
    (v,) = memory
    v *= n.beta_2
    v += (1 - n.beta_2) * g * g
    W -= n.rate * g / (np.sqrt(v) + n.epsilon)


#: In the order of kernels.rules, whose comments say the formulas.
RULES = {
    "sgd": Rule(_sgd, 0),
    "momentum": Rule(_momentum, 1),
    "nesterov": Rule(_nesterov, 1),
    "adam": Rule(_adam, 2),
    "lion": Rule(_lion, 1),
    "rmsprop": Rule(_rmsprop, 1),
}
