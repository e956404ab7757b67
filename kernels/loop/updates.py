"""The operations that turn gradients into steps, tile by tile: planned here."""

import itertools

from ..activation import RELU
from ..csr import NEAR
from ..gather import GatherColumns
from ..layout import group_columns, round_up
from ..llvm.processor import CACHE_LINE
from ..llvm.tiles import GROUP, GROUP_VECTORS, MR, NR
from ..marked import WIDEST, WORD
from ..rules import ACCUMULATE, GRADIENT, SGD, STORE
from ..sums import COLUMN_VECTORS
from . import operations as op
from .blocking import CHUNK, column_block, gathers, near, row_part, stretch
from .marking import INPUTS
from .ownership import owned_columns
from .sweeps import Fate, Inputs, Region, Sweep
from .task import share
from .transposes import Transposes


def with_biases(updates, biases):
    """Return updates of weights, each of biases behind the last that reads the same gradient.

    Those whose gradient none of them reads come last: a group's, and sparse inputs'.
    """
    last = {each.dZ: i for i, each in enumerate(updates) if isinstance(each, op.UpdatePanel)}
    behind: dict = {}
    for bias in biases:
        behind.setdefault(last.get(bias.dZ), []).append(bias)
    ordered = []
    for i, update in enumerate(updates):
        ordered += [update, *behind.get(i, [])]
    return ordered + behind.get(None, [])


