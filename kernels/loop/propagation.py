"""The operations that take rows forward through a network, and gradients back: planned here."""

import itertools
from typing import NamedTuple

from ..activation import IDENTITY, RELU, Activate, Backward, BackwardStored
from ..csr import csr_block_columns
from ..layout import group_columns, round_up
from ..llvm.processor import CACHE_LINE, VECTOR_BYTES
from ..llvm.tiles import GROUP, MR, NR, MultiplyGroup, MultiplyPanel, unroll
from ..marked import WORD
from ..marked_products import MultiplyPair
from ..multiples import MultiplesOfRow
from ..softmax_rows import ROWS_PER_LOG
from . import operations as op
from .blocking import row_blocks, sum_blocks
from .ownership import owned_columns
from .task import BYTES, CSR, share


class Product(NamedTuple):
    """A product ``A W + bias`` with packed weights; addresses, and bytes for distances."""

    table: int  #: of the addresses of the rows of A
    K: int
    columns: int  #: up to here they lie in panels, from here on in groups
    N: int
    W: int
    bias: int
    relu: int  #: 1 to apply the ReLU in registers
    out: int
    stride: int
    gate: int = 0  #: address of the output of a ReLU that the product is taken back through
    has_zeros: bool = False  #: skip those of A


def prefetching(operations):
    """Have each product with a panel prefetch what the next one multiplies by, at an even pace.

    Of a panel that is not near, the first tile of a product waits for every line. 256-2048-2048-10
    takes 4 to 9 % less time so, its products with panels 5 to 15 % less (float32, batches of 512,
    Zen 5); networks whose weights lie near anyway take as long as without.
    """
    planned, later = [], None
    for operation in reversed(operations):
        if isinstance(operation, (MultiplyPanel, MultiplyPair)):
            if later is not None:
                operation = _prefetching(operation, later)
            later = operation
        planned.append(operation)
    return planned[::-1]


