"""Tapes that wait for their next run: to plan one takes longer than many a short run does."""

import threading
from collections import OrderedDict

from ..kernels.loop.tape import Tape
from .crew import Crew

#: Bytes of all tapes that wait, and of the largest that may.
MOST_BYTES, LARGEST = 1 << 26, 1 << 24


class Shelf:
    """What waits for its next use, by its kind, the latest; any thread may take it and put it back.

    Tapes wait by their tasks, each with its crew: a task's threads are the most that it may take,
    the tape is for as many as its crew works with. Loops that evaluate wait by what they are for.

    Ctrl-C may come in the midst of it, behind any call: a list is then left empty, and its bytes
    are counted until nothing waits any more.
    """

    def __init__(self):
        # One that its owner may take again: where garbage is collected, a tape may be put back.
        self._lock, self._waiting, self._bytes = threading.RLock(), OrderedDict(), 0

    def take(self, kind):
        """Return the latest of a kind, which nobody else has from now on; None if none waits."""
        with self._lock:
            waiting = self._waiting.get(kind)
            if not waiting:
                return None
            thing, size = waiting.pop()
            self._bytes -= size
            if not waiting:
                del self._waiting[kind]
        return thing

    def put(self, kind, thing, size):
        """Keep what nobody uses any more, of some bytes; the oldest makes room for it."""
        if size > LARGEST:
            return
        with self._lock:
            self._waiting.setdefault(kind, []).append((thing, size))
            self._waiting.move_to_end(kind)
            self._bytes += size
            while self._bytes > MOST_BYTES and self._waiting:
                oldest, waiting = next(iter(self._waiting.items()))
                if waiting:
                    self._bytes -= waiting.pop(0)[1]
                if not waiting:
                    self._waiting.pop(oldest, None)
            if not self._waiting:
                self._bytes = 0


SHELF = Shelf()


def tape_of(shelf, task, at_first=None):
    """Return a tape for a task, its buffers as new, and its crew; nobody else has them.

    Where none waits, `at_first` is what a new crew is told.
    """
    waiting = shelf.take(task)
    if waiting is None:
        crew = Crew(task.threads, at_first)
        return Tape(task._replace(threads=crew.threads)), crew
    clear(waiting[0])
    return waiting


def clear(tape):
    """Leave the buffers of a tape as they were when it was made; what was planned stays."""
    arrays, buffers = tape.arrays, tape.buffers
    for array in (buffers.copies, buffers.transposed, buffers.squares, arrays.activations):
        array[...] = 0
    arrays.weights[:] = 1
    arrays.barrier[:] = 0
