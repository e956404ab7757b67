"""Optimiser steps: what becomes of a weight, its gradient and the optimiser's memory of it."""

import numpy as np
from numba import types

from ._jit import kernel
from .emitter import integer, outlined
from .machine import address_of, cast_like

# What a step does, by code. GRADIENT and ACCUMULATE only keep the gradient, for those who need it
# whole: clipping by its norm, and full gradients over many blocks of rows.
SGD, MOMENTUM, NESTEROV, ADAM, GRADIENT, ACCUMULATE = range(6)

#: Positions of a step's numbers among the arguments of :data:`optimizer_step`.
RATE, L2, DECAY, BETA_1, NEW_1, BETA_2, NEW_2, EPSILON = range(6, 14)


def _optimizer_step(emit, code, W, G, count, memory_1, memory_2, *numbers):
    builder = emit.builder
    codes = range(ACCUMULATE + 1)
    memories = emit.at(W, memory_1), emit.at(W, memory_2)
    blocks = [builder.append_basic_block(f"optimizer.{c}") for c in codes]
    choice = builder.switch(code, blocks[SGD])
    for c in codes[1:]:
        choice.add_case(integer(c), blocks[c])
    for c in codes:
        builder.position_at_end(blocks[c])
        _emit_step(emit, c, W, G, memories, count, numbers)


def _emit_step(emit, code, W, G, memories, count, numbers):
    """Emit the loop of one optimiser, and the return of its sum of squares."""
    builder, (m_place, v_place) = emit.builder, memories
    l2, decay, beta_1, new_1, beta_2, new_2, epsilon = (emit.splat(x) for x in numbers[1:])
    downhill = emit.splat(builder.fneg(numbers[0]))

    def step(load, store, carried):
        g = load(G)
        if code == ACCUMULATE:
            store(builder.fadd(load(m_place), g), m_place)
            return carried
        w = load(W)
        g = emit.fma(l2, w, g)
        if code == GRADIENT:
            store(g, m_place)
            return [emit.fma(g, g, carried[0])]
        if code == SGD:
            w = emit.fma(downhill, g, w)
        elif code == ADAM:
            m = emit.fma(new_1, g, builder.fmul(beta_1, load(m_place)))
            v = emit.fma(beta_2, load(v_place), builder.fmul(new_2, builder.fmul(g, g)))
            store(m, m_place)
            store(v, v_place)
            direction = builder.fdiv(m, builder.fadd(emit.square_root(v), epsilon))
            w = emit.fma(downhill, direction, builder.fmul(decay, w))
        else:
            m = emit.fma(downhill, g, builder.fmul(beta_1, load(m_place)))
            store(m, m_place)
            if code == NESTEROV:
                m = emit.fma(downhill, g, builder.fmul(beta_1, m))
            w = builder.fadd(w, m)
        store(w, W)
        return [emit.fma(w, w, carried[0])]

    (total,) = emit.vectors(count, [emit.constant(0.0)], step)
    builder.ret(emit.widened(emit.first(emit.across(total, builder.fadd))))


#: ``optimizer_step(like, (code, W, G, count, memory_1, memory_2, rate, l2, decay, beta_1, new_1,
#: beta_2, new_2, epsilon))`` updates the `count` weights at W by the gradient at G, and returns the
#: sum of their new squares, a float64. They are the next step's penalty: this is the one place that
#: reads every weight. What the optimiser remembers of a weight lies `memory_1` and `memory_2` bytes
#: behind it. With ``g = G + l2 w``:
#:
#: - SGD: ``w <- w - rate g``;
#: - MOMENTUM: ``m <- beta_1 m - rate g``, ``w <- w + m``;
#: - NESTEROV: the same m, ``w <- w + beta_1 m - rate g``;
#: - ADAM: ``m <- beta_1 m + new_1 g``, ``v <- beta_2 v + new_2 g^2``,
#:   ``w <- decay w - rate m / (sqrt(v) + epsilon)``;
#: - GRADIENT: ``m <- g``, and the sum is that of g^2;
#: - ACCUMULATE: ``m <- m + G``, and the sum is 0.
#:
#: Fourteen arguments are as many as travel in registers: the numbers need no memory of their own.
optimizer_step = outlined(
    "optimizer_step", 14, set(range(RATE, EPSILON + 1)), _optimizer_step, returns=types.float64
)


