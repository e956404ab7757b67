"""A training by the course's Solver, its checks of the accuracies included, by each update rule."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .common import (
    DTYPES,
    IMPLS,
    SAMPLES_OF_SECONDS,
    Batch,
    Comparison,
    described,
    normal,
    ratio,
    without_impl,
)

try:
    from fastnn import cs231n, reference

    from . import course_layers

    MODULES = {"layers": course_layers, "numpy": reference.cs231n, "fastnn": cs231n}
except ImportError:  # a commit before there was a Solver
    MODULES = {}

UPDATE_RULES = ["sgd", "sgd_momentum", "rmsprop", "adam"]


class Problem(NamedTuple):
    """A network, and what a Solver is given to train it."""

    layer_sizes: tuple
    batch_size: int
    rows: int  # to train on
    epochs: int


#: Smallest first: the tests run each benchmark once with the first. Of the toy, as in the course's
#: notebook, an epoch is a single step on five rows.
PROBLEMS = {
    "4-10-3": Problem((4, 10, 3), 5, 5, 10_000),
    "3072-100-10": Problem((3072, 100, 10), 100, 4000, 2),
    "3072-100-100-100-100-10": Problem((3072, *(100,) * 4, 10), 100, 4000, 2),
}


@lru_cache(maxsize=1)
def data_of(problem, dtype):
    """Return rows around a centre for each class; the first thousand validate."""
    rng, (D, *_, C) = np.random.default_rng(0), problem.layer_sizes
    y = rng.integers(0, C, problem.rows)
    X = normal(rng, np.dtype(dtype), problem.rows, D)
    X += normal(rng, np.dtype(dtype), C, D)[y]
    return {"X_train": X, "y_train": y, "X_val": X[:1000].copy(), "y_val": y[:1000]}


def solver_of(impl, problem, dtype, rule):
    """Return a Solver, from the same weights in either implementation, that has not trained yet."""
    D, *hidden, C = problem.layer_sizes
    np.random.seed(0)
    model = MODULES[impl].FullyConnectedNet(
        hidden, D, C, reg=1e-2, weight_scale=2e-2, dtype=np.dtype(dtype)
    )
    return MODULES[impl].Solver(
        model,
        data_of(problem, dtype),
        update_rule=rule,
        optim_config={"learning_rate": 1e-4},
        batch_size=problem.batch_size,
        num_epochs=problem.epochs,
        verbose=False,
    )


def steps_of(problem):
    """Return the steps of a training."""
    return problem.epochs * max(problem.rows // problem.batch_size, 1)


def training_of(impl, problem, dtype, rule):
    """Return a call that trains on, whose time is that of a step."""
    return Batch(solver_of(impl, problem, dtype, rule).train, 1, steps_of(problem))


@lru_cache(maxsize=2)
def warm_training_of(impl, network, dtype, rule):
    training = training_of(impl, PROBLEMS[network], dtype, rule)
    training.run()
    return training


@without_impl
class SolverStep(Comparison):
    """A step of a training by the course's Solver, on one thread."""

    repeat = SAMPLES_OF_SECONDS
    params = (IMPLS, list(PROBLEMS), DTYPES, ["sgd", "adam"])
    param_names = ("impl", "network", "dtype", "rule")

    def batch(self, impl, network, dtype, rule):
        if not MODULES:
            raise NotImplementedError("this commit has no Solver")  # asv skips it
        return warm_training_of(impl, network, dtype, rule)

    @described("Solver: time of a step")
    def time_step(self, impl, network, dtype, rule):
        """Seconds a step, the checks of the accuracies included."""
        self.chosen.run()

    @described("Solver: step, fastnn / numpy", unit="fastnn / numpy")
    def track_ratio(self, network, dtype, rule):
        """Fastnn's time of a step over the NumPy Solver's, measured in turns."""
        return ratio(*self.both, rounds=3)
