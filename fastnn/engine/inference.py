"""Predictions: of few rows by NumPy, of many by the compiled loop, in blocks that stay in cache."""

import functools

import numpy as np

from ..checks.sparse import Sparse
from ..jit import jit_disabled
from ..jobs import BLOCK, Items, Job, Records, Source, block_rows, flops_per_row
from ..reference.heads import predictions
from ..reference.network import scores
from ..threads import threads_for
from .driver import drive, loop_of

#: Rows that a thread predicts at a time: their activations stay in the second-level cache.
PREDICT_ROWS = 192
#: Seconds that the compiled loop takes more than NumPy in float32: for a call, and for each weight,
#: which is packed. And seconds that it takes less: for each operation, and for each unit of a
#: hidden layer and row, by its activation. Two cores of a Zen 4: of 23 networks, 4-10-3 to
#: 784-256-128-10, with 1 to 8,192 rows in both precisions, the way that these choose takes 1.3 %
#: longer than the faster one in the mean if fastnn and NumPy's BLAS have one thread, and 2.3 % if
#: they have two. (BLAS gains by its second thread from fewer rows on, as it need not start it.)
PER_CALL, PER_WEIGHT, PER_FLOP = 45e-6, 2e-9, 3e-12
PER_UNIT = {
    "identity": 0.0,
    "relu": 0.6e-9,
    "tanh": 0.0,
    "leaky_relu": 1.6e-9,
    "selu": 1.6e-9,
    "logistic": 2.1e-9,
    "silu": 3.1e-9,
    "mish": 15e-9,
    "gelu": 70e-9,
}
#: The same for each weight, if X is sparse, and for each number that it stores and each unit of the
#: first layer: there SciPy has NumPy's part, by one thread.
PER_SPARSE_WEIGHT, PER_STORED = 0.4e-9, 0.11e-9
#: The threads of a prediction must be started, which takes 0.1 to 0.2 ms: one is worth that from so
#: many times the flops on, in float32, that pay for one of a training. Two took 296 us for 1,000
#: rows of 20-100-10, and one 126; 660 and 460 for 5,000; 1.06 and 1.7 ms for 20,000 (Zen 4).
STARTING = 30
#: Up to so many blocks are the same items each time, of which a loop knows what it must.
FEW_BLOCKS = 64
#: Bytes of a layer's outputs that NumPy computes at a time. From 128 KiB on, an array may be new
#: memory each time, page by page, until the process has let go of one of some megabytes: 1,000 rows
#: of 20-100-1 then take 438 us in float32, in such blocks 146 (Zen 4), and otherwise as long.
SCORED_BYTES = 100_000


def predict_classes(architecture, layers, X, scaling=None):
    """Return the class with the highest score for each row.

    Parameters
    ----------
    architecture : Architecture
    layers : list of (W, b)
    X : ndarray of shape (n, D) or Sparse
        As the kernels take it.
    scaling : Scaling, optional
        Of an X of bytes.

    Returns
    -------
    ndarray of shape (n,)
        int64; the first of several equal scores.
    """
    if _is_small(architecture, X, layers[0][0].itemsize):
        outputs = _scores(architecture, layers, X, scaling)
        return outputs.argmax(axis=-1, keepdims=outputs.ndim == 1)
    return _evaluated(architecture, layers, X, None, scaling)[0]


def predict_outputs(architecture, layers, X, head, scaling=None):
    """Return what a head makes of the scores of each row, (n, outputs); see `predict_classes`."""
    if not _is_small(architecture, X, layers[0][0].itemsize):
        return _evaluated(architecture, layers, X, head, scaling)[1]
    outputs = _scores(architecture, layers, X, scaling)
    if head != "identity":
        # Of many rows and of few: what is beyond all numbers shows in the result alone.
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = predictions(head, outputs)
    return outputs[None] if outputs.ndim == 1 else outputs


