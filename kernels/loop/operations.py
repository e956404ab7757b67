"""The language of a tape: every kind of operation, and how it is written down and read back.

An operation is a named tuple of integers. The planners make them by name; :func:`encode` lays one
in a row of a table, its code first; the compiled loop asks ``holds(Kind, row)`` and reads
``fields(Kind, row)``. Kinds that are what an emitted function takes are declared beside that
function, the others here. Addresses and distances are in bytes, unless said otherwise.
"""

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..activation import Activate, Backward, BackwardStored
from ..gather import GatherColumns
from ..llvm.tiles import MultiplyGroup, MultiplyPanel
from ..llvm.values import INT64
from ..marked import Mark
from ..marked_products import MultiplyPair, OuterPair
from ..multiples import MultiplesOfRow
from ..transpose import CopyRows, Transpose, TransposeListed

# --------------------------------------------------------------------- rows through the network


class Gather(NamedTuple):
    """Look up the addresses, targets and weights of some rows of a dense source."""

    first: int
    stop: int


class GatherCSR(NamedTuple):
    """The same of the rows of a CSR matrix, and where their non-zeros begin and end."""

    first: int
    stop: int


class GatherBytes(NamedTuple):
    """The same, and scale the bytes of each row into the batch's own rows."""

    first: int
    stop: int
    inputs: int


class SeekColumns(NamedTuple):
    """Set the cursors of some rows of the batch to their first non-zero from a column on."""

    first: int
    stop: int
    k0: int


class MultiplyCSR(NamedTuple):
    """Multiply some sparse rows by the weights, row by row: ``out = A W + bias``."""

    first: int
    stop: int
    K: int
    bias: int
    W: int
    across: int  #: vectors of a row of W
    out: int
    stride: int
    block: int  #: columns to visit at a time


class Dropout(NamedTuple):
    """Zero activations of some rows by chance."""

    layer: int  #: number; each has a pattern of its own
    A: int
    derivatives: int
    stride: int
    elements: int
    first: int
    stop: int


#: What the losses of rows are weighted by: nothing; by weights and towards smoothed labels; by
#: weights alone.
PLAIN, GENERAL, WEIGHTED = range(3)


class Loss(NamedTuple):
    """Turn the scores of some rows into gradients of their loss, which is written down."""

    first: int
    stop: int
    S: int
    stride: int
    width: int  #: columns of a softmax
    outputs: int
    weighting: int  #: PLAIN, GENERAL or WEIGHTED


class CountCorrect(NamedTuple):
    """Count the right answers among the scores of some rows."""

    first: int
    stop: int
    S: int  #: in elements of the activations
    stride: int  #: in elements
    outputs: int


class Predict(NamedTuple):
    """Write the predictions of some rows."""

    first: int
    stop: int
    S: int
    stride: int
    width: int
    outputs: int
    head: int


# --------------------------------------------------------------------------- gradient and update

#: Where an update has its gradient from: it is summed over the rows of the batch; it is the sum of
#: the gradients of the batch's shards, which lie `behind` the weights; or it lies there itself.
#: What lies `added` bytes behind the weights comes on top, unless these are 0.
COMPUTED, SUMMED, KEPT = range(3)


class UpdatePanel(NamedTuple):
    """Follow the gradient of rows k0..k1 of one panel of a layer's weights."""

    gradient: int  #: COMPUTED, SUMMED or KEPT
    behind: int
    added: int
    rule: int  #: what becomes of it: see :class:`..rules.OptimizerStep`
    memory_1: int
    memory_2: int
    vectors: int  #: across the panel
    table: int  #: of the addresses of the layer's inputs
    offset: int  #: from such an address to element k0
    later: int  #: a table of as many addresses
    ahead: int  #: from such an address to what is prefetched while element k0 is at hand
    k0: int
    k1: int
    chunk: int  #: of them, to finish before the next
    part: int  #: rows of the batch to sum over for all tiles of a chunk in turn
    dZ: int
    stride: int
    weights: int  #: row k = 0 of the panel
    squares: int  #: number of the sum of squares of rows 0..MR, -1 for none
    rows: int  #: of the batch
    together: int  #: 1 to write weights side by side, where the optimiser has memories
    spare: int  #: 1 where another panel prefetches the same inputs
    lines: int  #: a table of the distances of lines that follow each other, `part` or more
    copies: int  #: of the parameters that are prefetched while their gradient is summed
    marks: int  #: of the panel's first unit, 0 where no zeros are skipped
    words: int  #: bytes from the marks of a unit to those of the next
    units: int  #: a table of the addresses of the panel's units in the turned gradient
    behind_unit: int  #: bytes from there to the gradient by the first row of the batch
    X: int  #: element k0 of the first row of the layer's inputs, where zeros are skipped
    X_stride: int  #: from one row of them to the next
    zeros: int  #: some vectors of them
    fetches: int  #: 1 to prefetch the inputs to come, where zeros are skipped


