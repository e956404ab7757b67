"""What a run does with a network, and how threads divide it. Nothing of where it lies in memory."""

import itertools
from typing import NamedTuple

import numpy as np

from ..activation import FROM_OUTPUT, RELU
from ..llvm.processor import VECTOR_BYTES
from ..losses import SOFTMAX
from ..marked import HALF_PAYS, wide_tiles
from ..rules import GRADIENT, RULES, SGD
from ..softmax_rows import ROWS_PER_LOG

#: Kinds of input: floating-point numbers, a CSR matrix, bytes.
DENSE, CSR, BYTES = range(3)
#: Most shards of a batch with gradients of their own: as many threads can share the work. And the
#: least rows of a shard.
SHARDS, LEAST_ROWS = 16, 64


class Task(NamedTuple):
    """What a run does with a network.

    A run without steps (no batch sizes) only evaluates; without block size it does not evaluate.
    """

    layer_sizes: tuple
    activations: tuple = ()  #: of each hidden layer
    head: int = SOFTMAX
    dtype: np.dtype = np.dtype(np.float32)
    threads: int = 1
    batch_sizes: tuple = ()  #: rows of a step: of most, and of an epoch's last if it has fewer
    block_size: int = 0  #: rows that are evaluated or predicted at a time
    rule: int = SGD  #: of the update, see kernels.rules; GRADIENT and ACCUMULATE take no step
    clip: bool = False  #: gradients are kept until their norm is known
    dropout: bool = False
    masked: bool = False  #: the factors of a dropout are given, in the buffers' masks
    general_loss: bool = False  #: weights of the rows, or smoothing of the labels
    penalty: bool = True  #: the gradient has that of a penalty, in rows without input too
    input_kind: int = DENSE
    input_stride: int = 0  #: bytes from one row of dense input to the next, 0 if it is not known
    non_zeros: float = 0.0  #: a row of a CSR matrix, on average
    marked_inputs: bool = False  #: dense inputs have zeros which their products may skip
    evaluate_batch: bool = False  #: right answers on a batch after its step
    keep_best: bool = False  #: items may keep the parameters, see train
    weighted_block: bool = False  #: rows that are evaluated have weights
    evaluate_loss: bool = True  #: of the validation set, besides its right answers
    output_head: int = -1  #: write the predictions of this head, instead of counting right answers

    @property
    def capacity(self):
        """Most rows that are in work at a time."""
        return max(*self.batch_sizes, self.block_size, 1)

    @property
    def sparse(self):
        """Whether inputs are a CSR matrix."""
        return self.input_kind == CSR

    @property
    def keeps(self):
        """Whether the whole gradient is kept before, or instead of, a step."""
        return self.clip or self.rule >= GRADIENT

    @property
    def memories(self):
        """Numbers that the optimiser remembers of each parameter."""
        rules = list(RULES.values())
        return rules[self.rule].memories if self.rule < len(rules) else 0

    def keeps_derivatives(self, depth):
        """Tell whether the derivatives of a hidden layer's activation are kept for the way back."""
        drops = self.dropout or self.masked
        return bool(self.batch_sizes) and (drops or self.activations[depth] not in FROM_OUTPUT)

    @property
    def skips_zeros(self):
        """Whether some weights' gradient may skip zeros, see :mod:`.marking`."""
        lanes, layers = VECTOR_BYTES // self.dtype.itemsize, zip(self.layer_sizes, self.activations)
        relu = any(act == RELU and wide_tiles(K // lanes) for K, act in layers)
        return self.marked_inputs or (HALF_PAYS and relu)

    @property
    def shards(self):
        """Shards of a batch that each get a gradient of their own, 0 for none.

        A shard is the work of one thread from its rows to its gradient, so that nothing but
        gradients travels between processors: where weights are few and rows many, that is far less
        than the activations. A step of 4-32-16-4 on 10,000 rows takes two threads 428 us instead of
        503, or 1,340 where the two cores of a virtual machine share no cache. In two shards, 200
        rows of 20-100-1 take 16.1 instead of 20.9 us, 200 of 4-32-16-4 7.9 instead of 12.1; one
        thread takes as long as without, or up to 2 % more (SGD and Adam, float32, Zen 4). Of twice
        as many weights only where no update skips zeros: 64-100-10 takes two threads 39.5 instead
        of 43.1 us then, but where one does, one thread would take 2 to 4 % more.
        """
        n = self.batch_sizes[0] if self.batch_sizes else 0
        sizes = self.layer_sizes
        params = sum((K + 1) * N for K, N in itertools.pairwise(sizes))
        activations = n * sum(sizes[1:])
        few = (4 if self.skips_zeros else 2) * params <= activations
        if self.sparse or n < 2 * LEAST_ROWS or not few:
            return 0
        many = n >= SHARDS * LEAST_ROWS and 4 * SHARDS * params <= activations
        return SHARDS if many else 2

    @property
    def by_shards(self):
        """Whether a thread takes whole shards, and not a share of all rows and of all gradients.

        Of two shards no more than two threads could have one. Else each sums both, one after the
        other, to the same bits.
        """
        return self.shards > 2 or (self.shards == 2 and self.threads == 2)

    def half(self, n):
        """Return how many of n rows give a gradient to which that of the others is added.

        0 where threads take whole shards, or there are none.
        """
        return 0 if self.by_shards or not self.shards else share(n, ROWS_PER_LOG, 0, 2)[1]


def share(count, unit, thread, threads):
    """Return the range of `count` items that `thread` of `threads` owns.

    Ranges start at multiples of `unit`, so that a tile is the same tile for any number of threads.
    """
    pieces = -(-count // unit)
    first, stop = (pieces * t // threads * unit for t in (thread, thread + 1))
    return min(first, count), min(stop, count)
