"""What a run does with a network, and how threads divide it."""

import itertools
from typing import NamedTuple

from . import operations as op
from .activation import RELU
from .heads import SOFTMAX
from .update import ADAM, GRADIENT, SGD

#: Parts of a batch with gradients of their own: as many threads can share the work. And the least
#: rows of a part.
PARTS, LEAST_ROWS = 16, 64


class Codes(NamedTuple):
    """What a network computes: its layer sizes, and the codes of its activation and head."""

    layer_sizes: tuple
    activation: int = RELU
    head: int = SOFTMAX


class Work(NamedTuple):
    """What a run does with a network.

    A run without steps (no batch sizes) only evaluates; without block size it does not evaluate.
    """

    batch_sizes: tuple = ()  #: rows of a step: of most, and of an epoch's last if it has fewer
    block_size: int = 0  #: rows that are evaluated or predicted at a time
    optimizer: int = SGD  #: see update
    clip: bool = False  #: gradients are kept until their norm is known
    dropout: bool = False
    general_loss: bool = False  #: weights of the rows, or smoothing of the labels
    lazy: bool = False  #: untouched rows of a sparse layer's weights need no step
    input_kind: int = op.DENSE
    non_zeros: float = 0.0  #: a row of a CSR matrix, on average
    evaluate_batch: bool = False  #: right answers on a batch after its step
    weighted_block: bool = False  #: rows that are evaluated have weights
    evaluate_loss: bool = True  #: of the validation set, besides its right answers
    output_head: int = -1  #: write the predictions of this head, instead of counting right answers

    @property
    def keeps(self):
        """Whether the whole gradient is kept before, or instead of, a step."""
        return self.clip or self.optimizer == GRADIENT


def share(count, unit, thread, threads):
    """Return the range of `count` items that `thread` of `threads` owns.

    Ranges start at multiples of `unit`, so that a tile is the same tile for any number of threads.
    """
    pieces = -(-count // unit)
    first, stop = (pieces * t // threads * unit for t in (thread, thread + 1))
    return min(first, count), min(stop, count)


def remembered_by(optimizer):
    """Return how many buffers of the parameters' size an optimiser needs."""
    return {SGD: 0, GRADIENT: 0, ADAM: 2}.get(optimizer, 1)


def parts_of(layer_sizes, n, sparse):
    """Return how many parts of a batch of n rows each get a gradient of their own, 0 for none.

    A part is the work of one thread from its rows to its gradient, so that nothing but gradients
    travels between processors: where weights are few and rows many, that is far less than the
    activations. A step of 4-32-16-4 on 10,000 rows takes two threads 428 us and no longer 503, or
    1,340 where the two cores of a virtual machine share no cache.
    """
    if sparse or n < PARTS * LEAST_ROWS:
        return 0
    params = sum((K + 1) * N for K, N in itertools.pairwise(layer_sizes))
    return PARTS if 4 * PARTS * params <= n * sum(layer_sizes[1:]) else 0
