"""Train a fully-connected network on a CPU, at the speed of its arithmetic."""

import os
from importlib import import_module

from . import optimizers, schedules
from .engine.course import TrainingProgress
from .engine.position import EpochStatus
from .network import Network
from .threads import get_num_threads, set_num_threads
from .trainer import Trainer
from .two_layer_net import TwoLayerNet

__version__ = "0.1.0"

__all__ = [
    "EpochStatus",
    "Network",
    "Trainer",
    "TrainingProgress",
    "TwoLayerNet",
    "get_num_threads",
    "optimizers",
    "schedules",
    "set_num_threads",
]

#: What needs scikit-learn, an extra, which is imported where one of these is asked for.
_OF_SKLEARN = ("MLPClassifier", "MLPRegressor", "patch_sklearn", "unpatch_sklearn")

#: Folders and files that are imported where one asks for them.
_MODULES = ("benchmark", "cs231n", "data", "kernels", "plotting", "reference", "sklearn")


def __getattr__(name):
    if name in _MODULES:
        return import_module(f"fastnn.{name}")
    if name not in _OF_SKLEARN:
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
    return getattr(import_module("fastnn.sklearn"), name)


def __dir__():
    return sorted({*globals(), *_OF_SKLEARN, *_MODULES})


if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
    # Intrinsics do not run in plain Python: the kernels give way to their twins.
    from . import reference

    kernels = import_module("fastnn.kernels")
    for name in set(kernels.__all__) & set(vars(reference)):
        setattr(kernels, name, getattr(reference, name))
