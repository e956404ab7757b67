"""What the planner of updates speaks of: a thread's way over the parameters, and its pieces."""

from collections.abc import Sequence
from typing import NamedTuple

from ..llvm.tiles import MR


class Fate(NamedTuple):
    """Where gradients are, and what becomes of them: the first six fields of every update."""

    gradient: int  #: COMPUTED, SUMMED or KEPT
    behind: int
    added: int  #: how far behind the weights that of other rows is stored, 0 if there are none
    rule: int
    memory_1: int
    memory_2: int


class Inputs(NamedTuple):
    """Where an update finds the inputs of its layer."""

    table: int  #: of addresses
    first: int  #: column to which they lead
    ahead: int  #: bytes from the address of a whole row to the inputs that come next
    gathered: bool = False  #: they lie side by side, away from the others of their rows


class Region(NamedTuple):
    """Some rows of some panels of a layer."""

    k0: int
    k1: int
    panels: Sequence  #: of their first columns

    def units(self, layer):
        """Return the ranges of the layer's units of work, the first of which begins at row k0."""
        first, stop = self.k0 // MR, -(-self.k1 // MR)
        width = layer.panel_vectors * layer.lanes
        starts = [j // width * layer.row_units for j in self.panels]
        return [(start + first, start + stop) for start in starts]

    def blocks(self, size):
        """Yield (start, stop) of the parts of the rows between multiples of `size`."""
        first = self.k0
        while first < self.k1:
            end = min((first // size + 1) * size, self.k1)
            yield first, end
            first = end


class Sweep(NamedTuple):
    """One thread's way over the parameters, with the gradient by some rows of the batch."""

    fate: Fate
    thread: int  #: whose share of the parameters it is
    threads: int
    room: int  #: the thread that gathers columns, into its room for them
    first: int  #: first row
    stop: int  #: first row that is left out
    squares: int = -1  #: number of the first sum of squares of the weights, -1 where none is summed
    norms: int = -1  #: the same of the biases
    moves: bool = False  #: weights change

    @property
    def rows(self):
        """Rows of the batch that are summed over."""
        return self.stop - self.first

    def squares_of(self, layer, unit):
        """Return the number of the sum of squares of a layer's unit of work, -1 for none."""
        return -1 if self.squares < 0 else self.squares + layer.squares + unit

    def norm_of(self, layer, group):
        """Return the number of the sum of squares of a group of biases, -1 for none."""
        return -1 if self.norms < 0 else self.norms + layer.norms + group
