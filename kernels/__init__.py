"""The compiled kernels, imported as ``fastnn.kernels``: usable one by one, on plain arrays.

Every kernel writes into buffers of its caller, allocates nothing and checks nothing: sizes, labels
and indices out of range are the caller's to exclude. Each has a twin of the same name and
arguments in :mod:`fastnn.reference`, which says in NumPy what it computes.
"""

from .activation import activation, relu_backward
from .affine import (
    affine,
    affine_backward_input,
    affine_backward_sgd,
    affine_backward_weights,
)
from .draws import randint, shuffle
from .dropout import dropout
from .elementwise import erf, exp, log, logistic, tanh
from .finite import all_finite
from .heads import logistic_gradient, poisson_gradient, squared_error_gradient
from .nonzeros import compress_rows, count_nonzeros
from .peak import flops_per_repetition, fma_loop
from .softmax import softmax_gradient
from .sparse import csr_affine, csr_affine_backward_weights
from .update import adam_update, momentum_update, sgd_update
from .workspace import empty_workspace

__all__ = [
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
    "empty_workspace",
    "erf",
    "exp",
    "flops_per_repetition",
    "fma_loop",
    "log",
    "logistic",
    "logistic_gradient",
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
