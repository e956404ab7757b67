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
from fastnn.cli.problem import Problem, model_of
from fastnn.cli.scores import Score, score
from fastnn.cli.settings import Settings
from fastnn.data import Dataset

Report = Callable[[EpochStatus], object]


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


#: A long training is kept this often, in seconds, so that a kill costs no more.
KEEP_SECONDS = 60.0


class _DivergedError(Exception):
    """Ends a training whose loss is not finite."""


class _PauseError(Exception):
    """Cuts a training, for the network to be up to date; it goes on to the same bits."""


def warm_up(dtype: str) -> None:
    """Compile what training needs, so that no measured second goes into it."""
    X, y = np.eye(2, dtype=dtype), np.arange(2)
    net = Network((2, 2, 2), dtype=dtype, random_state=0)
    Trainer(net, "sgd", max_iter=1, random_state=0).fit(X, y, X, y)


def run(
    problem: Problem,
    settings: Settings,
    report: Report = lambda status: None,
    keep: Callable[[Network], object] | None = None,
) -> Outcome:
    """Train one network.

    A KeyboardInterrupt ends the training: the outcome then holds the model of the last finished
    step, with `interrupted` set. It also ends when a loss is not finite.

    Parameters
    ----------
    problem : Problem
    settings : Settings
    report : callable
        Gets an EpochStatus about ten times a second.
    keep : callable, optional
        Gets the model as it stands, every KEEP_SECONDS.
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
    interrupted, started = False, time.perf_counter()
    kept = started

    def watch(status: EpochStatus) -> None:
        before = sum(trainer.max_iter for trainer in trainers[:-1])
        report(status._replace(epoch=before + status.epoch, max_iter=epochs))
        if not math.isfinite(status.loss):
            raise _DivergedError
        # A call that has made no step yet has nothing new.
        due = status.samples_per_second > 0 and time.perf_counter() >= kept + KEEP_SECONDS
        if keep is not None and due:
            raise _PauseError

    try:
        for trainer, X, y in _stretches(net, problem, settings):
            trainers.append(trainer)
            while True:
                try:
                    trainer.fit(X, y, problem.X_val, problem.y_val, progress=watch)
                    break
                except _PauseError:
                    assert keep is not None
                    keep(model_of(net, dataset))
                    kept = time.perf_counter()
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
    # Not the futures, nor the pool: an interrupt may come between the start of a thread and the
    # note of either. A run that comes too late for the count of those begun finds `stop` set.
    begun: list[Settings] = []
    outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
    received = 0

    def one(settings: Settings) -> None:
        begun.append(settings)
        outcome = None
        try:
            if not stop.is_set():
                outcome = trained(settings)
        finally:
            outcomes.put(outcome)

    def trained(settings: Settings) -> Outcome:
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
        return outcome

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
                    received += 1
                    if outcome := outcomes.get():
                        yield outcome
                future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            set_num_threads(threads)
    while received < len(begun):
        received += 1
        if outcome := outcomes.get():
            yield outcome