class UpdateAhead(NamedTuple):
    """Follow the gradient by a row in one panel, and multiply the next step's row by the weights.

    For SGD; this and the bias are the first layer's.
    """

    gradient: int
    behind: int
    added: int
    rule: int
    memory_1: int
    memory_2: int
    vectors: int
    K: int
    table: int  #: of the address of the row
    dZ: int
    weights: int
    squares: int  #: number of the sum of squares of rows 0..MR, -1 for none
    bias: int
    relu: int
    out: int  #: the product of the next row


class UpdateGroup(NamedTuple):
    """Follow the gradient of elements k..k + count of one group of a layer's columns."""

    gradient: int
    behind: int
    added: int
    rule: int
    memory_1: int
    memory_2: int
    table: int
    offset: int  #: to element k
    k: int
    columns: int  #: that are followed, one of GROUP_COLUMNS
    elements: int
    dZ: int
    stride: int
    weights: int  #: element k of the group's first column
    length: int  #: from one column to the next
    squares: int
    rows: int


class UpdateBias(NamedTuple):
    """Follow the gradient of some biases."""

    gradient: int
    behind: int
    added: int
    rule: int
    memory_1: int
    memory_2: int
    biases: int
    dZ: int
    stride: int
    elements: int
    squares: int
    rows: int


class UpdateRows(NamedTuple):
    """Follow the gradient of rows k0..k1 of the weights of sparse inputs."""

    gradient: int
    behind: int
    added: int
    rule: int
    memory_1: int
    memory_2: int
    k0: int
    k1: int
    dZ: int
    stride: int
    weights: int  #: row k0
    across: int  #: vectors of a row
    squares: int  #: number of the sum of squares of the first `unit` rows
    direct: int  #: 1 to step at once, row by row, where there is a non-zero: SGD without penalty
    block: int  #: rows whose gradient is computed at a time
    unit: int  #: rows that have a sum of squares


class ClearSquares(NamedTuple):
    """Zero some sums of squares."""

    first: int
    stop: int


class Clip(NamedTuple):
    """Scale the gradient down, where its squares, the sums first..stop, are too many."""

    first: int
    stop: int


# ---------------------------------------------------------------------------------- in a table

#: All kinds; the place of a kind is its code.
KINDS = (
    *(Gather, GatherCSR, GatherBytes, MultiplyPanel, MultiplyGroup, SeekColumns, MultiplyCSR),
    *(Activate, Dropout, Loss, Backward, BackwardStored, CountCorrect, Predict, UpdatePanel),
    *(UpdateGroup, UpdateBias, UpdateRows, ClearSquares, Transpose, CopyRows, Clip),
    *(GatherColumns, Mark, MultiplyPair, MultiplesOfRow, OuterPair, UpdateAhead),
    TransposeListed,
)
_CODES = {kind: code for code, kind in enumerate(KINDS)}
#: Integers in a row of the table.
ROW = 1 + max(len(kind._fields) for kind in KINDS)


def encode(operation):
    """Return an operation as what stands in its row: its code and its fields."""
    return (_CODES[type(operation)], *operation)


def decode(row):
    """Return the operation of a row."""
    kind = KINDS[row[0]]
    return kind(*(int(field) for field in row[1 : 1 + len(kind._fields)]))


@intrinsic
def holds(context, kind, row):
    """Tell whether the row at an address holds an operation of this kind."""
    code = _CODES[kind.instance_class]

    def codegen(context, builder, signature, arguments):
        there = builder.load(builder.inttoptr(arguments[1], INT64.as_pointer()))
        return builder.icmp_signed("==", there, ir.Constant(INT64, code))

    return types.boolean(kind, types.intp), codegen


@intrinsic
def fields(context, kind, row):
    """Return the operation in the row at an address, which holds one of this kind."""
    named = kind.instance_class
    result = types.NamedUniTuple(types.intp, len(named._fields), named)

    def codegen(context, builder, signature, arguments):
        start = builder.inttoptr(arguments[1], INT64.as_pointer())
        places = [builder.gep(start, [ir.Constant(INT64, 1 + i)]) for i in range(len(result))]
        return context.make_tuple(builder, result, [builder.load(place) for place in places])

    return result(kind, types.intp), codegen


def loaded(emit, kind, row):
    """Return the same in an emitted function."""
    return kind(*(emit.load_integer(row + (1 + i) * 8) for i in range(len(kind._fields))))
