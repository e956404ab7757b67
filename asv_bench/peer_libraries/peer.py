"""What the libraries have in common: how one shows its losses, and how its steps are timed."""

import math
import time
from importlib.util import find_spec

import numpy as np

from .problems import CHECK_EPOCHS, RATE, check_order, check_rate, order_of


class PeerError(Exception):
    """What ends the comparison, in words for the user."""


class Peer:
    """A library at work: builds a network and trains it. One lives in each child process."""

    title: str  #: heads the column
    module: str  #: what to import
    package: str  #: what to install
    least_epochs = 1  #: of a turn
    tolerance = 1e-3  #: what its losses may differ by, relative

    def __init__(self, threads):
        self.threads = threads

    @classmethod
    def is_there(cls):
        """Tell whether all that it needs is installed."""
        return find_spec(cls.module) is not None

    @classmethod
    def takes(cls, problem):
        """Tell whether it can compute a problem."""
        return True

    def version(self):
        """Import the library; return its version."""
        return __import__(self.module).__version__

    def build(self, problem, seed, rate):
        """Make the data and a network with the parameters of that seed."""
        raise NotImplementedError

    def train(self, order):
        """Return a function without arguments that trains so, and returns the steps' losses."""
        raise NotImplementedError

    def losses(self, problem, seed):
        """Return the mean loss of each epoch of :func:`check_order`."""
        self.build(problem, seed, check_rate(problem))
        losses = np.asarray(self.train(check_order(problem))(), np.float64)
        return losses.reshape(CHECK_EPOCHS, -1).mean(axis=1)

    def prepare(self, problem, seconds):
        """Build, compile and warm up; a turn will train for about so many seconds."""
        self.build(problem, 0, RATE)
        # Of all rows, one step is an epoch, and too short a run to judge by.
        epochs = max(1, 10 // problem.steps_per_epoch)
        self.wake = self.turn = self.train(order_of(problem, epochs))
        self.wake()
        fastest = min(_seconds(self.wake) for _ in range(3))
        # Two lengths only, as JAX compiles each.
        times = max(math.ceil(self.least_epochs / epochs), round(seconds / fastest))
        if times > 1:
            self.turn = self.train(order_of(problem, times * epochs))
            self.turn()
        self.steps = times * epochs * problem.steps_per_epoch
        self.seconds = seconds

    def step_seconds(self):
        """Take a turn; return the seconds a step."""
        begun = time.perf_counter()
        while time.perf_counter() < begun + self.seconds / 5:
            self.wake()
        return _seconds(self.turn) / self.steps


def _seconds(call):
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
