"""A training step under each optimiser: the same network, the same batches, on one thread."""

from functools import lru_cache

from peer_libraries import Problem

from .common import IMPLS, Comparison, described, ratio, without_impl
from .models import training_of

OPTIMIZERS = ["sgd", "momentum", "nesterov", "adam", "adamw", "lion"]


@lru_cache(maxsize=2)
def step_of(impl, optimizer):
    return training_of(impl, Problem((784, 256, 128, 10), "relu", "softmax", optimizer, 128))


@without_impl
class OptimizerStep(Comparison):
    """A step of 784-256-128-10, batches of 128."""

    params = (IMPLS, OPTIMIZERS)
    param_names = ("impl", "optimizer")

    def batch(self, impl, optimizer):
        return step_of(impl, optimizer)

    @described("Optimisers: time of a step")
    def time_step(self, impl, optimizer):
        """Seconds a step. What an optimiser remembers of each weight is read and written, too."""
        self.chosen.run()

    @described("Optimisers: step, fastnn / numpy", unit="fastnn / numpy")
    def track_ratio(self, optimizer):
        """Fastnn's time of a step over that of its twin in NumPy, measured in turns."""
        return ratio(*self.both, rounds=3)
