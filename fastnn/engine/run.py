"""A run: work in some order, watched while it is done, and kept whatever ends it."""

import time
import warnings

import numpy as np

from ..checks.arguments import asks_to_stop
from .driver import drive


class Run:
    """Work in some order, its records, and what happens on the way.

    A subclass says what its state is (:meth:`status`), how it is left to the user (:meth:`keep`),
    and perhaps what else an epoch ends with.

    Parameters
    ----------
    loop : CompiledLoop or TrainingLoop
    order : object
        What :func:`.driver.drive` takes; with ``steps_done()`` and ``epochs_done()``, and the
        learning rate of each step in ``rates``.
    records : Records
    """

    ended = 0  #: epochs whose end has been seen to

    def __init__(self, loop, order, records):
        self.loop, self.order, self.records = loop, order, records

    def do(self, reporter, callback):
        """Do all work, with a look at progress and callback on the way; the loop is left then.

        Parameters
        ----------
        reporter : Reporter
        callback : callable or None
            Gets the status at the end of an epoch; a true answer ends the run.
        """
        order = self.order
        self.begun, self.first_step = time.perf_counter(), order.steps_done()
        steps, warned = self.first_step, False
        try:
            with reporter:
                for _ in self.turns():
                    first, steps = steps, order.steps_done()
                    self.after_steps(first, steps)
                    warned = warned or warn_of_divergence(
                        self.records.losses, order.rates, first, steps, stacklevel=3
                    )
                    if reporter.shows:
                        reporter.update(self.status())
                    if order.epochs_done() > self.ended and self.end_epoch(callback):
                        break
        finally:
            certainly(self.keep)
        self.loop.release()

    def turns(self):
        """Do the work; yield some ten times a second, and where the order wants it."""
        yield from drive(self.loop, self.order, self.records)

    def after_steps(self, first, stop):
        """Do what is to be done after each step, for those that have been done."""

    def end_epoch(self, callback):
        """Do what is to be done at the end of an epoch; return whether to end the run."""
        self.ended = self.order.epochs_done()
        return self.ask(callback)

    def ask(self, callback):
        """Ask the callback whether to end the run; the user's objects are up to date by then."""
        if callback is None:
            return False
        self.keep()
        return asks_to_stop(callback(self.status()))

    def samples_per_second(self, rows_per_step):
        """Return the pace since the work was begun."""
        seconds = max(time.perf_counter() - self.begun, 1e-9)
        return float((self.order.steps_done() - self.first_step) * rows_per_step / seconds)

    def status(self):
        """Return where the run stands, for users."""
        raise NotImplementedError

    def keep(self):
        """Leave parameters and records to the user."""
        raise NotImplementedError


def certainly(keep, *arguments):
    """Call what leaves the user what was learnt, and return what it returns.

    Where Ctrl-C comes into the midst of that, it is done anew before the exception goes on: nobody
    else would do it.
    """
    try:
        return keep(*arguments)
    except KeyboardInterrupt:
        keep(*arguments)
        raise


def warn_of_divergence(losses, rates, first, stop, stacklevel):
    """Warn of the first loss that is not finite among steps first..stop; return whether."""
    bad = np.flatnonzero(~np.isfinite(losses[first:stop]))
    if len(bad) == 0:
        return False
    step = first + bad[0]
    warnings.warn(
        f"the loss is {losses[step]} at step {step}, where the learning rate is "
        f"{rates[step]:.3g}: the training has diverged; try a smaller learning "
        "rate, or scale the features",
        RuntimeWarning,
        stacklevel=1 + stacklevel,
    )
    return True
