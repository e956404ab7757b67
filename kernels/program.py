"""A network of any depth as the compiled loop sees it: flat buffers, and a program of operations.

The program is a table of integers, one row an operation (*multiply these rows by this panel*,
*update these rows of that panel*), with every address and size worked out here, once, in Python.
Depth and sizes are therefore run-time values, one compilation for each dtype serves every network,
and the compiled side is a single loop over rows of the table. Each thread has its own program: who
owns which rows is decided here too, by nothing but the sizes and the thread's number.
"""

import itertools
from typing import NamedTuple

import numpy as np

from .emitter import VECTOR_BYTES
from .layout import (
    empty_aligned,
    matrix_size,
    panel_columns,
    round_up,
    row_stride,
    written_columns,
)
from .product import block_columns, block_rows, units
from .simd import GROUP, GROUP_VECTORS, TALL, TILE_VECTORS, WIDE
from .softmax import ROWS_PER_LOG

# ------------------------------------------------------------------------------------- operations

#: Columns of the program: the operation, and its operands.
FIELDS = 12

MULTIPLY_PANEL = 1  # see simd.multiply_panel: its arguments; floor is 1 for the ReLU
MULTIPLY_GROUP = 2  # see simd.multiply_group: its arguments; floor is 1 for the ReLU
SOFTMAX = 3  # first, stop, address of S, stride, width
RELU_BACKWARD = 4  # addresses of A and dA, count
PREDICT = 5  # first, stop, start, stride, classes
UPDATE_PANEL = 6  # width, table, k0, k1, dZ address, dZ stride, address of W, start in squares
UPDATE_GROUP = 7  # table, k, count, dZ address, dZ stride, address of W, its stride, in squares
UPDATE_BIAS = 8  # addresses of the biases and dZ, dZ stride, count
CLEAR_SQUARES = 9  # first, stop
TRANSPOSE = 10  # start in params, k step, j step, ks, js, start in transposed, its j step

#: Sections of a thread's program, in order; a section's end is the beginning of the next.
ROWS, UPDATE, EVALUATE_BATCH, EVALUATE_BLOCK = range(4)


class Buffers(NamedTuple):
    """All memory of a run but the data; nothing in it outlives a step but params and squares."""

    params: np.ndarray  #: all weights, packed, and biases, padded, in one flat buffer
    transposed: np.ndarray  #: zeros for the widest row, then the transposes of layers 1, 2, ...
    activations: np.ndarray  #: outputs and gradients of every layer
    tables: np.ndarray  #: int64 (2 n_layers, capacity): addresses of input rows, of gradients
    labels: np.ndarray  #: int64 (capacity,): the batch's
    tiles: np.ndarray  #: (threads, elements): a gradient tile
    squares: np.ndarray  #: float64: sum of W^2 a unit of work, kept up to date by the updates
    losses: np.ndarray  #: float64: summed loss of each ROWS_PER_LOG rows
    correct: np.ndarray  #: int64 (threads, 2, 8): right answers, a cache line each
    barrier: np.ndarray  #: int64, see parallel.meet
    operations: np.ndarray  #: int64 (threads, most operations, FIELDS)
    sections: np.ndarray  #: int64 (threads, 5): where each section begins
    owned: np.ndarray  #: int64 (threads, 4): first and last row of the batch, and of a block


