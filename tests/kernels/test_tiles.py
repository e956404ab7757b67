"""Products with one panel, at every height and width: taken back through a ReLU, or not."""

import itertools

import numpy as np
import pytest

from fastnn.kernels._jit import kernel
from fastnn.kernels.llvm.intrinsics import address_of
from fastnn.kernels.llvm.processor import VECTOR_BYTES
from fastnn.kernels.llvm.tiles import MR, NR, MultiplyPanel, multiply_panel


@kernel
def multiplied(A, table, panel, vectors, start, gate, relu, first, stop, out):
    places = address_of(A), address_of(table), address_of(panel), address_of(start), address_of(out)
    for i in range(len(A)):
        table[i] = places[0] + i * A.strides[0]
    opened = address_of(gate) if gate.size else 0
    product = MultiplyPanel(
        table=places[1],
        first=first,
        stop=stop,
        offset=0,
        panel=places[2],
        vectors=vectors,
        K=A.shape[1],
        start=places[3],
        start_stride=0,
        relu=relu,
        out=places[4],
        stride=out.strides[0],
        gate=opened,
        known=len(A),
        following=places[2],
        pace=0,
    )
    multiply_panel(A[0, 0], product)


@pytest.mark.parametrize("way", ["plain", "relu", "gate"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_product_equals_numpys_at_every_size(guards, dtype, way):
    random, lanes = np.random.RandomState(0), VECTOR_BYTES // np.dtype(dtype).itemsize
    eps = float(np.finfo(dtype).eps)
    for rows, vectors, K in itertools.product(range(1, 2 * MR + 3), range(1, NR + 1), (1, 2, 7)):
        n, first, columns = rows + 2, 1, vectors * lanes
        A, panel = random.randn(n, K).astype(dtype), random.randn(K, columns).astype(dtype)
        start, gate = random.randn(columns).astype(dtype), random.randn(n, columns).astype(dtype)
        gate[random.uniform(size=gate.shape) < 0.1] = 0
        gate[random.uniform(size=gate.shape) < 0.1] = np.nan
        out = guards.output(np.full((n, columns), 7, dtype))
        given = guards.input(gate if way == "gate" else gate[:0])
        arguments = guards.input(A), np.empty(n, np.int64), guards.input(panel), vectors
        last = first + rows
        multiplied(*arguments, guards.input(start), given, int(way == "relu"), first, last, out)
        expected = start + A.astype(float) @ panel
        if way == "relu":
            expected = np.maximum(expected, 0)
        elif way == "gate":
            # A number that is none lets it through.
            expected[gate <= 0] = 0
        scale = abs(start) + abs(A).astype(float) @ abs(panel)
        asked = slice(first, last)
        assert (abs(out - expected)[asked] <= 8 * eps * scale[asked]).all()
        np.testing.assert_array_equal(out[asked] == 0, expected[asked] == 0)
        np.testing.assert_array_equal(out[[0, -1]], 7)
        guards.check()
