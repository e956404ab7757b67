"""The program of a network: every operation of every thread, with its addresses and sizes.

It is worked out here, once, in Python. Depth and sizes are therefore run-time values, one
compilation for each dtype serves every network, and the compiled side is a single loop over rows of
a table. Each thread has its own program: who owns which rows is decided here too, by nothing but
the sizes and the thread's number.
"""

import itertools
from typing import NamedTuple

import numpy as np

from . import operations as op
from .descent import Descent
from .heads import SOFTMAX
from .layout import empty_aligned, row_stride
from .memory import Memory
from .passes import Passes
from .softmax import ROWS_PER_LOG
from .work import parts_of, remembered_by, share


class Buffers(NamedTuple):
    """All memory of a run but the data and the lists of rows."""

    params: np.ndarray  #: all weights, packed, and biases, padded, in one flat buffer
    transposed: np.ndarray  #: zeros for the widest row, then the transposes of layers 1, 2, ...
    activations: np.ndarray  #: outputs, gradients and derivatives of every layer
    input_scale: np.ndarray  #: (2, elements): factor and summand of each input, else empty
    tables: np.ndarray  #: int64 (2 n_layers, capacity): addresses of input rows, of gradients
    labels: np.ndarray  #: int64 (capacity,): the batch's labels, or addresses of its targets
    weights: np.ndarray  #: (capacity,): of the batch's rows
    spans: np.ndarray  #: int64 (2, capacity): first and last non-zero of the batch's CSR rows
    cursors: np.ndarray  #: int64 (threads, capacity): next non-zero of each row
    tiles: np.ndarray  #: (threads, elements): a gradient tile
    sums: np.ndarray  #: float64: see memory.Memory.squares
    losses: np.ndarray  #: float64 (2, capacity): summed loss of each ROWS_PER_LOG rows
    correct: np.ndarray  #: float64 (2, capacity): weight of the right answers, likewise
    barrier: np.ndarray  #: int64, see parallel.meet
    operations: np.ndarray  #: int64 (threads, most operations, FIELDS)
    sections: np.ndarray  #: int64 (threads, sections + 1): where each section begins
    endings: np.ndarray  #: int64 (sections,): what is known after each


class Program:
    """The buffers and the operations of a run.

    Parameters
    ----------
    codes : Codes
    work : Work
    threads : int
    dtype : dtype
        float32 or float64.
    """

    def __init__(self, codes, work, threads, dtype):
        self.codes, self.work, self.threads = codes, work, threads
        sizes, head = codes.layer_sizes, codes.head
        capacity = max(*work.batch_sizes, work.block_size, 1)
        sparse = work.input_kind == op.CSR
        n = work.batch_sizes[0] if work.batch_sizes else 0
        self.parts = parts_of(sizes, n, sparse)
        kept = remembered_by(work.optimizer) + int(work.keeps)
        stored = work.dropout or codes.activation not in op.FROM_OUTPUT
        self.memory = memory = Memory(
            *(sizes, capacity, dtype, sparse, stored and bool(work.batch_sizes)),
            *(kept + self.parts, -np.inf if head == SOFTMAX else 0.0),
        )
        count, size = len(memory.layers), memory.size
        self.tables = np.zeros((2 * count, capacity), np.int64)
        width = row_stride(sizes[0], size) if work.input_kind == op.BYTES else 0
        self.inputs = empty_aligned(capacity * width, dtype).reshape(capacity, width)
        rows = np.arange(capacity)
        if width:
            self.tables[0] = self.inputs.ctypes.data + rows * width * size
        for depth, layer in enumerate(memory.layers):
            steps = rows * layer.stride * size
            if depth + 1 < count:
                self.tables[depth + 1] = memory.output(layer.output) + steps
            self.tables[count + depth] = memory.output(layer.gradient) + steps
        self.passes = Passes(codes, work, memory, self.tables)
        self.descent = Descent(
            *(work, memory, self.tables, threads, 1 + kept, self.passes.csr_block)
        )

        endings, self.recipes = self._recipes()
        programs = [self._sections(thread) for thread in range(threads)]
        longest = max(sum(map(len, sections)) for sections in programs)
        operations = np.zeros((threads, longest, op.FIELDS), np.int64)
        sections = np.zeros((threads, len(endings) + 1), np.int64)
        for thread, parts in enumerate(programs):
            sections[thread, 1:] = np.cumsum([len(part) for part in parts])
            for row, operation in enumerate(itertools.chain(*parts)):
                operations[thread, row, : len(operation)] = operation
        tile = self.descent.tile
        self.buffers = Buffers(
            params=memory.params,
            transposed=memory.transposed,
            activations=memory.activations,
            input_scale=empty_aligned(2 * width, dtype).reshape(2, width),
            tables=self.tables,
            labels=np.zeros(capacity, np.int64),
            weights=np.ones(capacity, dtype),
            spans=np.zeros((2, capacity if sparse else 0), np.int64),
            cursors=np.zeros((threads, capacity if sparse else 0), np.int64),
            tiles=empty_aligned(threads * tile, dtype).reshape(threads, tile),
            sums=memory.squares,
            losses=np.zeros((2, -(-capacity // ROWS_PER_LOG))),
            correct=np.zeros((2, -(-capacity // ROWS_PER_LOG))),
            barrier=empty_aligned(16, np.float64).view(np.int64),
            operations=operations,
            sections=sections,
            endings=np.array(endings, np.int64),
        )

    def _recipes(self):
        """Return what is known after each section, and the sections of each kind of item."""
        endings, recipes = [], {}
        for number in range(len(self.work.batch_sizes)):
            first = len(endings)
            endings += [op.STEPPED, op.NOTHING] + [op.NOTHING] * self.work.clip
            recipes["step", number] = first, len(endings)
            if self.work.evaluate_batch:
                endings.append(op.EVALUATED)
                recipes["evaluated step", number] = first, len(endings)
        if self.work.block_size:
            recipes["block"] = len(endings), len(endings) + 1
            endings.append(op.NOTHING if self.work.output_head >= 0 else op.VALIDATED)
        return endings, recipes

    def _sections(self, thread):
        """Return the operations of one thread, a list for each section."""
        work, parts = self.work, []
        passes, update = self.passes, self.descent.operations
        for n in work.batch_sizes:
            first, stop = share(n, ROWS_PER_LOG, thread, self.threads)
            if self.parts:
                rows = []
                for part in range(*share(self.parts, 1, thread, self.threads)):
                    lo, hi = share(n, ROWS_PER_LOG, part, self.parts)
                    rows += passes.there_and_back(lo, hi) + update(0, lo, hi, op.PART, part)
                parts.append(rows)
            else:
                parts.append(passes.there_and_back(first, stop))
            parts.append(update(thread, 0, n, op.KEEP if work.keeps else op.FUSED))
            if work.clip:
                memory = self.memory
                norms = memory.units, 2 * memory.units + memory.bias_units
                parts.append([(op.CLIP, *norms), *update(thread, 0, n, op.APPLY)])
            if work.evaluate_batch:
                parts.append(passes.forward(first, stop) + [passes.correct(first, stop)])
        if work.block_size:
            first, stop = share(work.block_size, ROWS_PER_LOG, thread, self.threads)
            block = passes.gather(first, stop, 1) + passes.forward(first, stop)
            if work.output_head >= 0:
                block.append(passes.output(first, stop))
            else:
                block.append(passes.correct(first, stop))
                if work.evaluate_loss:
                    weighting = op.WEIGHTED if work.weighted_block else op.PLAIN
                    block.append(passes.loss(first, stop, weighting))
            parts.append(block)
        return parts
