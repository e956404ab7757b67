"""Where a network skips zeros, of ReLUs or of its inputs, and where the marks of the rest lie."""

import numpy as np

from ..activation import RELU
from ..layout import empty_aligned
from ..llvm.processor import CACHE_LINE
from ..llvm.tiles import MR
from ..marked import HALF_PAYS, WIDEST, WORD, Mark, wide_tiles
from ..marked_products import OuterPair
from ..transpose import Transpose, TransposeListed

#: Inputs that are turned at a time: their gradient by two panels, 24 KiB, stays near.
INPUTS = 64


class Marking:
    """The marks of the outputs of ReLUs and of their gradients, and these gradients turned.

    The zeros of a layer's outputs are skipped by the next layer's forward product, as the inputs'
    are by the first one's; those of gradients by the products that take them back and by the sums
    of the weights' gradient. Such a sum, over the rows of a batch for each unit, runs along a row
    of the *turned* gradient.

    Parameters
    ----------
    task : Task
    buffers : Buffers
    """

    def __init__(self, task, buffers):
        self.layers, self.buffers, self.size = buffers.layers, buffers, buffers.size
        most, lanes = max((*task.batch_sizes, 0)), buffers.lanes
        #: Bytes from one unit of a turned gradient to the next, an odd number of lines, and from
        #: its marks to those of the next.
        self.stride = (-(-most * self.size // CACHE_LINE) | 1) * CACHE_LINE
        self.words = -(-most // WORD) * 8
        #: By the number of a layer whose update skips zeros: its first unit.
        self.starts, units, widest = {}, 0, 0
        for depth, layer in enumerate(self.layers):
            # Sums of squares are those of rows of the weights, MR at a time.
            wide = wide_tiles(layer.fan_in // lanes) and lanes % MR == 0
            panels = layer.columns > 0 and not layer.by_rows
            if most >= WORD and wide and panels and self.has_zeros(depth):
                self.starts[depth] = units
                units, widest = units + layer.columns, max(widest, layer.columns)
        self.marked_inputs = task.marked_inputs
        #: Whether the update of the first layer skips zeros of its inputs: where it skips no units.
        self.turns_inputs = most >= WORD and 0 not in self.starts and self.meets_zeros(0)
        self.rooms, pairs = units, 0
        if self.turns_inputs:
            units, widest = units + task.threads * INPUTS, max(widest, INPUTS)
            pairs = 2 * INPUTS * WIDEST * lanes
        #: Of each thread, the gradient of the inputs at hand by two panels, and sums of it.
        self.pairs = empty_aligned(task.threads * pairs, buffers.dtype)
        self.pairs = self.pairs.reshape(task.threads, pairs)
        self.turned = empty_aligned(units * self.stride // self.size, buffers.dtype)
        #: Addresses of the units.
        self.table = self.turned.ctypes.data + np.arange(units) * self.stride
        #: Of each unit, for each thread.
        self.marks = np.zeros((task.threads, widest * self.words // 8), np.int64)
        widths = [layer.fan_out for depth, layer in enumerate(self.layers) if self.has_zeros(depth)]
        widths += [self.layers[0].fan_in] * self.meets_zeros(0)
        #: Bytes of the marks of a row of the inputs, a layer's outputs or their gradient.
        self.row_words = -(-max(widths, default=0) // WORD) * 8
        self.row_marks = np.zeros((task.capacity, self.row_words // 8), np.int64)

    def has_zeros(self, depth):
        """Tell whether to skip what is 0 in outputs and gradients where a ReLU is closed."""
        return HALF_PAYS and self.layers[depth].activation == RELU

    def meets_zeros(self, depth):
        """Tell whether a layer's inputs have zeros to skip."""
        if depth:
            return self.has_zeros(depth - 1)
        # One narrow pair of panels does not pay for the marks of rows from memory.
        wide = self.layers[0].columns >= WIDEST * self.buffers.lanes
        return self.marked_inputs and wide and not self.layers[0].by_rows

    def mark_rows(self, table, first, stop, elements):
        """Return the operation that marks what is not 0 in rows first..stop of a table."""
        return Mark(
            table=table + first * 8,
            offset=0,
            rows=stop - first,
            elements=elements,
            marks=self.row_marks[first:].ctypes.data,
            words=self.row_words,
        )

    # -------------------------------------------------------------------------- turned gradients

    def skips(self, depth, rows):
        """Tell whether the update of a layer's weights by so many rows skips zeros."""
        return depth in self.starts and rows >= WORD

    def unit(self, depth, unit):
        """Return the address of the address of a unit of a layer, in the turned gradient."""
        return self.table[self.starts[depth] + unit :].ctypes.data

    def unit_marks(self, thread, unit):
        """Return the address of a thread's marks of a unit, of the layer whose turn it is."""
        return self.marks[thread].ctypes.data + unit * self.words

    def turn(self, depth, first, stop):
        """Return the operations that turn rows first..stop of a layer's gradient."""
        if depth not in self.starts:
            return []
        layer = self.layers[depth]
        turn = Transpose(
            W=self.buffers.activation(layer.gradient + first * layer.stride),
            stride=layer.stride * self.size,
            rows=stop - first,
            columns=layer.columns,
            out=int(self.table[self.starts[depth]]) + first * self.size,
            out_stride=self.stride,
        )
        return [turn]

    def turn_inputs(self, thread, table, offset, rows, inputs):
        """Return the operations by which a thread turns and marks some inputs of a batch.

        They lie some bytes behind the addresses of a table.
        """
        room = self.rooms + thread * INPUTS
        turn = TransposeListed(
            table=table,
            offset=offset,
            rows=rows,
            columns=inputs,
            out=int(self.table[room]),
            out_stride=self.stride,
        )
        mark = Mark(
            table=self.table[room:].ctypes.data,
            offset=0,
            rows=inputs,
            elements=rows,
            marks=self.unit_marks(thread, 0),
            words=self.words,
        )
        return [turn, mark]

    def outer_pair(self, thread, inputs, rows, dZ, stride, vectors):
        """Return the operation that sums the gradient of the turned inputs by two panels."""
        pairs = self.pairs[thread]
        return OuterPair(
            inputs=inputs,
            table=self.table[self.rooms + thread * INPUTS :].ctypes.data,
            marks=self.unit_marks(thread, 0),
            words=self.words,
            rows=rows,
            dZ=dZ,
            stride=stride,
            vectors=vectors,
            zeros=self.buffers.transpose(0),
            sums=pairs[pairs.size // 2 :].ctypes.data,
            out=pairs.ctypes.data,
        )

    def mark_units(self, depth, thread, first, rows):
        """Return the operation by which a thread marks what is not 0 in some turned rows."""
        return Mark(
            table=self.unit(depth, 0),
            offset=first * self.size,
            rows=self.layers[depth].columns,
            elements=rows,
            marks=self.unit_marks(thread, 0),
            words=self.words,
        )
