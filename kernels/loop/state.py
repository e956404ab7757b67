"""What the compiled loop is given: buffers, numbers, sources of rows, items of work, a record."""

from typing import NamedTuple

import numpy as np


class Arrays(NamedTuple):
    """All memory of a run but the data and the lists of rows."""

    params: np.ndarray  #: all weights, packed, and biases, padded, in one flat buffer
    activations: np.ndarray  #: outputs, gradients and derivatives of every layer
    input_scale: np.ndarray  #: (2, elements): factor and summand of each input, else empty
    tables: np.ndarray  #: int64 (2 n_layers + threads + 1, capacity): see tape.Tape
    labels: np.ndarray  #: int64 (capacity,): the batch's labels, or addresses of its targets
    weights: np.ndarray  #: (capacity,): of the batch's rows
    spans: np.ndarray  #: int64 (2, capacity): first and last non-zero of the batch's CSR rows
    cursors: np.ndarray  #: int64 (threads, capacity): next non-zero of each row
    tiles: np.ndarray  #: (threads, elements): a gradient tile
    squares: np.ndarray  #: float64: see buffers.Buffers
    losses: np.ndarray  #: float64 (2, blocks): summed loss of each ROWS_PER_LOG rows
    correct: np.ndarray  #: float64 (2, blocks): weight of the right answers, likewise
    best: np.ndarray  #: the parameters with most right answers on a validation set, or empty
    barrier: np.ndarray  #: int64, see barrier.wait
    operations: np.ndarray  #: int64 (threads, most operations, ROW)
    phases: np.ndarray  #: int64 (threads, phases + 1): where the operations of each phase begin
    reports: np.ndarray  #: int64 (phases,): what is known after each


class Constants(NamedTuple):
    """The numbers of a run that do not change, Python's own integers and floats."""

    head: int
    output: int  #: address of the predictions, C-contiguous
    weighted: int  #: 1 where sources have weights
    clipped: int  #: 1 where losses count clipped probabilities, see softmax_rows.EPSILON
    units: int  #: sums of squared weights
    flush: int  #: 1 where subnormal numbers count as 0
    shards: int  #: shards of the batch whose gradients are added up
    shard: int  #: bytes from the gradient of one to that of the next
    dropout_threshold: int  #: chance of a zero, times 2^32
    dropout_factor: float
    loss_factor: float  #: on the losses of steps, but not on their penalties
    beta_1: float
    beta_2: float
    smoothing: float
    max_norm: float  #: of the whole gradient


class Source(NamedTuple):
    """Where rows come from: addresses, and bytes from one row to the next."""

    X: int  #: of a CSR matrix, the values
    X_stride: int
    targets: int
    target_stride: int  #: 0 where the targets are labels
    weights: int  #: 0 for none
    indptr: int  #: of a CSR matrix
    indices: int


#: An item of work: some phases, done on some rows. An array of these is one argument; an array for
#: each field would be fifteen to compile and to hand over.
ITEM = np.dtype(
    [
        ("first_phase", np.int64),
        ("stop_phase", np.int64),
        ("source", np.int64),  # TRAIN or EVALUATE
        ("begin", np.int64),  # position of the first row in the source, or in the list of rows
        ("rows", np.int64),
        ("listed", np.int64),  # 1 where the rows are those of the list
        ("step", np.int64),
        ("epoch", np.int64),
        ("key", np.int64),  # of the step's dropout
        ("keep", np.int64),  # 1 where the parameters are kept if they are the best so far
        ("rate", np.float64),  # learning rate
        ("decay", np.float64),  # factor on the weights
        ("l2", np.float64),  # the penalty is l2 / 2 sum(W^2)
        ("epsilon", np.float64),  # what is added to the root in Adam and its kind
        ("divisor", np.float64),  # of the losses: rows, or sum of their weights
    ]
)


#: Sources of rows.
TRAIN, EVALUATE = range(2)


class Record(NamedTuple):
    """What a run writes down."""

    losses: np.ndarray  #: float64 (steps,)
    train_correct: np.ndarray  #: float64 (epochs,): right answers on the batch, after its update
    val_losses: np.ndarray  #: float64 (epochs,): weighted sum over the validation set
    val_correct: np.ndarray  #: float64 (epochs,): weight of the right answers on it
    best: np.ndarray  #: float64 (1,): share of right answers of the parameters that are kept
    predicted: np.ndarray  #: int64 (n_val,): the latest classes of the validation set, or empty


#: What is known after a phase: nothing, a step's loss, right answers on its batch, both for a block
#: of the validation set.
NOTHING, STEPPED, EVALUATED, VALIDATED = range(4)
