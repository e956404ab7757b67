"""What the command line does with a network, without the command line.

Settings with defaults that suit the data, one training run, and a sweep of runs side by side.
Nothing here prints or writes a file.
"""

import contextlib
import itertools
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import TrainingProgress, TwoLayerNet, get_num_threads, set_num_threads
from fastnn.data import Dataset

ProgressCallback = Callable[[TrainingProgress], object]


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters of one training run."""

    hidden: int
    epochs: int
    batch_size: int
    learning_rate: float
    reg: float
    decay: float = 0.95
    std: float | None = None
    num_iters: int | None = None
    dtype: str = "float32"
    seed: int = 0

    def steps_per_epoch(self, n_train: int) -> int:
        """Return the number of steps that count as a pass over the training rows."""
        return max(n_train // self.batch_size, 1)

    def steps(self, n_train: int) -> int:
        """Return the number of steps: `num_iters`, or else that of `epochs` epochs."""
        if self.num_iters is not None:
            return self.num_iters
        return self.epochs * self.steps_per_epoch(n_train)

    def initial_std(self, n_features: int) -> float:
        """Return `std`, or else 1/sqrt(n_features), which keeps the hidden layer near unit size."""
        return 1 / math.sqrt(n_features) if self.std is None else self.std


# Measured over the seeds 0 to 9: digits 0.975 to 0.986 on the test rows. CIFAR-10 with the
# learning rate, the regularisation and the initial weights of the post on CS231n's network.
PRESETS = {
    "digits": Settings(hidden=200, epochs=40, batch_size=20, learning_rate=0.2, reg=1e-3),
    "cifar10": Settings(
        hidden=100, epochs=10, batch_size=200, learning_rate=1e-3, reg=0.4, std=1e-4
    ),
    "npz": Settings(hidden=100, epochs=40, batch_size=20, learning_rate=0.1, reg=1e-3),
}


def settings_for(kind: str, **given: Any) -> Settings:
    """Return the preset of a kind of data, with the values `given` that are not None."""
    return replace(PRESETS[kind], **{k: v for k, v in given.items() if v is not None})


@dataclass
class Outcome:
    """A trained network, which takes the rows as the data source holds them, and how it did."""

    net: TwoLayerNet
    settings: Settings
    history: Mapping[str, Sequence[float]]
    seconds: float
    interrupted: bool
    accuracy: dict[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Number of steps taken."""
        return len(self.history["loss_history"])

    @property
    def diverged_at(self) -> int | None:
        """The first step whose loss is not finite, where training did not recover from it."""
        losses = np.asarray(self.history["loss_history"])
        finite_parameters = all(np.isfinite(p).all() for p in self.net.params.values())
        if finite_parameters and (losses.size == 0 or np.isfinite(losses[-1])):
            return None
        finite = np.isfinite(losses)
        return len(losses) if finite.all() else int(np.argmin(finite))


# ------------------------------------------------------------------------------------------ memory


def check_memory(dataset: Dataset, settings: Settings, runs: int = 1) -> None:
    """Raise a MemoryError for a training that the machine's memory cannot hold.

    The system would grant the memory all the same, and kill the process once it is used.

    Parameters
    ----------
    dataset : Dataset
    settings : Settings
    runs : int
        How many such trainings there are at a time.
    """
    D, H, C, size = dataset.n_features, settings.hidden, dataset.n_classes, settings.batch_size
    n_bytes = np.dtype(settings.dtype).itemsize
    steps = settings.steps(len(dataset.X_train))
    limit = "--epochs" if settings.num_iters is None else "--num-iters"
    needed = {
        # Drawn in float64, kept, and packed for the kernels.
        f"--hidden {H}": (D + C) * H * (8 + 2 * n_bytes),
        f"--batch-size {size}": size * (8 + n_bytes * (H + C)),
        # A loss and a learning rate of each step, while they are made and as Python's floats.
        f"{limit}, which are {steps:,} steps": 64 * steps,
    }
    total, largest = runs * sum(needed.values()), max(needed, key=needed.__getitem__)
    if total > (available := _memory_of_machine()):
        raise MemoryError(
            f"the training would take about {total / 1e9:,.0f} GB, and most of it for {largest}, "
            f"but there are {available / 1e9:,.0f} GB: give a smaller number"
        )


def _memory_of_machine() -> float:
    """Return the memory of this machine or container in bytes; infinity where it is not known."""
    sizes = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(ValueError, OSError):
        sizes.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(sizes)


# ----------------------------------------------------------------------------------- training runs


def warm_up(dtype: str) -> None:
    """Compile what training needs, so that no measured second goes into it."""
    X, y = np.eye(2, dtype=dtype), np.arange(2)
    net = TwoLayerNet(2, 2, 2, dtype=dtype, random_state=0)
    net.train(X, y, X, y, num_iters=1, batch_size=2)


