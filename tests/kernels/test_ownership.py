"""Which columns of the first layer belong to a thread: only where it pays, and as many to each."""

import numpy as np
import pytest

from fastnn.kernels.llvm.processor import VECTOR_BYTES
from fastnn.kernels.llvm.tiles import NR, MultiplyPanel
from fastnn.kernels.loop import operations as op
from fastnn.kernels.loop.tape import Tape
from fastnn.kernels.loop.task import CSR, Task
from fastnn.kernels.marked_products import MultiplyPair


def tape_of(sizes, n, threads=2, **options):
    return Tape(Task(sizes, (1,) * (len(sizes) - 2), threads=threads, batch_sizes=(n,), **options))


@pytest.mark.parametrize(
    ("sizes", "n", "owns"),
    [
        *(((784, 128, 10), 1, True), ((784, 128, 10), 128, True), ((784, 128, 10), 1000, False)),
        *(((784, 512, 10), 256, True), ((784, 512, 10), 1024, False)),
        *(((784, 256, 128, 10), 256, True), ((784, 256, 128, 10), 257, False)),
        # One panel.
        *(((4, 10, 3), 5, False), ((3072, 8, 10), 1, False)),
    ],
)
def test_threads_own_columns_where_rows_are_no_more_than_units(sizes, n, owns):
    assert (tape_of(sizes, n).owned > 0) == owns
    assert tape_of(sizes, n, threads=1).owned == 0


def test_no_columns_are_owned_of_sparse_inputs_in_shards_or_without_steps():
    sizes = (784, 128, 10)
    assert tape_of(sizes, 32, input_kind=CSR, non_zeros=50.0).owned == 0
    task = Task((8, 2048, 3), (1,), threads=2, batch_sizes=(2048,))
    assert task.shards > 0 == Tape(task).owned
    assert Tape(Task(sizes, (1,), threads=2, block_size=32)).owned == 0


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("threads", [2, 3, 4, 7])
@pytest.mark.parametrize("units", [97, 128, 250, 512, 1000])
@pytest.mark.parametrize("zeros", [False, True])
def test_threads_have_as_much_to_do(zeros, units, threads, dtype):
    n = 16
    tape = tape_of((784, units, 10), n, threads, dtype=np.dtype(dtype), marked_inputs=zeros)
    wide = NR * VECTOR_BYTES // np.dtype(dtype).itemsize
    columns = tape.buffers.layers[0].columns
    assert tape.owned == columns // wide // threads // (1 + zeros) * (1 + zeros)
    if not tape.owned:
        return
    weights = tape.buffers.parameter(tape.buffers.layers[0].weights)
    size = units * 784 * np.dtype(dtype).itemsize
    forward, updated = np.zeros((2, threads))
    for thread in range(threads):
        for phase in tape.steps[0]:
            for each in tape.operations(thread, phase):
                if isinstance(each, (MultiplyPanel, MultiplyPair)):
                    if 0 <= each.panel - weights < size:
                        forward[thread] += (each.stop - each.first) * each.K * each.vectors
                elif isinstance(each, op.UpdatePanel) and 0 <= each.weights - weights < size:
                    updated[thread] += (each.k1 - each.k0) * each.vectors
    # What is left over is divided into eight rows of the batch, or of the weights, at a time.
    assert np.ptp(forward) <= 8 * 784 * NR * units / wide
    assert np.ptp(updated) <= 8 * NR * units / wide
    assert (updated >= tape.owned * 784 * NR).all()
