"""Transposes and copies of rows, of any shape, which touch nothing else."""

import numpy as np
import pytest

from fastnn.kernels._jit import kernel
from fastnn.kernels.llvm.intrinsics import address_of
from fastnn.kernels.transpose import (
    CopyRows,
    Transpose,
    TransposeListed,
    copy_rows,
    transpose,
    transpose_listed,
)

DTYPES = ["float32", "float64"]
#: On both sides of every number of lanes, and of a panel's columns.
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 49, 100]


@kernel
def turn(W, rows, columns, out):
    places = address_of(W), W.strides[0], rows, columns, address_of(out), out.strides[0]
    transpose(out[0, 0], Transpose(*places))


@kernel
def turn_listed(table, offset, rows, columns, out):
    places = address_of(table), offset, rows, columns, address_of(out), out.strides[0]
    transpose_listed(out[0, 0], TransposeListed(*places))


@kernel
def copy(X, rows, count, out):
    places = address_of(X), X.strides[0], rows, count, address_of(out), out.strides[0]
    copy_rows(out[0, 0], CopyRows(*places))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", SIZES)
def test_transposed_at_every_size(guards, rows, dtype):
    random = np.random.RandomState(rows)
    for columns in SIZES:
        W = guards.input(random.randn(rows, columns).astype(dtype))
        out = guards.output(np.full((columns, rows), np.nan, dtype))
        assert turn(W, rows, columns, out) is None
        np.testing.assert_array_equal(out, W.T)
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_part_of_a_wider_matrix_into_a_part_of_another(guards, dtype):
    random = np.random.RandomState(0)
    for rows, columns in ((1, 1), (8, 16), (13, 21), (24, 48), (40, 35)):
        W = guards.input(random.randn(rows + 3, columns + 5).astype(dtype))
        before = random.randn(columns + 2, rows + 7).astype(dtype)
        out = guards.output(before)
        turn(W[2:, 3:], rows, columns, out[1:, 4:])
        before[1 : columns + 1, 4 : rows + 4] = W[2 : rows + 2, 3 : columns + 3].T
        np.testing.assert_array_equal(out, before)
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", SIZES)
def test_rows_of_a_table_transposed_at_every_size(guards, rows, dtype):
    random = np.random.RandomState(rows)
    for columns in SIZES:
        # Only the last columns of each row, up to its end: the guards stand behind the last row.
        X = guards.input(random.randn(rows, columns + 3).astype(dtype))
        order = random.permutation(rows)
        table = guards.input(X.ctypes.data + order * X.strides[0])
        out = guards.output(np.full((columns, rows), np.nan, dtype))
        assert turn_listed(table, 3 * X.itemsize, rows, columns, out) is None
        np.testing.assert_array_equal(out, X[order, 3:].T)
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_copied(guards, dtype):
    random = np.random.RandomState(0)
    for rows in (0, 1, 3, 4):
        for count in (0, *SIZES):
            X = guards.input(random.randn(rows + 1, count + 3).astype(dtype))
            before = random.randn(rows + 2, count + 5).astype(dtype)
            out = guards.output(before)
            copy(X[:, 1:], rows, count, out[1:, 2:])
            before[1 : rows + 1, 2 : count + 2] = X[:rows, 1 : count + 1]
            np.testing.assert_array_equal(out, before)
            guards.check()
