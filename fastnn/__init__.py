"""Train a fully-connected network on a CPU, at the speed of its arithmetic."""

import os

from . import optimizers, schedules
from .engine.course import TrainingProgress
from .engine.fit import EpochStatus
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

if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
    # Intrinsics do not run in plain Python: the kernels give way to their twins.
    from importlib import import_module

    from . import reference

    kernels = import_module("fastnn.kernels")
    for name in set(kernels.__all__) & set(vars(reference)):
        setattr(kernels, name, getattr(reference, name))
