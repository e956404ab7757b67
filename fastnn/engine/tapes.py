"""Tapes that wait for their next run: to plan one takes longer than many a short run does."""

import threading
from collections import OrderedDict

from ..kernels.loop.tape import Tape
from .crew import Crew

#: Bytes of all tapes that wait, and of the largest that may.
MOST_BYTES, LARGEST = 1 << 26, 1 << 24


class Shelf:
    """Tapes by their tasks, the latest ones; any thread may take one and put it back.

    A task's threads are the most that it may take. The tape is for as many as its crew works with,
    which waits beside it.
    """

    def __init__(self):
        # One that its owner may take again: where garbage is collected, a tape may be put back.
        self._lock, self._waiting, self._bytes = threading.RLock(), OrderedDict(), 0

    def take(self, task, at_first=None):
        """Return a tape for a task, its buffers as new, and its crew; nobody else has them.

        Where none waits, `at_first` is what a new crew is told.
        """
        with self._lock:
            tapes = self._waiting.get(task)
            tape, crew = tapes.pop() if tapes else (None, None)
            if tapes is not None and not tapes:
                del self._waiting[task]
            size = 0 if tape is None else size_of(tape)
            self._bytes -= size
        if tape is None:
            crew = Crew(task.threads, at_first)
            return Tape(task._replace(threads=crew.threads)), crew
        clear(tape)
        return tape, crew

    def put(self, task, tape, crew):
        """Keep what nobody uses any more; the oldest tapes make room for it."""
        size = size_of(tape)
        if size > LARGEST:
            return
        with self._lock:
            self._waiting.setdefault(task, []).append((tape, crew))
            self._waiting.move_to_end(task)
            self._bytes += size
            while self._bytes > MOST_BYTES:
                oldest, tapes = next(iter(self._waiting.items()))
                size = size_of(tapes.pop(0)[0])
                self._bytes -= size
                if not tapes:
                    self._waiting.pop(oldest, None)


SHELF = Shelf()


def size_of(tape):
    """Return about how many bytes a tape holds."""
    return sum(array.nbytes for array in (*tape.arrays, tape.buffers.copies))


def clear(tape):
    """Leave the buffers of a tape as they were when it was made; what was planned stays."""
    arrays, buffers = tape.arrays, tape.buffers
    for array in (buffers.copies, buffers.transposed, buffers.squares, arrays.activations):
        array[...] = 0
    arrays.weights[:] = 1
    arrays.barrier[:] = 0
