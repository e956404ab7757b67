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
    empty_workspace,
)
from .elementwise import erf, exp, log, logistic, tanh
from .peak import flops_per_repetition, fma_loop
from .softmax import softmax_gradient
from .sparse import csr_affine, csr_affine_backward_weights
from .update import sgd_update

__all__ = [
    "activation",
    "affine",
    "affine_backward_input",
    "affine_backward_sgd",
    "affine_backward_weights",
    "csr_affine",
    "csr_affine_backward_weights",
    "empty_workspace",
    "erf",
    "exp",
    "flops_per_repetition",
    "fma_loop",
    "log",
    "logistic",
    "relu_backward",
    "sgd_update",
    "softmax_gradient",
    "tanh",
]
