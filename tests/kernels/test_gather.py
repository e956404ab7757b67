"""Columns of the rows of a batch, copied side by side."""

import numpy as np
import pytest

from fastnn.kernels._jit import kernel
from fastnn.kernels.gather import PIECE, GatherColumns, gather_columns
from fastnn.kernels.llvm.intrinsics import address_of


@kernel
def gather(X, rows, first, elements, table, out, stride):
    """Copy `elements` columns of some rows, from column `first` on."""
    for i in range(len(rows)):
        table[i] = address_of(X) + rows[i] * X.strides[0]
    size = X.itemsize
    columns = GatherColumns(
        address_of(table), len(rows), first * size, elements, address_of(out), stride * size
    )
    gather_columns(X[0, 0], columns)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exactly_the_columns_are_copied_at_every_length(guards, dtype):
    random, size = np.random.RandomState(0), np.dtype(dtype).itemsize
    lengths = [
        *range(70),
        *(n * PIECE // size + more for n in (1, 2, 4, 5, 9) for more in (-1, 0, 1)),
    ]
    for elements in lengths:
        for first in (0, 3):
            # Nothing lies behind the last row's last column.
            X = guards.input(random.randn(6, first + max(elements, 1)).astype(dtype))
            rows = guards.input(np.array([5, 0, 3, 3, 1]))
            stride = elements + 5
            out = guards.output(np.full((len(rows), stride), np.nan, dtype))
            table = guards.output(np.zeros(len(rows), np.int64))
            gather(X, rows, first, elements, table, out, stride)
            np.testing.assert_array_equal(out[:, :elements], X[rows, first : first + elements])
            assert np.isnan(out[:, elements:]).all()
            guards.check()
