"""Predictions of many rows by the compiled loop, in blocks that stay in cache."""

import numpy as np

from .engine import BLOCK, Items, Records, Settings, flops_per_row
from .threads import threads_for
from .training import drive, loop_of

#: Rows that a thread predicts at a time: their activations stay in the second-level cache.
PREDICT_ROWS = 192
#: Below this many flops a prediction is left to NumPy: packing the weights would cost more.
PACKED_FLOPS = 2_000_000


def evaluate(architecture, layers, source, output_head=None, scaling=None):
    """Run some rows through a network, in blocks that stay in cache; return the loop.

    Its ``predicted`` holds the classes with the highest scores or, given an `output_head`,
    ``outputs`` the predictions.
    """
    n = len(source)
    threads = threads_for(flops_per_row(architecture.layer_sizes) * n)
    block_size = min(PREDICT_ROWS * threads, n)
    loop = loop_of(
        *(architecture, layers, Settings(), None, source),
        block_size=block_size,
        evaluate_loss=False,
        output_head=output_head,
        scaling=scaling,
        threads=threads,
    )
    order = BlockOrder(n, block_size)
    for _ in drive(loop, order, Records.empty(0, 1)):
        pass
    return loop


class BlockOrder:
    """Nothing but the blocks of one evaluation."""

    def __init__(self, n, block_size):
        self.n, self.block_size, self.done = n, block_size, 0
        self.total = self.longest = -(-n // block_size)

    def boundary(self, done):
        """Return the end: Python looks nowhere else."""
        return self.total

    def items(self, first, stop):
        """Return the blocks first..stop."""
        begins = np.arange(first, stop) * self.block_size
        return Items(
            kinds=np.full(len(begins), BLOCK),
            begins=begins,
            counts=np.minimum(self.block_size, self.n - begins),
            steps=0,
            epochs=0,
            keys=0,
            rates=0.0,
            decays=1.0,
            divisors=1.0,
            listed=None,
        )