def _sum_parts(emit, first, distance, parts, count, out):
    builder = emit.builder

    def elements(load, store, carried):
        def part(i, _, sums):
            return [builder.fadd(sums[0], load(emit.at(first, (i, distance))))]

        _, sums = emit.loop(integer(1), parts, [load(first)], part)
        store(sums[0], out)
        return carried

    emit.vectors(count, [], elements)
    builder.ret_void()


#: ``sum_parts(like, (first, distance, parts, count, out))`` writes the sums of `count` elements of
#: several arrays, which start at `first` and are `distance` bytes apart; in their order.
sum_parts = outlined("sum_parts", 5, set(), _sum_parts)

#: Vectors of columns that are summed at a time: as many independent additions.
COLUMN_VECTORS = 4


def _column_sums(emit, dZ, stride, rows, count, out):
    """Emit sums over groups of vectors of columns, then over single vectors."""
    builder = emit.builder

    def columns(base, target, width, load, store):
        places = [integer(v * emit.lanes * emit.size) for v in range(width)]

        def row(i, _, sums):
            line = emit.at(base, (i, stride))
            return [
                builder.fadd(total, load(emit.at(line, place)))
                for total, place in zip(sums, places, strict=True)
            ]

        zeros = [emit.constant(0.0)] * width
        _, sums = emit.loop(integer(0), rows, zeros, row)
        for total, place in zip(sums, places, strict=True):
            store(total, emit.at(target, place))

    wide = COLUMN_VECTORS * emit.lanes
    start = integer(0)

    def group(j):
        offset = builder.mul(j, integer(emit.size))
        places = emit.at(dZ, offset), emit.at(out, offset)
        columns(*places, COLUMN_VECTORS, emit.load, emit.store)

    done = emit.steps(start, count, wide, group)
    offset = builder.mul(done, integer(emit.size))
    base, target = emit.at(dZ, offset), emit.at(out, offset)

    def rest(load, store, carried):
        def row(i, _, sums):
            return [builder.fadd(sums[0], load(emit.at(base, (i, stride))))]

        _, sums = emit.loop(integer(0), rows, [emit.constant(0.0)], row)
        store(sums[0], target)
        return carried

    emit.vectors(builder.sub(count, done), [], rest)
    builder.ret_void()


#: ``column_sums(like, (dZ, stride, rows, count, out))`` writes the sums of `count` columns of dZ,
#: whose rows are `stride` bytes apart: the gradient of the biases. Rows are added in their order.
column_sums = outlined("column_sums", 5, set(), _column_sums)


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
    rate, decay = cast_like(like, learning_rate), cast_like(like, l2)
    none = cast_like(like, 0.0)
    places = SGD, address_of(W), address_of(dW), weights.size, 0, 0
    optimizer_step(like, places + (rate, decay, none, none, none, none, none, none))


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
    like, base = weights[0], address_of(W)
    code = NESTEROV if nesterov else MOMENTUM
    memory = address_of(velocity) - base
    rate, decay = cast_like(like, learning_rate), cast_like(like, l2)
    keep, none = cast_like(like, momentum), cast_like(like, 0.0)
    places = code, base, address_of(dW), weights.size, memory, memory
    optimizer_step(like, places + (rate, decay, none, keep, none, none, none, none))


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
    like, base = weights[0], address_of(W)
    beta_1, beta_2 = betas
    memory = address_of(moments) - base
    rate = learning_rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    places = ADAM, base, address_of(dW), weights.size, memory, memory + W.nbytes
    numbers = (
        cast_like(like, rate),
        cast_like(like, l2),
        cast_like(like, 1.0 - learning_rate * weight_decay),
        cast_like(like, beta_1),
        cast_like(like, 1.0 - beta_1),
        cast_like(like, beta_2),
        cast_like(like, 1.0 - beta_2),
        cast_like(like, epsilon),
    )
    optimizer_step(like, places + numbers)
