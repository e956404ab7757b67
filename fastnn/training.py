"""What drives the compiled loop: chunks of work, and Ctrl-C between them."""

import time
import warnings

import numpy as np

from . import reference
from .engine import BLOCK, CompiledLoop, jit_disabled

#: Python looks at the loop this often, in seconds: for Ctrl-C, progress and callbacks.
INTERVAL = 0.1
#: Flops a second that one thread does at least: the first chunk of work, before any measurement,
#: is no more than takes so long. The slowest of the vectors and of the libraries is meant.
SLOWEST = 2e9
#: Most bytes of row indices drawn ahead.
INDEX_BYTES = 1 << 26


def loop_of(*arguments, **options):
    """Make a CompiledLoop, or its twin where compilation is switched off."""
    if jit_disabled():
        return reference.TrainingLoop(*arguments, **options)
    return CompiledLoop(*arguments, **options)


def drive(loop, order, records):
    """Do all items of an order from `order.done` on; yield some ten times a second.

    Python is back after a step at the latest and, where one takes longer than a tenth of a second,
    in the midst of it.

    Parameters
    ----------
    loop : CompiledLoop
    order : object
        ``total`` items; ``items(first, stop)`` makes some of them, ``longest`` at most;
        ``boundary(done)`` is the item behind which Python wants to look next. ``done`` is kept
        up to date, also when Ctrl-C ends it all.
    records : Records
    """
    pace = INTERVAL * loop.threads * SLOWEST / max(loop.flops, 1)
    chunk = max(1, min(int(pace), 8))
    while order.done < order.total:
        done = order.done
        stop = min(done + chunk, order.boundary(done), order.total)
        # Not in `run`: Ctrl-C may come before its first line.
        loop.begin()
        items = order.items(done, stop)
        begun = time.perf_counter()
        try:
            if pace < 1 and items.kinds[0] != BLOCK:
                loop.run_in_halves(items, records)
            else:
                loop.run(items, records)
        finally:
            # Ctrl-C is felt as soon as the compiled side is back, its work done.
            if loop.finished():
                order.done = stop
        elapsed = time.perf_counter() - begun
        pace = (stop - done) * INTERVAL / max(elapsed, 1e-6)
        chunk = int(max(1, min(pace, 4 * (stop - done) + 1, order.longest)))
        # Chunks of equal lengths have much in common that need not be worked out again.
        chunk = 1 << (chunk.bit_length() - 1)
        yield


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
        stacklevel=stacklevel,
    )
    return True


def warn_of_monitor(name, epoch):
    """Warn that what early stopping watches is no number."""
    warnings.warn(
        f"the validation {name}, which early stopping watches, is NaN at epoch {epoch}, and counts "
        "as no improvement: look at the scale of X_val and y_val",
        RuntimeWarning,
        stacklevel=5,
    )
