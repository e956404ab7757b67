"""The course from 2016 on in plain NumPy: models with a loss, update rules, and a Solver."""

from .models import Dropout, FullyConnectedNet, TwoLayerNet, loss_and_gradients
from .optim import UPDATE_RULES, adam, rmsprop, sgd, sgd_momentum
from .solver import Solver

__all__ = [
    "UPDATE_RULES",
    "Dropout",
    "FullyConnectedNet",
    "Solver",
    "TwoLayerNet",
    "adam",
    "loss_and_gradients",
    "rmsprop",
    "sgd",
    "sgd_momentum",
]
