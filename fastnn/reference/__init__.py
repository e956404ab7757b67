"""The pure NumPy twin: what every kernel computes, written as the textbook writes it.

This package is the specification. Each kernel in :mod:`fastnn.kernels` is tested and benchmarked
against the function of the same name here; ``TwoLayerNet`` against the class of that name,
``Network`` against ``fastnn.reference.network``, and the compiled loop against
:class:`TrainingLoop`. With ``NUMBA_DISABLE_JIT=1`` fastnn itself runs on it, so that a debugger can
walk through a training run line by line.
"""

from .draws import randint, shuffle
from .kernels import (
    activation,
    adam_update,
    affine,
    affine_backward_input,
    affine_backward_sgd,
    affine_backward_weights,
    all_finite,
    compress_rows,
    count_nonzeros,
    csr_affine,
    csr_affine_backward_weights,
    dropout,
    dropout_mask,
    erf,
    exp,
    log,
    logistic,
    logistic_gradient,
    momentum_update,
    poisson_gradient,
    relu_backward,
    sgd_update,
    softmax_gradient,
    squared_error_gradient,
    tanh,
)
from .loop import TrainingLoop
from .two_layer_net import TwoLayerNet, forward, loss_and_gradients

__all__ = [
    "TrainingLoop",
    "TwoLayerNet",
    "activation",
    "adam_update",
    "affine",
    "affine_backward_input",
    "affine_backward_sgd",
    "affine_backward_weights",
    "all_finite",
    "compress_rows",
    "count_nonzeros",
    "csr_affine",
    "csr_affine_backward_weights",
    "dropout",
    "dropout_mask",
    "erf",
    "exp",
    "forward",
    "log",
    "logistic",
    "logistic_gradient",
    "loss_and_gradients",
    "momentum_update",
    "poisson_gradient",
    "randint",
    "relu_backward",
    "sgd_update",
    "shuffle",
    "softmax_gradient",
    "squared_error_gradient",
    "tanh",
]
