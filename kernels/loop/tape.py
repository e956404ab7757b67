"""The tape of a run: every operation of every thread, phase by phase, with addresses and sizes.

It is worked out here, once, in Python. Depth and sizes are therefore run-time values, one
compilation for each dtype serves every network, and the compiled side is a single loop over rows of
a table. Each thread has its own operations: who owns which rows is decided here too, by nothing but
the sizes and the thread's number.
"""

import itertools
from typing import NamedTuple

import numpy as np

from ..layout import empty_aligned, row_stride
from ..llvm.processor import CACHE_LINE
from ..softmax_rows import ROWS_PER_LOG
from . import operations as op
from .blocking import gathered_bytes
from .buffers import Buffers
from .foresight import looks_ahead
from .marking import Marking
from .ownership import owned_panels
from .propagation import Propagation, prefetching
from .state import EVALUATED, NOTHING, STEPPED, VALIDATED, Arrays
from .task import BYTES, share
from .updates import Updates


class Phase(NamedTuple):
    """What threads do between two meetings."""

    report: int  #: what is known after it: NOTHING, STEPPED, EVALUATED or VALIDATED
    operations: list  #: of each thread, a list


class Tape:
    """The buffers and the operations of a run.

    Parameters
    ----------
    task : Task
    buffers : Buffers, optional
        Those of the same task with another number of threads, to go on with.

    Attributes
    ----------
    arrays : Arrays
        The operations, encoded, and all other arrays that the compiled loop needs.
    steps : list of range
        The phases of a step, for each of the batch sizes.
    evaluated_step, step_ahead, block : range
        The phases of a step and the evaluation of its batch, of a step that looks ahead, and of the
        evaluation of other rows; empty where the task has none.
    """

    def __init__(self, task, buffers=None):
        self.task = task
        self.buffers = buffers = Buffers(task) if buffers is None else buffers
        count, size, capacity = len(buffers.layers), buffers.size, task.capacity
        #: Addresses of the rows of each layer's input, of its output's gradient, and of the columns
        #: that each thread gathers; then the distances of lines that follow each other.
        self.tables = np.zeros((2 * count + task.threads + 1, capacity), np.int64)
        #: Some columns of the rows of a layer's input, for each thread; their addresses follow. An
        #: odd number of lines apart, so that rows don't meet in few sets of a cache.
        stride = gathered_bytes(max((*task.batch_sizes, 1))) + CACHE_LINE
        self.gathered = empty_aligned(task.threads * capacity * stride // size, task.dtype)
        threads = np.arange(task.threads * capacity).reshape(task.threads, capacity)
        self.tables[2 * count : -1] = self.gathered.ctypes.data + threads * stride
        self.tables[-1] = np.arange(capacity) * CACHE_LINE
        width = row_stride(task.layer_sizes[0], size) if task.input_kind == BYTES else 0
        #: Rows of bytes, scaled.
        self.inputs = empty_aligned(capacity * width, task.dtype).reshape(capacity, width)
        self.input_scale = empty_aligned(2 * width, task.dtype).reshape(2, width)
        rows = np.arange(capacity)
        if width:
            self.tables[0] = self.inputs.ctypes.data + rows * width * size
        for depth, layer in enumerate(buffers.layers):
            places = rows * layer.stride * size
            if depth + 1 < count:
                self.tables[depth + 1] = buffers.activation(layer.output) + places
            self.tables[count + depth] = buffers.activation(layer.gradient) + places
        self.marking = Marking(task, buffers)
        first = buffers.layers[0]
        #: Panels of the first layer that each thread has for itself.
        self.owned = owned_panels(task, first, self.marking.meets_zeros(0))
        planned = task, buffers, self.tables, self.marking, self.owned
        self.propagation = Propagation(*planned)
        self.updates = Updates(*planned, stride, self.propagation.csr_block)

        #: The phases of a step before any weights change.
        self.half = 3 if self.owned else 1
        #: Those that a step leaves out where the one before has looked ahead to it.
        self.before = int(looks_ahead(task))
        self.half += self.before
        phases, self.steps = [], []
        self.evaluated_step, self.block, self.step_ahead = (range(0),) * 3
        for n in task.batch_sizes:
            first = len(phases)
            phases += self._step(n)
            self.steps.append(range(first, len(phases)))
            if task.evaluate_batch and n == task.batch_sizes[0]:
                phases.append(self._evaluation(n))
                self.evaluated_step = range(first, len(phases))
        if self.before:
            self.step_ahead = range(len(phases), len(phases) + 3)
            phases += self._step(1, ahead=True)
        if task.block_size:
            self.block = range(len(phases), len(phases) + 1)
            phases.append(self._block(task.block_size))
        self.arrays = self._arrays(phases)
        #: About how many bytes it takes.
        self.size = sum(array.nbytes for array in (*self.arrays, buffers.copies))

    # ------------------------------------------------------------------------------- the phases

    def _shared(self, n, plan):
        """Return ``plan(first, stop)`` for each thread's share of n rows."""
        threads = self.task.threads
        shares = (share(n, ROWS_PER_LOG, thread, threads) for thread in range(threads))
        return [plan(first, stop) for first, stop in shares]

    def _step(self, n, ahead=False):
        """Return the phases of a step on n rows: there and back, then the update.

        It may look ahead to the next step's rows.
        """
        task, updates, threads = self.task, self.updates, range(self.task.threads)
        phases, passes = [], self.propagation
        if task.by_shards:
            there = [self._shards(thread, n) for thread in threads]
        elif self.owned:
            phases.append(Phase(NOTHING, self._shared(n, passes.look_up)))
            columns = [passes.multiply_columns(thread, n) for thread in threads]
            phases.append(Phase(NOTHING, columns))
            there = self._shared(n, passes.there_and_back_from_columns)
        elif self.before:
            phases.append(Phase(NOTHING, [passes.multiply_panels(n)]))
            there = [passes.there_and_back_from_panels(n)]
        else:
            there = self._shared(n, passes.there_and_back)
        phases.append(Phase(STEPPED, there))
        if not task.keeps:
            steps = [updates.step(thread, n, ahead) for thread in threads]
            return [*phases, Phase(NOTHING, steps)]
        phases.append(Phase(NOTHING, [updates.keep(thread, n) for thread in threads]))
        if task.clip:
            units = self.buffers.units
            clip = op.Clip(units, 2 * units + self.buffers.bias_units)
            steps = [[clip, *updates.step_along_kept(thread, n)] for thread in threads]
            phases.append(Phase(NOTHING, steps))
        return phases

    def _shards(self, thread, n):
        """Return a thread's share of the shards of n rows, from the rows to the gradients."""
        shards, operations = self.task.shards, []
        for shard in range(*share(shards, 1, thread, self.task.threads)):
            first, stop = share(n, ROWS_PER_LOG, shard, shards)
            operations += self.propagation.there_and_back(first, stop)
            operations += self.updates.store_shard(thread, shard, first, stop)
        return operations

    def _evaluation(self, n):
        """Return the phase that counts right answers on the batch of a step."""
        passes = self.propagation

        def plan(first, stop):
            return [*passes.forward(first, stop), passes.count_correct(first, stop)]

        return Phase(EVALUATED, self._shared(n, plan))

    def _block(self, n):
        """Return the phase that evaluates, or predicts, n rows."""
        task, passes = self.task, self.propagation

        def plan(first, stop):
            operations = [passes.gather(first, stop), *passes.forward(first, stop)]
            if task.output_head >= 0:
                return [*operations, passes.predict(first, stop)]
            operations.append(passes.count_correct(first, stop))
            if task.evaluate_loss:
                weighting = op.WEIGHTED if task.weighted_block else op.PLAIN
                operations.append(passes.loss(first, stop, weighting))
            return operations

        return Phase(VALIDATED if task.output_head < 0 else NOTHING, self._shared(n, plan))

    # ---------------------------------------------------------------------------- for the loop

    def operations(self, thread, phase):
        """Return the operations of a thread in a phase, decoded."""
        first, stop = self.arrays.phases[thread, phase : phase + 2]
        return [op.decode(row) for row in self.arrays.operations[thread, first:stop]]

    def _arrays(self, phases):
        """Lay the operations in a table, and gather all arrays that the compiled loop needs."""
        task, buffers, threads = self.task, self.buffers, self.task.threads
        lists = [
            [prefetching(phase.operations[thread]) for phase in phases] for thread in range(threads)
        ]
        longest = max((sum(map(len, each)) for each in lists), default=0)
        operations = np.zeros((threads, longest, op.ROW), np.int64)
        places = np.zeros((threads, len(phases) + 1), np.int64)
        for thread, each in enumerate(lists):
            places[thread, 1:] = np.cumsum([len(phase) for phase in each])
            for row, operation in enumerate(itertools.chain(*each)):
                encoded = op.encode(operation)
                operations[thread, row, : len(encoded)] = encoded
        capacity, tile = task.capacity, self.updates.tile
        blocks, non_zeros = -(-capacity // ROWS_PER_LOG), capacity if task.sparse else 0
        return Arrays(
            params=buffers.params,
            activations=buffers.activations,
            input_scale=self.input_scale,
            tables=self.tables,
            labels=np.zeros(capacity, np.int64),
            weights=np.ones(capacity, task.dtype),
            spans=np.zeros((2, non_zeros), np.int64),
            cursors=np.zeros((threads, non_zeros), np.int64),
            tiles=empty_aligned(threads * tile, task.dtype).reshape(threads, tile),
            squares=buffers.squares,
            losses=np.zeros((2, blocks)),
            correct=np.zeros((2, blocks)),
            best=buffers.copies[buffers.best :].ravel(),
            barrier=empty_aligned(16, np.float64).view(np.int64),
            operations=operations,
            phases=places,
            reports=np.array([phase.report for phase in phases], np.int64),
        )
