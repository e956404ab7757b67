"""Train a fully-connected network on a CPU, at the speed of its arithmetic."""

from .threads import get_num_threads, set_num_threads
from .training import TrainingProgress
from .two_layer_net import TwoLayerNet

__version__ = "0.1.0"

__all__ = ["TrainingProgress", "TwoLayerNet", "get_num_threads", "set_num_threads"]
