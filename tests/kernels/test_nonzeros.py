"""Rows of dense arrays in CSR form, against the twins and SciPy."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from fastnn import kernels, reference

DTYPES = ["float32", "float64"]
SHAPES = [(n, K) for n in (0, 1, 2, 5, 9) for K in (0, 1, 2, 7, 16, 17, 65)]
SHARES = [0.0, 0.1, 0.5, 1.0]


def numbers(shape, share, dtype):
    """Return numbers of which a share is not zero, with zeros of both signs and odd values."""
    random = np.random.RandomState([*shape, int(10 * share)])
    X = random.choice([1.5, -2.0, np.inf, np.nan, np.finfo(dtype).smallest_subnormal], shape)
    return np.where(random.rand(*shape) < share, X, random.choice([0.0, -0.0], shape)).astype(dtype)


def compressed(module, guards, X, places, dtype=None):
    """Return what a kernel or its twin writes, where there is room for so many non-zeros."""
    out = [
        guards.output(np.full(len(X) + 1, -9)),
        guards.output(np.full(places + 1, -9, np.int32)),
        guards.output(np.full(places + 1, 9, dtype or X.dtype)),
    ]
    assert module.compress_rows(X, *out) is None
    guards.check()
    indptr, *rest = out
    assert [part[indptr[-1]] for part in rest] == [0, 0]
    return indptr, *(part[: indptr[-1]] for part in rest)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_they_are_those_of_scipy_at_every_shape(guards, dtype, share):
    for shape in SHAPES:
        X = guards.input(numbers(shape, share, dtype))
        matrix = csr_matrix(X)
        places = kernels.count_nonzeros(X)
        assert places == reference.count_nonzeros(X) == matrix.nnz
        for module in (kernels, reference):
            wanted = matrix.indptr, matrix.indices, matrix.data
            for got, values in zip(compressed(module, guards, X, places), wanted, strict=True):
                np.testing.assert_array_equal(got, values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_become_numbers(guards, dtype):
    for shape in SHAPES:
        random = np.random.RandomState(shape)
        X = guards.input(random.choice([0, 0, 1, 7, 255], shape).astype(np.uint8))
        matrix = csr_matrix(X)
        assert kernels.count_nonzeros(X) == reference.count_nonzeros(X) == matrix.nnz
        for module in (kernels, reference):
            got = compressed(module, guards, X, matrix.nnz, dtype)
            assert got[2].dtype == dtype
            for part, wanted in zip(got, (matrix.indptr, matrix.indices, matrix.data), strict=True):
                np.testing.assert_array_equal(part, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_has_no_room_is_left_out(guards, dtype):
    """As when another thread writes numbers between the count and the copy."""
    for shape in SHAPES:
        X = guards.input(numbers(shape, 0.5, dtype))
        total = np.count_nonzero(X)
        for places in {0, 1, total // 2, max(total - 1, 0)} - {total}:
            first, second = (
                compressed(module, guards, X, places) for module in (kernels, reference)
            )
            assert first[0][-1] == min(places, total)
            for got, values in zip(first, second, strict=True):
                np.testing.assert_array_equal(got, values)
