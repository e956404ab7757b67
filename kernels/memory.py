"""Where everything of a run lies: parameters, what the optimiser remembers, activations."""

import itertools
from typing import NamedTuple

import numpy as np

from .emitter import CACHE_LINE, VECTOR_BYTES
from .layout import (
    empty_aligned,
    matrix_size,
    panel_columns,
    round_up,
    row_stride,
    written_columns,
)
from .product import units
from .simd import GROUP, TALL, WIDE

#: Bytes in a page, and how far beyond a multiple of it the distance between two copies is.
PAGE, COPY_RESIDUE = 4096, 21 * CACHE_LINE
#: Most units of work of a layer for sparse input: as many threads can share it.
CSR_UNITS = 64
#: Vectors of biases that one thread updates together.
BIAS_VECTORS = 4


class Layer(NamedTuple):
    """Where one layer's pieces start, in elements of their buffers."""

    fan_in: int
    fan_out: int
    rows: bool  #: weights row by row in one panel as wide as the layer, for sparse input
    weights: int
    biases: int
    transposed: int
    stride: int  #: from one row of the output to the next
    output: int
    gradient: int  #: the same place as the output for the last layer
    derivative: int  #: of the activation, -1 where it is derived from the output
    squares: int  #: sums of W^2, one a unit of work
    norms: int  #: sums of squared gradients of the biases, one a group of BIAS_VECTORS

    def columns(self, lanes):
        """Return how many columns lie in panels; the rest lies in groups."""
        if self.rows:
            return self.stride
        return panel_columns(self.fan_in, self.fan_out, lanes)

    def panel_vectors(self, lanes):
        """Return the vectors across a whole panel."""
        return self.stride // lanes if self.rows else WIDE

    def written(self, lanes):
        """Return how many columns the forward product writes: fan_out and its padding."""
        if self.rows:
            return self.stride
        return written_columns(self.fan_in, self.fan_out, lanes)

    def size(self, lanes):
        """Return the elements of the weights."""
        if self.rows:
            return self.fan_in * self.stride
        return matrix_size(self.fan_in, self.fan_out, lanes)

    def unit_rows(self):
        """Return the rows of a unit of work of sparse input: no more units for more columns."""
        return round_up(-(-self.fan_in // CSR_UNITS), TALL)

    def units(self, lanes):
        """Return the units of work of the weights' update."""
        if self.rows:
            return -(-self.fan_in // self.unit_rows())
        return units(self.fan_in, self.fan_out, lanes)


class Memory:
    """The buffers of a network with parameters, and their division among its layers.

    Parameters
    ----------
    layer_sizes : sequence of int
        Inputs, hidden units of each hidden layer, outputs.
    capacity : int
        Most rows in a batch or a block.
    dtype : dtype
        float32 or float64.
    sparse : bool
        The input is a CSR matrix.
    derivatives : bool
        Room for the derivative of each activation.
    copies : int
        Buffers of the size of the parameters besides them, zeros: for gradients and the optimiser.
    floor : float
        Bias of the columns that pad the last layer: -inf keeps them out of a softmax.
    """

    def __init__(self, layer_sizes, capacity, dtype, sparse, derivatives, copies, floor):
        self.dtype = np.dtype(dtype)
        self.size = self.dtype.itemsize
        self.lanes = lanes = VECTOR_BYTES // self.size
        self.capacity, self.floor = capacity, floor
        self.layers = []
        widest = max(row_stride(N, self.size) for N in layer_sizes[1:])
        params, transposed, activations, squares, norms = 0, widest, 0, 0, 0
        for depth, (K, N) in enumerate(itertools.pairwise(layer_sizes)):
            stride, last = row_stride(N, self.size), depth == len(layer_sizes) - 2
            block = capacity * stride
            gradient = activations if last else activations + block
            derivative = gradient + block if derivatives and not last else -1
            layer = Layer(
                *(K, N, sparse and depth == 0, params, 0, transposed, stride),
                *(activations, gradient, derivative, squares, norms),
            )
            layer = layer._replace(biases=params + layer.size(lanes))
            self.layers.append(layer)
            params = layer.biases + stride
            if depth > 0:
                transposed += round_up(K, lanes) * N
            activations = max(gradient, derivative) + block
            squares += layer.units(lanes)
            norms += -(-stride // (BIAS_VECTORS * lanes))
        self.units, self.bias_units = squares, norms
        # One allocation: what the optimiser remembers lies at the same distance from all weights,
        # and that distance is no multiple of a page, so that a store to the one is not taken for a
        # dependency of the load from the other.
        self.count = params + (COPY_RESIDUE - params * self.size) % PAGE // self.size
        everything = empty_aligned((1 + copies) * self.count, self.dtype)
        self.copies = everything.reshape(1 + copies, self.count)
        self.params = self.copies[0]
        #: Zeros for the widest row, then the transposes of layers 1, 2, ...
        self.transposed = empty_aligned(transposed, self.dtype)
        self.activations = empty_aligned(activations, self.dtype)
        #: Sums of W^2; then sums of squared gradients, of the weights and of the biases.
        self.squares = np.zeros(2 * squares + norms)

    # --------------------------------------------------------------------------------- addresses

    def parameter(self, start):
        """Return the address of an element of the parameters."""
        return self.params.ctypes.data + start * self.size

    def output(self, start):
        """Return the address of an element of the activations."""
        return self.activations.ctypes.data + start * self.size

    def distance(self, copy):
        """Return the bytes from a parameter to its place in a copy."""
        return copy * self.count * self.size

    # --------------------------------------------------------------------------- in and out

    def load(self, depth, W, b):
        """Pack one layer's parameters, W (fan_in, fan_out) and b (fan_out,)."""
        layer = self.layers[depth]
        K, N = W.shape
        self.write(0, depth, W, b)
        last = depth == len(self.layers) - 1
        self.params[layer.biases + N : layer.biases + layer.stride] = self.floor if last else 0
        if depth > 0:
            whole, wide = round_up(K, self.lanes), WIDE * self.lanes
            for part, columns in _panels(self.transposed, layer.transposed, N, K, whole, wide):
                part[:] = 0
                part[:, : columns.stop - columns.start] = W.T[:, columns]
        squares = self.squares[layer.squares :][: layer.units(self.lanes)]
        squares[:] = 0
        with np.errstate(over="ignore"):  # the loss will tell
            for k in range(0, K, 1024):  # no float64 copy of all of it
                squares[0] += np.sum(np.square(W[k : k + 1024], dtype=np.float64))

    def store(self, depth, W, b):
        """Unpack one layer's parameters into W (fan_in, fan_out) and b (fan_out,)."""
        self.read(0, depth, W, b)

    def write(self, copy, depth, W, b):
        """Pack arrays of the shapes of a layer's parameters into a copy."""
        layer, buffer = self.layers[depth], self.copies[copy]
        for part, columns in self._pieces(buffer, layer):
            part[:] = 0
            part[:, : columns.stop - columns.start] = W[:, columns]
        buffer[layer.biases : layer.biases + len(b)] = b

    def read(self, copy, depth, W, b):
        """Unpack a copy into arrays of the shapes of a layer's parameters."""
        layer, buffer = self.layers[depth], self.copies[copy]
        for part, columns in self._pieces(buffer, layer):
            W[:, columns] = part[:, : columns.stop - columns.start]
        b[:] = buffer[layer.biases : layer.biases + len(b)]

    def _pieces(self, buffer, layer):
        """Yield the panels and the groups, each as a view (K, width) and its slice of columns."""
        K, N = layer.fan_in, layer.fan_out
        stop, wide = layer.columns(self.lanes), layer.panel_vectors(self.lanes) * self.lanes
        yield from _panels(buffer, layer.weights, K, N, stop, wide)
        if stop < N:
            length, width = round_up(K, self.lanes), round_up(N - stop, GROUP)
            begin = layer.weights + stop * K
            groups = buffer[begin : begin + width * length].reshape(width, length)
            groups[:, K:] = 0
            yield groups[:, :K].T, slice(stop, N)


def _panels(buffer, start, K, N, stop, wide):
    """Yield each panel as a view (K, width), and the slice of the columns that it holds."""
    for first in range(0, stop, wide):
        width = min(wide, stop - first)
        begin = start + first * K
        part = buffer[begin : begin + K * width].reshape(K, width)
        yield part, slice(first, min(first + width, N))