class Updates:
    """The updates of all parameters.

    Parameters
    ----------
    task : Task
    buffers : Buffers
    tables : ndarray of shape (2 n_layers + threads + 1, capacity)
        Addresses of the rows of each layer's input, of its output's gradient, and of the columns
        that each thread gathers; then the distances of lines that follow each other.
    marking : Marking
    owned : int
        Panels of the first layer that each thread steps alone, see `.ownership`.
    gathered_stride : int
        Bytes from one row of gathered columns to the next: a line more than are gathered.
    csr_block : int
        Columns of sparse input to visit at a time.
    """

    def __init__(self, task, buffers, tables, marking, owned, gathered_stride, csr_block):
        self.marking, self.owned = marking, owned
        self.task, self.buffers, self.tables, self.threads = task, buffers, tables, task.threads
        self.gathered_stride = gathered_stride
        self.layers, self.size, self.lanes = buffers.layers, buffers.size, buffers.lanes
        self.transposes = Transposes(buffers)
        # Without penalty and memory, SGD leaves untouched rows of a sparse layer as they are.
        self.csr_direct = not task.penalty and task.rule == SGD and not task.clip
        #: Rows of a panel that are updated together; elements of their gradient, of which each
        #: thread holds one; rows of a sparse layer's that it holds.
        self.chunk, self.csr_rows = CHUNK // self.size, csr_block
        #: First of the sums of the weights' squares, -1 where there is no penalty to read them.
        self.squares = 0 if task.penalty else -1
        self.tile = max(self.chunk * NR, GROUP * GROUP_VECTORS) * self.lanes
        if marking.starts:  # a tile of two panels by one, and the same turned
            self.tile = max(self.tile, 2 * WIDEST * NR * self.lanes**2)
        if self.layers[0].by_rows and not self.csr_direct:
            row = self.layers[0].panel_vectors * self.lanes
            # A tile of the gradient stays in L1: whole units, or a part of one.
            fit, unit = max(NEAR // (row * self.size) // MR, 1) * MR, self.layers[0].unit_rows
            self.csr_rows = fit // unit * unit or fit
            self.tile = max(self.tile, self.csr_rows * row)

    # ------------------------------------------------------------------- what becomes of gradients

    def step(self, thread, n, ahead=False):
        """Return a thread's share of the step of a batch of n rows, which may look ahead."""
        fate = self._of_batch(n, self.task.rule, self.buffers.behind(1), self.buffers.behind(2))
        sweep = self._moving(fate, thread, n)
        return self._sweep_ahead(sweep) if ahead else self._of_rows(sweep)

    def keep(self, thread, n):
        """Return a thread's share of the gradient of a batch of n rows, to be kept as a whole."""
        rule = ACCUMULATE if self.task.rule == ACCUMULATE else GRADIENT
        fate = self._of_batch(n, rule, self.buffers.behind(self.buffers.kept), 0)
        units = self.buffers.units
        return self._of_rows(
            Sweep(fate, thread, self.threads, thread, 0, n, squares=units, norms=2 * units)
        )

    def step_along_kept(self, thread, n):
        """Return a thread's share of the step along the gradient that was kept."""
        buffers = self.buffers
        fate = Fate(
            gradient=op.KEPT,
            behind=buffers.behind(buffers.kept),
            added=0,
            rule=self.task.rule,
            memory_1=buffers.behind(1),
            memory_2=buffers.behind(2),
        )
        return self._sweep(self._moving(fate, thread, n))

    def store_shard(self, thread, shard, first, stop):
        """Return the operations by which a thread stores the gradient of a shard, first..stop."""
        return self._sweep(Sweep(self._stored(shard), 0, 1, thread, first, stop))

    def _moving(self, fate, thread, n):
        """Return a thread's way over the parameters on which they take a step by n rows."""
        return Sweep(fate, thread, self.threads, thread, 0, n, squares=self.squares, moves=True)

    def _of_batch(self, n, rule, memory_1, memory_2):
        """Return the fate of the gradient of n rows: computed, or summed over the shards."""
        shards = self.buffers.behind(self.buffers.first_shard)
        if self.task.by_shards:
            return Fate(op.SUMMED, shards, 0, rule, memory_1, memory_2)
        return Fate(op.COMPUTED, 0, shards if self.task.half(n) else 0, rule, memory_1, memory_2)

    def _stored(self, shard):
        """Return the fate of a shard's gradient that waits for those of others."""
        behind = self.buffers.behind(self.buffers.first_shard + shard)
        return Fate(op.COMPUTED, 0, 0, STORE, behind, 0)

    def _of_rows(self, sweep):
        """Return the operations of a sweep, of which a half of the rows may come before the rest.

        What they give is added to the gradient by the rest, in registers.
        """
        half = self.task.half(sweep.rows)
        if not half:
            return self._sweep(sweep)
        fate = self._stored(0)
        before = sweep._replace(fate=fate, stop=half, squares=-1, norms=-1, moves=False)
        return self._sweep(before) + self._sweep(sweep._replace(first=half))

    # ------------------------------------------------------------------------------ the operations

    def _sweep(self, sweep):
        operations = []
        for depth, layer in enumerate(self.layers):
            updates = self._rows(layer, sweep) if layer.by_rows else self._packed(depth, sweep)
            operations += with_biases(updates, self._biases(layer, sweep))
        return operations

    def _sweep_ahead(self, sweep):
        """Return the operations of a sweep that multiplies the next row by the first layer.

        The product begins with new biases, and goes where the second layer's gradient has read.
        """
        first, operations = self.layers[0], []
        for depth in reversed(range(1, len(self.layers))):
            operations += self._packed(depth, sweep) + self._biases(self.layers[depth], sweep)
        operations += self._biases(first, sweep)
        columns = iter(range(0, first.columns, NR * self.lanes))
        for update in self._packed(0, sweep):
            is_panel = isinstance(update, op.UpdatePanel)
            operations.append(self._ahead(first, next(columns), update) if is_panel else update)
        return operations

    def _ahead(self, layer, j, update):
        """Return the update of the panel of column j as one that looks ahead."""
        return op.UpdateAhead(
            *update[: len(Fate._fields)],
            vectors=update.vectors,
            K=update.k1,
            table=update.table,
            dZ=update.dZ,
            weights=update.weights,
            squares=update.squares,
            bias=self.buffers.parameter(layer.biases + j),
            relu=int(layer.activation == RELU),
            out=self.buffers.activation(layer.output + j),
        )

    def _biases(self, layer, sweep):
        group, operations = COLUMN_VECTORS * self.lanes, []
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
        lo, hi = share(layer.row_units, 1, sweep.thread, sweep.threads)
        # Each unit has a sum of squares, and what is a part of one must begin with it; SGD that
        # writes in place has none.
        step = layer.fan_in if self.csr_direct else max(self.csr_rows, unit)
        operations = self._cleared(layer, sweep, [(lo, hi)])
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

    def _cleared(self, layer, sweep, ranges):
        """Return the operations that zero the sums of squares of ranges of a layer's units."""
        if sweep.squares < 0:
            return []
        return [
            op.ClearSquares(*(sweep.squares_of(layer, unit) for unit in (first, stop)))
            for first, stop in ranges
            if first < stop
        ]

    def _packed(self, depth, sweep):
        """Return the updates of packed weights, and of their transposes where these are used."""
        layer, across = self.layers[depth], stretch(self.size)
        K, behind = layer.fan_in, layer.panel_units
        regions = self._regions(depth, sweep)
        group_lo, group_hi = share(layer.group_units, 1, sweep.thread, sweep.threads)
        units = [unit for region in regions for unit in region.units(layer)]
        operations = self._cleared(layer, sweep, [*units, (behind + group_lo, behind + group_hi)])
        stretches = set(range(group_lo * across, min(group_hi * across, K), across))
        in_place = Inputs(self.tables[depth, sweep.first :].ctypes.data, 0, 0)
        computed = sweep.fate.gradient == op.COMPUTED
        skips = computed and self.marking.skips(depth, sweep.rows)
        if skips:
            operations.append(self.marking.mark_units(depth, sweep.room, sweep.first, sweep.rows))
        # Only side by side are inputs of some first layer where a multiplication finds them.
        turns = computed and depth == 0 and self.marking.turns_inputs and sweep.rows >= WORD
        gathered = computed and (self._gathers(depth, sweep.rows) or (skips and depth == 0))
        if turns:
            gathered = False
        block = column_block(sweep.rows, K, self.size)
        if gathered:
            block = (self.gathered_stride - CACHE_LINE) // self.size
            if not skips:  # whole chunks
                block = block // self.chunk * self.chunk
        if turns:
            block = INPUTS
        blocks = [(k0, k1, region.panels) for region in regions for k0, k1 in region.blocks(block)]
        # Backwards, where gathering makes any order as good: the second-level cache still has what
        # the forward product read last, and will have what the next one reads first.
        for k0, k1, panels in reversed(blocks) if gathered else blocks:
            inputs = in_place._replace(ahead=k0 * self.size + CACHE_LINE)
            if gathered:
                following = max(k0 - block, regions[0].k0)
                columns, inputs = self._gathered(inputs.table, k0, k1, following, sweep)
                operations.append(columns)
            operations += self._panels(depth, k0, k1, panels, inputs, sweep, skips, turns)
            for k in range(round_up(k0, across), k1, across):
                if k in stretches and min(k + across, K) <= k1:
                    operations += self._groups(depth, k, inputs, sweep)
                    stretches.remove(k)
        for k in sorted(stretches):  # those of which the panels belong to two threads
            operations += self._groups(depth, k, in_place, sweep)
        return operations

    def _regions(self, depth, sweep):
        """Return what a thread updates of a layer's panels.

        Panels and groups are divided alike, so that a thread reads the same columns of X.
        """
        layer, wide = self.layers[depth], NR * self.lanes
        lo, hi = share(layer.row_units, 1, sweep.thread, sweep.threads)
        lo, hi = lo * MR, min(hi * MR, layer.fan_in)
        first, stop, shared = self._owned(depth, sweep.thread)
        mine, others = range(first, stop, wide), range(shared, layer.columns, wide)
        if shared and not others:
            return [Region(0, layer.fan_in, mine)]
        regions = [Region(lo, hi, [*mine, *others])]
        if shared:
            regions = [Region(0, lo, mine), *regions, Region(hi, layer.fan_in, mine)]
        return [region for region in regions if region.k0 < region.k1]

    def _owned(self, depth, thread):
        """Return the columns of a layer that a thread has for itself, and where the rest begins."""
        owned = self.owned if depth == 0 else 0
        return owned_columns(self.layers[depth], owned, thread, self.threads)

    def _gathers(self, depth, rows):
        """Tell whether columns of a layer's input are gathered before they are multiplied."""
        layer, stride = self.layers[depth], self.task.input_stride
        if depth > 0:
            stride = self.layers[depth - 1].stride * self.size
        panels = -(-layer.columns // (NR * self.lanes))
        return gathers(rows, layer.fan_in, stride, panels, self.size)

    def _room(self, sweep):
        """Return the table of the addresses at which a thread gathers columns of its rows."""
        return self.tables[2 * len(self.layers) + sweep.room]

    def _gathered(self, table, k0, k1, following, sweep):
        """Return the operation that gathers columns k0..k1, and where they are to be found then.

        While they are at hand, as many columns from `following` on are prefetched.
        """
        mine = self._room(sweep)
        columns = GatherColumns(
            table=table,
            rows=sweep.rows,
            offset=k0 * self.size,
            elements=k1 - k0,
            out=int(mine[0]),
            stride=self.gathered_stride,
        )
        return columns, Inputs(mine.ctypes.data, k0, following * self.size, gathered=True)

    def _panels(self, depth, k0, k1, panels, inputs, sweep, skips, turns):
        """Return the updates of rows k0..k1 of panels of a layer, of which first columns say."""
        layer, operations, fates = self.layers[depth], [], {}
        shared = self._owned(depth, sweep.thread)[2]
        X, X_stride = self._in_place(depth, k0, inputs, sweep) if skips else (0, 0)
        if turns:
            offset = (k0 - inputs.first) * self.size
            turned = sweep.room, inputs.table, offset, sweep.rows, k1 - k0
            operations += self.marking.turn_inputs(*turned)
        for j, following in itertools.zip_longest(panels, panels[1:], fillvalue=layer.columns):
            vectors = min(NR, (layer.columns - j) // self.lanes)
            later, ahead = self._later(depth, following, inputs, sweep)
            if turns and j not in fates and following == j + NR * self.lanes < layer.columns:
                operations.append(self._pair(layer, j, k0, k1, sweep, fates))
            update = op.UpdatePanel(
                *fates.get(j, sweep.fate),
                vectors=vectors,
                table=inputs.table,
                offset=(k0 - inputs.first) * self.size,
                later=later,
                ahead=ahead,
                k0=k0,
                k1=k1,
                chunk=WIDEST * self.lanes if skips else self.chunk,
                part=row_part(sweep.rows),
                dZ=self._gradient(layer, sweep.first, j),
                stride=layer.stride * self.size,
                weights=self.buffers.parameter(layer.weights + j * layer.fan_in),
                squares=sweep.squares_of(layer, j // (NR * self.lanes) * layer.row_units),
                rows=sweep.rows,
                together=int(sweep.threads > 1 and j >= shared),
                spare=int(inputs.gathered and following < layer.columns),
                lines=self.tables[-1].ctypes.data,
                copies=1 + self.task.memories if sweep.moves else 0,
                marks=self.marking.unit_marks(sweep.room, j) if skips else 0,
                words=self.marking.words,
                units=self.marking.unit(depth, j) if skips else 0,
                behind_unit=sweep.first * self.size,
                X=X,
                X_stride=X_stride,
                zeros=self.buffers.transpose(0),
                fetches=int(inputs.gathered and following >= layer.columns),
            )
            operations.append(update)
            if sweep.moves and depth > 0:
                operations += self.transposes.panel(layer, j, vectors * self.lanes, k0, k1)
        return operations

    def _pair(self, layer, j, k0, k1, sweep, fates):
        """Return the operation that sums the gradient of two panels; note where that is, of each.

        The zeros of their inputs, rows k0..k1, are skipped.
        """
        vectors = min(2 * NR, (layer.columns - j) // self.lanes)
        dZ, stride = self._gradient(layer, sweep.first, j), layer.stride * self.size
        pair = self.marking.outer_pair(sweep.room, k1 - k0, sweep.rows, dZ, stride, vectors)
        place = pair.out
        for first, across in ((j, NR), (j + NR * self.lanes, vectors - NR)):
            line = across * self.lanes
            weights = self.buffers.parameter(layer.weights + first * layer.fan_in + k0 * line)
            fates[first] = sweep.fate._replace(gradient=op.KEPT, behind=place - weights)
            place += (k1 - k0) * line * self.size
        return pair

    def _in_place(self, depth, k0, inputs, sweep):
        """Return the address of element k0 of the first row of inputs, and their distance."""
        if inputs.gathered:
            return int(self._room(sweep)[0]), self.gathered_stride
        below = self.layers[depth - 1]
        place = self.buffers.activation(below.output + sweep.first * below.stride + k0)
        return place, below.stride * self.size

    def _later(self, depth, following, inputs, sweep):
        """Return what is prefetched meanwhile row by row: a table, and bytes from its addresses.

        These are the inputs that come next. Where columns of them are gathered for many panels, the
        last quarter is enough for that, and the others prefetch what the panel that begins with
        column `following` reads of the outputs' gradient, if that is not near anyway. Together
        with the weights that are prefetched (see `.panels`), steps of 512-1024-1024-10,
        256-2048-2048-10 and 1024-4096-10 take 2 to 5 % less time, of narrow networks the same
        (Zen 4).
        """
        layer, row, ahead = self.layers[depth], depth, inputs.ahead
        far = not near(sweep.rows, layer.stride, self.size)
        if inputs.gathered and far and 4 * following < 3 * layer.columns:
            row, ahead = len(self.layers) + depth, following * self.size
        return self.tables[row, sweep.first :].ctypes.data, ahead

    def _groups(self, depth, k, inputs, sweep):
        """Return the updates of the stretch of all groups of a layer that begins with element k."""
        layer, operations = self.layers[depth], []
        count = min(stretch(self.size), layer.fan_in - k)
        unit = layer.panel_units + k // (GROUP_VECTORS * self.lanes)
        for j in range(layer.columns, layer.fan_out, GROUP):
            start = layer.weights + layer.columns * layer.fan_in
            start += (j - layer.columns) * layer.group_length
            update = op.UpdateGroup(
                *sweep.fate,
                table=inputs.table,
                offset=(k - inputs.first) * self.size,
                k=k,
                columns=group_columns(layer.fan_out - j),
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
                operations += self.transposes.group(layer, j, start, k, k + count)
        return operations
