"""Optimiser steps."""

from ._jit import kernel
from .machine import cast_like


@kernel
def sgd_update(W, dW, learning_rate, l2):
    """Step down the gradient, in place: ``W <- W - learning_rate (dW + l2 W)``.

    Parameters
    ----------
    W : ndarray of shape (K, N) or (N,)
        float32 or float64, C-contiguous; modified in place.
    dW : ndarray of the shape and dtype of `W`
        Gradient of the loss without its penalty; only read.
    learning_rate, l2 : float
        Converted to the dtype of `W`: a Python float promotes nothing.
    """
    weights, gradient = W.ravel(), dW.ravel()
    if weights.size == 0:
        return
    rate = cast_like(weights[0], learning_rate)
    decay = cast_like(weights[0], l2)
    for i in range(weights.size):
        weights[i] -= rate * (gradient[i] + decay * weights[i])


@kernel
def sgd_step(params, start, gradient, gradient_start, count, step):
    """Update ``params[start:start + count]`` by a hot gradient tile; return the sum of new squares.

    The squares are the next step's penalty: this is the one place that reads every weight.
    """
    total = params[start] * 0
    for i in range(count):
        w = params[start + i]
        w -= step.learning_rate * (gradient[gradient_start + i] + step.l2 * w)
        params[start + i] = w
        total += w * w
    return total
