"""Trainings of networks of any depth through the public interface, for several files of benchmarks.

The suite measures every commit of the project, so it calls what users call, and nothing that a
commit may have named otherwise. What a commit does not have is skipped.
"""

import dataclasses
import inspect
import os
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec

import numpy as np

import fastnn
from peer_libraries import PEERS, RATE, data_of, order_of

from .common import Batch

#: Peers by the name in a plot.
LIBRARIES = {"scikit-learn": "sklearn", "PyTorch": "torch", "JAX": "jax"}


def network_of_images(units, scale=255):
    """Return a network that divides images of 784 pixels by `scale` itself, as they are read."""
    if not hasattr(fastnn, "Trainer"):
        raise NotImplementedError("this commit has no Trainer")  # asv skips it
    if "input_scale" not in inspect.signature(fastnn.Network).parameters:
        raise NotImplementedError("this commit scales no inputs")
    return fastnn.Network((784, units, 10), random_state=0, input_scale=scale)


@contextmanager
def by_the_twin():
    """Have Trainer and Network compute by their twin in NumPy, as NUMBA_DISABLE_JIT=1 would."""
    from numba import config

    # What is imported while JIT is disabled is never compiled: have all of it imported before.
    tiny = fastnn.Network((1, 1, 2), random_state=0)
    fastnn.Trainer(tiny, max_iter=1).fit(np.zeros((2, 1), np.float32), [0, 1])
    config.DISABLE_JIT = 1
    try:
        yield
    finally:
        config.DISABLE_JIT = 0


def optimizer_of(name):
    """Return an optimiser by its name, with small steps: the targets are random."""
    from fastnn.optimizers import OPTIMIZERS

    if name not in OPTIMIZERS:
        raise NotImplementedError(f"this commit has no optimiser {name}")
    return dataclasses.replace(OPTIMIZERS[name], learning_rate_init=RATE)


@lru_cache(maxsize=2)
def numbers_of(problem):
    """Return X and y of a problem, made once: to draw them takes longer than many trainings."""
    return data_of(problem)


def fit(problem, epochs, checkpoint=None):
    """Train a new network on the data of a problem; return the trainer."""
    network = fastnn.Network(problem.layer_sizes, problem.activation, problem.head, random_state=0)
    trainer = fastnn.Trainer(
        network,
        optimizer_of(problem.optimizer),
        batch_size=problem.n,
        max_iter=epochs,
        random_state=0,
    )
    trainer.fit(*numbers_of(problem), checkpoint=checkpoint)
    return trainer


def training_of(impl, problem, threads=1, epochs=None):
    """Return a batch of training steps, warm, by fastnn, its twin or a peer.

    fastnn and its twin are called as users call them: `fit`, for some epochs.
    """
    if not hasattr(fastnn, "Trainer"):
        raise NotImplementedError("this commit has no Trainer")  # asv skips it
    if impl in LIBRARIES:
        return peer_training_of(impl, problem, threads)
    # So many steps that what `fit` does once a call costs little, but no more than take long.
    steps = 1 if impl == "numpy" else max(10, min(100, 2e10 / problem.flops))
    epochs = epochs or max(1, round(steps / problem.steps_per_epoch))

    def train():
        if impl == "fastnn":
            return fit(problem, epochs)
        with by_the_twin():
            return fit(problem, epochs)

    train()
    return Batch(train, 1, epochs * problem.steps_per_epoch)


def installed_libraries():
    """Return the names of the other libraries that are installed."""
    return [name for name, peer in LIBRARIES.items() if find_spec(PEERS[peer].module)]


def peer_training_of(impl, problem, threads):
    """Return the same of another library, if it is installed."""
    if impl not in installed_libraries():
        raise NotImplementedError(f"{impl} is not installed")  # asv skips it
    if impl == "JAX" and hasattr(os, "sched_setaffinity"):
        # It knows no other limit, and reads this one when it is imported.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    peer = PEERS[LIBRARIES[impl]](threads)
    peer.build(problem, 0, RATE)
    epochs = max(peer.least_epochs, 20 // problem.steps_per_epoch, 1)
    train = peer.train(order_of(problem, epochs))
    train()
    return Batch(train, 1, epochs * problem.steps_per_epoch)
