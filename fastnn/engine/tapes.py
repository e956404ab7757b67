"""Tapes that wait for their next run: to plan one takes longer than many a short run does."""

import threading
from collections import OrderedDict

#: Bytes of all tapes that wait, and of the largest that may.
MOST_BYTES, LARGEST = 1 << 26, 1 << 24


class Shelf:
    """Tapes by their tasks, the latest ones; any thread may take one and put it back."""

    def __init__(self):
        self._lock, self._waiting, self._bytes = threading.Lock(), OrderedDict(), 0

    def take(self, task):
        """Return a tape for a task, its buffers as new; nobody else has it."""
        from ..kernels.loop.tape import Tape

        with self._lock:
            tapes = self._waiting.get(task)
            tape = tapes.pop() if tapes else None
            if tapes is not None and not tapes:
                del self._waiting[task]
            self._bytes -= 0 if tape is None else size_of(tape)
        if tape is None:
            return Tape(task)
        clear(tape)
        return tape

    def put(self, tape):
        """Keep a tape that nobody uses any more; the oldest ones make room for it."""
        size = size_of(tape)
        if size > LARGEST:
            return
        with self._lock:
            self._waiting.setdefault(tape.task, []).append(tape)
            self._waiting.move_to_end(tape.task)
            self._bytes += size
            while self._bytes > MOST_BYTES:
                oldest = next(iter(self._waiting))
                self._bytes -= size_of(self._waiting[oldest].pop(0))
                if not self._waiting[oldest]:
                    del self._waiting[oldest]


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
