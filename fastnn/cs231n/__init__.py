"""Stanford's CS231n, the classes of its first two assignments, with the training compiled.

``from fastnn.cs231n import TwoLayerNet, FullyConnectedNet, Solver`` is the change of import that a
notebook of any year needs; docs/guides/cs231n.md says what else, year by year.
"""

from .fully_connected_net import FullyConnectedNet
from .solver import Solver
from .two_layer_net import TwoLayerNet

__all__ = ["FullyConnectedNet", "Solver", "TwoLayerNet"]
