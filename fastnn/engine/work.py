"""How much work a run has to do: it says how many threads, and how much to do at a time."""

import numpy as np

from ..jobs import BLOCK, EVALUATED_STEP, flops_per_row

#: How much longer a flop of a sparse row takes than one of a dense row, at least: 784-100-10 on
#: images of digits, 149 of 784 pixels not 0, three times (Zen 4).
SPARSE = 2
#: How many flops take as long as to update a number that the optimiser remembers of a weight: of
#: 784-128-10, a step on a single row takes 41 us with Adam, 11 with SGD (float32, Zen 4).
FLOPS_A_MEMORY = 16


def flops_forward(layer_sizes, non_zeros, rows, dtype):
    """Return the flops of dense float32 that take about as long as a forward pass of some rows."""
    each = flops_per_row(layer_sizes)
    if non_zeros is not None:
        each = flops_per_row(layer_sizes[1:]) + SPARSE * 2 * non_zeros * layer_sizes[1]
    return each * rows * dtype.itemsize / 4


def flops_of_step(forward, layer_sizes, memories):
    """Return the same of a step: there, back, the gradients, and what an optimiser remembers."""
    weights = flops_per_row(layer_sizes) / 2
    return 3 * forward + FLOPS_A_MEMORY * memories * weights


def work_of(items):
    """Return how much work some items are, in rows that are evaluated."""
    each = np.where(items.kinds < BLOCK, 3, 1) + (items.kinds == EVALUATED_STEP)
    return float(np.sum(each * items.counts))
