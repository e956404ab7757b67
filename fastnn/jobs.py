"""How work is described to a loop: the network, the data, what to do with them, what to record."""

import itertools
from typing import Any, NamedTuple

import numpy as np


class Architecture(NamedTuple):
    """What a network computes; the names are those of :class:`fastnn.Network`."""

    layer_sizes: tuple
    activation: Any = "relu"  #: of all hidden layers, or a tuple with that of each
    head: str = "softmax"

    @property
    def activations(self):
        """The name of each hidden layer's activation."""
        if isinstance(self.activation, str):
            return (self.activation,) * (len(self.layer_sizes) - 2)
        return self.activation


class Settings(NamedTuple):
    """The numbers of a run that no step changes, checked."""

    rule: str = "sgd"  #: of the update; "gradient" and "accumulate" keep gradients, and no step
    penalty: bool = False  #: items have a penalty on the weights
    beta_1: float = 0.0  #: or the momentum
    beta_2: float = 0.0
    label_smoothing: float = 0.0
    max_norm: float = 0.0  #: of the whole gradient; 0 for no limit
    dropout: float = 0.0
    masked: bool = False  #: steps come with the factors of a dropout, see Items.masks
    #: Losses of classes count no probability as less than the epsilon of the dtype, or as more than
    #: 1 less epsilon; the gradient never does.
    clipped: bool = False
    loss_factor: float = 1.0  #: on the losses of steps, but not on their penalties or gradients


class Source(NamedTuple):
    """Rows with their targets, checked; arrays of one row a sample."""

    X: Any  #: (n, D) C-contiguous of the network's dtype or uint8, or a :class:`Sparse`
    y: Any = None  #: labels, int64 (n,), or targets (n, outputs) of the network's dtype
    weights: Any = None  #: (n,) of the network's dtype, or None

    def __len__(self):
        return self.X.shape[0]


class Scaling(NamedTuple):
    """What bytes become: ``X factor + summand``, each of shape (D,)."""

    factor: np.ndarray
    summand: np.ndarray


#: Steps and epochs for which there is room at first, where their number is but a limit.
AT_FIRST = 1 << 12


class Records:
    """What a run records, see :class:`fastnn.kernels.loop.state.Record`.

    Parameters
    ----------
    steps, epochs : int
        For which there is room.
    """

    def __init__(self, steps, epochs):
        self.losses = np.zeros(steps)
        self.train_correct, self.val_losses, self.val_correct = (np.zeros(epochs) for _ in range(3))
        self.best = np.full(1, np.inf)

    @classmethod
    def growing(cls, steps, epochs):
        """Make room for some of so many steps and epochs, see :meth:`reserve`."""
        return cls(min(steps, AT_FIRST), min(epochs, AT_FIRST))

    def __iter__(self):
        yield from (self.losses, self.train_correct, self.val_losses, self.val_correct, self.best)

    def reserve(self, steps, epochs):
        """Have room for so many steps and epochs at least; what has been recorded stays."""
        if len(self.losses) < steps:
            self.losses = grown(self.losses, steps)
        if len(self.val_losses) < epochs:
            for name in ("train_correct", "val_losses", "val_correct"):
                setattr(self, name, grown(getattr(self, name), epochs))


def grown(array, count):
    """Return a vector of `count` elements or more that begins with those of another one."""
    if len(array) >= count:
        return array
    larger = np.zeros(max(count, 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger


class Job(NamedTuple):
    """What a loop is made for: a network, its data, and what to do with them."""

    architecture: Architecture
    layers: Any  #: of each layer (W, b), of shapes (fan_in, fan_out) and (fan_out,), of one dtype
    settings: Settings = Settings()
    train: Any = None  #: Source of the rows of steps, or None
    val: Any = None  #: Source of the rows to evaluate, or None
    batch_sizes: tuple = ()  #: rows of a step, and perhaps of an epoch's last one
    block_size: int = 0  #: rows to evaluate at a time, 0 for none
    evaluate_batch: bool = False  #: steps may be of the kind EVALUATED_STEP
    evaluate_loss: bool = True  #: the loss of the blocks is wanted, besides their right answers
    output_head: Any = None  #: predict blocks by this head, instead of evaluating them
    keep_best: bool = False  #: items may ask to keep the best parameters
    scaling: Any = None  #: Scaling of an X of bytes
    threads: Any = None  #: as many, or None for as many as pay
    steps: Any = None  #: that are taken at a time, or None for many


#: Kinds of items: a step; an epoch's last and smaller one; a step whose batch is evaluated after
#: it; and blocks of rows to evaluate or predict: of those to evaluate in order, of those in the
#: list, and of the rows of steps in the list.
STEP, LAST_STEP, EVALUATED_STEP, BLOCK, LISTED_BLOCK, TRAIN_BLOCK = range(6)


class Items(NamedTuple):
    """Items of work of one call.

    All but the kinds and the list may be one number, which then holds for all items.
    """

    kinds: np.ndarray  #: (n,): a kind each; from BLOCK on they are blocks
    begins: Any  #: first row
    counts: Any  #: rows
    steps: Any  #: number of the step
    epochs: Any  #: number of the epoch
    keys: Any  #: of the dropout
    rates: Any  #: learning rates
    decays: Any  #: factors on the weights
    alphas: Any  #: strengths of the penalty, ``alpha / 2 sum(W^2)``
    epsilons: Any  #: what is added to the root in Adam and its kind
    divisors: Any  #: of the loss
    listed: Any  #: int64: rows, to which `begins` refers but of a BLOCK; None for X in order
    #: 1 for the last block of an epoch's validation, of `divisors` rows, to keep the parameters if
    #: they have more right answers than any before
    keeps: Any = 0
    #: of a single step, the factors on the outputs of each hidden layer, a list of (rows, units)
    masks: Any = None

    def part(self, first, stop):
        """Return the items first..stop of these, with the same list of rows."""
        columns = (each if np.ndim(each) == 0 else each[first:stop] for each in self[:-1])
        return Items(*columns)._replace(listed=self.listed, masks=self.masks)


#: Rows of a block come in multiples of this: many sizes of data share the plan of one block.
BLOCK_UNIT = 16


def block_rows(n, most):
    """Return the rows of the blocks in which n rows are evaluated, at most `most` each.

    They are even, since every block is computed in full: of 256 rows in blocks of 192, the second
    one would take as long as the first.
    """
    blocks = max(-(-n // most), 1)
    return min(-(-n // (blocks * BLOCK_UNIT)) * BLOCK_UNIT, most)


def flops_per_row(layer_sizes):
    """Return the flops of a forward pass, a multiplication and an addition for each weight."""
    return 2 * sum(K * N for K, N in itertools.pairwise(layer_sizes))
