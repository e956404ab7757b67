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
from .activation import IDENTITY, RELU
from .heads import SOFTMAX
from .layout import empty_aligned, panel_columns, round_up, row_stride
from .memory import BIAS_VECTORS, Memory
from .product import block_columns, block_rows
from .simd import GROUP, GROUP_VECTORS, TALL, TILE_VECTORS, WIDE
from .softmax import ROWS_PER_LOG
from .sparse import csr_block_columns
from .update import ADAM, GRADIENT, SGD

#: Parts of a batch with gradients of their own: as many threads can share the work. And the least
#: rows of a part.
PARTS, LEAST_ROWS = 16, 64
#: Bytes of a tile of a sparse layer's gradient: it and a row of dZ stay in L1.
CSR_TILE_BYTES = 1 << 14


class Architecture(NamedTuple):
    """What a network computes: its layer sizes, and the codes of its activation and head."""

    layer_sizes: tuple
    activation: int = RELU
    head: int = SOFTMAX


class Work(NamedTuple):
    """What a run does with a network.

    A run without steps (no batch sizes) only evaluates; without block size it does not evaluate.
    """

    batch_sizes: tuple = ()  #: rows of a step: of most, and of an epoch's last if it has fewer
    block_size: int = 0  #: rows that are evaluated or predicted at a time
    optimizer: int = SGD  #: see update
    clip: bool = False  #: gradients are kept until their norm is known
    dropout: bool = False
    general_loss: bool = False  #: weights of the rows, or smoothing of the labels
    lazy: bool = False  #: untouched rows of a sparse layer's weights need no step
    input_kind: int = op.DENSE
    non_zeros: float = 0.0  #: a row of a CSR matrix, on average
    evaluate_batch: bool = False  #: right answers on a batch after its step
    output_head: int = -1  #: write the predictions of this head, instead of counting right answers

    @property
    def keeps(self):
        """Whether the whole gradient is kept before, or instead of, a step."""
        return self.clip or self.optimizer == GRADIENT


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
    correct: np.ndarray  #: int64 (threads, 2, 8): right answers, a cache line each
    barrier: np.ndarray  #: int64, see parallel.meet
    operations: np.ndarray  #: int64 (threads, most operations, FIELDS)
    sections: np.ndarray  #: int64 (threads, sections + 1): where each section begins
    endings: np.ndarray  #: int64 (sections,): what is known after each


