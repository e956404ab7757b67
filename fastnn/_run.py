"""One fit of a Trainer: its loop, and what happens at the end of an epoch."""

import dataclasses
import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import _inputs, schedules, training
from .checks.arguments import asks_to_stop, room_for
from .checks.sparse import Sparse
from .engine import Items, Records, Settings, Source
from .order import EpochOrder

#: Dense data with a larger share of other numbers than 0 is not worth a measurement.
MOST_NON_ZEROS = 0.4
#: Rounds of the measurement; the fastest counts.
MEASUREMENTS = 3
#: Rows of a block of the validation set.
VALIDATION_ROWS = 256
EPOCH_FIELDS = ("loss", "val_loss", "val_score", "learning_rate")


@dataclass(frozen=True)
class Position:
    """Where a run stands, but for what the compiled loop remembers.

    It is replaced as a whole, by one assignment: Ctrl-C finds the old one or the new one.
    """

    n_samples: int
    data: int  #: fingerprint
    seed: int
    skip_zeros: bool | None = None
    done: int = 0  #: items of the order
    ended: int = 0  #: epochs whose end has been seen to
    stopped: bool = False  #: before the last epoch
    factor: float = 1.0  #: adaptive schedule: on the learning rate
    lowest: float = math.inf  #: adaptive schedule: loss so far
    standing: int = 0  #: adaptive schedule: epochs without an improvement
    best: float = math.inf  #: early stopping: what is monitored; scores count negative
    best_epoch: int = 0
    patience: int = 0  #: early stopping: epochs without an improvement
    best_params: Any = None

    def to_json(self):
        """Return all but the parameters."""
        fields = (field.name for field in dataclasses.fields(self))
        return {name: getattr(self, name) for name in fields if name != "best_params"}