def _prefetching(product, later):
    """Have a product with one panel or two prefetch what another one multiplies by."""
    steps = max((product.stop - product.first) // MR, 1) * max(product.K, 1)
    pace = -(-later.K * min(later.vectors, NR) * VECTOR_BYTES // steps)
    # Prefetching is done once in some steps: faster, and it would leave out lines.
    pace = min(pace, CACHE_LINE // unroll(min(product.vectors, NR)))
    if isinstance(product, MultiplyPair) and isinstance(later, MultiplyPair):
        product = product._replace(following_beside=later.beside)
    return product._replace(following=later.panel, pace=pace)


class Propagation:
    """The forward and the backward pass of a network over any rows of a batch.

    Parameters
    ----------
    task : Task
    buffers : Buffers
    tables : ndarray of shape (2 n_layers + threads + 1, capacity)
        Addresses of the rows of each layer's input, and of its output's gradient, come first.
    marking : Marking
    owned : int
        Panels of the first layer that each thread multiplies by alone, see `.ownership`.
    """

    def __init__(self, task, buffers, tables, marking, owned):
        self.task, self.buffers, self.tables, self.marking = task, buffers, tables, marking
        self.owned = owned
        self.layers, self.size, self.lanes = buffers.layers, buffers.size, buffers.lanes
        first = self.layers[0]
        #: Columns of sparse input to visit at a time.
        self.csr_block = 0
        if first.by_rows:
            self.csr_block = csr_block_columns(task.non_zeros, first.fan_in, first.panel_vectors)

    def there_and_back(self, first, stop):
        """Return the operations that take rows through the network and back."""
        return [
            self.gather(first, stop),
            *self.forward(first, stop, training=True),
            *self._back(first, stop),
        ]

    def _back(self, first, stop):
        """Return the operations that take rows from their scores back to the first layer."""
        weighting = op.GENERAL if self.task.general_loss else op.PLAIN
        return [self.loss(first, stop, weighting), *self.backward(first, stop)]

    # The same in three parts, where threads own columns of the first layer.

    def look_up(self, first, stop):
        """Return the operations that look up rows, and mark what is not 0 in them."""
        product = self._forward_operands(0)
        marks = [self._mark(product, first, stop)] if product.has_zeros else []
        return [self.gather(first, stop), *marks]

    def multiply_columns(self, thread, n):
        """Return a thread's share of the first layer's product: its columns, and some rows."""
        product, operations = self._forward_operands(0), []
        begin, end, shared = owned_columns(self.layers[0], self.owned, thread, self.task.threads)
        mine = self._columns(product, begin, end)
        rest = self._columns(product, shared, max(product.columns, product.N))
        first, stop = share(n, ROWS_PER_LOG, thread, self.task.threads)
        for part, lo, hi in ((mine, 0, n), (rest, first, stop)):
            for *_, block in self._product(part, lo, hi, marked=True):
                operations += block
        return operations

    def there_and_back_from_columns(self, first, stop):
        """Return the operations that take rows on from the first layer's product, and back."""
        forward = self.forward(first, stop, training=True, multiplied=True)
        return [*forward, *self._back(first, stop)]

    # In two parts, where the step before may have done the first one.

    def multiply_panels(self, n):
        """Return the operations that look up n rows and multiply them by the first panels."""
        product = self._forward_operands(0)
        ((*_, block),) = self._product(self._columns(product, 0, product.columns), 0, n)
        return [self.gather(0, n), *block]

    def there_and_back_from_panels(self, n):
        """Return the operations that look up n rows, and take them on from there, and back."""
        product = self._forward_operands(0)
        groups = self._columns(product, product.columns, max(product.columns, product.N))
        ((*_, block),) = self._product(groups, 0, n)
        return [self.gather(0, n), *block, *self.there_and_back_from_columns(0, n)]

    def _columns(self, product, first, stop):
        """Return the part of a product with some columns: panels, and groups at their end."""
        return product._replace(
            columns=min(product.columns, stop) - first,
            N=stop - first,
            W=product.W + first * product.K * self.size,
            bias=product.bias + first * self.size,
            out=product.out + first * self.size,
        )

    # --------------------------------------------------------------------------- forward

    def gather(self, first, stop):
        """Return the operation that looks up rows of a source."""
        kind = self.task.input_kind
        if kind == BYTES:
            return op.GatherBytes(first, stop, inputs=self.layers[0].fan_in)
        return (op.GatherCSR if kind == CSR else op.Gather)(first, stop)

    def forward(self, first, stop, training=False, multiplied=False):
        """Return the operations that compute the scores of rows.

        Those of the first layer's product are left out where they have been `multiplied`.
        """
        operations, buffers = [], self.buffers
        for depth, layer in enumerate(self.layers):
            last = depth == len(self.layers) - 1
            blocks = self._forward_product(depth, first, stop)
            if multiplied and depth == 0:
                blocks = [(first, stop, [])]
            for lo, hi, product in blocks:
                operations += product
                # A block's outputs are still in a cache when its activation is computed.
                if not last:
                    operations += self._activate(layer, lo, hi, training)
            if training and self.task.dropout and not last:
                operations.append(
                    op.Dropout(
                        layer=depth,
                        A=buffers.activation(layer.output),
                        derivatives=buffers.activation(layer.derivative),
                        stride=layer.stride * self.size,
                        elements=round_up(layer.fan_out, self.lanes),
                        first=first,
                        stop=stop,
                    )
                )
            if training and self.task.masked and not last:
                operations += self._masked(depth, first, stop)
        return operations

    def _masked(self, depth, first, stop):
        """Return the operations that multiply rows of a layer's output by given factors."""
        layer, mask = self.layers[depth], self.buffers.masks[depth][first:].ctypes.data
        skip, count = first * layer.stride, (stop - first) * layer.stride
        return [
            BackwardStored(mask, self.buffers.activation(start + skip), count)
            for start in (layer.output, layer.derivative)
        ]

    def _forward_product(self, depth, first, stop):
        """Return the blocks of a layer's forward product, see `_product`."""
        layer, product = self.layers[depth], self._forward_operands(depth)
        if not layer.by_rows:
            return self._product(product, first, stop)
        sparse = op.MultiplyCSR(
            first=first,
            stop=stop,
            K=layer.fan_in,
            bias=product.bias,
            W=product.W,
            across=layer.panel_vectors,
            out=product.out,
            stride=product.stride,
            block=self.csr_block,
        )
        return [(first, stop, [op.SeekColumns(first, stop, k0=0), sparse])]

    def _forward_operands(self, depth):
        """Return what a layer's forward product is about."""
        layer, buffers = self.layers[depth], self.buffers
        return Product(
            table=self.tables[depth].ctypes.data,
            K=layer.fan_in,
            columns=layer.columns,
            N=layer.fan_out,
            W=buffers.parameter(layer.weights),
            bias=buffers.parameter(layer.biases),
            relu=int(layer.activation == RELU),
            out=buffers.activation(layer.output),
            stride=layer.stride * self.size,
            has_zeros=self.marking.meets_zeros(depth),
        )

    def _product(self, product, first, stop, marked=False):
        """Return the operations of a product, block of rows by block: (first, stop, operations).

        With the first block come those of the parts of the sum before the last, and of marking what
        is not 0 in the rows, unless they are `marked`.
        """
        parts, operations = sum_blocks(product.K, self.size), []
        if product.columns <= NR * self.lanes:
            product = product._replace(has_zeros=False)
        if product.has_zeros and not marked:
            operations.append(self._mark(product, first, stop))
        for k0, k1 in parts:
            blocks = []
            for lo, hi in row_blocks(first, stop, k1 - k0, self.size):
                operations += self._panels(product, k0, k1, lo, hi, stop)
                operations += self._groups(product, k0, k1, lo, hi)
                if k1 == product.K:
                    blocks.append((lo, hi, operations))
                    operations = []
        return blocks

    def _mark(self, product, first, stop):
        """Return the operation that marks what is not 0 in rows of a product."""
        return self.marking.mark_rows(product.table, first, stop, product.K)

    def _panels(self, product, k0, k1, first, stop, known):
        """Return a part of the products of some rows with all panels, terms k0..k1 of each sum."""
        panels, size = [], self.size
        for j in range(0, product.columns, NR * self.lanes):
            vectors, out = min(NR, (product.columns - j) // self.lanes), product.out + j * size
            place = product.W + j * product.K * size + k0 * vectors * VECTOR_BYTES
            panel = MultiplyPanel(
                table=product.table,
                first=first,
                stop=stop,
                offset=k0 * size,
                panel=place,
                vectors=vectors,
                K=k1 - k0,
                start=out if k0 else product.bias + j * size,
                start_stride=product.stride if k0 else 0,
                relu=product.relu if k1 == product.K else 0,
                out=out,
                stride=product.stride,
                gate=product.gate + j * size if product.gate and k1 == product.K else 0,
                known=known,
                following=place,
                pace=0,
            )
            panels.append(panel)
        return self._paired(k0, panels) if product.has_zeros else panels

    def _paired(self, k0, panels):
        """Return panels two by two, as products that skip zeros; of an odd number, one alone."""
        pairs = []
        for panel, beside in itertools.zip_longest(panels[::2], panels[1::2]):
            if beside is None:
                pairs.append(panel)
                continue
            pair = MultiplyPair(
                **panel._replace(vectors=panel.vectors + beside.vectors)._asdict(),
                beside=beside.panel,
                following_beside=beside.panel,
                marks=self.marking.row_marks.ctypes.data + k0 // WORD * 8,
                words=self.marking.row_words,
            )
            pairs.append(pair)
        return pairs

    def _groups(self, product, k0, k1, first, stop):
        """Return the same of all groups."""
        operations, size, buffers = [], self.size, self.buffers
        length = round_up(product.K, self.lanes) * size
        for number, j in enumerate(range(product.columns, product.N, GROUP)):
            sums = buffers.group_sums(number)
            group = MultiplyGroup(
                table=product.table,
                first=first,
                stop=stop,
                offset=k0 * size,
                group=product.W
                + product.columns * product.K * size
                + (j - product.columns) * length
                + k0 * size,
                length=length,
                columns=group_columns(product.N - j),
                K=k1 - k0,
                start=sums if k0 else buffers.transpose(0),
                start_stride=GROUP * VECTOR_BYTES if k0 else 0,
                sums=sums if k1 < product.K else 0,
                bias=product.bias + j * size,
                relu=product.relu,
                out=product.out + j * size,
                stride=product.stride,
            )
            operations.append(group)
        return operations

    def _activate(self, layer, first, stop, training):
        """Return the operations that apply the activation to rows of a layer's output."""
        activation, derivatives = layer.activation, 0
        if training and layer.derivative >= 0:
            derivatives = self.buffers.activation(layer.derivative + first * layer.stride)
        # The product has taken care of a ReLU, but not that of sparse inputs.
        done = activation == IDENTITY or (activation == RELU and not layer.by_rows)
        if done and not derivatives:
            return []
        Z = self.buffers.activation(layer.output + first * layer.stride)
        return [Activate(activation, Z, derivatives, elements=(stop - first) * layer.stride)]

    def loss(self, first, stop, weighting):
        """Return the operation that turns scores into gradients."""
        layer = self.layers[-1]
        return op.Loss(
            first=first,
            stop=stop,
            S=self.buffers.activation(layer.output),
            stride=layer.stride * self.size,
            width=layer.written,
            outputs=layer.fan_out,
            weighting=weighting,
        )

    def count_correct(self, first, stop):
        """Return the operation that counts right answers."""
        layer = self.layers[-1]
        return op.CountCorrect(first, stop, layer.output, layer.stride, layer.fan_out)

    def predict(self, first, stop):
        """Return the operation that writes predictions."""
        layer = self.layers[-1]
        return op.Predict(
            first=first,
            stop=stop,
            S=self.buffers.activation(layer.output),
            stride=layer.stride * self.size,
            width=layer.written,
            outputs=layer.fan_out,
            head=self.task.output_head,
        )

    def backward(self, first, stop):
        """Return the operations that take gradients back to the first layer."""
        operations, buffers = [], self.buffers
        for depth in range(len(self.layers) - 1, 0, -1):
            layer, below = self.layers[depth], self.layers[depth - 1]
            if layer.fan_out == 1:
                operations.append(self._back_from_one(layer, below, first, stop))
                operations += self._through_activation(below, first, stop)
                operations += self.marking.turn(depth - 1, first, stop)
                continue
            # No groups here: their dot tile would not pay for the few outputs that it sums over.
            columns = round_up(layer.fan_in, self.lanes)
            product = Product(
                table=self.tables[len(self.layers) + depth].ctypes.data,
                K=layer.fan_out,
                columns=columns,
                N=columns,
                W=buffers.transpose(layer.transposed),
                bias=buffers.transpose(0),
                relu=0,
                out=buffers.activation(below.gradient),
                stride=below.stride * self.size,
                gate=buffers.activation(below.output) if _is_gate(below) else 0,
                has_zeros=self.marking.has_zeros(depth),
            )
            for lo, hi, block in self._product(product, first, stop):
                operations += block + self._through_activation(below, lo, hi)
            operations += self.marking.turn(depth - 1, first, stop)
        return operations

    def _back_from_one(self, layer, below, first, stop):
        """Return the operation that takes the gradient of a single unit back to its inputs."""
        skip, gradient = first * below.stride, self.buffers.activation(layer.gradient)
        return MultiplesOfRow(
            A=gradient + first * layer.stride * self.size,
            A_stride=layer.stride * self.size,
            rows=stop - first,
            row=self.buffers.transpose(layer.transposed),
            vectors=round_up(layer.fan_in, self.lanes) // self.lanes,
            out=self.buffers.activation(below.gradient + skip),
            stride=below.stride * self.size,
            gate=self.buffers.activation(below.output + skip) if _is_gate(below) else 0,
        )

    def _through_activation(self, layer, first, stop):
        """Return the operations that take rows of a gradient back through an activation."""
        skip, count = first * layer.stride, (stop - first) * layer.stride
        dA = self.buffers.activation(layer.gradient + skip)
        if layer.derivative >= 0:
            derivatives = self.buffers.activation(layer.derivative + skip)
            return [BackwardStored(derivatives, dA, count)]
        if layer.activation == IDENTITY or _is_gate(layer):
            return []
        A = self.buffers.activation(layer.output + skip)
        return [Backward(layer.activation, A, dA, count)]


def _is_gate(layer):
    """Tell whether a layer's gradient is zeroed where its output is, while it is in registers."""
    return layer.activation == RELU and layer.derivative < 0
