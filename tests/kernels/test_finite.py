"""Whether all numbers of an array are finite."""

import numpy as np
import pytest

from fastnn import kernels, reference

DTYPES = ["float32", "float64"]
SIZES = [*range(1, 140), 4096, 4097]


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_and_small_numbers_are_finite_at_every_size(guards, dtype):
    limits = np.finfo(dtype)
    values = [limits.max, -limits.max, limits.tiny, -limits.smallest_subnormal, 0.0, -0.0, 1.5]
    for size in SIZES:
        X = guards.input(np.resize(np.array(values, dtype), size))
        assert kernels.all_finite(X) is reference.all_finite(X) is True
        guards.check()


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_single_number_that_is_not_finite_shows_at_every_place(guards, dtype, bad):
    for size in (1, 2, 15, 16, 17, 63, 64, 65, 130):
        for place in range(size):
            X = np.ones(size, dtype)
            X[place] = bad
            X = guards.input(X)
            assert kernels.all_finite(X) is reference.all_finite(X) is False
            guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_of_both_signs_do_not_cancel(guards, dtype):
    X = guards.input(np.array([np.inf, -np.inf] * 40, dtype))
    assert kernels.all_finite(X) is False


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_element_and_more_dimensions(guards, dtype):
    assert kernels.all_finite(np.empty(0, dtype)) is True
    X = guards.input(np.ones((7, 9), dtype))
    assert kernels.all_finite(X) is True
