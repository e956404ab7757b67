"""The rules of update: what becomes of a weight, its gradient and the optimiser's memory of it."""

import functools
import operator
from collections.abc import Callable
from typing import NamedTuple

from ._jit import shared
from .llvm.functions import outlined
from .llvm.intrinsics import cast_like
from .llvm.processor import VECTOR_BYTES


class Numbers(NamedTuple):
    """What a step multiplies and adds: they lie one behind the other, of the element type."""

    l2: float  #: the gradient of the penalty is l2 w
    rate: float  #: the learning rate, with the corrections of the rule
    decay: float  #: factor on the weight
    beta_1: float
    new_1: float  #: 1 - beta_1
    beta_2: float
    new_2: float  #: 1 - beta_2
    epsilon: float


# ----------------------------------------------------------------------------------------- rules


class Rule(NamedTuple):
    """What becomes of a weight: an emission for one vector.

    ``step(emit, n, w, g, memory)`` returns the new weights from the weights w, their gradient g and
    the numbers n; ``memory[i]`` are what the optimiser remembers of them, loaded where it is read,
    stored where it is assigned.
    """

    step: Callable
    memories: int  #: numbers that are remembered of each weight


def _sgd(emit, n, w, g, memory):
    return emit.fma(-n.rate, g, w)


def _velocity(emit, n, g, memory):
    """Return the new velocity, and keep it."""
    v = emit.fma(-n.rate, g, n.beta_1 * memory[0])
    memory[0] = v
    return v


def _momentum(emit, n, w, g, memory):
    return w + _velocity(emit, n, g, memory)


def _nesterov(emit, n, w, g, memory):
    v = _velocity(emit, n, g, memory)
    return w + emit.fma(-n.rate, g, n.beta_1 * v)


def _adam(emit, n, w, g, memory):
    m = emit.fma(n.new_1, g, n.beta_1 * memory[0])
    v = emit.fma(n.beta_2, memory[1], n.new_2 * (g * g))
    memory[0], memory[1] = m, v
    direction = m / (emit.square_root(v) + n.epsilon)
    return emit.fma(-n.rate, direction, n.decay * w)


def _lion(emit, n, w, g, memory):
    mixed = emit.fma(n.new_1, g, n.beta_1 * memory[0])
    memory[0] = emit.fma(n.new_2, g, n.beta_2 * memory[0])
    # The sign of a NaN is a NaN.
    sign = emit.where(mixed > 0.0, 1.0, emit.where(mixed < 0.0, -1.0, mixed))
    return emit.fma(-n.rate, sign, n.decay * w)


def _rmsprop(emit, n, w, g, memory):
    v = emit.fma(n.beta_2, memory[0], n.new_2 * (g * g))
    memory[0] = v
    return emit.fma(-n.rate, g / (emit.square_root(v) + n.epsilon), w)


#: The rules by name: a rule's code is its place here. With ``g = G + l2 w``:
#:
#: - sgd: ``w <- w - rate g``;
#: - momentum: ``v <- beta_1 v - rate g``, ``w <- w + v``;
#: - nesterov: the same v, ``w <- w + beta_1 v - rate g``;
#: - adam: ``m <- beta_1 m + new_1 g``, ``v <- beta_2 v + new_2 g^2``,
#:   ``w <- decay w - rate m / (sqrt(v) + epsilon)``;
#: - lion: ``w <- decay w - rate sign(beta_1 m + new_1 g)``, ``m <- beta_2 m + new_2 g``;
#: - rmsprop: ``v <- beta_2 v + new_2 g^2``, ``w <- w - rate g / (sqrt(v) + epsilon)``.
RULES = {
    "sgd": Rule(_sgd, 0),
    "momentum": Rule(_momentum, 1),
    "nesterov": Rule(_nesterov, 1),
    "adam": Rule(_adam, 2),
    "lion": Rule(_lion, 1),
    "rmsprop": Rule(_rmsprop, 1),
}
CODES = {name: code for code, name in enumerate(RULES)}
SGD, MOMENTUM, NESTEROV, ADAM = (CODES[name] for name in ("sgd", "momentum", "nesterov", "adam"))
#: What else may become of a gradient, for those who need it whole (clipping by its norm, full
#: gradients over many blocks of rows, shards of a batch): it is put where the memory lies,
#: ``m <- g``; added to what is there, ``m <- m + G``; or put there without the penalty, ``m <- G``.
GRADIENT, ACCUMULATE, STORE = range(len(RULES), len(RULES) + 3)
#: All of it by name, but STORE.
FATES = {**CODES, "gradient": GRADIENT, "accumulate": ACCUMULATE}


