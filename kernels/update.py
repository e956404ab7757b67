"""Optimiser steps."""

from llvmlite import ir
from numba import types

from ._jit import kernel
from .emitter import integer, outlined
from .machine import address_of, cast_like


def _sgd_step(emit, W, dW, count, learning_rate, l2):
    builder, decay = emit.builder, emit.splat(l2)
    downhill = emit.splat(builder.fneg(learning_rate))

    def step(load, store, carried):
        w = load(W)
        w = emit.fma(downhill, emit.fma(decay, w, load(dW)), w)
        store(w, W)
        return [emit.fma(w, w, carried[0])]

    (total,) = emit.vectors(count, [emit.constant(0.0)], step)
    total = emit.first(emit.across(total, builder.fadd))
    builder.ret(builder.fpext(total, ir.DoubleType()) if emit.size == 4 else total)


#: ``sgd_step(like, (W, dW, count, learning_rate, l2))`` updates the `count` weights at W by the
#: gradient at dW, ``w <- w - learning_rate (dw + l2 w)``, and returns the sum of their new squares,
#: a float64. They are the next step's penalty: this is the one place that reads every weight.
sgd_step = outlined("sgd_step", 5, {3, 4}, _sgd_step, returns=types.float64)


def _sgd_step_bias(emit, b, dZ, stride, rows, count, learning_rate):
    builder, four = emit.builder, integer(4)
    downhill = emit.splat(builder.fneg(learning_rate))
    quads = builder.sdiv(rows, four)

    def column(load, store, carried):
        def quad(q, _, sums):
            place = emit.at(dZ, (builder.mul(q, four), stride))
            lines = [load(emit.at(place, (i, stride))) for i in range(4)]
            pairs = builder.fadd(lines[0], lines[1]), builder.fadd(lines[2], lines[3])
            return [builder.fadd(sums[0], builder.fadd(*pairs))]

        def row(i, _, sums):
            return [builder.fadd(sums[0], load(emit.at(dZ, (i, stride))))]

        _, sums = emit.loop(integer(0), quads, [emit.constant(0.0)], quad)
        _, sums = emit.loop(builder.mul(quads, four), rows, sums, row)
        store(emit.fma(downhill, sums[0], load(b)), b)
        return carried

    emit.vectors(count, [], column)
    builder.ret_void()


#: ``sgd_step_bias(like, (b, dZ, stride, rows, count, learning_rate))`` updates the `count` biases
#: at b by the sums of the columns of dZ, whose rows are `stride` bytes apart.
sgd_step_bias = outlined("sgd_step_bias", 6, {5}, _sgd_step_bias)


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
    sgd_step(like, (address_of(W), address_of(dW), weights.size, rate, decay))