class Run:
    """One fit, from wherever the trainer stands.

    Parameters
    ----------
    trainer : Trainer
        It is changed by :meth:`do` only.
    train, val : Source
        Checked; `val` may be None.
    position, state
        Where an earlier call left off, see :meth:`keep`; or None and None.
    status : type
        Makes an EpochStatus.
    """

    def __init__(self, trainer, train, val, position, state, status):
        self.trainer, self.network, self.make_status = trainer, trainer.network, status
        self.told_of_nan = False
        if trainer.early_stopping and val is None:
            fraction, head = trainer.validation_fraction, self.network.head
            train, val = _inputs.divide(fraction, train, head, position.seed)
        if position.skip_zeros is None:
            position = replace(position, skip_zeros=self._skips_zeros(train))
        if position.skip_zeros:
            train, val = _inputs.without_zeros(train), _inputs.without_zeros(val)
        self.position = position
        size = min(trainer.batch_size, len(train))
        last = 0 if trainer.replacement else len(train) % size
        block_size = min(VALIDATION_ROWS, len(val)) if val is not None else 0
        self.loop = self._loop(
            self.network.layers, train, val, (size, last) if last else (size,), block_size
        )
        steps = trainer.max_iter * -(-len(train) // size)
        with room_for(f"a history of {steps} steps", 16 * steps, "ask for fewer epochs"):
            self.order = order = EpochOrder(
                *(trainer, train, val, size, block_size or 1),
                *(position.seed, position.done, position.factor),
            )
            self.records = Records.empty(order.total_steps, order.epochs)
        self.null = None
        if val is not None:
            self.null = _inputs.null_loss(self.network.head, val)
            _inputs.check_score(trainer, self.null)
        if state is not None:
            # The compiled loop and its twin do not keep all the same.
            self.loop.restore({**self.loop.state(), **state})
            order.rates[: len(state["rates"])] = state["rates"]
            losses = trainer.history["step_loss"]
            self.records.losses[: len(losses)] = losses
            for name in RECORDED:
                getattr(self.records, name)[: len(state[name])] = state[name]

    def _loop(self, layers, train, val, batch_sizes, block_size, threads=None):
        trainer = self.trainer
        beta_1, beta_2, epsilon = trainer.optimizer.numbers()
        settings = Settings(
            trainer.optimizer.name,
            *(trainer.alpha, trainer.alpha / 2, beta_1, beta_2, epsilon),
            *(trainer.label_smoothing, trainer.max_norm or 0.0, trainer.dropout),
        )
        return training.loop_of(
            *(self.network.architecture, layers, settings, train, val),
            batch_sizes=batch_sizes,
            block_size=block_size,
            scaling=self.network.scaling,
            threads=threads,
        )

    def _skips_zeros(self, train):
        """Tell whether to skip the zeros of dense data, by a measurement if nobody says."""
        trainer, X = self.trainer, train.X
        if isinstance(X, Sparse) or X.dtype == np.uint8 or training.jit_disabled():
            return False
        if trainer.skip_zeros != "auto":
            return trainer.skip_zeros
        sample = X[: 4 * trainer.batch_size]
        if np.count_nonzero(sample) > MOST_NON_ZEROS * sample.size:
            return False
        size = min(trainer.batch_size, len(sample))
        dense, loops = Source(sample, train.y[: len(sample)]), []
        for source in (dense, _inputs.without_zeros(dense)):
            # Copies: the measurement must leave no trace.
            layers = [(W.copy(), b.copy()) for W, b in self.network.layers]
            # On one thread, so that the choice does not depend on how many there are.
            loops.append(self._loop(layers, source, None, (size,), 0, threads=1))
        fastest = [math.inf, math.inf]
        items = measured_items(len(sample), size)
        records = Records.empty(len(items.kinds), 1)
        for _ in range(MEASUREMENTS):
            for i, loop in enumerate(loops):
                begun = time.perf_counter()
                loop.run(items, records)
                fastest[i] = min(fastest[i], time.perf_counter() - begun)
        return fastest[1] < fastest[0]

    # ---------------------------------------------------------------------------- the epochs

    def do(self, reporter, callback, checkpoint, checkpoint_seconds):
        """Train to the end, and leave everything as it stands, whatever ends it."""
        trainer, order, schedule = self.trainer, self.order, self.trainer.schedule
        order.waits = bool(
            callback is not None
            or checkpoint is not None
            or trainer.early_stopping
            or isinstance(schedule, schedules.Adaptive)
        )
        self.begun, self.first_step = time.perf_counter(), order.steps_done()
        steps, warned, saved = order.steps_done(), False, time.perf_counter()
        shows = reporter.bar is not None or reporter.function is not None
        try:
            with reporter:
                for _ in self._turns():
                    before, steps = steps, order.steps_done()
                    warned = warned or training.warn_of_divergence(
                        self.records.losses, order.rates, before, steps, stacklevel=4
                    )
                    if shows:
                        reporter.update(self.status())
                    epochs = order.epochs_done()
                    if epochs == self.position.ended:
                        continue
                    if not order.waits:
                        self.position = replace(self.position, ended=epochs)
                        continue
                    self._end_epoch(epochs)
                    if callback is not None:
                        # Also the trainer is up to date then: a callback may save it.
                        self.keep()
                        if asks_to_stop(callback(self.status())):
                            self.position = replace(self.position, stopped=True)
                    if checkpoint is not None and time.perf_counter() >= saved + checkpoint_seconds:
                        self.keep()
                        trainer.save(checkpoint)
                        saved = time.perf_counter()
                    if self.position.stopped:
                        break
        finally:
            self.keep()
            done = order.done >= order.total and self.position.ended == order.epochs
            if done or self.position.stopped:
                if self.position.best_params is not None:
                    self.network.params[:] = self.position.best_params
                # Counted at its end: a run that is cut before its first step is begun again.
                trainer._progress, trainer._runs = None, trainer._runs + 1
            if checkpoint is not None:
                trainer.save(checkpoint)

    def _turns(self):
        """Train; yield some ten times a second, and at the end of each epoch that matters."""
        if self.position.ended < self.order.epochs_done():
            # Whatever cut the last call came before it had seen to the end of this epoch.
            yield
        if not self.position.stopped:
            yield from training.drive(self.loop, self.order, self.records)

    def _end_epoch(self, epochs):
        """Do what an epoch's losses call for: adapt the learning rate, keep the best, stop."""
        trainer, position = self.trainer, self.position
        loss, val_loss, score, _ = (values[0] for values in self._epochs(epochs - 1, epochs))
        new = {"ended": epochs}
        if isinstance(trainer.schedule, schedules.Adaptive):
            new |= self._adapted(float(loss if math.isnan(val_loss) else val_loss))
        if trainer.early_stopping:
            value = float(val_loss if trainer.monitor == "loss" else -score)
            improved = value < position.best - trainer.tol
            if math.isnan(value) and not self.told_of_nan:
                training.warn_of_monitor(trainer.monitor, epochs)
                self.told_of_nan = True
            new["patience"] = 0 if improved else position.patience + 1
            if value < position.best:
                self.loop.store()
                new |= {"best": value, "best_epoch": epochs}
                new["best_params"] = self.network.params.copy()
            if new["patience"] >= trainer.n_iter_no_change:
                new["stopped"] = True
        self.position = replace(position, **new)
        self.order.factor = self.position.factor

    def _adapted(self, loss):
        """Return what becomes of the adaptive schedule's part of the position."""
        schedule, position = self.trainer.schedule, self.position
        standing = 0 if loss < position.lowest - schedule.tol else position.standing + 1
        new = {"standing": standing, "lowest": min(position.lowest, loss)}
        if math.isnan(loss):
            new["lowest"] = position.lowest
        if standing >= schedule.n_iter_no_change:
            factor = position.factor / schedule.divisor
            rate = self.trainer.optimizer.learning_rate_init * factor
            # Where it ends, the rate stays what the last epoch was trained at.
            new |= {"stopped": True} if rate < schedule.lowest else {"factor": factor}
            new["standing"] = 0
        return new

    # ------------------------------------------------------------------------------ its record

    def _epochs(self, first, stop):
        """Return the EPOCH_FIELDS of the epochs first..stop."""
        order, records = self.order, self.records
        steps = slice(first * order.steps_per_epoch, stop * order.steps_per_epoch)
        shape = stop - first, order.steps_per_epoch
        val_losses = records.val_losses[first:stop]
        with np.errstate(over="ignore", invalid="ignore"):
            # Not a product: its bits would depend on how many epochs there are.
            losses = (records.losses[steps].reshape(shape) * order.counts).sum(axis=1)
            if not order.n_val:
                means = scores = np.full(stop - first, np.nan)
            else:
                means = val_losses / order.val_weight
                scores = records.val_correct[first:stop] / order.val_weight
                if self.null is not None:
                    scores = 1 - val_losses / self.null
        rates = order.rates[steps].reshape(shape)[:, -1]
        return losses / order.counts.sum(), means, scores, rates.copy()

    def status(self):
        """Return where the run stands."""
        order, records = self.order, self.records
        epochs, steps = order.epochs_done(), order.steps_done()
        numbers = (math.nan,) * 4
        if epochs:
            numbers = (float(values[0]) for values in self._epochs(epochs - 1, epochs))
        elif steps:
            rate = float(order.rates[steps - 1])
            numbers = (float(records.losses[steps - 1]), math.nan, math.nan, rate)
        seconds = max(time.perf_counter() - self.begun, 1e-9)
        rows = (steps - self.first_step) * order.counts.sum() / order.steps_per_epoch
        return self.make_status(epochs, order.epochs, *numbers, float(rows / seconds))

    def keep(self):
        """Leave the network, the history and what continues the run in the trainer."""
        trainer, order, records = self.trainer, self.order, self.records
        if self.loop.finished():
            # Ctrl-C may have come between the end of the work and the note of it.
            order.done = order.asked
        self.loop.store()
        epochs, steps = order.epochs_done(), order.steps_done()
        trainer._n_iter, trainer._best_epoch = epochs, self.position.best_epoch
        trainer._history = {"step_loss": records.losses[:steps].copy()}
        trainer._history |= dict(zip(EPOCH_FIELDS, self._epochs(0, epochs)))
        state = {**self.loop.state(), "rates": order.rates[:steps].copy()}
        for name in RECORDED:
            state[name] = getattr(records, name)[: epochs + 1].copy()
        trainer._progress = replace(self.position, done=order.done), state


#: Of the records, what a run goes on with besides the history: perhaps of half a validation set.
RECORDED = ("val_losses", "val_correct")


def measured_items(n, size):
    """Return a few steps, in order, for a measurement."""
    begins = np.arange(0, n - size + 1, size)
    steps = np.arange(len(begins))
    zeros = np.zeros_like(begins)
    return Items(
        kinds=zeros,
        begins=begins,
        counts=np.full(len(begins), size),
        steps=steps,
        epochs=zeros,
        keys=zeros,
        rates=np.full(len(begins), 1e-6),
        decays=np.ones(len(begins)),
        divisors=np.full(len(begins), float(size)),
        listed=None,
    )