def share(count, unit, thread, threads):
    """Return the range of `count` items that `thread` of `threads` owns.

    Ranges start at multiples of `unit`, so that a tile is the same tile for any number of threads.
    """
    pieces = -(-count // unit)
    first, stop = (pieces * t // threads * unit for t in (thread, thread + 1))
    return min(first, count), min(stop, count)


class Layer(NamedTuple):
    """Where one layer's pieces start, in elements of their buffers."""

    fan_in: int
    fan_out: int
    weights: int
    biases: int
    transposed: int
    stride: int  #: from one row of the output to the next
    output: int
    gradient: int  #: the same place as the output for the last layer
    squares: int


class Program:
    """The buffers and the operations of a network.

    Parameters
    ----------
    layer_sizes : sequence of int
        Inputs, hidden units of each hidden layer, outputs.
    batch_size : int
        Rows in a training step.
    block_size : int
        Rows that are predicted at a time.
    threads : int
    dtype : dtype
        float32 or float64.
    """

    def __init__(self, layer_sizes, batch_size, block_size, threads, dtype):
        self.dtype = np.dtype(dtype)
        self.size = self.dtype.itemsize
        self.lanes = VECTOR_BYTES // self.size
        self.batch_size, self.block_size, self.threads = batch_size, block_size, threads
        self.capacity = max(batch_size, block_size)
        self.layers = []
        self.widest = max(row_stride(N, self.size) for N in layer_sizes)
        params, transposed, activations, squares = 0, self.widest, 0, 0
        for depth, (K, N) in enumerate(itertools.pairwise(layer_sizes)):
            stride, last = row_stride(N, self.size), depth == len(layer_sizes) - 2
            biases = params + matrix_size(K, N, self.lanes)
            gradient = activations if last else activations + self.capacity * stride
            self.layers.append(
                Layer(K, N, params, biases, transposed, stride, activations, gradient, squares)
            )
            params = biases + stride
            if depth > 0:
                transposed += round_up(K, self.lanes) * N
            activations = gradient + self.capacity * stride
            squares += units(K, N, self.lanes)

        count = len(self.layers)
        tile = TILE_VECTORS * self.lanes
        self.params = empty_aligned(params, self.dtype)
        self.transposed = empty_aligned(transposed, self.dtype)
        self.activations = empty_aligned(activations, self.dtype)
        self.tables = np.zeros((2 * count, self.capacity), np.int64)
        rows = np.arange(self.capacity)
        for depth, layer in enumerate(self.layers):
            steps = rows * layer.stride * self.size
            if depth + 1 < count:
                self.tables[depth + 1] = self._output(layer.output) + steps
            self.tables[count + depth] = self._output(layer.gradient) + steps

        programs = [self._operations(thread) for thread in range(threads)]
        longest = max(sum(map(len, sections)) for sections in programs)
        operations = np.zeros((threads, longest, FIELDS), np.int64)
        sections = np.zeros((threads, 5), np.int64)
        for thread, parts in enumerate(programs):
            sections[thread, 1:] = np.cumsum([len(part) for part in parts])
            for row, operation in enumerate(itertools.chain(*parts)):
                operations[thread, row, : len(operation)] = operation
        self.buffers = Buffers(
            params=self.params,
            transposed=self.transposed,
            activations=self.activations,
            tables=self.tables,
            labels=np.zeros(self.capacity, np.int64),
            tiles=empty_aligned(threads * tile, self.dtype).reshape(threads, tile),
            squares=np.zeros(squares),
            losses=np.zeros(self.capacity),
            correct=np.zeros((threads, 2, 8), np.int64),
            barrier=empty_aligned(16, np.float64).view(np.int64),
            operations=operations,
            sections=sections,
            owned=np.array([self._owned(thread) for thread in range(threads)], np.int64),
        )

    # ------------------------------------------------------------------------------- parameters

    def load(self, depth, W, b):
        """Pack one layer's parameters, W (fan_in, fan_out) and b (fan_out,), into the buffers.

        The last layer's padding gets a bias of -inf: its scores are -inf and their softmax is 0.
        """
        layer = self.layers[depth]
        K, N = W.shape
        for part, columns in self._pieces(layer):
            part[:] = 0
            part[:, : columns.stop - columns.start] = W[:, columns]
        biases = self.params[layer.biases : layer.biases + layer.stride]
        biases[:] = 0 if depth < len(self.layers) - 1 else -np.inf
        biases[:N] = b
        if depth > 0:
            whole = round_up(K, self.lanes)
            for part, columns in self._panels(self.transposed, layer.transposed, N, K, whole):
                part[:] = 0
                part[:, : columns.stop - columns.start] = W.T[:, columns]
        squares = self.buffers.squares[layer.squares :][: units(K, N, self.lanes)]
        squares[:] = 0
        with np.errstate(over="ignore"):  # the loss will tell
            squares[0] = np.sum(np.square(W, dtype=np.float64))

    def store(self, depth, W, b):
        """Unpack one layer's parameters into W (fan_in, fan_out) and b (fan_out,)."""
        layer = self.layers[depth]
        for part, columns in self._pieces(layer):
            W[:, columns] = part[:, : columns.stop - columns.start]
        b[:] = self.params[layer.biases : layer.biases + len(b)]

    def _panels(self, buffer, start, K, N, stop):
        """Yield each panel as a view (K, width), and the slice of the columns that it holds."""
        wide = WIDE * self.lanes
        for first in range(0, stop, wide):
            width = min(wide, stop - first)
            begin = start + first * K
            part = buffer[begin : begin + K * width].reshape(K, width)
            yield part, slice(first, min(first + width, N))

    def _pieces(self, layer):
        """Yield the panels and the groups, each as a view (K, width) and its slice of columns."""
        K, N = layer.fan_in, layer.fan_out
        stop = panel_columns(K, N, self.lanes)
        yield from self._panels(self.params, layer.weights, K, N, stop)
        if stop < N:
            length, width = round_up(K, self.lanes), round_up(N - stop, GROUP)
            begin = layer.weights + stop * K
            groups = self.params[begin : begin + width * length].reshape(width, length)
            groups[:, K:] = 0
            yield groups[:, :K].T, slice(stop, N)

    # ------------------------------------------------------------------------------- operations

    def _parameter(self, start):
        return self.params.ctypes.data + start * self.size

    def _output(self, start):
        return self.activations.ctypes.data + start * self.size

    def _owned(self, thread):
        batch = share(self.batch_size, ROWS_PER_LOG, thread, self.threads)
        return (*batch, *share(self.block_size, ROWS_PER_LOG, thread, self.threads))

    def _operations(self, thread):
        """Return the operations of one thread, a list for each section."""
        first, stop, block_first, block_stop = self._owned(thread)
        last = self.layers[-1]
        width = written_columns(last.fan_in, last.fan_out, self.lanes)
        scores = self._output(last.output)
        softmax = [(SOFTMAX, first, stop, scores, last.stride * self.size, width)]
        return [
            self._forward(first, stop) + softmax + self._backward(first, stop),
            self._update(thread),
            self._forward(first, stop) + self._predict(first, stop),
            self._forward(block_first, block_stop) + self._predict(block_first, block_stop),
        ]

    def _forward(self, first, stop):
        operations = []
        for depth, layer in enumerate(self.layers):
            operations += self._product(
                self.tables[depth].ctypes.data,
                first,
                stop,
                (layer.fan_in, layer.fan_out),
                self._parameter(layer.weights),
                self._parameter(layer.biases),
                depth < len(self.layers) - 1,
                self._output(layer.output),
                layer.stride * self.size,
            )
        return operations

    def _product(self, table, first, stop, shape, weights, bias, relu, out, stride, groups=True):
        """Return the operations of a product, block of rows by block of rows."""
        (K, N), size = shape, self.size
        columns = panel_columns(K, N, self.lanes) if groups else round_up(N, self.lanes)
        block = block_rows(stop - first, K, size)
        operations = []
        for lo in range(first, stop, block):
            hi = min(lo + block, stop)
            for j in range(0, columns, WIDE * self.lanes):
                vectors = min(WIDE, (columns - j) // self.lanes)
                B = weights + j * K * size
                operations.append(
                    (MULTIPLY_PANEL, table, lo, hi, B, vectors, K, bias + j * size, relu)
                    + (out + j * size, stride)
                )
            length = round_up(K, self.lanes) * size
            for j in range(columns, N, GROUP):
                B = weights + columns * K * size + (j - columns) * length
                operations.append(
                    (MULTIPLY_GROUP, table, lo, hi, B, length, K, bias + j * size, relu)
                    + (out + j * size, stride)
                )
        return operations

    def _backward(self, first, stop):
        operations, transposed = [], self.transposed.ctypes.data
        for depth in range(len(self.layers) - 1, 0, -1):
            layer, below = self.layers[depth], self.layers[depth - 1]
            # No groups here: their dot tile would not pay for the few outputs that it sums over.
            operations += self._product(
                self.tables[len(self.layers) + depth].ctypes.data,
                first,
                stop,
                (layer.fan_out, layer.fan_in),
                transposed + layer.transposed * self.size,
                transposed,
                False,
                self._output(below.gradient),
                below.stride * self.size,
                groups=False,
            )
            skip, count = first * below.stride, (stop - first) * below.stride
            A, dA = self._output(below.output + skip), self._output(below.gradient + skip)
            operations.append((RELU_BACKWARD, A, dA, count))
        return operations

    def _predict(self, first, stop):
        last = self.layers[-1]
        return [(PREDICT, first, stop, last.output, last.stride, last.fan_out)]

    def _update(self, thread):
        operations = []
        for depth, layer in enumerate(self.layers):
            K, N, lanes = layer.fan_in, layer.fan_out, self.lanes
            table = self.tables[depth].ctypes.data
            columns, tall_units = panel_columns(K, N, lanes), -(-K // TALL)
            across, length = GROUP_VECTORS * lanes, round_up(K, lanes)
            # Panels and groups are divided alike, so that a thread reads the same columns of X.
            lo, hi = share(tall_units, 1, thread, self.threads)
            group_units = units(K, N, lanes) - tall_units
            group_lo, group_hi = share(group_units, 1, thread, self.threads)
            for first, stop in ((lo, hi), (tall_units + group_lo, tall_units + group_hi)):
                operations.append((CLEAR_SQUARES, layer.squares + first, layer.squares + stop))
            block = block_columns(self.batch_size, K, self.size)
            for begin in range(0, K, block):
                k0, k1 = max(lo * TALL, begin), min(hi * TALL, begin + block, K)
                for j in range(0, columns if k0 < k1 else 0, WIDE * lanes):
                    vectors = min(WIDE, (columns - j) // lanes)
                    operations.append(
                        (UPDATE_PANEL, vectors, table, k0, k1)
                        + (self._output(layer.gradient + j), layer.stride * self.size)
                        + (self._parameter(layer.weights + j * K), layer.squares)
                    )
                    if depth > 0:
                        operations += self._transpose(layer, j, vectors * lanes, k0, k1)
                k0, k1 = max(group_lo * across, begin), min(group_hi * across, begin + block, K)
                for k in range(k0, k1, across):
                    count, unit = min(across, K - k), tall_units + k // across
                    for j in range(columns, N, GROUP):
                        start = layer.weights + columns * K + (j - columns) * length
                        operations.append(
                            (UPDATE_GROUP, table, k, count)
                            + (self._output(layer.gradient + j), layer.stride * self.size)
                            + (self._parameter(start + k), length * self.size)
                            + (layer.squares + unit,)
                        )
                        if depth > 0:
                            operations += self._transpose_group(
                                layer, j, start, length, k, k + count
                            )
            # The last thread first: it has the smaller share of the units more often.
            whole = round_up(N, lanes)
            lo, hi = share(whole, lanes, self.threads - 1 - thread, self.threads)
            biases, gradient = self._parameter(layer.biases + lo), self._output(layer.gradient + lo)
            operations.append((UPDATE_BIAS, biases, gradient, layer.stride * self.size, hi - lo))
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
            (TRANSPOSE, start + k * across, across, 1, stop - k, count) + (place + j * width, width)
            for k, stop, place, width in self._targets(layer, k0, k1)
        ]

    def _transpose_group(self, layer, j, start, length, k0, k1):
        """Return the operations that copy k0..k1 of a group's columns into the transpose."""
        count = min(GROUP, layer.fan_out - j)
        return [
            (TRANSPOSE, start + k, 1, length, stop - k, count) + (place + j * width, width)
            for k, stop, place, width in self._targets(layer, k0, k1)
        ]
