"""What the command line does with a network, without the command line.

One training run, and a sweep of runs side by side. Nothing here prints or writes a file.
"""

import math
import queue
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn import (
    EpochStatus,
    Network,
    Trainer,
    get_num_threads,
    optimizers,
    schedules,
    set_num_threads,
)
from fastnn.checks.data import Standardization, check_input
from fastnn.cli.scores import Score, score
from fastnn.cli.settings import Settings
from fastnn.data import Dataset

Report = Callable[[EpochStatus], object]


# ----------------------------------------------------------------------------------- what is learnt


@dataclass(frozen=True, eq=False)
class Problem:
    """A dataset as the networks of a dtype are trained on it, which all runs of a sweep share.

    Attributes
    ----------
    dataset : Dataset
    X, X_val : ndarray
        Standardised, in the dtype of the networks. Bytes are as they are: the networks standardise
        them row by row while they read them, which takes a fourth or an eighth of the memory.
    y, y_val : ndarray
        Class indices, or targets that are standardised as well.
    scaling : dict
        What the networks do with X and X_val, as arguments of :class:`fastnn.Network`.
    """

    dataset: Dataset
    X: np.ndarray
    y: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    scaling: Mapping[str, Any]


def problem_of(dataset: Dataset, dtype: str) -> Problem:
    """Return what networks of a dtype are trained on.

    Raises
    ------
    ValueError
        For numbers that are beyond the range of the dtype, standardised as they are.
    """
    mean, scale, _ = dataset.inputs
    rows, scaling = [dataset.X_train, dataset.X_val], {"input_mean": mean, "input_scale": scale}
    if dataset.X_train.dtype != np.uint8:
        known = np.dtype(dtype), Standardization(mean, scale)
        rows = [
            check_input(X, dataset.n_features, known[0], name, known[1])
            for X, name in zip(rows, ("X", "X_val"))
        ]
        scaling = {}
    targets = [dataset.y_train, dataset.y_val]
    if dataset.targets is not None:
        standardization = Standardization(dataset.targets.mean, dataset.targets.scale)
        targets = [standardization.apply(y, np.dtype(dtype)) for y in targets]
    return Problem(dataset, rows[0], targets[0], rows[1], targets[1], scaling)


def model_of(net: Network, dataset: Dataset) -> Network:
    """Return the model of a trained network: rows and targets are as the source holds them.

    The standardisation of the rows becomes the model's own. That of the targets goes into the last
    layer, whose outputs are the predictions of a regression; the model is of float64 then, since
    float32 rounds what is predicted to seven digits, of which a large offset may leave none: around
    1e9 its numbers lie 64 apart.
    """
    dtype = net.dtype if dataset.targets is None else np.float64
    mean, scale, _ = dataset.inputs
    model = Network(
        *(net.layer_sizes, net.activation, net.head),
        dtype=dtype,
        init=net.init,
        random_state=0,
        input_mean=mean,
        input_scale=scale,
    )
    model.params = net.params
    if dataset.targets is not None:
        model.coefs_[-1] *= dataset.targets.scale
        model.intercepts_[-1] *= dataset.targets.scale
        model.intercepts_[-1] += dataset.targets.mean
    return model


# ------------------------------------------------------------------------------------ training runs


