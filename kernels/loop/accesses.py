"""What each kind of operation reads and writes of a run's buffers, for whoever verifies a tape.

What only one thread can reach (its tile, its cursors) and what lies outside (the user's data) is
left out.
"""

from typing import NamedTuple

from ..layout import round_up
from ..llvm.processor import VECTOR_BYTES
from ..llvm.tiles import GROUP, MR, NR, MultiplyPanel
from ..marked import WIDEST, WORD
from ..rules import ACCUMULATE, RULES
from . import operations as op


class Block(NamedTuple):
    """Some rows of memory."""

    start: int  #: address of the first row
    length: int  #: bytes of a row
    rows: int = 1
    stride: int = 0  #: bytes from one row to the next

    def behind(self, distance):
        """Return as much memory, some bytes further."""
        return self._replace(start=self.start + distance)


class Accesses:
    """The accesses of operations of one tape.

    Parameters
    ----------
    tape : Tape
    """

    def __init__(self, tape):
        self.tape, self.size, self.lanes = tape, tape.buffers.size, tape.buffers.lanes

    def of(self, operation):
        """Return the blocks that an operation reads, and those that it writes."""
        if hasattr(operation, "rule"):
            return self._update(operation)
        kind = type(operation).__name__
        return getattr(self, f"_of_{kind}", lambda operation: ([], []))(operation)

    def weights(self, update):
        """Return the blocks of the parameters that an update is about."""
        if isinstance(update, op.UpdatePanel):
            line = update.vectors * VECTOR_BYTES
            start = update.weights + update.k0 * line
            return [Block(start, (update.k1 - update.k0) * line)]
        if isinstance(update, op.UpdateAhead):
            return [Block(update.weights, update.K * update.vectors * VECTOR_BYTES)]
        if isinstance(update, op.UpdateRows):
            return [Block(update.weights, (update.k1 - update.k0) * update.across * VECTOR_BYTES)]
        if isinstance(update, op.UpdateBias):
            return [Block(update.biases, update.elements * self.size)]
        length = round_up(update.elements, self.lanes) * self.size
        return [Block(update.weights, length, update.columns, update.length)]

    def squares(self, operation):
        """Return the range of the sums of squares that an operation writes."""
        if isinstance(operation, op.ClearSquares):
            return range(operation.first, operation.stop)
        first = getattr(operation, "squares", -1)
        if first < 0:
            return range(0)
        if isinstance(operation, op.UpdatePanel):
            return range(first + operation.k0 // MR, first + -(-operation.k1 // MR))
        if isinstance(operation, op.UpdateAhead):
            return range(first, first + -(-operation.K // MR))
        if isinstance(operation, op.UpdateRows):
            return range(first, first + -(-(operation.k1 - operation.k0) // operation.unit))
        return range(first, first + 1)

    # ------------------------------------------------------------------------------ the updates

    def _update(self, f):
        weights, reads = self.weights(f), []
        moves = f.rule < len(RULES)
        if f.gradient == op.COMPUTED:
            reads += self._operands(f)
        elif f.gradient == op.SUMMED:
            buffers = self.tape.buffers
            for shard in range(buffers.shards):
                reads += [block.behind(f.behind + buffers.behind(shard)) for block in weights]
        else:
            reads += [block.behind(f.behind) for block in weights]
        if f.added:
            reads += [block.behind(f.added) for block in weights]
        memories = [f.memory_1, f.memory_2]
        kept = memories[: list(RULES.values())[f.rule].memories if moves else 1]
        writes = [block.behind(distance) for distance in kept for block in weights]
        if moves:
            writes += weights
            reads += writes
            if isinstance(f, op.UpdateAhead):
                writes = [*writes, Block(f.out, f.vectors * VECTOR_BYTES)]
        else:
            reads += weights + (writes if f.rule == ACCUMULATE else [])
        return reads, writes

    def _operands(self, f):
        """Return what a gradient is computed from."""
        if isinstance(f, op.UpdateBias):
            return [Block(f.dZ, f.elements * self.size, f.rows, f.stride)]
        if isinstance(f, op.UpdateRows):
            n = self.tape.task.batch_sizes[-1]
            return [Block(f.dZ, f.across * VECTOR_BYTES, n, f.stride)]
        if isinstance(f, op.UpdatePanel):
            reads = self._listed(f.table, 0, f.rows, f.offset, (f.k1 - f.k0) * self.size)
            self._listed(f.later, 0, f.rows, 0, 0)
            self._listed(f.lines, 0, f.part, 0, 0)
            if f.marks:
                reads += self._marked_operands(f)
            return [*reads, Block(f.dZ, f.vectors * VECTOR_BYTES, f.rows, f.stride)]
        if isinstance(f, op.UpdateAhead):
            operands = [Block(place, f.vectors * VECTOR_BYTES) for place in (f.dZ, f.bias)]
            return [*self._listed(f.table, 0, 1, 0, f.K * self.size), *operands]
        reads = self._listed(f.table, 0, f.rows, f.offset, f.elements * self.size)
        return [*reads, Block(f.dZ, f.columns * self.size, f.rows, f.stride)]

    def _marked_operands(self, f):
        """Return what a gradient is computed from where zeros are skipped."""
        units = f.vectors * self.lanes
        return [
            self._marks(f.marks, f.words, units, f.rows),
            *self._listed(f.units, 0, units, f.behind_unit, f.rows * self.size),
            Block(f.X, (f.k1 - f.k0) * self.size, f.rows, f.X_stride),
            Block(f.zeros, WIDEST * VECTOR_BYTES),
        ]

    def _listed(self, table, first, stop, offset, length):
        """Return a part of each row that a table of addresses leads to.

        Of the user's rows, the places in the table, which are written anew for each batch.
        """
        tables, units = self.tape.tables, self.tape.marking.table
        if units.ctypes.data <= table < units.ctypes.data + units.nbytes:
            tables = units[None]
        row, skip = divmod((table - tables.ctypes.data) // 8, tables.shape[1])
        places = tables[row, skip + first : skip + stop]
        if len(places) < stop - first:
            raise ValueError(f"reads rows {first}..{stop} of a table from {skip} on")
        if tables is self.tape.tables and row == 0 and not self.tape.inputs.size:
            return [Block(table + first * 8, (stop - first) * 8)]
        stride = int(places[1] - places[0]) if len(places) > 1 else 0
        return [Block(int(places[0]) + offset, length, len(places), stride)] if len(places) else []

    # -------------------------------------------------------------------- rows through the network

    def _of_MultiplyPanel(self, f):
        length = f.vectors * VECTOR_BYTES
        start, out = (
            Block(place + f.first * stride, length, f.stop - f.first, stride)
            for place, stride in ((f.start, f.start_stride), (f.out, f.stride))
        )
        reads = [*self._inputs(f), Block(f.panel, f.K * length), start]
        reads += self._listed(f.table, f.first, f.known, 0, 0)
        if f.gate:
            reads.append(out.behind(f.gate - f.out))
        return reads, [out]

    def _of_MultiplyPair(self, f):
        narrow, half = f.vectors - NR, NR * VECTOR_BYTES
        one = MultiplyPanel(*(getattr(f, name) for name in MultiplyPanel._fields))
        other = one._replace(
            panel=f.beside,
            start=f.start + half,
            out=f.out + half,
            gate=f.gate + half if f.gate else 0,
            vectors=narrow,
        )
        reads, writes = self._of_MultiplyPanel(one._replace(vectors=NR))
        more_reads, more_writes = self._of_MultiplyPanel(other)
        marks = self._marks(f.marks + f.first * f.words, f.words, f.stop - f.first, f.K)
        return [*reads, *more_reads, marks], writes + more_writes

    def _marks(self, start, words, rows, elements):
        """Return the marks of some elements of some rows."""
        return Block(start, -(-elements // WORD) * 8, rows, words)

    def _of_Mark(self, f):
        A = self._listed(f.table, 0, f.rows, f.offset, f.elements * self.size)
        return A, [self._marks(f.marks, f.words, f.rows, f.elements)]

    def _of_OuterPair(self, f):
        length = f.inputs * f.vectors * VECTOR_BYTES
        writes = [Block(f.sums, length), Block(f.out, length)]
        reads = [
            self._marks(f.marks, f.words, f.inputs, f.rows),
            *self._listed(f.table, 0, f.inputs, 0, f.rows * self.size),
            Block(f.dZ, f.vectors * VECTOR_BYTES, f.rows, f.stride),
            Block(f.zeros, WIDEST * VECTOR_BYTES),
        ]
        return [*reads, *writes], writes

    def _of_MultiplesOfRow(self, f):
        length = f.vectors * VECTOR_BYTES
        out = Block(f.out, length, f.rows, f.stride)
        reads = [Block(f.A, self.size, f.rows, f.A_stride), Block(f.row, length)]
        return [*reads, out.behind(f.gate - f.out)] if f.gate else reads, [out]

    def _of_MultiplyGroup(self, f):
        rows, line = f.stop - f.first, GROUP * VECTOR_BYTES
        start = Block(f.start + f.first * f.start_stride, line, rows, f.start_stride)
        columns = Block(f.group, round_up(f.K, self.lanes) * self.size, f.columns, f.length)
        reads = [*self._inputs(f), columns, start]
        if f.sums:
            return reads, [Block(f.sums + f.first * line, line, rows, line)]
        length = GROUP * self.size
        out = Block(f.out + f.first * f.stride, length, rows, f.stride)
        return [*reads, Block(f.bias, length)], [out]

    def _inputs(self, f):
        """Return the rows that a product reads."""
        return self._listed(f.table, f.first, f.stop, f.offset, f.K * self.size)

    def _of_MultiplyCSR(self, f):
        length = f.across * VECTOR_BYTES
        out = Block(f.out + f.first * f.stride, length, f.stop - f.first, f.stride)
        return [Block(f.W, f.K * length), Block(f.bias, length)], [out]

    def _of_Gather(self, f):
        table = self.tape.tables.ctypes.data
        return [], [Block(table + f.first * 8, (f.stop - f.first) * 8)]

    def _of_GatherBytes(self, f):
        tables = self.tape.tables
        return [], self._listed(tables.ctypes.data, f.first, f.stop, 0, f.inputs * self.size)

    def _of_Activate(self, f):
        blocks = [Block(f.Z, f.elements * self.size)]
        if f.derivatives:
            blocks.append(Block(f.derivatives, f.elements * self.size))
        return blocks[:1], blocks

    def _of_Dropout(self, f):
        blocks = [
            Block(start + f.first * f.stride, f.elements * self.size, f.stop - f.first, f.stride)
            for start in (f.A, f.derivatives)
        ]
        return blocks, blocks

    def _of_Loss(self, f):
        start, length = f.S + f.first * f.stride, max(f.width, f.outputs) * self.size
        block = Block(start, length, f.stop - f.first, f.stride)
        return [block], [block]

    def _of_Predict(self, f):
        return self._of_Loss(f)

    def _of_CountCorrect(self, f):
        start = self.tape.buffers.activation(f.S + f.first * f.stride)
        length, stride = f.outputs * self.size, f.stride * self.size
        return [Block(start, length, f.stop - f.first, stride)], []

    def _of_Backward(self, f):
        A, dA = (Block(start, f.elements * self.size) for start in (f.A, f.dA))
        return [A, dA], [dA]

    def _of_BackwardStored(self, f):
        D, dA = (Block(start, f.elements * self.size) for start in (f.derivatives, f.dA))
        return [D, dA], [dA]

    def _of_GatherColumns(self, f):
        length = f.elements * self.size
        out = Block(f.out, length, f.rows, f.stride)
        return self._listed(f.table, 0, f.rows, f.offset, length), [out]

    # ------------------------------------------------------------------------------- transposes

    def _of_Transpose(self, f):
        source = Block(f.W, f.columns * self.size, f.rows, f.stride)
        return [source], [Block(f.out, f.rows * self.size, f.columns, f.out_stride)]

    def _of_TransposeListed(self, f):
        source = self._listed(f.table, 0, f.rows, f.offset, f.columns * self.size)
        return source, [Block(f.out, f.rows * self.size, f.columns, f.out_stride)]

    def _of_CopyRows(self, f):
        source = Block(f.X, f.elements * self.size, f.rows, f.stride)
        return [source], [Block(f.out, f.elements * self.size, f.rows, f.out_stride)]