def _numbers(emit, address):
    """Return the Numbers of a step, each in all lanes of a vector."""
    count = range(len(Numbers._fields))
    return Numbers(*(emit.splat(emit.load_scalar(address + i * emit.size)) for i in count))


def _total(emit, chains):
    """Return the sum of some vectors' lanes, a float64: to the same bits wherever it is emitted."""
    with emit.as_written():
        return emit.widened(emit.total(functools.reduce(operator.add, chains)))


#: Vectors whose steps are in work at a time: the sums of their squares do not wait for each other.
CHAINS = 4


class OptimizerStep(NamedTuple):
    """What :func:`optimizer_step` takes."""

    rule: int  #: code of a rule, or GRADIENT, ACCUMULATE or STORE
    weights: int  #: address
    out: int  #: address to which a rule writes the new weights: that of the old ones, or another
    gradient: int  #: address
    elements: int
    memory_1: int  #: bytes from a weight to what is remembered of it, modified
    memory_2: int
    numbers: int  #: address of the Numbers


class _Memory:
    """What lies some bytes behind the weights at hand."""

    def __init__(self, load, store, places):
        self._load, self._store, self._places = load, store, places

    def __getitem__(self, number):
        return self._load(self._places[number])

    def __setitem__(self, number, value):
        self._store(value, self._places[number])


@outlined(OptimizerStep, returns=float, unrolls=False)
def optimizer_step(emit, f):
    """Update some weights by their gradient, as a rule says; return a sum of squares, a float64.

    It is that of the new weights, the next step's penalty: this is the one place that reads every
    weight. For GRADIENT it is that of the gradient, for ACCUMULATE and STORE 0.
    """
    places = f.weights + f.memory_1, f.weights + f.memory_2
    rules = list(RULES.values())
    for code in emit.cases(f.rule, (*range(1, STORE + 1), SGD), "rule"):
        numbers = _numbers(emit, f.numbers)

        def step(load, store, carried, code=code, numbers=numbers):
            G, memory = load(f.gradient), _Memory(load, store, places)
            if code == STORE:
                memory[0] = G
                return carried
            if code == ACCUMULATE:
                memory[0] = memory[0] + G
                return carried
            w = load(f.weights)
            g = emit.fma(numbers.l2, w, G)
            if code == GRADIENT:
                memory[0] = g
                return [emit.fma(g, g, carried[0])]
            w = rules[code].step(emit, numbers, w, g, memory)
            store(w, f.out)
            return [emit.fma(w, w, carried[0])]

        sums = emit.vectors(f.elements, [emit.constant(0.0)] * CHAINS, step, CHAINS)
        emit.returns(_total(emit, sums))


def descend(emit, weights, numbers, gradients, penalised, store=None):
    """Emit what :func:`optimizer_step` does by SGD, for vectors of gradients in registers.

    ``store(w, place)`` is called for each vector of new weights, or they are stored at once. Return
    the sum of squares, 0 where the weights have no penalty.
    """
    n, sums = _numbers(emit, numbers), [emit.constant(0.0)] * CHAINS
    store = emit.store if store is None else store
    whole = len(gradients) // CHAINS * CHAINS
    for v, g in enumerate(gradients):
        place = weights + v * VECTOR_BYTES
        w = emit.load(place)
        if penalised:
            g = emit.fma(n.l2, w, g)
        w = RULES["sgd"].step(emit, n, w, g, None)
        store(w, place)
        if penalised:
            chain = v % CHAINS if v < whole else 0
            sums[chain] = emit.fma(w, w, sums[chain])
    return _total(emit, sums) if penalised else emit.double(0.0)


@shared
def numbers_like(like, l2, rate, decay, beta_1, beta_2, epsilon):
    """Return the Numbers of a step, float64, in the type of `like`."""
    return Numbers(
        cast_like(like, l2),
        cast_like(like, rate),
        cast_like(like, decay),
        cast_like(like, beta_1),
        cast_like(like, 1.0 - beta_1),
        cast_like(like, beta_2),
        cast_like(like, 1.0 - beta_2),
        cast_like(like, epsilon),
    )
