"""The compiled kernels, imported as ``fastnn.kernels``: usable one by one, on plain arrays.

Every kernel writes into buffers of its caller, allocates nothing and checks nothing: sizes, labels
and indices out of range are the caller's to exclude. Each has a twin of the same name and
arguments in :mod:`fastnn.reference`, which says in NumPy what it computes.
"""

from .activation import relu_backward
from .affine import (
    affine,
    affine_backward_input,
    affine_backward_sgd,
    affine_backward_weights,
    empty_workspace,
)
from .peak import flops_per_repetition, fma_loop
from .softmax import softmax_gradient
from .update import sgd_update

__all__ = [
    "affine",
    "affine_backward_input",
    "affine_backward_sgd",
    "affine_backward_weights",
    "empty_workspace",
    "flops_per_repetition",
    "fma_loop",
    "relu_backward",
    "sgd_update",
    "softmax_gradient",
]
