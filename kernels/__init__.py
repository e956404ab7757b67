"""The compiled kernels, imported as ``fastnn.kernels``: usable one by one, on plain arrays.

Every kernel writes into buffers of its caller, allocates nothing and checks nothing: sizes, labels
and indices out of range are the caller's to exclude. Each has a twin of the same name and
arguments in :mod:`fastnn.reference`, which says in NumPy what it computes.
"""

from importlib import import_module

# A module that is imported takes its name in the package: these kernels have to come after theirs.
from .activation import activation, relu_backward
from .affine import (
    affine,
    affine_backward_input,
    affine_backward_sgd,
    affine_backward_weights,
)
from .dropout import dropout

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

#: All others by their modules, which are imported where one asks for them: a training needs few of
#: them, and the rest is a fiftieth of its start.
_MODULES = {
    "draws": ("randint", "shuffle"),
    "elementwise": ("erf", "exp", "log", "logistic", "tanh"),
    "finite": ("all_finite",),
    "heads": ("logistic_gradient", "poisson_gradient", "squared_error_gradient"),
    "nonzeros": ("compress_rows", "count_nonzeros"),
    "peak": ("flops_per_repetition", "fma_loop"),
    "softmax": ("softmax_gradient",),
    "sparse": ("csr_affine", "csr_affine_backward_weights"),
    "update": ("adam_update", "momentum_update", "sgd_update"),
    "workspace": ("empty_workspace",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'fastnn.kernels' has no attribute {name!r}")
    # Once: some are asked for at each call of a fit.
    globals()[name] = found = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    return found


def __dir__():
    return sorted({*globals(), *__all__})
