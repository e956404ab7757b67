"""Optimiser steps: what becomes of a weight, its gradient and the optimiser's memory of it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ._jit import kernel, shared
from .llvm.functions import outlined
from .llvm.intrinsics import address_of, cast_like, on_stack
from .llvm.processor import VECTOR_BYTES


class Numbers(NamedTuple):
    """What a step multiplies and adds: they lie one behind the other, of the element type."""

    scale: float  #: on the gradient
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


#: The rules by name: a rule's code is its place here. With ``g = scale G + l2 w``:
#:
#: - sgd: ``w <- w - rate g``;
#: - momentum: ``v <- beta_1 v - rate g``, ``w <- w + v``;
#: - nesterov: the same v, ``w <- w + beta_1 v - rate g``;
#: - adam: ``m <- beta_1 m + new_1 g``, ``v <- beta_2 v + new_2 g^2``,
#:   ``w <- decay w - rate m / (sqrt(v) + epsilon)``;
#: - lion: ``w <- decay w - rate sign(beta_1 m + new_1 g)``, ``m <- beta_2 m + new_2 g``.
RULES = {
    "sgd": Rule(_sgd, 0),
    "momentum": Rule(_momentum, 1),
    "nesterov": Rule(_nesterov, 1),
    "adam": Rule(_adam, 2),
    "lion": Rule(_lion, 1),
}
CODES = {name: code for code, name in enumerate(RULES)}
SGD, MOMENTUM, NESTEROV, ADAM = (CODES[name] for name in ("sgd", "momentum", "nesterov", "adam"))
#: What else may become of a gradient, for those who need it whole (clipping by its norm, full
#: gradients over many blocks of rows, shards of a batch): it is put where the memory lies,
#: ``m <- g``; added to what is there, ``m <- m + G``; or put there without the penalty, ``m <- G``.
GRADIENT, ACCUMULATE, STORE = range(len(RULES), len(RULES) + 3)
#: All of it by name, but STORE.
FATES = {**CODES, "gradient": GRADIENT, "accumulate": ACCUMULATE}


class OptimizerStep(NamedTuple):
    """What :func:`optimizer_step` takes."""

    rule: int  #: code of a rule, or GRADIENT, ACCUMULATE or STORE
    weights: int  #: address, modified by a rule
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


@outlined(OptimizerStep, returns=float)
def optimizer_step(emit, f):
    """Update some weights by their gradient, as a rule says; return a sum of squares, a float64.

    It is that of the new weights, the next step's penalty: this is the one place that reads every
    weight. For GRADIENT it is that of the gradient, for ACCUMULATE and STORE 0.
    """
    places = f.weights + f.memory_1, f.weights + f.memory_2
    rules = list(RULES.values())
    for code in emit.cases(f.rule, (*range(1, STORE + 1), SGD), "rule"):
        numbers = Numbers(
            *(
                emit.splat(emit.load_scalar(f.numbers + i * emit.size))
                for i in range(len(Numbers._fields))
            )
        )

        def step(load, store, carried, code=code, numbers=numbers):
            G, memory = load(f.gradient), _Memory(load, store, places)
            if code == STORE:
                memory[0] = G
                return carried
            if code == ACCUMULATE:
                memory[0] = memory[0] + G
                return carried
            w = load(f.weights)
            g = emit.fma(numbers.l2, w, numbers.scale * G)
            if code == GRADIENT:
                memory[0] = g
                return [emit.fma(g, g, carried[0])]
            w = rules[code].step(emit, numbers, w, g, memory)
            store(w, f.weights)
            return [emit.fma(w, w, carried[0])]

        (total,) = emit.vectors(f.elements, [emit.constant(0.0)], step)
        emit.returns(emit.widened(emit.total(total)))


# ------------------------------------------------------------------------------------------ sums


class SumShards(NamedTuple):
    """What :func:`sum_shards` takes."""

    first: int  #: address of the first array
    distance: int  #: bytes from one array to the next
    shards: int  #: arrays
    elements: int  #: elements of each
    out: int  #: address


@outlined(SumShards)
def sum_shards(emit, f):
    """Write the sums of several arrays, element by element and in their order."""

    def elements(load, store, carried):
        def add(i, _, sums):
            return [sums[0] + load(f.first + i * f.distance)]

        _, sums = emit.loop(1, f.shards, [load(f.first)], add)
        store(sums[0], f.out)
        return carried

    emit.vectors(f.elements, [], elements)
    emit.returns()


class ColumnSums(NamedTuple):
    """What :func:`column_sums` takes."""

    dZ: int  #: address of row 0
    stride: int  #: bytes from one row to the next
    rows: int
    elements: int  #: columns
    out: int  #: address of a number for each column


#: Vectors of columns that are summed at a time: as many independent additions.
COLUMN_VECTORS = 4


@outlined(ColumnSums)
def column_sums(emit, f):
    """Write the sums of some columns over all rows, in their order: the gradient of the biases."""

    def columns(offset, width, load, store):
        places = [offset + v * VECTOR_BYTES for v in range(width)]

        def row(i, _, sums):
            line = f.dZ + i * f.stride
            return [total + load(line + place) for total, place in zip(sums, places, strict=True)]

        _, sums = emit.loop(0, f.rows, [emit.constant(0.0)] * width, row)
        for total, place in zip(sums, places, strict=True):
            store(total, f.out + place)

    def group(j):
        columns(j * emit.size, COLUMN_VECTORS, emit.load, emit.store)

    done = emit.steps(0, f.elements, COLUMN_VECTORS * emit.lanes, group)

    def rest(load, store, carried):
        columns(done * emit.size, 1, load, store)
        return carried

    emit.vectors(f.elements - done, [], rest)
    emit.returns()


# ---------------------------------------------------------------------------- the public kernels


@shared
def numbers_like(like, scale, l2, rate, decay, beta_1, beta_2, epsilon):
    """Return the Numbers of a step, float64, in the type of `like`."""
    return Numbers(
        cast_like(like, scale),
        cast_like(like, l2),
        cast_like(like, rate),
        cast_like(like, decay),
        cast_like(like, beta_1),
        cast_like(like, 1.0 - beta_1),
        cast_like(like, beta_2),
        cast_like(like, 1.0 - beta_2),
        cast_like(like, epsilon),
    )


@kernel
def sgd_update(W, dW, learning_rate, l2):
    """Step down the gradient, in place: ``W <- W - learning_rate (dW + l2 W)``.

    Parameters
    ----------
    W : ndarray of shape (K, N) or (N,)
        float32 or float64, C-contiguous; modified in place.
    dW : ndarray of the shape and dtype of `W`
        C-contiguous gradient of the loss without its penalty; only read.
    learning_rate, l2 : float
        Converted to the dtype of `W`: a Python float promotes nothing.
    """
    weights = W.ravel()
    if weights.size == 0:
        return
    like = weights[0]
    numbers = on_stack(numbers_like(like, 1.0, l2, learning_rate, 1.0, 0.0, 0.0, 0.0))
    places = address_of(W), address_of(dW)
    step = OptimizerStep(SGD, places[0], places[1], weights.size, 0, 0, numbers)
    optimizer_step(like, step)


@kernel
def momentum_update(W, dW, learning_rate, l2, momentum, nesterov, velocity):
    """Step with momentum, in place: ``velocity <- momentum velocity - learning_rate g``.

    ``g = dW + l2 W``; then ``W <- W + velocity``, or, looking ahead as Nesterov's method does,
    ``W <- W + momentum velocity - learning_rate g`` [1]_.

    Parameters
    ----------
    W : ndarray of shape (K, N) or (N,)
        float32 or float64, C-contiguous; modified in place.
    dW : ndarray of the shape and dtype of `W`
        C-contiguous gradient of the loss without its penalty; only read.
    learning_rate, l2, momentum : float
        Converted to the dtype of `W`.
    nesterov : bool
    velocity : ndarray of the shape and dtype of `W`
        C-contiguous; zeros before the first step; modified in place.

    References
    ----------
    .. [1] Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum
       in deep learning", ICML 2013.
    """
    weights = W.ravel()
    if weights.size == 0:
        return
    like = weights[0]
    numbers = on_stack(numbers_like(like, 1.0, l2, learning_rate, 1.0, momentum, 0.0, 0.0))
    code, places = NESTEROV if nesterov else MOMENTUM, (address_of(W), address_of(dW))
    memory = address_of(velocity) - places[0]
    step = OptimizerStep(code, places[0], places[1], weights.size, memory, memory, numbers)
    optimizer_step(like, step)


@kernel
def adam_update(W, dW, learning_rate, l2, weight_decay, betas, epsilon, step, moments):
    """Step with Adam, in place, or with AdamW where `weight_decay` is not 0.

    ``g = dW + l2 W``, ``m <- beta_1 m + (1 - beta_1) g``, ``v <- beta_2 v + (1 - beta_2) g^2`` and
    ``W <- (1 - learning_rate weight_decay) W - rate m / (sqrt(v) + epsilon)``, where
    ``rate = learning_rate sqrt(1 - beta_2^step) / (1 - beta_1^step)``: the form at the end of
    section 2 of [1]_, with the decay of [2]_ beside it.

    Parameters
    ----------
    W : ndarray of shape (K, N) or (N,)
        float32 or float64, C-contiguous; modified in place.
    dW : ndarray of the shape and dtype of `W`
        C-contiguous gradient of the loss without its penalty; only read.
    learning_rate, l2, weight_decay : float
    betas : tuple of float
        beta_1 and beta_2.
    epsilon : float
    step : int
        Number of this step, from 1 on.
    moments : ndarray of shape (2, ...)
        m and v, each of the shape of `W`; C-contiguous, of its dtype, zeros before the first step;
        modified in place.

    References
    ----------
    .. [1] Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
    .. [2] Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """
    weights = W.ravel()
    if weights.size == 0:
        return
    like, (beta_1, beta_2) = weights[0], betas
    rate = learning_rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    decay = 1.0 - learning_rate * weight_decay
    numbers = on_stack(numbers_like(like, 1.0, l2, rate, decay, beta_1, beta_2, epsilon))
    places = address_of(W), address_of(dW)
    memory = address_of(moments) - places[0]
    adam = OptimizerStep(
        ADAM, places[0], places[1], weights.size, memory, memory + W.nbytes, numbers
    )
    optimizer_step(like, adam)
