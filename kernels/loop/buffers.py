"""Where everything of a network lies while it is trained: parameters, memories, activations."""

import itertools
from typing import NamedTuple

import numpy as np

from ..activation import IDENTITY
from ..layout import (
    empty_aligned,
    matrix_size,
    panel_columns,
    round_up,
    row_stride,
    written_columns,
)
from ..llvm.processor import CACHE_LINE, VECTOR_BYTES
from ..llvm.tiles import GROUP, GROUP_VECTORS, MR, NR
from ..losses import SOFTMAX
from ..sums import COLUMN_VECTORS
from .blocking import sum_blocks

#: Bytes in a page, and how far beyond a multiple of it the distance between two copies is.
PAGE, COPY_RESIDUE = 4096, 21 * CACHE_LINE
#: Most units of work of a layer for sparse input: as many threads can share it.
CSR_UNITS = 64
#: Weights that are squared at a time: so few that BLAS adds them up on one thread.
SQUARED = 1 << 13


class Layer(NamedTuple):
    """Where one layer's pieces start, in elements of their buffers."""

    fan_in: int
    fan_out: int
    by_rows: bool  #: weights row by row in one panel as wide as the layer, for sparse input
    lanes: int
    activation: int  #: of a hidden layer, else IDENTITY
    weights: int
    biases: int
    transposed: int
    stride: int  #: from one row of the output to the next
    output: int
    gradient: int  #: the same place as the output for the last layer
    derivative: int  #: of the activation, -1 where it is told from the output
    squares: int  #: sums of W^2, one a unit of work
    norms: int  #: sums of squared gradients of the biases, one a group of COLUMN_VECTORS

    @property
    def columns(self):
        """How many columns lie in panels; the rest lies in groups."""
        if self.by_rows:
            return self.stride
        return panel_columns(self.fan_in, self.fan_out, self.lanes)

    @property
    def panel_vectors(self):
        """The vectors across a whole panel."""
        return self.stride // self.lanes if self.by_rows else NR

    @property
    def written(self):
        """How many columns the forward product writes: fan_out and its padding."""
        if self.by_rows:
            return self.stride
        return written_columns(self.fan_in, self.fan_out, self.lanes)

    @property
    def size(self):
        """The elements of the weights."""
        if self.by_rows:
            return self.fan_in * self.stride
        return matrix_size(self.fan_in, self.fan_out, self.lanes)

    @property
    def group_length(self):
        """The elements of one column of a group."""
        return round_up(self.fan_in, self.lanes)

    @property
    def unit_rows(self):
        """The rows of a unit of work of sparse input: no more units for more columns."""
        return round_up(-(-self.fan_in // CSR_UNITS), MR)

    @property
    def panels(self):
        """How many panels there are."""
        return -(-self.columns // (self.panel_vectors * self.lanes))

    @property
    def row_units(self):
        """The units of work of the update of a panel: MR rows of it, or unit_rows."""
        return -(-self.fan_in // (self.unit_rows if self.by_rows else MR))

    @property
    def panel_units(self):
        """Those of all panels, one after the other."""
        return self.panels * self.row_units

    @property
    def groups(self):
        """How many groups of columns there are behind the panels."""
        return max(-(-(self.fan_out - self.columns) // GROUP), 0)

    @property
    def divided(self):
        """Whether the sums of the forward product are divided into parts."""
        return len(sum_blocks(self.fan_in, VECTOR_BYTES // self.lanes)) > 1

    @property
    def group_units(self):
        """Those of the groups, which come behind: GROUP_VECTORS vectors of K each."""
        if self.columns >= self.fan_out:
            return 0
        return -(-self.fan_in // (GROUP_VECTORS * self.lanes))

    @property
    def units(self):
        """All units of work of the weights' update, each of which has a sum of squares."""
        return self.panel_units + self.group_units

    @property
    def bias_groups(self):
        """The groups of biases that are updated together."""
        return -(-self.fan_out // (COLUMN_VECTORS * self.lanes))


class Views(NamedTuple):
    """Where a layer's weights lie in a buffer."""

    used: list  #: of (view, slice of the columns of W that it holds)
    padding: list  #: of the views of what fills them up


class Buffers:
    """The buffers of a network, and their division among its layers.

    Parameters
    ----------
    task : Task
    """

    def __init__(self, task):
        self.dtype, self.capacity = task.dtype, task.capacity
        #: Whether weights are transposed for the way back, and the sum of their squares is wanted.
        self.goes_back, self.penalised = bool(task.batch_sizes), task.penalty
        self.size = self.dtype.itemsize
        self.lanes = VECTOR_BYTES // self.size
        #: Bias of the columns that pad the last layer: -inf keeps them out of a softmax.
        self.floor = -np.inf if task.head == SOFTMAX else 0.0
        self.memories, self.shards = task.memories, task.shards
        self.kept = 1 + task.memories  # number of the copy that holds the kept gradient
        self.first_shard = self.kept + int(task.keeps)
        self.best = self.first_shard + task.shards  # number of the copy that holds the best
        params, transposed, activations = self._divide(task)
        # One allocation: what the optimiser remembers lies at the same distance from all weights,
        # and that distance is no multiple of a page, so that a store to the one is not taken for a
        # dependency of the load from the other.
        self.elements = params + (COPY_RESIDUE - params * self.size) % PAGE // self.size
        copies = self.best + int(task.keep_best)
        everything = empty_aligned(copies * self.elements, self.dtype)
        #: The parameters; what the optimiser remembers; gradients that are kept, and of shards;
        #: the best parameters.
        self.copies = everything.reshape(copies, self.elements)
        self.params = self.copies[0]
        #: Zeros for the widest row, a row of a group's sums and two panels, then the transposes of
        #: layers 1, 2, ...
        self.transposed = empty_aligned(transposed, self.dtype)
        #: Sums of groups between two parts of K: GROUP vectors for each row, for each group.
        groups = max((layer.groups for layer in self.layers if layer.divided), default=0)
        self.sums_of_groups = empty_aligned(groups * self.capacity * GROUP * self.lanes, self.dtype)
        self.activations = empty_aligned(activations, self.dtype)
        hidden = self.layers[:-1] if task.masked else []
        #: Of each hidden layer, factors on the activations of a batch, whose padding is finite.
        self.masks = [np.zeros((self.capacity, layer.stride), self.dtype) for layer in hidden]
        self.units = sum(layer.units for layer in self.layers)
        self.bias_units = sum(layer.bias_groups for layer in self.layers)
        #: Sums of W^2; then sums of squared gradients, of the weights and of the biases.
        self.squares = np.zeros(2 * self.units + self.bias_units)
        #: Of each layer, the first of them: to count its units takes as long as to add up few.
        self._sums = [self.squares[layer.squares :][: layer.units] for layer in self.layers]
        self._made = {}  # by copy and layer

    def _divide(self, task):
        """Place the layers; return the elements of parameters, transposes and activations."""
        self.layers = []
        sizes, size = task.layer_sizes, self.size
        params, activations, squares, norms = 0, 0, 0, 0
        transposed = max(2 * NR * self.lanes, *(row_stride(N, size) for N in sizes[1:]))
        for depth, (K, N) in enumerate(itertools.pairwise(sizes)):
            stride, last = row_stride(N, size), depth == len(sizes) - 2
            block = self.capacity * stride
            gradient = activations if last else activations + block
            kept = not last and task.keeps_derivatives(depth)
            derivative = gradient + block if kept else -1
            layer = Layer(
                fan_in=K,
                fan_out=N,
                by_rows=task.sparse and depth == 0,
                lanes=self.lanes,
                activation=IDENTITY if last else task.activations[depth],
                weights=params,
                biases=0,
                transposed=transposed,
                stride=stride,
                output=activations,
                gradient=gradient,
                derivative=derivative,
                squares=squares,
                norms=norms,
            )
            layer = layer._replace(biases=params + layer.size)
            self.layers.append(layer)
            params = layer.biases + stride
            if depth > 0:
                transposed += round_up(K, self.lanes) * N
            activations = max(gradient, derivative) + block
            squares += layer.units
            norms += layer.bias_groups
        return params, transposed, activations

    # --------------------------------------------------------------------------------- addresses

    def parameter(self, start):
        """Return the address of an element of the parameters."""
        return self.params.ctypes.data + start * self.size

    def activation(self, start):
        """Return the address of an element of the activations."""
        return self.activations.ctypes.data + start * self.size

    def transpose(self, start):
        """Return the address of an element of the transposes."""
        return self.transposed.ctypes.data + start * self.size

    def group_sums(self, number):
        """Return the address of the sums of a group of columns between two parts of K."""
        return self.sums_of_groups.ctypes.data + number * self.capacity * GROUP * VECTOR_BYTES

    def behind(self, copy):
        """Return the bytes from a parameter to its place in a copy."""
        return copy * self.elements * self.size

    # ------------------------------------------------------------------------------- in and out

    def load(self, depth, W, b):
        """Pack one layer's parameters, W (fan_in, fan_out) and b (fan_out,).

        Also the transposed weights, where anything reads these.
        """
        layer, N = self.layers[depth], W.shape[1]
        self.write(0, depth, W, b)
        last = depth == len(self.layers) - 1
        self.params[layer.biases + N : layer.biases + layer.stride] = self.floor if last else 0
        if self.goes_back and depth > 0:
            _fill(self._views("transposed", depth), W.T)

    def square(self, depth, W):
        """Begin the sums of squares of a layer's weights anew, where anything reads these."""
        if not self.penalised:
            return
        total, weights = 0.0, W.ravel(order="K")
        # No float64 copy of all of it: new memory takes longer than the squares.
        for first in range(0, weights.size, SQUARED):
            some = weights[first : first + SQUARED].astype(np.float64, copy=False)
            total += np.vdot(some, some)  # which warns of no overflow: the loss will tell
        sums = self._sums[depth]
        sums[:] = 0
        sums[:1] = total

    def write(self, copy, depth, W, b):
        """Pack arrays of the shapes of a layer's parameters into a copy."""
        layer, buffer = self.layers[depth], self.copies[copy]
        _fill(self._views(copy, depth), W)
        buffer[layer.biases : layer.biases + len(b)] = b

    def read(self, copy, depth, W, b):
        """Unpack a copy into arrays of the shapes of a layer's parameters."""
        layer, buffer = self.layers[depth], self.copies[copy]
        for used, columns in self._views(copy, depth).used:
            W[:, columns] = used
        b[:] = buffer[layer.biases : layer.biases + len(b)]

    def _views(self, copy, depth):
        """Return where the weights of a layer lie in a copy, or in the transposes; made once.

        To make them takes as long as a step of many a network.
        """
        views = self._made.get((copy, depth))
        if views is None:
            transposed = copy == "transposed"
            buffer = self.transposed if transposed else self.copies[copy]
            pieces = self.transposed_pieces if transposed else self.pieces
            used, padding = [], []
            for part, columns in pieces(buffer, depth):
                count = columns.stop - columns.start
                used.append((part[:, :count], columns))
                padding.append(part[:, count:])
            if not transposed:
                padding += self._behind_groups(buffer, depth)
            padding = [part for part in padding if part.size]
            views = self._made[copy, depth] = Views(used, padding)
        return views

    def transposed_pieces(self, buffer, depth):
        """Yield the panels of a layer's transpose, each as a view and its slice of columns."""
        layer = self.layers[depth]
        K, N = layer.fan_in, layer.fan_out
        whole, wide = round_up(K, self.lanes), NR * self.lanes
        yield from _panels(buffer, layer.transposed, N, K, whole, wide)

    def pieces(self, buffer, depth):
        """Yield a layer's panels and groups, each as a view (K, width) and its slice of columns."""
        layer = self.layers[depth]
        K, N = layer.fan_in, layer.fan_out
        stop, wide = layer.columns, layer.panel_vectors * self.lanes
        yield from _panels(buffer, layer.weights, K, N, stop, wide)
        if stop < N:
            yield self._groups(buffer, layer)[:, :K].T, slice(stop, N)

    def _behind_groups(self, buffer, depth):
        """Return a list of the view of what fills columns in groups up to whole vectors, if any."""
        layer = self.layers[depth]
        if layer.columns >= layer.fan_out:
            return []
        return [self._groups(buffer, layer)[:, layer.fan_in :]]

    def _groups(self, buffer, layer):
        """Return the groups of a layer: a view with a row for each of their columns."""
        begin = layer.weights + layer.columns * layer.fan_in
        shape = round_up(layer.fan_out - layer.columns, GROUP), layer.group_length
        return buffer[begin : begin + shape[0] * shape[1]].reshape(shape)


def _fill(views, W):
    """Copy a matrix to where it lies in a buffer, with zeros around it."""
    for part in views.padding:
        part[:] = 0
    for used, columns in views.used:
        used[:] = W[:, columns]


def _panels(buffer, start, K, N, stop, wide):
    """Yield each panel as a view (K, width), and the slice of the columns that it holds."""
    for first in range(0, stop, wide):
        width = min(wide, stop - first)
        begin = start + first * K
        part = buffer[begin : begin + K * width].reshape(K, width)
        yield part, slice(first, min(first + width, N))
