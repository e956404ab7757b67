"""A training step under each optimiser: the same network, the same batches, on one thread."""

from functools import lru_cache

import numpy as np

import fastnn
from peer_libraries import Problem

from .common import IMPLS, Batch, Comparison, Threads, described, ratio, without_impl
from .models import optimizer_of, training_of

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


@lru_cache(maxsize=2)
def dead_step_of(weights, optimizer):
    """Return training steps of 784-100-10, a quarter of whose inputs is 0, with those weights."""
    if not hasattr(fastnn, "Trainer"):
        raise NotImplementedError("this commit has no Trainer")
    epochs, rows = 20, 200
    X = np.random.default_rng(0).standard_normal((10 * rows, 784), dtype=np.float32)
    X[:, ::4] = 0
    network = fastnn.Network((784, 100, 10), random_state=0)
    if weights == "subnormal":
        network.coefs_[0][::4] = np.finfo(np.float32).tiny / 1024
    trainer = fastnn.Trainer(
        network, optimizer_of(optimizer), batch_size=rows, max_iter=epochs, skip_zeros=False
    )
    y = np.arange(len(X)) % 10

    def train():
        trainer.fit(X, y)

    train()
    return Batch(train, 1, epochs * len(X) // rows)


class DeadInputsStep:
    """A step of 784-100-10, a quarter of whose inputs is 0, by what their weights have become."""

    params = (["normal", "subnormal"], ["momentum", "adam"])
    param_names = ("weights", "optimizer")

    def setup(self, weights, optimizer):
        self.threads = Threads(1)
        self.chosen = dead_step_of(weights, optimizer)
        self.timer = self.chosen.clock

    def teardown(self, weights, optimizer):
        self.threads.restore()

    @described("Dead inputs: time of a step")
    def time_step(self, weights, optimizer):
        """Seconds a step; subnormal numbers count as 0."""
        self.chosen.run()
