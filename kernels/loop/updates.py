"""The operations that turn gradients into steps, tile by tile: planned here."""

from typing import NamedTuple

from ..csr import NEAR
from ..layout import round_up
from ..llvm.processor import VECTOR_BYTES
from ..llvm.tiles import GROUP, GROUP_VECTORS, MR, NR, TILE_VECTORS
from ..transpose import CopyRows, Transpose
from ..update import ACCUMULATE, GRADIENT, SGD, STORE
from . import operations as op
from .buffers import BIAS_VECTORS
from .propagation import BLOCK_BYTES
from .task import share


def block_columns(count, K, size):
    """Return how many of K columns of `count` rows to sum over for all panels in turn."""
    if count * K * size <= 2 * BLOCK_BYTES:
        return max(K, 1)
    across = GROUP_VECTORS * VECTOR_BYTES // size
    return max(BLOCK_BYTES // (count * size) // across, 1) * across


class Fate(NamedTuple):
    """Where gradients are, and what becomes of them: the first five fields of every update."""

    gradient: int  #: COMPUTED, SUMMED or KEPT
    behind: int
    rule: int
    memory_1: int
    memory_2: int


class Sweep(NamedTuple):
    """One thread's way over the parameters, with the gradient by some rows of the batch."""

    fate: Fate
    thread: int
    threads: int
    first: int  #: first row
    stop: int  #: first row that is left out
    squares: int = -1  #: number of the first sum of squares of the weights, -1 where none is summed
    norms: int = -1  #: the same of the biases
    moves: bool = False  #: weights change

    @property
    def rows(self):
        """Rows of the batch that are summed over."""
        return self.stop - self.first

    def squares_of(self, layer, unit=0):
        """Return the number of the sum of squares of a layer's unit of work, -1 for none."""
        return -1 if self.squares < 0 else self.squares + layer.squares + unit

    def norm_of(self, layer, group):
        """Return the number of the sum of squares of a group of biases, -1 for none."""
        return -1 if self.norms < 0 else self.norms + layer.norms + group


class Updates:
    """The updates of all parameters.

    Parameters
    ----------
    task : Task
    buffers : Buffers
    tables : ndarray of shape (2 n_layers, capacity)
        Addresses of the rows of each layer's input, and of its output's gradient.
    csr_block : int
        Columns of sparse input to visit at a time.
    """

    def __init__(self, task, buffers, tables, csr_block):
        self.task, self.buffers, self.tables, self.threads = task, buffers, tables, task.threads
        self.layers, self.size, self.lanes = buffers.layers, buffers.size, buffers.lanes
        # Without penalty and memory, SGD leaves untouched rows of a sparse layer as they are.
        self.csr_direct = not task.penalty and task.rule == SGD and not task.clip
        #: Elements of a thread's tile of gradients, and rows of a sparse layer's that it holds.
        self.tile, self.csr_rows = TILE_VECTORS * self.lanes, csr_block
        if self.layers[0].by_rows and not self.csr_direct:
            row = self.layers[0].panel_vectors * self.lanes
            # A tile of the gradient stays in L1: whole units, or a part of one.
            fit, unit = max(NEAR // (row * self.size) // MR, 1) * MR, self.layers[0].unit_rows
            self.csr_rows = fit // unit * unit or fit
            self.tile = max(self.tile, self.csr_rows * row)

    # ------------------------------------------------------------------- what becomes of gradients

    def step(self, thread, n):
        """Return a thread's share of the step of a batch of n rows."""
        fate = self._of_batch(self.task.rule, self.buffers.behind(1), self.buffers.behind(2))
        return self._sweep(Sweep(fate, thread, self.threads, 0, n, squares=0, moves=True))

    def keep(self, thread, n):
        """Return a thread's share of the gradient of a batch of n rows, to be kept as a whole."""
        rule = ACCUMULATE if self.task.rule == ACCUMULATE else GRADIENT
        fate = self._of_batch(rule, self.buffers.behind(self.buffers.kept), 0)
        units = self.buffers.units
        return self._sweep(Sweep(fate, thread, self.threads, 0, n, squares=units, norms=2 * units))

    def step_along_kept(self, thread, n):
        """Return a thread's share of the step along the gradient that was kept."""
        buffers = self.buffers
        fate = Fate(
            gradient=op.KEPT,
            behind=buffers.behind(buffers.kept),
            rule=self.task.rule,
            memory_1=buffers.behind(1),
            memory_2=buffers.behind(2),
        )
        return self._sweep(Sweep(fate, thread, self.threads, 0, n, squares=0, moves=True))

    def store_shard(self, shard, first, stop):
        """Return the operations that store the gradient of a shard, rows first..stop."""
        behind = self.buffers.behind(self.buffers.first_shard + shard)
        return self._sweep(Sweep(Fate(op.COMPUTED, 0, STORE, behind, 0), 0, 1, first, stop))

    def _of_batch(self, rule, memory_1, memory_2):
        """Return the fate of a batch's gradient: computed, or summed over the shards."""
        if self.task.shards:
            behind = self.buffers.behind(self.buffers.first_shard)
            return Fate(op.SUMMED, behind, rule, memory_1, memory_2)
        return Fate(op.COMPUTED, 0, rule, memory_1, memory_2)

    # ------------------------------------------------------------------------------ the operations

    def _sweep(self, sweep):
        operations = []
        for depth, layer in enumerate(self.layers):
            operations += self._rows(layer, sweep) if layer.by_rows else self._packed(depth, sweep)
            operations += self._biases(layer, sweep)
        return operations

    def _biases(self, layer, sweep):
        group, operations = BIAS_VECTORS * self.lanes, []
        # The last thread first: it has the smaller share of the units more often.
        thread = sweep.threads - 1 - sweep.thread
        for j in range(*share(layer.fan_out, group, thread, sweep.threads), group):
            update = op.UpdateBias(
                *sweep.fate,
                biases=self.buffers.parameter(layer.biases + j),
                dZ=self._gradient(layer, sweep.first, j),
                stride=layer.stride * self.size,
                elements=min(group, layer.fan_out - j),
                squares=sweep.norm_of(layer, j // group),
                rows=sweep.rows,
            )
            operations.append(update)
        return operations

    def _gradient(self, layer, row, column):
        """Return the address of an element of the gradient of a layer's output."""
        return self.buffers.activation(layer.gradient + row * layer.stride + column)

    def _rows(self, layer, sweep):
        """Return the updates of the weights of sparse inputs."""
        unit = layer.unit_rows
        lo, hi = share(layer.units, 1, sweep.thread, sweep.threads)
        # Each unit has a sum of squares, and what is a part of one must begin with it; SGD that
        # writes in place has none.
        step = layer.fan_in if self.csr_direct else max(self.csr_rows, unit)
        operations = self._cleared(layer, sweep, lo, hi)
        if sweep.fate.gradient != op.KEPT:
            operations.append(op.SeekColumns(0, sweep.stop, k0=lo * unit))
        for k0 in range(lo * unit, min(hi * unit, layer.fan_in), step):
            update = op.UpdateRows(
                *sweep.fate,
                k0=k0,
                k1=min(k0 + step, hi * unit, layer.fan_in),
                dZ=self._gradient(layer, 0, 0),
                stride=layer.stride * self.size,
                weights=self.buffers.parameter(layer.weights + k0 * layer.stride),
                across=layer.panel_vectors,
                squares=sweep.squares_of(layer, k0 // unit),
                direct=int(self.csr_direct),
                block=self.csr_rows,
                unit=unit,
            )
            operations.append(update)
        return operations

    def _cleared(self, layer, sweep, *units):
        """Return the operations that zero the sums of squares of ranges of a layer's units."""
        if sweep.squares < 0:
            return []
        places = [sweep.squares_of(layer, unit) for unit in units]
        return [op.ClearSquares(*pair) for pair in zip(places[::2], places[1::2])]

    def _packed(self, depth, sweep):
        """Return the updates of packed weights, and of their transposes where these are used."""
        layer = self.layers[depth]
        K, across, behind = layer.fan_in, GROUP_VECTORS * self.lanes, layer.panel_units
        # Panels and groups are divided alike, so that a thread reads the same columns of X.
        lo, hi = share(layer.panel_units, 1, sweep.thread, sweep.threads)
        group_lo, group_hi = share(layer.group_units, 1, sweep.thread, sweep.threads)
        operations = self._cleared(layer, sweep, lo, hi, behind + group_lo, behind + group_hi)
        block = block_columns(sweep.rows, K, self.size)
        for begin in range(0, K, block):
            k0, k1 = max(lo * MR, begin), min(hi * MR, begin + block, K)
            if k0 < k1:
                operations += self._panels(depth, k0, k1, sweep)
            k0, k1 = max(group_lo * across, begin), min(group_hi * across, begin + block, K)
            for k in range(k0, k1, across):
                operations += self._groups(depth, k, min(across, K - k), sweep)
        return operations

    def _panels(self, depth, k0, k1, sweep):
        """Return the updates of rows k0..k1 of all panels of a layer."""
        layer, operations = self.layers[depth], []
        for j in range(0, layer.columns, NR * self.lanes):
            vectors = min(NR, (layer.columns - j) // self.lanes)
            update = op.UpdatePanel(
                *sweep.fate,
                vectors=vectors,
                table=self.tables[depth, sweep.first :].ctypes.data,
                k0=k0,
                k1=k1,
                dZ=self._gradient(layer, sweep.first, j),
                stride=layer.stride * self.size,
                weights=self.buffers.parameter(layer.weights + j * layer.fan_in),
                squares=sweep.squares_of(layer),
                rows=sweep.rows,
            )
            operations.append(update)
            if sweep.moves and depth > 0:
                operations += self._transpose(layer, j, vectors * self.lanes, k0, k1)
        return operations

    def _groups(self, depth, k, count, sweep):
        """Return the updates of elements k..k + count of all groups of a layer."""
        layer, operations = self.layers[depth], []
        unit = layer.panel_units + k // (GROUP_VECTORS * self.lanes)
        for j in range(layer.columns, layer.fan_out, GROUP):
            start = layer.weights + layer.columns * layer.fan_in
            start += (j - layer.columns) * layer.group_length
            update = op.UpdateGroup(
                *sweep.fate,
                table=self.tables[depth, sweep.first :].ctypes.data,
                k=k,
                elements=count,
                dZ=self._gradient(layer, sweep.first, j),
                stride=layer.stride * self.size,
                weights=self.buffers.parameter(start + k),
                length=layer.group_length * self.size,
                squares=sweep.squares_of(layer, unit),
                rows=sweep.rows,
            )
            operations.append(update)
            if sweep.moves and depth > 0:
                operations += self._copy_group(layer, j, start, k, k + count)
        return operations

    # --------------------------------------------------------------------------- transposes

    def _targets(self, layer, k0, k1):
        """Yield the ranges of k in one panel of the transpose: start, stop, address, stride."""
        wide, whole = NR * self.lanes, round_up(layer.fan_in, self.lanes)
        while k0 < k1:
            panel = k0 // wide * wide
            stop, width = min(k1, panel + wide), min(wide, whole - panel)
            place = layer.transposed + panel * layer.fan_out + k0 - panel
            yield k0, stop, self.buffers.transpose(place), width * self.size
            k0 = stop

    def _transpose(self, layer, j, across, k0, k1):
        """Return the operations that copy rows k0..k1 of a panel into the transpose."""
        W = self.buffers.parameter(layer.weights + j * layer.fan_in)
        return [
            Transpose(
                W=W + k * across * self.size,
                stride=across * self.size,
                rows=stop - k,
                columns=min(across, layer.fan_out - j),
                out=place + j * out_stride,
                out_stride=out_stride,
            )
            for k, stop, place, out_stride in self._targets(layer, k0, k1)
        ]

    def _copy_group(self, layer, j, start, k0, k1):
        """Return the operations that copy k0..k1 of a group's columns into the transpose."""
        return [
            CopyRows(
                X=self.buffers.parameter(start + k),
                stride=layer.group_length * self.size,
                rows=min(GROUP, layer.fan_out - j),
                elements=stop - k,
                out=place + j * out_stride,
                out_stride=out_stride,
            )
            for k, stop, place, out_stride in self._targets(layer, k0, k1)
        ]
