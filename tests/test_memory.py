"""What a run allocates: for sparse input, nothing that grows with the number of columns."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from fastnn.checks.sparse import Sparse
from fastnn.engine.loop import CompiledLoop
from fastnn.jobs import Architecture, Items, Job, Records, Settings, Source
from fastnn.optimizers import OPTIMIZERS

N_SAMPLES, NON_ZEROS, BATCH_SIZE = 300, 50, 64


def peak_of(columns, optimizer, l2, max_norm):
    """Return the most bytes that a run holds besides its parameters and the optimiser's memory."""
    random = np.random.RandomState(0)
    indices = np.sort(random.randint(0, columns // NON_ZEROS, (N_SAMPLES, NON_ZEROS)), axis=1)
    indices += np.arange(NON_ZEROS) * (columns // NON_ZEROS)
    X = Sparse(
        (N_SAMPLES, columns),
        np.arange(N_SAMPLES + 1) * NON_ZEROS,
        indices.ravel().astype(np.int32),
        random.randn(indices.size).astype(np.float32),
    )
    y = random.randint(0, 3, N_SAMPLES)
    sizes = (columns, 20, 3)
    layers = [(np.zeros((K, N), np.float32), np.zeros(N, np.float32)) for K, N in pairwise(sizes)]
    chosen = OPTIMIZERS[optimizer]
    settings = Settings(
        chosen.name, l2 != 0, *chosen.numbers(), label_smoothing=0.0, max_norm=max_norm
    )
    steps = np.arange(5)
    zeros = np.zeros_like(steps)
    items = Items(
        kinds=zeros,
        begins=steps * BATCH_SIZE,
        counts=zeros + BATCH_SIZE,
        steps=steps,
        epochs=zeros,
        keys=zeros,
        rates=np.full(5, 0.1),
        decays=np.ones(5),
        alphas=np.full(5, l2),
        epsilons=np.full(5, 1e-8),
        divisors=np.full(5, float(BATCH_SIZE)),
        listed=random.randint(0, N_SAMPLES, 5 * BATCH_SIZE),
    )
    tracemalloc.start()
    try:
        loop = CompiledLoop(
            Job(
                Architecture(sizes),
                layers,
                settings,
                Source(X, y),
                batch_sizes=(BATCH_SIZE,),
                threads=2,
            )
        )
        records = Records(5, 1)
        loop.run(items, records)
        loop.store()
        return tracemalloc.get_traced_memory()[1] - loop.buffers.copies.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("max_norm", [0.0, 1.0])
@pytest.mark.parametrize("l2", [0.0, 0.01])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_memory_does_not_grow_with_the_columns(optimizer, l2, max_norm, many_threads):
    peak_of(1000, optimizer, l2, max_norm)  # compiles
    few, many = (peak_of(columns, optimizer, l2, max_norm) for columns in (10_000, 200_000))
    # Page alignment of the copies, whatever Python itself holds on to, and the operations: of many
    # columns there are more, up to a limit.
    assert abs(many - few) < 60_000
    # A float64 for each column would be 1.6 MB.
    assert few > 0
