"""What drives a loop: chunks of work, with a look for Ctrl-C between them."""

import time

from .. import reference
from ..jit import jit_disabled
from ..jobs import BLOCK

#: Python looks at the loop this often, in seconds: for Ctrl-C, progress and callbacks.
INTERVAL = 0.1
#: Flops a second that one thread does at least: the first chunk of work, before any measurement,
#: is no more than takes an INTERVAL. The slowest of the vectors and of the libraries is meant.
SLOWEST = 2e9


def loop_of(job):
    """Return a CompiledLoop, or its twin where compilation is switched off."""
    if jit_disabled():
        return reference.TrainingLoop(job)
    from .loop import CompiledLoop  # with numba, which nobody waits for before there is work

    return CompiledLoop.of(job)


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
    pace = loop.pace
    if pace is None:
        pace = min(INTERVAL * loop.threads * SLOWEST / max(loop.flops, 1), 8)
    chunk = int(max(1, min(pace, order.longest)))
    while order.done < order.total:
        done = order.done
        stop = min(done + chunk, order.boundary(done), order.total)
        # Not in `run`: Ctrl-C may come before its first line.
        loop.begin()
        items = order.items(done, stop)
        begun = time.perf_counter()
        try:
            if pace < 1 and items.kinds[0] < BLOCK:
                loop.run_in_halves(items, records)
            else:
                loop.run(items, records)
        finally:
            # Ctrl-C is felt as soon as the compiled side is back, its work done.
            if loop.finished():
                order.done = stop
        elapsed = time.perf_counter() - begun
        pace = loop.pace = (stop - done) * INTERVAL / max(elapsed, 1e-6)
        loop.note(items, elapsed)
        chunk = int(max(1, min(pace * loop.share, 4 * (stop - done) + 1, order.longest)))
        # Chunks of equal lengths have much in common that need not be worked out again.
        chunk = 1 << (chunk.bit_length() - 1)
        yield