def _is_small(architecture, X, itemsize):
    """Tell whether packing the weights would cost more than it saves."""
    times, (cost, by_row, by_stored) = itemsize / 4, _costs(architecture, isinstance(X, Sparse))
    saved = X.shape[0] * by_row
    if by_stored:
        saved += len(X.data) * by_stored
    # The last question comes with numba, which few rows need not wait for.
    return times * saved < PER_CALL + times * cost or jit_disabled()


@functools.lru_cache
def _costs(architecture, sparse):
    """Return the seconds that packing costs in float32, and those that a row and a number save."""
    sizes = architecture.layer_sizes
    names, unknown = architecture.activations, PER_UNIT["silu"]
    by_unit = sum(PER_UNIT.get(name, unknown) * n for name, n in zip(names, sizes[1:]))
    by_row = PER_FLOP * flops_per_row(sizes[1:] if sparse else sizes) + by_unit
    by_weight = PER_SPARSE_WEIGHT if sparse else PER_WEIGHT
    return by_weight * flops_per_row(sizes) / 2, by_row, PER_STORED * sizes[1] * sparse


def _scores(architecture, layers, X, scaling):
    """Return the scores of some rows by NumPy; those of a single row as a vector.

    NumPy's calls take half as long for a vector as for a matrix.
    """
    activations = architecture.activations
    if isinstance(X, Sparse):
        if X.shape[0] == 1:
            (W, b), *rest = layers
            return scores(activations, [(W[X.indices], b), *rest], X.data)
        from scipy.sparse import csr_array  # whose user is here

        X = csr_array((X.data, X.indices, X.indptr), shape=X.shape)
        return scores(activations, layers, X)
    if len(X) == 1:
        return _block_scores(activations, layers, X[0], scaling)
    rows = max(SCORED_BYTES // (max(architecture.layer_sizes[1:]) * layers[0][0].itemsize), 1)
    blocks = [X[first : first + rows] for first in range(0, max(len(X), 1), rows)]
    parts = [_block_scores(activations, layers, block, scaling) for block in blocks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _block_scores(activations, layers, X, scaling):
    if X.dtype == np.uint8:
        X = X * scaling.factor + scaling.summand
    return scores(activations, layers, X)


def _evaluated(architecture, layers, X, output_head, scaling):
    """Run rows through a network, in blocks that stay in cache; return classes and outputs."""
    n, sizes = X.shape[0], architecture.layer_sizes
    flops = n * flops_per_row(sizes)
    if isinstance(X, Sparse):
        flops = n * flops_per_row(sizes[1:]) + 2 * len(X.data) * sizes[1]
    threads = threads_for(flops * layers[0][0].itemsize / 4 / STARTING)
    block_size = block_rows(n, PREDICT_ROWS * threads)
    job = Job(
        architecture,
        layers,
        val=Source(X),
        block_size=block_size,
        evaluate_loss=False,
        output_head=output_head,
        scaling=scaling,
        threads=threads,
    )
    loop = loop_of(job)
    for _ in drive(loop, BlockOrder(n, block_size), Records(0, 1)):
        pass
    results = loop.predicted, loop.outputs
    loop.release()
    return results


class BlockOrder:
    """Nothing but the blocks of one evaluation."""

    def __init__(self, n, block_size):
        self.n, self.block_size, self.done = n, block_size, 0
        self.total = self.longest = -(-n // block_size)

    def boundary(self, done):
        """Return the end: Python looks nowhere else."""
        return self.total

    def items(self, first, stop):
        """Return the blocks first..stop; of few rows, the same ones each time."""
        known = _known_blocks if stop <= FEW_BLOCKS else _blocks
        return known(self.n, self.block_size, first, stop)


def _blocks(n, block_size, first, stop):
    begins = np.arange(first, stop) * block_size
    return Items(
        kinds=np.full(len(begins), BLOCK),
        begins=begins,
        counts=np.minimum(block_size, n - begins),
        steps=0,
        epochs=0,
        keys=0,
        rates=0.0,
        decays=1.0,
        alphas=0.0,
        epsilons=0.0,
        divisors=1.0,
        listed=None,
    )


_known_blocks = functools.lru_cache(_blocks)
