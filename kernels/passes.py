"""The operations that take rows through the network and back: one phase of a step."""

from . import operations as op
from .activation import IDENTITY, RELU
from .layout import panel_columns, round_up
from .product import block_rows
from .simd import GROUP, WIDE
from .sparse import csr_block_columns


class Passes:
    """The forward and the backward pass of a network over any rows of a batch.

    Parameters
    ----------
    codes : Codes
    work : Work
    memory : Memory
    tables : ndarray of shape (2 n_layers, capacity)
        Addresses of the rows of each layer's input, and of its output's gradient.
    """

    def __init__(self, codes, work, memory, tables):
        self.codes, self.work = codes, work
        self.memory, self.tables = memory, tables
        self.layers, self.size, self.lanes = memory.layers, memory.size, memory.lanes
        first = self.layers[0]
        self.csr_block = 0
        if first.rows:
            across = first.panel_vectors(self.lanes)
            self.csr_block = csr_block_columns(work.non_zeros, first.fan_in, across)

    def there_and_back(self, first, stop):
        """Return the operations that take rows through the network and back."""
        return (
            self.gather(first, stop, 0)
            + self.forward(first, stop, training=True)
            + [self.loss(first, stop, op.GENERAL if self.work.general_loss else op.PLAIN)]
            + self.backward(first, stop)
        )

    def gather(self, first, stop, source):
        """Return the operation that looks up rows of a source."""
        code = {op.DENSE: op.GATHER, op.CSR: op.GATHER_CSR, op.BYTES: op.GATHER_BYTES}
        return [(code[self.work.input_kind], first, stop, source, self.layers[0].fan_in)]

    def forward(self, first, stop, training=False):
        """Return the operations that compute the scores of rows."""
        operations, memory = [], self.memory
        activation = self.codes.activation
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
                    + (out + j * size, stride, rows[1])
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
        places = W, across, out, stride, self.csr_block
        return [
            (op.CSR_SEEK, first, stop, 0),
            (op.CSR_MULTIPLY, first, stop, layer.fan_in, start, *places),
        ]

    def loss(self, first, stop, weighting):
        """Return the operation that turns scores into gradients."""
        layer = self.layers[-1]
        S, stride = self.memory.output(layer.output), layer.stride * self.size
        width = layer.written(self.lanes)
        return (op.LOSS, first, stop, S, stride, width, layer.fan_out, weighting)

    def correct(self, first, stop):
        """Return the operation that counts right answers."""
        layer = self.layers[-1]
        return (op.CORRECT, first, stop, layer.output, layer.stride, layer.fan_out)

    def output(self, first, stop):
        """Return the operation that writes predictions."""
        layer, head = self.layers[-1], self.work.output_head
        S, stride = self.memory.output(layer.output), layer.stride * self.size
        width = layer.written(self.lanes)
        return (op.OUTPUT, first, stop, S, stride, width, layer.fan_out, head)

    def backward(self, first, stop):
        """Return the operations that take gradients back to the first layer."""
        operations, memory = [], self.memory
        transposed, activation = memory.transposed.ctypes.data, self.codes.activation
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