def share(count, unit, thread, threads):
    """Return the range of `count` items that `thread` of `threads` owns.

    Ranges start at multiples of `unit`, so that a tile is the same tile for any number of threads.
    """
    pieces = -(-count // unit)
    first, stop = (pieces * t // threads * unit for t in (thread, thread + 1))
    return min(first, count), min(stop, count)


def remembered_by(optimizer):
    """Return how many buffers of the parameters' size an optimiser needs."""
    return {SGD: 0, GRADIENT: 0, ADAM: 2}.get(optimizer, 1)


def parts_of(layer_sizes, n, sparse):
    """Return how many parts of a batch of n rows each get a gradient of their own, 0 for none.

    A part is the work of one thread from its rows to its gradient, so that nothing but gradients
    travels between processors: where weights are few and rows many, that is far less than the
    activations. A step of 4-32-16-4 on 10,000 rows takes two threads 428 us and no longer 503, or
    1,340 where the two cores of a virtual machine share no cache.
    """
    if sparse or n < PARTS * LEAST_ROWS:
        return 0
    params = sum((K + 1) * N for K, N in itertools.pairwise(layer_sizes))
    return PARTS if 4 * PARTS * params <= n * sum(layer_sizes[1:]) else 0


class Program:
    """The buffers and the operations of a run.

    Parameters
    ----------
    architecture : Architecture
    work : Work
    threads : int
    dtype : dtype
        float32 or float64.
    """

    def __init__(self, architecture, work, threads, dtype):
        self.architecture, self.work, self.threads = architecture, work, threads
        sizes, head = architecture.layer_sizes, architecture.head
        capacity = max(*work.batch_sizes, work.block_size, 1)
        sparse = work.input_kind == op.CSR
        n = work.batch_sizes[0] if work.batch_sizes else 0
        self.parts = parts_of(sizes, n, sparse)
        kept = remembered_by(work.optimizer) + int(work.keeps)
        copies, self.first_part = kept + self.parts, 1 + kept
        stored = work.dropout or architecture.activation not in op.FROM_OUTPUT
        self.memory = memory = Memory(
            *(sizes, capacity, dtype, sparse, stored and bool(work.batch_sizes)),
            *(copies, -np.inf if head == SOFTMAX else 0.0),
        )
        self.layers, self.size, self.lanes = memory.layers, memory.size, memory.lanes
        first = self.layers[0]
        self.csr_block, self.csr_direct = 0, False
        if sparse:
            across = first.panel_vectors(self.lanes)
            self.csr_block = csr_block_columns(work.non_zeros, first.fan_in, across)
            self.csr_direct = work.lazy and work.optimizer == SGD and not work.clip
        count, D = len(self.layers), sizes[0]
        self.tables = np.zeros((2 * count, capacity), np.int64)
        width = row_stride(D, self.size) if work.input_kind == op.BYTES else 0
        self.inputs = empty_aligned(capacity * width, dtype).reshape(capacity, width)
        rows = np.arange(capacity)
        if width:
            self.tables[0] = self.inputs.ctypes.data + rows * width * self.size
        for depth, layer in enumerate(self.layers):
            steps = rows * layer.stride * self.size
            if depth + 1 < count:
                self.tables[depth + 1] = memory.output(layer.output) + steps
            self.tables[count + depth] = memory.output(layer.gradient) + steps

        endings, self.recipes = self._recipes()
        programs = [self._sections(thread) for thread in range(threads)]
        longest = max(sum(map(len, sections)) for sections in programs)
        operations = np.zeros((threads, longest, op.FIELDS), np.int64)
        sections = np.zeros((threads, len(endings) + 1), np.int64)
        for thread, parts in enumerate(programs):
            sections[thread, 1:] = np.cumsum([len(part) for part in parts])
            for row, operation in enumerate(itertools.chain(*parts)):
                operations[thread, row, : len(operation)] = operation
        tile = max(TILE_VECTORS * self.lanes, self._csr_tile())
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
            correct=np.zeros((threads, 2, 8), np.int64),
            barrier=empty_aligned(16, np.float64).view(np.int64),
            operations=operations,
            sections=sections,
            endings=np.array(endings, np.int64),
        )

    # --------------------------------------------------------------------------------- sections

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
        for n in work.batch_sizes:
            first, stop = share(n, ROWS_PER_LOG, thread, self.threads)
            if self.parts:
                rows = []
                for part in range(*share(self.parts, 1, thread, self.threads)):
                    lo, hi = share(n, ROWS_PER_LOG, part, self.parts)
                    rows += self._rows(lo, hi) + self._update(0, lo, hi, op.PART, part)
                parts.append(rows)
            else:
                parts.append(self._rows(first, stop))
            parts.append(self._update(thread, 0, n, op.KEEP if work.keeps else op.FUSED))
            if work.clip:
                memory = self.memory
                norms = memory.units, 2 * memory.units + memory.bias_units
                parts.append([(op.CLIP, *norms), *self._update(thread, 0, n, op.APPLY)])
            if work.evaluate_batch:
                parts.append(self._forward(first, stop) + [self._correct(first, stop)])
        if work.block_size:
            first, stop = share(work.block_size, ROWS_PER_LOG, thread, self.threads)
            block = self._gather(first, stop, 1) + self._forward(first, stop)
            if work.output_head >= 0:
                block.append(self._output(first, stop))
            else:
                block += [self._correct(first, stop), self._loss(first, stop, general=False)]
            parts.append(block)
        return parts

    def _rows(self, first, stop):
        """Return the operations that take rows through the network and back."""
        return (
            self._gather(first, stop, 0)
            + self._forward(first, stop, training=True)
            + [self._loss(first, stop, general=self.work.general_loss)]
            + self._backward(first, stop)
        )

    # ----------------------------------------------------------------------------- forward

    def _gather(self, first, stop, source):
        code = {op.DENSE: op.GATHER, op.CSR: op.GATHER_CSR, op.BYTES: op.GATHER_BYTES}
        return [(code[self.work.input_kind], first, stop, source, self.layers[0].fan_in)]

    def _forward(self, first, stop, training=False):
        operations, memory = [], self.memory
        activation = self.architecture.activation
        for depth, layer in enumerate(self.layers):
            last = depth == len(self.layers) - 1
            out, stride = memory.output(layer.output), layer.stride * self.size
            if layer.rows:
                products = [(first, stop, self._csr_product(layer, first, stop, out, stride))]
            else:
                products = self._product(
                    self.tables[depth].ctypes.data,
                    (first, stop),
                    (layer.fan_in, layer.fan_out),
                    memory.parameter(layer.weights),
                    memory.parameter(layer.biases),
                    activation == RELU and not last,
                    (out, stride),
                )
            for lo, hi, product in products:
                operations += product
                # A block's outputs are still in a cache when its activation is computed.
                skip, D = lo * stride, 0
                if training and layer.derivative >= 0:
                    D = memory.output(layer.derivative) + skip
                linear = activation == IDENTITY or (activation == RELU and not layer.rows)
                if not last and (D or not linear):
                    count = (hi - lo) * layer.stride
                    operations.append((op.ACTIVATE, activation, out + skip, D, count))
            if training and self.work.dropout and not last:
                D = memory.output(layer.derivative)
                count = round_up(layer.fan_out, self.lanes)
                operations.append((op.DROPOUT, depth, out, D, stride, count, first, stop))
        return operations

    def _product(self, table, rows, shape, weights, bias, relu, out, groups=True):
        """Return the operations of a product, block of rows by block: (first, stop, operations)."""
        (K, N), size, (out, stride) = shape, self.size, out
        columns = panel_columns(K, N, self.lanes) if groups else round_up(N, self.lanes)
        block = block_rows(rows[1] - rows[0], K, size)
        blocks = []
        for lo in range(*rows, block):
            hi, operations = min(lo + block, rows[1]), []
            for j in range(0, columns, WIDE * self.lanes):
                vectors = min(WIDE, (columns - j) // self.lanes)
                B = weights + j * K * size
                operations.append(
                    (op.MULTIPLY_PANEL, table, lo, hi, B, vectors, K, bias + j * size, relu)
                    + (out + j * size, stride)
                )
            length = round_up(K, self.lanes) * size
            for j in range(columns, N, GROUP):
                B = weights + columns * K * size + (j - columns) * length
                operations.append(
                    (op.MULTIPLY_GROUP, table, lo, hi, B, length, K, bias + j * size, relu)
                    + (out + j * size, stride)
                )
            blocks.append((lo, hi, operations))
        return blocks

    def _csr_product(self, layer, first, stop, out, stride):
        memory, across = self.memory, layer.panel_vectors(self.lanes)
        W, start = memory.parameter(layer.weights), memory.parameter(layer.biases)
        operations = [(op.CSR_SEEK, first, stop, 0)]
        for k0 in range(0, layer.fan_in, self.csr_block):
            k1 = min(k0 + self.csr_block, layer.fan_in)
            bias = start if k0 == 0 else 0
            operations.append((op.CSR_MULTIPLY, first, stop, k1, bias, W, across, out, stride))
        return operations

    def _loss(self, first, stop, general):
        layer = self.layers[-1]
        S, stride = self.memory.output(layer.output), layer.stride * self.size
        width = layer.written(self.lanes)
        return (op.LOSS, first, stop, S, stride, width, layer.fan_out, general)

    def _correct(self, first, stop):
        layer = self.layers[-1]
        return (op.CORRECT, first, stop, layer.output, layer.stride, layer.fan_out)

    def _output(self, first, stop):
        layer, head = self.layers[-1], self.work.output_head
        S, stride = self.memory.output(layer.output), layer.stride * self.size
        width = layer.written(self.lanes)
        return (op.OUTPUT, first, stop, S, stride, width, layer.fan_out, head)

    # ----------------------------------------------------------------------------- backward

    def _backward(self, first, stop):
        operations, memory = [], self.memory
        transposed, activation = memory.transposed.ctypes.data, self.architecture.activation
        for depth in range(len(self.layers) - 1, 0, -1):
            layer, below = self.layers[depth], self.layers[depth - 1]
            stride = below.stride * self.size
            # No groups here: their dot tile would not pay for the few outputs that it sums over.
            products = self._product(
                self.tables[len(self.layers) + depth].ctypes.data,
                (first, stop),
                (layer.fan_out, layer.fan_in),
                transposed + layer.transposed * self.size,
                transposed,
                False,
                (memory.output(below.gradient), stride),
                groups=False,
            )
            for lo, hi, product in products:
                operations += product
                skip, count = lo * stride, (hi - lo) * below.stride
                dA = memory.output(below.gradient) + skip
                if below.derivative >= 0:
                    D = memory.output(below.derivative) + skip
                    operations.append((op.BACKWARD_STORED, D, dA, count))
                elif activation != IDENTITY:
                    A = memory.output(below.output) + skip
                    operations.append((op.BACKWARD, activation, A, dA, count))
        return operations

    # ------------------------------------------------------------------------------- update

    def _update(self, thread, first, stop, mode, part=0):
        """Return the operations that turn gradients by rows first..stop into steps, or keep them.

        They are a thread's share or, in the mode PART, all of a part.
        """
        operations, memory = [], self.memory
        threads = 1 if mode == op.PART else self.threads
        sums = memory.units if mode == op.KEEP else 0
        side = stop - first, memory.distance(self.first_part + part)
        for depth, layer in enumerate(self.layers):
            dZ = memory.output(layer.gradient + first * layer.stride)
            if layer.rows:
                operations += self._update_rows(layer, thread, stop, mode, sums)
            else:
                shares = thread, threads
                operations += self._update_packed(depth, shares, first, dZ, mode, sums, side)
            # The last thread first: it has the smaller share of the units more often.
            group, stride = BIAS_VECTORS * self.lanes, layer.stride * self.size
            lo, hi = share(layer.fan_out, group, threads - 1 - thread, threads)
            for j in range(lo, hi, group):
                b = memory.parameter(layer.biases + j)
                norm = 2 * memory.units + layer.norms + j // group
                columns = min(group, hi - j)
                operation = (op.UPDATE_BIAS, mode, b, dZ + j * self.size, stride, columns, norm)
                operations.append(operation + (0, 0, 0) + side)
        return operations

    def _update_rows(self, layer, thread, n, mode, sums):
        memory, across = self.memory, layer.panel_vectors(self.lanes)
        lo, hi = share(layer.units(self.lanes), 1, thread, self.threads)
        first = sums + layer.squares
        dZ, stride = memory.output(layer.gradient), layer.stride * self.size
        k_lo, k_hi = min(lo * TALL, layer.fan_in), min(hi * TALL, layer.fan_in)
        operations = [(op.CLEAR_SUMS, first + lo, first + hi)]
        if mode != op.APPLY:
            operations.append((op.CSR_SEEK, 0, n, k_lo))
        block = self.csr_block if self.csr_direct else self._csr_rows(layer)
        for k0 in range(k_lo, k_hi, block):
            k1 = min(k0 + block, k_hi)
            W = memory.parameter(layer.weights + k0 * across * self.lanes)
            operations.append(
                (op.CSR_UPDATE, mode, k0, k1, dZ, stride, W, across, first, self.csr_direct)
            )
        return operations

    def _csr_rows(self, layer):
        """Return how many rows of a sparse layer's gradient are computed at a time, in L1."""
        row = layer.panel_vectors(self.lanes) * self.lanes * self.size
        return max(CSR_TILE_BYTES // row // TALL, 1) * TALL

    def _csr_tile(self):
        """Return the elements of a tile of a sparse layer's gradient."""
        layer = self.layers[0]
        if not layer.rows or self.csr_direct:
            return 0
        return self._csr_rows(layer) * layer.panel_vectors(self.lanes) * self.lanes

    def _update_packed(self, depth, shares, first, dZ, mode, sums, side):
        layer, memory = self.layers[depth], self.memory
        K, N, lanes = layer.fan_in, layer.fan_out, self.lanes
        table, stride = self.tables[depth, first:].ctypes.data, layer.stride * self.size
        columns, tall_units = layer.columns(lanes), -(-K // TALL)
        across, length = GROUP_VECTORS * lanes, round_up(K, lanes)
        transpose = depth > 0 and mode in (op.FUSED, op.APPLY)
        operations = []
        # Panels and groups are divided alike, so that a thread reads the same columns of X.
        lo, hi = share(tall_units, 1, *shares)
        group_units = layer.units(lanes) - tall_units
        group_lo, group_hi = share(group_units, 1, *shares)
        base = sums + layer.squares
        if mode != op.PART:
            for a, b in ((lo, hi), (tall_units + group_lo, tall_units + group_hi)):
                operations.append((op.CLEAR_SUMS, base + a, base + b))
        block = block_columns(side[0], K, self.size)
        for begin in range(0, K, block):
            k0, k1 = max(lo * TALL, begin), min(hi * TALL, begin + block, K)
            for j in range(0, columns if k0 < k1 else 0, WIDE * lanes):
                vectors = min(WIDE, (columns - j) // lanes)
                operations.append(
                    (op.UPDATE_PANEL, mode, vectors, table, k0, k1)
                    + (dZ + j * self.size, stride)
                    + (memory.parameter(layer.weights + j * K), base, *side)
                )
                if transpose:
                    operations += self._transpose(layer, j, vectors * lanes, k0, k1)
            k0, k1 = max(group_lo * across, begin), min(group_hi * across, begin + block, K)
            for k in range(k0, k1, across):
                count, unit = min(across, K - k), tall_units + k // across
                for j in range(columns, N, GROUP):
                    start = layer.weights + columns * K + (j - columns) * length
                    operations.append(
                        (op.UPDATE_GROUP, mode, table, k, count)
                        + (dZ + j * self.size, stride)
                        + (memory.parameter(start + k), length * self.size, base + unit, *side)
                    )
                    if transpose:
                        operations += self._transpose_group(layer, j, start, length, k, k + count)
        return operations

    def _targets(self, layer, k0, k1):
        """Yield the ranges of k in one panel of the transpose: start, stop, place, width."""
        wide, whole = WIDE * self.lanes, round_up(layer.fan_in, self.lanes)
        while k0 < k1:
            panel = k0 // wide * wide
            stop = min(k1, panel + wide)
            width = min(wide, whole - panel)
            yield k0, stop, layer.transposed + panel * layer.fan_out + k0 - panel, width
            k0 = stop

    def _transpose(self, layer, j, across, k0, k1):
        """Return the operations that copy rows k0..k1 of a panel into the transpose."""
        count = min(across, layer.fan_out - j)
        start = layer.weights + j * layer.fan_in
        return [
            (op.TRANSPOSE, start + k * across, across, 1, stop - k, count)
            + (place + j * width, width)
            for k, stop, place, width in self._targets(layer, k0, k1)
        ]

    def _transpose_group(self, layer, j, start, length, k0, k1):
        """Return the operations that copy k0..k1 of a group's columns into the transpose."""
        count = min(GROUP, layer.fan_out - j)
        return [
            (op.TRANSPOSE, start + k, 1, length, stop - k, count) + (place + j * width, width)
            for k, stop, place, width in self._targets(layer, k0, k1)
        ]