@dataclass
class Outcome:
    """A trained model, which takes the rows as the data source holds them, and how it did."""

    model: Network
    settings: Settings
    history: Mapping[str, np.ndarray]
    seconds: float
    interrupted: bool
    scores: dict[str, Score] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Number of steps taken."""
        return len(self.history["step_loss"])

    @property
    def diverged_at(self) -> int | None:
        """The first step whose loss is not finite, or after which no parameters are; else None."""
        finite = np.isfinite(self.history["step_loss"])
        if finite.all() and np.isfinite(self.model.params).all():
            return None
        return len(finite) if finite.all() else int(np.argmin(finite))

    @property
    def rank(self) -> float:
        """The validation score, and less than any for a run that diverged."""
        return self.scores["val"].rank if "val" in self.scores else -math.inf


class _DivergedError(Exception):
    """Ends a training whose loss is not finite."""


def warm_up(dtype: str) -> None:
    """Compile what training needs, so that no measured second goes into it."""
    X, y = np.eye(2, dtype=dtype), np.arange(2)
    net = Network((2, 2, 2), dtype=dtype, random_state=0)
    Trainer(net, "sgd", max_iter=1, random_state=0).fit(X, y, X, y)


def run(problem: Problem, settings: Settings, report: Report = lambda status: None) -> Outcome:
    """Train one network.

    A KeyboardInterrupt ends the training: the outcome then holds the model of the last finished
    step, with `interrupted` set. It also ends when a loss is not finite.

    Parameters
    ----------
    problem : Problem
    settings : Settings
    report : callable
        Gets an EpochStatus about ten times a second.
    """
    dataset, epochs = problem.dataset, settings.epochs_begun(len(problem.X))
    net = Network(
        (dataset.n_features, settings.hidden, dataset.n_outputs),
        head="softmax" if dataset.targets is None else "identity",
        dtype=settings.dtype,
        init=settings.init(dataset.n_features),
        random_state=settings.seed,
        **problem.scaling,
    )
    trainers: list[Trainer] = []

    def watch(status: EpochStatus) -> None:
        before = sum(trainer.max_iter for trainer in trainers[:-1])
        report(status._replace(epoch=before + status.epoch, max_iter=epochs))
        if not math.isfinite(status.loss):
            raise _DivergedError

    interrupted, started = False, time.perf_counter()
    try:
        for trainer, X, y in _stretches(net, problem, settings):
            trainers.append(trainer)
            trainer.fit(X, y, problem.X_val, problem.y_val, progress=watch)
    except (KeyboardInterrupt, _DivergedError) as ending:
        interrupted = isinstance(ending, KeyboardInterrupt)
    seconds = time.perf_counter() - started
    history = {
        name: np.concatenate([empty, *(trainer.history[name] for trainer in trainers)])
        for name, empty in Trainer(net).history.items()
    }
    return Outcome(model_of(net, dataset), settings, history, seconds, interrupted)


def measure(
    outcome: Outcome, dataset: Dataset, splits: Sequence[str] = ("train", "val", "test")
) -> None:
    """Add to an outcome how well its model does on splits: on the rows as the source holds them."""
    for split in splits:
        X, y = getattr(dataset, f"X_{split}"), getattr(dataset, f"y_{split}")
        if X is not None and outcome.diverged_at is None:
            outcome.scores[split] = score(outcome.model, outcome.model.predict(X), y)


def _stretches(
    net: Network, problem: Problem, settings: Settings
) -> Iterator[tuple[Trainer, np.ndarray, np.ndarray]]:
    """Yield trainers, and what to fit them to: whole epochs, then the steps that are left of one.

    It is the training of CS231n's class: each batch is drawn anew from all rows, and the learning
    rate decays with each epoch. A Trainer does whole epochs; so the batches that are left over are
    drawn here, and make a short epoch of their own.
    """
    n = len(problem.X)
    size, (epochs, rest) = settings.rows_per_step(n), settings.whole_epochs(n)
    options: dict[str, Any] = {
        "batch_size": size,
        "alpha": settings.reg,
        "max_norm": settings.max_norm,
        # Measured, it could be another way on another day, with other bits.
        "skip_zeros": False,
        "random_state": settings.seed,
    }
    if epochs:
        optimizer = optimizers.SGD(settings.learning_rate)
        schedule = schedules.StepDecay(every=1, factor=settings.decay)
        options |= {"schedule": schedule, "replacement": True, "max_iter": epochs}
        yield Trainer(net, optimizer, **options), problem.X, problem.y
    if rest:
        optimizer = optimizers.SGD(settings.learning_rate * settings.decay**epochs)
        options |= {"schedule": "constant", "replacement": False, "shuffle": False, "max_iter": 1}
        rows = np.random.RandomState(settings.seed).randint(0, n, rest * size)
        yield Trainer(net, optimizer, **options), problem.X[rows], problem.y[rows]


# ------------------------------------------------------------------------------------------- sweeps


def sweep(
    problem: Problem,
    combinations: Sequence[Settings],
    workers: int,
    advance: Callable[[int], object] = lambda epochs: None,
) -> Generator[Outcome, None, None]:
    """Train a network for each of the settings, side by side, and yield outcomes as they finish.

    One kernel thread and one Python thread a network: the compiled loops hold no lock, so that
    they use a core each, without the meetings at barriers that several threads for one network
    cost.

    Parameters
    ----------
    problem : Problem
        Shared by all the runs.
    combinations : sequence of Settings
        What to train.
    workers : int
        How many to train at a time.
    advance : callable
        Called now and then, from any thread, with the number of epochs done since the last call.

    Yields
    ------
    Outcome
        Of each run. After a KeyboardInterrupt, those of the runs that were under way, with
        `interrupted` set; those that had not begun are left out.
    """
    stop = threading.Event()
    # Not the results of the futures: an interrupt may come between the start of a run and the note
    # of its future.
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def one(settings: Settings) -> None:
        if stop.is_set():
            return
        done = 0

        def report(status: EpochStatus) -> None:
            nonlocal done
            # Only the main thread gets the real Ctrl-C; this is how it reaches the others.
            if stop.is_set():
                raise KeyboardInterrupt
            advance(status.epoch - done)
            done = status.epoch

        outcome = run(problem, settings, report)
        measure(outcome, problem.dataset, ("val",))
        advance(settings.epochs_begun(len(problem.X)) - done)
        outcomes.put(outcome)

    threads = get_num_threads()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fastnn-sweep")
    # Warnings are filtered for the whole process, so it is done here and not in each run: a run
    # that diverges shows in its outcome.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            set_num_threads(1)
            futures: set[Future[None]] = set()
            waiting = list(reversed(combinations))
            while waiting or futures:
                try:
                    while waiting:
                        futures.add(pool.submit(one, waiting.pop()))
                    future = next(as_completed(futures))
                except KeyboardInterrupt:
                    stop.set()
                    waiting.clear()
                    continue
                futures.remove(future)
                while not outcomes.empty():
                    yield outcomes.get()
                future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            set_num_threads(threads)
    while not outcomes.empty():
        yield outcomes.get()
