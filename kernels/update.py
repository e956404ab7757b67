"""Optimiser steps of whole arrays, from gradients in memory."""

import numpy as np

from ._jit import kernel
from .llvm.intrinsics import address_of, on_stack
from .rules import ADAM, MOMENTUM, NESTEROV, SGD, OptimizerStep, numbers_like, optimizer_step


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
    like = W.dtype.type(0)
    numbers = on_stack(numbers_like(like, l2, learning_rate, 1.0, 0.0, 0.0, 0.0))
    places = address_of(W), address_of(dW)
    step = OptimizerStep(SGD, places[0], places[0], places[1], W.size, 0, 0, numbers)
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
    like = W.dtype.type(0)
    numbers = on_stack(numbers_like(like, l2, learning_rate, 1.0, momentum, 0.0, 0.0))
    code, places = NESTEROV if nesterov else MOMENTUM, (address_of(W), address_of(dW))
    memory = address_of(velocity) - places[0]
    step = OptimizerStep(code, places[0], places[0], places[1], W.size, memory, memory, numbers)
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
    like, (beta_1, beta_2) = W.dtype.type(0), betas
    rate = learning_rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    decay = 1.0 - learning_rate * weight_decay
    numbers = on_stack(numbers_like(like, l2, rate, decay, beta_1, beta_2, epsilon))
    places = address_of(W), address_of(dW)
    memory = address_of(moments) - places[0]
    adam = OptimizerStep(
        ADAM, places[0], places[0], places[1], W.size, memory, memory + W.nbytes, numbers
    )
    optimizer_step(like, adam)
