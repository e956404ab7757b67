"""Is a tape right? It is data, and is looked through here without being run.

For each phase: whatever an operation reads or writes lies in one buffer, and nothing that a thread
writes is written or read by another one, which is at work at the same time. For each step: every
row of the batch is looked up, and turned into a loss, once; every gradient is followed once for
each weight; every transpose is written anew where its weights have moved. Of a large network that
takes longer than a step: it is meant for tests.
"""

import itertools
from collections import defaultdict

import numpy as np

from ..rules import RULES
from ..transpose import CopyRows, Transpose
from . import operations as op
from .accesses import Accesses


class TapeError(ValueError):
    """A tape that is wrong: the message says where."""


def verify(tape):
    """Look through a tape.

    Parameters
    ----------
    tape : Tape

    Raises
    ------
    TapeError
        At the first operation, weight or row that is not as it should be.
    """
    for phase in range(len(tape.arrays.reports)):
        _Phase(tape, phase).check()
    for n, phases in zip(tape.task.batch_sizes, tape.steps):
        # What comes before the second look-up, the step before may have done.
        _Step(tape, n, phases[tape.before :]).check()
    if tape.step_ahead:
        _Step(tape, 1, tape.step_ahead[tape.before :]).check()


def _places(block, start, size):
    """Return the numbers of the elements of a block, counted from an address on."""
    rows = block.start - start + np.arange(block.rows) * block.stride
    return (rows[:, None] // size + np.arange(block.length // size)).ravel()


class _Phase:
    """The memory of a run, and which thread has written to what of it during one phase."""

    def __init__(self, tape, number):
        self.tape, self.number, self.accesses = tape, number, Accesses(tape)
        buffers = tape.buffers
        parts = {f"copy {i} of the parameters": copy for i, copy in enumerate(buffers.copies)}
        parts["the transposes"] = buffers.transposed
        parts["the activations"] = buffers.activations
        parts["the sums of groups"] = buffers.sums_of_groups
        parts["the gathered columns"] = tape.gathered
        parts |= {f"the mask of layer {i}": mask.ravel() for i, mask in enumerate(buffers.masks)}
        parts["the scaled inputs"] = tape.inputs.ravel()
        parts["the table of rows"] = tape.tables[0].view(buffers.dtype)
        parts["what is turned"] = tape.marking.turned
        parts["the gradients of pairs"] = tape.marking.pairs.ravel()
        parts["the marks of units"] = tape.marking.marks.ravel().view(buffers.dtype)
        parts["the marks of rows"] = tape.marking.row_marks.ravel().view(buffers.dtype)
        self.regions = [
            (name, part.ctypes.data, part.nbytes, np.full(part.size, -1))
            for name, part in parts.items()
        ]
        self.squares = np.full(len(buffers.squares), -1)

    def check(self):
        """Check the bounds, and that threads do not meet in memory."""
        reads = []
        for thread in range(self.tape.task.threads):
            for operation in self.tape.operations(thread, self.number):
                who = thread, operation
                try:
                    read, written = self.accesses.of(operation)
                except ValueError as error:
                    self._fail(who, str(error))
                reads += [(who, *self._find(who, block)) for block in read]
                for block in written:
                    if block.rows > 1 and block.stride < block.length:
                        self._fail(who, f"writes rows of {block} over each other")
                    name, owners, places = self._find(who, block)
                    self._compare(who, owners[places], f"writes of {name}")
                    owners[places] = thread
                squares = self.accesses.squares(operation)
                if squares and squares.stop > len(self.squares):
                    self._fail(who, f"has no sum of squares {squares.stop - 1}")
                self._compare(who, self.squares[squares.start : squares.stop], "writes of squares")
                self.squares[squares.start : squares.stop] = thread
        for who, name, owners, places in reads:
            self._compare(who, owners[places], f"reads of {name}")

    def _find(self, who, block):
        """Return the region in which a block lies: name, owners of its elements, the block's."""
        stop = block.start + max(block.rows - 1, 0) * block.stride + block.length
        for name, start, length, owners in self.regions:
            if start <= block.start < start + length:
                if stop > start + length:
                    self._fail(who, f"goes {stop - start - length} bytes beyond {name}")
                return name, owners, _places(block, start, self.tape.buffers.size)
        return self._fail(who, f"reaches for {block}, which is in no buffer")

    def _compare(self, who, owners, what):
        if ((owners >= 0) & (owners != who[0])).any():
            self._fail(who, f"{what} what another thread writes in this phase")

    def _fail(self, who, problem):
        raise TapeError(f"phase {self.number}, thread {who[0]}: {who[1]} {problem}")


class _Step:
    """What becomes of each row and each weight in the phases of one step."""

    def __init__(self, tape, n, phases):
        self.tape, self.n, self.accesses = tape, n, Accesses(tape)
        buffers, task = tape.buffers, tape.task
        self.looked_up, self.lost = (np.zeros(task.capacity, int) for _ in range(2))
        #: By what becomes of the gradient: how often that of each parameter is followed.
        self.followed: dict = defaultdict(lambda: np.zeros(buffers.params.size, int))
        self.transposed = np.zeros(buffers.transposed.size, int)
        for phase, thread in itertools.product(phases, range(task.threads)):
            for operation in tape.operations(thread, phase):
                self._note(operation)

    def _note(self, operation):
        buffers = self.tape.buffers
        if isinstance(operation, (op.Gather, op.GatherCSR, op.GatherBytes)):
            self.looked_up[operation.first : operation.stop] += 1
        elif isinstance(operation, op.Loss):
            self.lost[operation.first : operation.stop] += 1
        elif isinstance(operation, (Transpose, CopyRows)):
            start = buffers.transposed.ctypes.data
            for block in self.accesses.of(operation)[1]:
                # Not the turned gradients.
                if start <= block.start < start + buffers.transposed.nbytes:
                    self.transposed[_places(block, start, buffers.size)] += 1
        elif hasattr(operation, "rule"):
            moves = operation.rule < len(RULES)
            fate = "moved" if moves else f"kept {operation.memory_1} bytes behind"
            for block in self.accesses.weights(operation):
                places = _places(block, buffers.params.ctypes.data, buffers.size)
                self.followed[fate][places] += 1

    def check(self):
        """Check that nothing is left out, and nothing done twice."""
        task, buffers = self.tape.task, self.tape.buffers
        for counts, what in ((self.looked_up, "looked up"), (self.lost, "turned into a loss")):
            if (counts[: self.n] != 1).any() or counts[self.n :].any():
                raise TapeError(f"not each of {self.n} rows is {what} once: {counts}")
        stored = task.shards if task.by_shards else int(task.half(self.n) > 0)
        distances = [buffers.behind(buffers.first_shard + i) for i in range(stored)]
        distances += [buffers.behind(buffers.kept)] * task.keeps
        fates = {f"kept {distance} bytes behind" for distance in distances}
        moves = task.rule < len(RULES)
        if set(self.followed) != fates | ({"moved"} if moves else set()):
            raise TapeError(f"gradients are {', '.join(sorted(self.followed))}")
        real = np.zeros(buffers.params.size, bool)
        for depth, layer in enumerate(buffers.layers):
            for part, columns in buffers.pieces(real, depth):
                part[:, : columns.stop - columns.start] = True
            real[layer.biases : layer.biases + layer.fan_out] = True
        for fate, counts in self.followed.items():
            if counts.max() > 1:
                raise TapeError(f"parameter {counts.argmax()} is {fate} {counts.max()} times")
            if not counts[real].all():
                raise TapeError(f"{np.count_nonzero(counts[real] == 0)} parameters are not {fate}")
        if moves:
            self._check_transposes()

    def _check_transposes(self):
        wanted = np.zeros(self.transposed.size, int)
        for depth in range(1, len(self.tape.buffers.layers)):
            for part, columns in self.tape.buffers.transposed_pieces(wanted, depth):
                part[:, : columns.stop - columns.start] = 1
        wrong = np.flatnonzero(self.transposed != wanted)
        if len(wrong):
            raise TapeError(f"element {wrong[0]} of the transposes is not written as it should be")
