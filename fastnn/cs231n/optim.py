"""The update rules by the names of the course's file, for the cells that call them: NumPy.

A Solver names them, and runs them compiled.
"""

from ..reference.cs231n.optim import adam, rmsprop, sgd, sgd_momentum

__all__ = ["adam", "rmsprop", "sgd", "sgd_momentum"]
