"""Dropout: the pattern of its twin, which is as good as random."""

import numpy as np
import pytest

from fastnn import kernels, reference
from fastnn.kernels._jit import kernel
from fastnn.kernels.dropout import DropoutRows, dropout_rows
from fastnn.kernels.layout import round_up
from fastnn.kernels.llvm.intrinsics import address_of, cast_like
from fastnn.kernels.llvm.processor import VECTOR_BYTES

DTYPES = ["float32", "float64"]
KEYS = [0, 1, -1, 12345, 2**63 - 1, -(2**63), 0x2545F4914F6CDD1D]


@kernel
def drop(A, D, count, first, stop, key, threshold, factor):
    derivatives = address_of(D) if D.size > 0 else 0
    place, stride, scale = address_of(A), A.strides[0], cast_like(A[0, 0], factor)
    rows = DropoutRows(place, derivatives, stride, count, first, stop, key, threshold, scale)
    dropout_rows(A[0, 0], rows)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.999])
def test_equals_the_twin(guards, rate, key, dtype):
    for n, H in ((1, 16), (5, 32), (13, 48), (70, 112)):
        values = np.random.RandomState(n).randn(n, H).astype(dtype)
        A, expected = guards.output(values), values.copy()
        assert kernels.dropout(A, rate, key) is None
        reference.dropout(expected, rate, key)
        np.testing.assert_array_equal(A, expected)
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_some_rows_of_any_width(guards, dtype):
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    random = np.random.RandomState(0)
    for H in range(1, 71):
        # Whole vectors of columns, in rows that are longer.
        count = round_up(H, lanes)
        values, slopes = (random.randn(9, count + 5).astype(dtype) for _ in range(2))
        factors = reference.dropout_mask(H, (9, count), 0.25).astype(dtype)
        factors[:2] = factors[7:] = 1
        for with_derivatives in (True, False):
            A = guards.output(values)
            D = guards.output(slopes if with_derivatives else slopes[:0])
            drop(A, D, count, 2, 7, H, 2**30, 4 / 3)
            for array, before in ((A, values), (D, slopes)):
                if array.size == 0:
                    continue
                expected = before.copy()
                expected[:, :count] *= factors
                np.testing.assert_array_equal(array, expected)
        guards.check()


def test_the_pattern_depends_on_no_dtype_and_no_division_of_the_rows():
    pattern = reference.dropout_mask(7, (50, 64), 0.3) > 0
    for dtype in DTYPES:
        A = np.ones((50, 64), dtype)
        kernels.dropout(A, 0.3, 7)
        np.testing.assert_array_equal(A > 0, pattern)
        parts = np.ones((50, 64), dtype)
        for first, stop in ((31, 50), (0, 7), (7, 31)):
            drop(parts, parts[:0], 64, first, stop, 7, int(0.3 * 2**32), 1 / 0.7)
        np.testing.assert_array_equal(parts, A)
        # A narrower layer has the left part of it.
        narrow = np.ones((50, 16), dtype)
        kernels.dropout(narrow, 0.3, 7)
        np.testing.assert_array_equal(narrow > 0, pattern[:, :16])


def test_bits_that_equal_the_threshold_are_kept():
    # By bisection with the twin, the bits of the first element.
    low, high = 0, 2**32
    while high - low > 1:
        middle = (low + high) // 2
        kept = reference.dropout_mask(7, (1, 1), middle / 2**32)[0, 0] > 0
        low, high = (middle, high) if kept else (low, middle)
    assert 0 < low < 2**32 - 1
    for threshold, expected in ((low, 1), (low + 1, 0)):
        A = np.ones((1, 16))
        drop(A, A[:0], 16, 0, 1, 7, threshold, 1.0)
        assert A[0, 0] == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropped_is_zero_whatever_it_was_and_what_is_kept_shows(guards, dtype):
    kept = reference.dropout_mask(3, (4, 16), 0.5) > 0
    for value in (np.nan, np.inf, -np.inf):
        A = guards.output(np.full((4, 16), value, dtype))
        kernels.dropout(A, 0.5, 3)
        np.testing.assert_array_equal(A, np.where(kept, value, 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_do(guards, dtype):
    kernels.dropout(guards.output(np.empty((0, 16), dtype)), 0.5, 1)
    A = guards.output(np.ones((3, 16), dtype))
    kernels.dropout(A, 0.0, 1)
    np.testing.assert_array_equal(A, 1)


# ------------------------------------------------------------------------------- as good as random


def centred(key, shape, rate=0.5):
    """Return +1 and -1 in place of kept and dropped, less the mean and of variance 1."""
    kept = reference.dropout_mask(key, shape, rate) > 0
    return (kept - (1 - rate)) / np.sqrt(rate * (1 - rate))


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("key", KEYS)
def test_the_share_that_is_kept(key, rate):
    ones = centred(key, (1000, 256), rate)
    # Of the whole, of every row and of every column, in standard deviations.
    assert abs(ones.sum()) / np.sqrt(ones.size) < 4
    for axis in (0, 1):
        sums = ones.sum(axis=axis) / np.sqrt(ones.shape[axis])
        assert abs(sums).max() < 6
        assert sums.std() == pytest.approx(1, abs=0.15)


def test_the_mean_stays():
    A = np.ones((1000, 256))
    kernels.dropout(A, 0.3, 11)
    assert A.mean() == pytest.approx(1, abs=4 * np.sqrt(0.3 / 0.7 / A.size))


@pytest.mark.parametrize("key", [0, 12345])
def test_rows_columns_and_steps_are_uncorrelated(key):
    ones = centred(key, (128, 2048))
    for vectors in (ones, ones[:, :128].T):
        products = vectors @ vectors.T / np.sqrt(vectors.shape[1])
        pairs = products[np.triu_indices(len(products), 1)]
        # 8,128 pairs of a standard normal distribution.
        assert abs(pairs).max() < 6
        assert pairs.std() == pytest.approx(1, abs=0.05)
    # Neighbours and diagonals, and the patterns of the keys that follow.
    others = [ones[1:, 1:], ones[1:, :-1], ones[:-1, 1:]]
    shifted = [ones[:-1, :-1], ones[:-1, 1:], ones[:-1, :-1]]
    following = (key + 1, key + 2, key + 0x2545F4914F6CDD1D)
    others += [centred(other, ones.shape) for other in following]
    shifted += [ones] * 3
    for a, b in zip(shifted, others):
        assert abs(np.sum(a * b)) / np.sqrt(a.size) < 4
