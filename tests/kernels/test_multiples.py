"""Multiples of a row, against NumPy: at every length, through a ReLU's gate or not."""

import itertools

import numpy as np
import pytest

from fastnn.kernels._jit import kernel
from fastnn.kernels.llvm.intrinsics import address_of
from fastnn.kernels.llvm.processor import VECTOR_BYTES
from fastnn.kernels.multiples import UNROLL, MultiplesOfRow, multiples_of_row


@kernel
def multiplied(A, row, gate, vectors, out):
    factors, line, place = address_of(A), address_of(row), address_of(out)
    opened = address_of(gate) if gate.size else 0
    arguments = MultiplesOfRow(
        A=factors,
        A_stride=A.strides[0],
        rows=len(A),
        row=line,
        vectors=vectors,
        out=place,
        stride=out.strides[0],
        gate=opened,
    )
    multiples_of_row(row[0], arguments)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_they_are_numpys_products_at_every_size(guards, dtype, gated):
    random, lanes = np.random.RandomState(0), VECTOR_BYTES // np.dtype(dtype).itemsize
    for rows, vectors in itertools.product((1, 2, 5), range(1, 2 * UNROLL + 2)):
        columns = vectors * lanes
        A = random.choice([1.5, -0.3, 0.0, np.nan], (rows, 1)).astype(dtype)
        row, gate = random.randn(columns).astype(dtype), random.randn(rows, columns).astype(dtype)
        gate[random.uniform(size=gate.shape) < 0.1] = 0
        gate[random.uniform(size=gate.shape) < 0.1] = np.nan
        out = guards.output(np.full((rows, columns), 7, dtype))
        given = guards.input(gate if gated else gate[:0])
        multiplied(guards.input(A), guards.input(row), given, vectors, out)
        expected = A * row
        if gated:
            # A number that is none lets it through.
            expected[gate <= 0] = 0
        np.testing.assert_array_equal(out, expected)
        guards.check()
