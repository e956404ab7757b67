"""One fit of a Trainer: its loop, and what happens at the end of an epoch."""

import math
import time
import warnings
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .. import schedules
from ..jobs import Job, Records, block_rows
from . import sources, zeros
from .driver import loop_of
from .epochs import EpochOrder
from .position import EPOCH_FIELDS, RECORDED, EpochStatus
from .run import Run

#: Rows of a block of the validation set.
VALIDATION_ROWS = 256


class Watch(NamedTuple):
    """What others do while a fit is under way."""

    keep: Any  #: called with the fit, brings the user's objects up to date
    save: Any = None  #: writes a checkpoint of what has been kept, or None
    save_seconds: float = 0.0  #: least time between two of them
    waits: bool = False  #: the end of each epoch matters to somebody


class Fit(Run):
    """One fit of a network, from wherever it stands.

    Parameters
    ----------
    network : Network
    hyperparameters : Hyperparameters
    train, val : Source
        Checked; `val` may be None.
    position : Position
    state : dict of ndarray or None
        What an earlier fit has left, see :meth:`state`, and its losses.
    watch : Watch
    """

    def __init__(self, network, hyperparameters, train, val, position, state, watch):
        self.network, self.hyperparameters, self.watch = network, hyperparameters, watch
        h, self._told_of_nan = hyperparameters, False
        self._fields = tuple(np.zeros(0) for _ in EPOCH_FIELDS)
        if h.early_stopping and val is None:
            train, val = sources.divide(h.validation_fraction, train, network.head, position.seed)
        if position.skip_zeros is None:
            position = replace(position, skip_zeros=self._skips_zeros(train))
        if position.skip_zeros:
            train, val = (zeros.without(source, network.scaling) for source in (train, val))
        #: Of the best constant prediction of a regression.
        self.null_loss = None if val is None else sources.null_loss(network.head, val)
        if h.early_stopping:
            sources.check_score(h.monitor, self.null_loss)
        size = min(h.batch_size, len(train))
        last = 0 if h.replacement else len(train) % size
        block_size = 0 if val is None else block_rows(len(val), VALIDATION_ROWS)
        sizes = (size, last) if last else (size,)
        loop = loop_of(self._job(network.layers, train, val, sizes, block_size))
        records = Records.growing(h.max_iter * -(-len(train) // size), h.max_iter)
        order = EpochOrder(
            *(h, train, val, size, block_size or 1, records),
            *(position.seed, position.done, position.factor),
        )
        adapts = isinstance(h.schedule, schedules.Adaptive)
        order.waits = watch.waits or h.early_stopping or adapts
        super().__init__(loop, order, records)
        here = {"steps_per_epoch": order.steps_per_epoch, "items_per_epoch": order.per_epoch}
        if state is not None:
            self._restore(position, state, here)
        self.position, self._saved = replace(position, **here), time.perf_counter()

    @property
    def ended(self):
        """Epochs whose end has been seen to."""
        return self.position.ended

    def _restore(self, position, state, here):
        if here != {name: getattr(position, name) for name in here}:
            raise ValueError(
                f"the training goes on with {here}, but it was begun with other batches or another "
                "validation set: resume the checkpoint again, and leave the trainer as it is"
            )
        # The compiled loop and its twin do not keep all the same.
        self.loop.restore({**self.loop.state(), **state})
        self.order.reserve(len(state["losses"]), len(state[RECORDED[0]]))
        self.order.rates[: len(state["rates"])] = state["rates"]
        for name in ("losses", *RECORDED):
            getattr(self.records, name)[: len(state[name])] = state[name]

    def _job(self, layers, train, val, batch_sizes, block_size, threads=None):
        return Job(
            self.network.architecture,
            layers,
            self.hyperparameters.settings(),
            train,
            val,
            batch_sizes=batch_sizes,
            block_size=block_size,
            scaling=self.network.scaling,
            threads=threads,
        )

    def _skips_zeros(self, train):
        """Tell whether to skip the zeros of dense data."""
        h, network = self.hyperparameters, self.network
        if not zeros.may_skip(train, network.scaling):
            return False
        if h.skip_zeros != "auto":
            return h.skip_zeros
        units, itemsize = network.layer_sizes[1], network.params.itemsize
        return zeros.mostly(train, units, h.max_iter, itemsize)

    # ---------------------------------------------------------------------------- the epochs

    def turns(self):
        """Train; yield some ten times a second, and at the end of each epoch that matters."""
        if self.ended < self.order.epochs_done():
            # Whatever cut the last call came before it had seen to the end of this epoch.
            yield
        if not self.position.stopped:
            yield from super().turns()

    def end_epoch(self, callback):
        """Do what an epoch's losses call for: adapt the learning rate, keep the best, stop."""
        epochs = self.order.epochs_done()
        if not self.order.waits:
            self.position = replace(self.position, ended=epochs)
            return False
        loss, val_loss, score, _ = (values[0] for values in self.epochs(epochs - 1, epochs))
        new = {"ended": epochs}
        if isinstance(self.hyperparameters.schedule, schedules.Adaptive):
            new |= self._adapted(float(loss if math.isnan(val_loss) else val_loss))
        if self.hyperparameters.early_stopping:
            new |= self._monitored(epochs, float(val_loss), float(score))
        self.position = replace(self.position, **new)
        self.order.factor = self.position.factor
        if self.ask(callback):
            self.position = replace(self.position, stopped=True)
        watch = self.watch
        if watch.save is not None and time.perf_counter() >= self._saved + watch.save_seconds:
            self.keep()
            watch.save()
            self._saved = time.perf_counter()
        return self.position.stopped

    def _monitored(self, epoch, val_loss, score):
        """Return what becomes of early stopping's part of the position."""
        h, position = self.hyperparameters, self.position
        value = val_loss if h.monitor == "loss" else -score
        if math.isnan(value) and not self._told_of_nan:
            warn_of_monitor(h.monitor, epoch)
            self._told_of_nan = True
        improved = value < position.best - h.tol
        new = {"epochs_without_improvement": 0}
        if not improved:
            new["epochs_without_improvement"] = position.epochs_without_improvement + 1
        if value < position.best:
            self.loop.store()
            new |= {"best": value, "best_epoch": epoch}
            new["best_params"] = self.network.params.copy()
        if new["epochs_without_improvement"] >= h.n_iter_no_change:
            new["stopped"] = True
        return new

    def _adapted(self, loss):
        """Return what becomes of the adaptive schedule's part of the position."""
        schedule, position = self.hyperparameters.schedule, self.position
        improved = loss < position.lowest - schedule.tol
        new = {"epochs_at_rate": 0 if improved else position.epochs_at_rate + 1}
        new["lowest"] = position.lowest if math.isnan(loss) else min(position.lowest, loss)
        if new["epochs_at_rate"] >= schedule.n_iter_no_change:
            factor = position.factor / schedule.divisor
            rate = self.hyperparameters.optimizer.learning_rate_init * factor
            # Where it ends, the rate stays what the last epoch was trained at.
            new |= {"stopped": True} if rate < schedule.lowest else {"factor": factor}
            new["epochs_at_rate"] = 0
        return new

    # ------------------------------------------------------------------------------ its record

    def epochs(self, first, stop):
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
                if self.null_loss is not None:
                    scores = 1 - val_losses / self.null_loss
        rates = order.rates[steps].reshape(shape)[:, -1]
        return losses / order.counts.sum(), means, scores, rates.copy()

    def history(self):
        """Return the history of steps and epochs so far.

        A callback has it made anew at each epoch: what is known already is neither worked out again
        nor copied.
        """
        known, done = len(self._fields[0]), self.order.epochs_done()
        if known < done:
            new = self.epochs(known, done)
            self._fields = tuple(map(np.append, self._fields, new))
        history = {"step_loss": self.records.losses[: self.order.steps_done()]}
        return history | dict(zip(EPOCH_FIELDS, self._fields))

    def state(self):
        """Return what continues this fit elsewhere, besides its position and the history."""
        state = {**self.loop.state(), "rates": self.order.rates[: self.order.steps_done()]}
        for name in RECORDED:
            state[name] = getattr(self.records, name)[: self.order.epochs_done() + 1].copy()
        return state

    def is_over(self):
        """Tell whether the fit has come to its end."""
        order = self.order
        done = order.done >= order.total and self.position.ended == order.epochs
        return done or self.position.stopped

    def status(self):
        """Return where the fit stands."""
        order, records = self.order, self.records
        epochs, steps = order.epochs_done(), order.steps_done()
        numbers = (math.nan,) * 4
        if epochs:
            numbers = (float(values[0]) for values in self.epochs(epochs - 1, epochs))
        elif steps:
            rate = float(order.rates[steps - 1])
            numbers = (float(records.losses[steps - 1]), math.nan, math.nan, rate)
        pace = self.samples_per_second(order.counts.sum() / order.steps_per_epoch)
        return EpochStatus(epochs, order.epochs, *numbers, pace)

    def keep(self):
        """Leave the network, the history and what continues the fit to the trainer."""
        if self.loop.finished():
            # Ctrl-C may have come between the end of the work and the note of it.
            self.order.done = self.order.asked
        self.loop.store()
        self.position = replace(self.position, done=self.order.done)
        self.watch.keep(self)


def warn_of_monitor(name, epoch):
    """Warn that what early stopping watches is no number."""
    warnings.warn(
        f"the validation {name}, which early stopping watches, is NaN at epoch {epoch}, and counts "
        "as no improvement: look at the scale of X_val and y_val",
        RuntimeWarning,
        stacklevel=6,
    )