def run(
    dataset: Dataset,
    settings: Settings,
    progress: ProgressCallback | bool = False,
    splits: Sequence[str] = ("train", "val", "test"),
) -> Outcome:
    """Train one network, fold the preprocessing into it and measure its accuracies.

    A KeyboardInterrupt during the training ends it: the outcome then holds the network of the last
    finished step, with `interrupted` set. Training also ends at the first epoch whose loss is not
    finite.
    """
    net = TwoLayerNet(
        dataset.n_features,
        settings.hidden,
        dataset.n_classes,
        std=settings.initial_std(dataset.n_features),
        dtype=settings.dtype,
        random_state=settings.seed,
    )
    interrupted = False
    started = time.perf_counter()
    try:
        history = net.train(
            dataset.X_train,
            dataset.y_train,
            dataset.X_val,
            dataset.y_val,
            learning_rate=settings.learning_rate,
            learning_rate_decay=settings.decay,
            reg=settings.reg,
            num_iters=settings.steps(len(dataset.X_train)),
            batch_size=settings.batch_size,
            callback=lambda reached: not math.isfinite(reached.loss),
            progress=progress,
        )
    except KeyboardInterrupt:
        interrupted = True
        history = {"loss_history": [], "train_acc_history": [], "val_acc_history": []}
        history.update(net.history or {})
    seconds = time.perf_counter() - started
    outcome = Outcome(net, settings, history, seconds, interrupted)
    if outcome.diverged_at is None:
        fold_preprocessing(net, dataset.mean, dataset.scale)
        outcome.accuracy = {
            split: accuracy(net, dataset, split)
            for split in splits
            if getattr(dataset, f"X_{split}") is not None
        }
    return outcome


def fold_preprocessing(net: TwoLayerNet, mean: np.ndarray, scale: np.ndarray) -> None:
    """Make `net`, trained on ``(X - mean) / scale``, take X itself; in place.

    ``(X - mean) / scale @ W1 + b1`` is ``X @ (W1 / scale) + (b1 - (mean / scale) @ W1)``, rows of
    W1 being divided: computed in float64, and rounded once.
    """
    W1, b1 = net.params["W1"], net.params["b1"]
    W1_exact = W1.astype(np.float64)
    b1[...] = b1 - (mean / scale) @ W1_exact
    W1[...] = W1_exact / scale[:, np.newaxis]


def accuracy(net: TwoLayerNet, dataset: Dataset, split: str) -> float:
    """Return the accuracy of a folded network on the rows of a split as the source holds them."""
    X, y = getattr(dataset, f"X_{split}"), getattr(dataset, f"y_{split}")
    right = [np.count_nonzero(net.predict(raw) == y[rows]) for rows, raw in dataset.raw_chunks(X)]
    return float(sum(right) / len(y))


def sweep(
    dataset: Dataset,
    combinations: Sequence[Settings],
    workers: int,
    advance: Callable[[int], object] = lambda steps: None,
) -> Generator[Outcome, None, None]:
    """Train a network for each of the settings, side by side, and yield outcomes as they finish.

    One kernel thread and one Python thread a network: the compiled loops hold no lock, so that
    they use a core each, without the meetings at barriers that several threads for one network
    cost.

    Parameters
    ----------
    dataset : Dataset
        Shared by all the runs.
    combinations : sequence of Settings
        What to train.
    workers : int
        How many to train at a time.
    advance : callable
        Called now and then, from any thread, with the number of steps done since the last call.

    Yields
    ------
    Outcome
        Of each run. After a KeyboardInterrupt, those of the runs that were under way, with
        `interrupted` set; those that had not begun are left out.
    """
    stop = threading.Event()

    def one(settings: Settings) -> Outcome | None:
        if stop.is_set():
            return None
        done = 0

        def report(reached: TrainingProgress) -> None:
            nonlocal done
            # Only the main thread gets the real Ctrl-C; this is how it reaches the others.
            if stop.is_set():
                raise KeyboardInterrupt
            advance(reached.iteration - done)
            done = reached.iteration

        outcome = run(dataset, settings, report, splits=("val",))
        advance(settings.steps(len(dataset.X_train)) - done)
        return outcome

    threads = get_num_threads()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fastnn-sweep")
    # Warnings are filtered for the whole process, so it is done here and not in each run: a run
    # that diverges shows in its outcome.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            set_num_threads(1)
            futures: set[Future[Outcome | None]] = set()
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
                if (outcome := future.result()) is not None:
                    yield outcome
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            set_num_threads(threads)


def grid(settings: Settings, **values: Sequence[Any]) -> list[Settings]:
    """Return `settings` with every combination of the values; an empty list keeps its own."""
    varied = {name: each for name, each in values.items() if each}
    return [
        replace(settings, **dict(zip(varied, combination, strict=True)))
        for combination in itertools.product(*varied.values())
    ]


def rank(outcome: Outcome) -> float:
    """Return the validation accuracy, and less than any for a run that diverged."""
    return outcome.accuracy.get("val", -1.0)
