"""The operations that turn gradients into steps: the other phase of a step."""

from . import operations as op
from .layout import round_up
from .memory import BIAS_VECTORS
from .product import block_columns
from .simd import GROUP, GROUP_VECTORS, TALL, TILE_VECTORS, WIDE
from .sparse import NEAR
from .update import SGD
from .work import share


class Descent:
    """The updates of all parameters, tile by tile.

    Parameters
    ----------
    work : Work
    memory : Memory
    tables : ndarray of shape (2 n_layers, capacity)
        Addresses of the rows of each layer's input, and of its output's gradient.
    threads : int
    first_part : int
        The copy of the parameters that holds the gradient of a batch's first part.
    csr_block : int
        Columns of sparse input to visit at a time.
    """

    def __init__(self, work, memory, tables, threads, first_part, csr_block):
        self.memory, self.tables = memory, tables
        self.threads, self.first_part = threads, first_part
        self.layers, self.size, self.lanes = memory.layers, memory.size, memory.lanes
        # Without penalty and memory, SGD leaves untouched rows of a sparse layer as they are.
        self.csr_direct = work.lazy and work.optimizer == SGD and not work.clip
        self.tile, self.csr_rows = TILE_VECTORS * self.lanes, csr_block
        if self.layers[0].rows and not self.csr_direct:
            row = self.layers[0].panel_vectors(self.lanes) * self.lanes
            # A tile of the gradient stays in L1: whole units, or a part of one.
            fit, unit = max(NEAR // (row * self.size) // TALL, 1) * TALL, self.layers[0].unit_rows()
            self.csr_rows = fit // unit * unit or fit
            self.tile = max(self.tile, self.csr_rows * row)

    def operations(self, thread, first, stop, mode, part=0):
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
                operations += self._rows(layer, thread, stop, mode, sums)
            else:
                shares = thread, threads
                operations += self._packed(depth, shares, first, dZ, mode, sums, side)
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

    def _rows(self, layer, thread, n, mode, sums):
        memory, across = self.memory, layer.panel_vectors(self.lanes)
        lo, hi = share(layer.units(self.lanes), 1, thread, self.threads)
        first, unit = sums + layer.squares, layer.unit_rows()
        dZ, stride = memory.output(layer.gradient), layer.stride * self.size
        # Each unit has a sum of squares, and what is a part of one must begin with it; SGD that
        # writes in place has none.
        step = layer.fan_in if self.csr_direct else max(self.csr_rows, unit)
        starts = range(lo * unit, min(hi * unit, layer.fan_in), step)
        operations = [(op.CLEAR_SUMS, first + lo, first + hi)]
        if mode != op.APPLY:
            operations.append((op.CSR_SEEK, 0, n, lo * unit))
        for start in starts:
            stop = min(start + step, hi * unit, layer.fan_in)
            W = memory.parameter(layer.weights + start * across * self.lanes)
            operations.append(
                (op.CSR_UPDATE, mode, start, stop, dZ, stride, W, across)
                + (first + start // unit, self.csr_direct, self.csr_rows, unit)
            )
        return operations

    def _packed(self, depth, shares, first, dZ, mode, sums, side):
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
        base = self.memory.transposed.ctypes.data + layer.transposed * self.size
        while k0 < k1:
            panel = k0 // wide * wide
            stop = min(k1, panel + wide)
            width = min(wide, whole - panel)
            yield k0, stop, base + (panel * layer.fan_out + k0 - panel) * self.size, width
            k0 = stop

    def _transpose(self, layer, j, across, k0, k1):
        """Return the operations that copy rows k0..k1 of a panel into the transpose."""
        count, stride = min(across, layer.fan_out - j), across * self.size
        W = self.memory.parameter(layer.weights + j * layer.fan_in)
        return [
            (op.TRANSPOSE, W + k * stride, stride, stop - k, count)
            + (place + j * width * self.size, width * self.size)
            for k, stop, place, width in self._targets(layer, k0, k1)
        ]

    def _transpose_group(self, layer, j, start, length, k0, k1):
        """Return the operations that copy k0..k1 of a group's columns into the transpose."""
        count, stride = min(GROUP, layer.fan_out - j), length * self.size
        W = self.memory.parameter(start)
        return [
            (op.COPY_ROWS, W + k * self.size, stride, count, stop - k)
            + (place + j * width * self.size, width * self.size)
            for k, stop, place, width in self._targets(layer, k0, k1)
        ]
