"""What a thread does, one after the other: the operations of a program, and the items of a run.

An operation is a row of integers, whose first is one of the codes below; the comment beside a code
names the others. Addresses and distances are in bytes.
"""

from .activation import ACTIVATIONS

#: Columns of a program.
FIELDS = 13

# ---------------------------------------------------------------------- rows through the network

GATHER = 0  # first, stop, source: look up the rows' addresses, targets and weights
GATHER_CSR = 1  # first, stop, source: the same for the rows of a CSR matrix
GATHER_BYTES = 2  # first, stop, source, inputs: the same, and scale uint8 to the batch's own rows
MULTIPLY_PANEL = 3  # see simd.multiply_panel: its arguments; floor is 1 for the ReLU
MULTIPLY_GROUP = 4  # see simd.multiply_group: its arguments; floor is 1 for the ReLU
CSR_MULTIPLY = 5  # first, stop, K, b, W, across, out, out stride, columns at a time
ACTIVATE = 6  # activation, addresses of Z and of the derivatives (or 0), count
DROPOUT = 7  # layer, addresses of A and of the derivatives (or 0), stride, count, first, stop
LOSS = 8  # first, stop, S, stride, width, outputs, which weights (see below)
BACKWARD = 9  # activation, addresses of A and dA, count
BACKWARD_STORED = 10  # addresses of the derivatives and dA, count
CORRECT = 11  # first, stop, start in activations, stride in elements, outputs
OUTPUT = 12  # first, stop, S, stride, width, outputs, head

# ---------------------------------------------------------------------------- gradient and update

UPDATE_PANEL = 13  # mode, vectors, table, k0, k1, dZ, dZ stride, W, first sum, rows, memory
UPDATE_GROUP = 14  # mode, table, k, count, dZ, dZ stride, W, its stride, sum, rows, memory
UPDATE_BIAS = 15  # mode, b, dZ, dZ stride, count, sum, (unused three), rows, memory
CSR_SEEK = 16  # first, stop, k0
CSR_UPDATE = 17  # mode, k0, k1, dZ, dZ stride, W, across, first sum, 1 to write W directly,
#                  columns at a time, columns of a sum
CLEAR_SUMS = 18  # first, stop
TRANSPOSE = 19  # see transpose.transpose: its arguments
COPY_ROWS = 20  # see transpose.copy_rows: its arguments
CLIP = 21  # first, stop: of the sums of squared gradients

#: What the losses of rows are weighted by: nothing; by weights and towards smoothed labels; by
#: weights alone.
PLAIN, GENERAL, WEIGHTED = range(3)

#: Modes of an update: the gradient goes straight into the step; it is only kept; a kept one is
#: stepped along; the gradient of a part of the rows is kept, `memory` bytes behind the weights.
FUSED, KEEP, APPLY, PART = range(4)

# --------------------------------------------------------------------------------------- sections

#: What is known after a section: nothing, a step's loss, right answers on its batch, both for a
#: block of the validation set.
NOTHING, STEPPED, EVALUATED, VALIDATED = range(4)

# ------------------------------------------------------------------------------------------ items

#: An item of work, as integers: sections to do, source of the rows, position of the first in it (or
#: in the list of rows, where `LISTED` is 1), number of rows, number of the step, of the epoch, and
#: the key of the step's dropout.
FIRST_SECTION, STOP_SECTION, SOURCE, BEGIN, COUNT, LISTED, STEP, EPOCH, KEY = range(9)
ITEM = 9
#: And as numbers: the step's learning rate, factor on the weights (weight decay), and what the
#: losses are divided by: rows, or sum of their weights.
RATE, DECAY, DIVISOR = range(3)
NUMBERS = 3

# ---------------------------------------------------------------------------------------- sources

#: Where rows come from, as integers: the address of X and bytes between its rows, of the targets
#: and bytes between those (0: they are labels), of the weights (or 0), and of the arrays of a CSR
#: matrix, of which X is the values.
X, X_STRIDE, TARGETS, TARGET_STRIDE, WEIGHTS, INDPTR, INDICES = range(7)
SOURCE_FIELDS = 7

#: Kinds of input.
DENSE, CSR, BYTES = range(3)

#: Activations that are derived from their output alone.
FROM_OUTPUT = {ACTIVATIONS[name] for name in ("identity", "relu", "leaky_relu", "tanh", "logistic")}
