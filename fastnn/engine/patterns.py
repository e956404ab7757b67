"""What chunks of an order's work have in common: the pattern of steps and blocks in epochs."""

import functools
from typing import NamedTuple

import numpy as np

from ..jobs import BLOCK, LAST_STEP, STEP


class Epoch(NamedTuple):
    """What an epoch is made of."""

    n: int  #: rows of its steps
    batch_size: int
    n_val: int  #: rows of the blocks behind the steps
    block_size: int
    shuffled: bool

    @property
    def steps(self):
        """How many steps there are."""
        return -(-self.n // self.batch_size)

    @property
    def items(self):
        """How many steps and blocks there are."""
        return self.steps + -(-self.n_val // self.block_size)


class Pattern(NamedTuple):
    """What is the same for all chunks of items that begin at one place of an epoch."""

    kinds: np.ndarray
    begins: np.ndarray
    counts: np.ndarray
    steps: np.ndarray  #: from the beginning of the first epoch on
    epochs: np.ndarray  #: from the first one on
    divisors: np.ndarray  #: of the losses of steps, where rows have no weights


@functools.lru_cache(maxsize=16)
def pattern_of(position, count, epoch):
    """Return the pattern of `count` items from a position in an epoch on; not to be written to.

    To work it out takes longer than many a step.
    """
    epochs, positions = np.divmod(np.arange(position, position + count), epoch.items)
    within = np.minimum(positions, epoch.steps - 1)
    blocks = positions >= epoch.steps
    first_row = (positions - epoch.steps) * epoch.block_size
    left = np.where(blocks, epoch.n_val - first_row, epoch.n - within * epoch.batch_size)
    counts = np.minimum(np.where(blocks, epoch.block_size, epoch.batch_size), left)
    short = (counts < epoch.batch_size) & ~blocks
    kinds = np.where(blocks, BLOCK, np.where(short, LAST_STEP, STEP))
    begins = within * epoch.batch_size
    if epoch.shuffled:
        # Whole epochs of rows lie one behind the other, the first cut off at its position.
        begins = begins + epochs * epoch.n - min(position * epoch.batch_size, epoch.n)
    begins = np.where(blocks, first_row, begins)
    steps, divisors = within + epochs * epoch.steps, np.where(blocks, 1.0, counts)
    return Pattern(kinds, begins, counts, steps, epochs, divisors)
