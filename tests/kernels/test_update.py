"""The optimiser's step against its twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import kernels, reference

DTYPES = ["float32", "float64"]
SHAPES = [(1,), (3,), (8,), (17,), (100,), (1, 1), (4, 10), (10, 3), (7, 33), (50, 97)]

properties = settings(derandomize=True, deadline=None, max_examples=100)
finite = st.floats(-1e6, 1e6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sgd_update_equals_the_twin(guards, shape, dtype):
    random = np.random.RandomState(0)
    before, gradient = (random.randn(*shape).astype(dtype) for _ in range(2))
    W, dW, expected = guards.output(before), guards.input(gradient), before.copy()
    assert kernels.sgd_update(W, dW, 0.1, 0.01) is None
    reference.sgd_update(expected, gradient, 0.1, 0.01)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(W, expected, rtol=4 * eps, atol=4 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sgd_update_is_exact_for_small_binary_fractions(guards, shape, dtype):
    random = np.random.RandomState(1)
    before, gradient = (random.randint(-9, 10, shape).astype(dtype) for _ in range(2))
    W, dW = guards.output(before), guards.input(gradient)
    kernels.sgd_update(W, dW, 0.25, 0.5)
    np.testing.assert_array_equal(W, before - 0.25 * (gradient + 0.5 * before))


def test_a_python_float_promotes_nothing(guards):
    # 0.1 in float32 differs from 0.1 in float64 by more than the rounding of the product.
    W = guards.output(np.zeros(3, np.float32))
    kernels.sgd_update(W, guards.input(np.ones(3, np.float32)), 0.1, 0.0)
    np.testing.assert_array_equal(W, -np.float32(0.1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gradient_that_is_not_finite_shows(guards, dtype, value):
    W, dW = guards.output(np.ones((3, 7), dtype)), np.ones((3, 7), dtype)
    dW[1, 5] = value
    kernels.sgd_update(W, guards.input(dW), 0.5, 0.0)
    expected = np.full((3, 7), 0.5)
    expected[1, 5] = -value
    np.testing.assert_array_equal(W, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_update(guards, dtype):
    kernels.sgd_update(guards.output(np.empty((0, 3), dtype)), np.empty((0, 3), dtype), 0.1, 0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@properties
@given(pairs=st.lists(st.tuples(finite, finite), min_size=1, max_size=40), l2=st.floats(0, 10))
def test_zero_learning_rate_changes_nothing(dtype, pairs, l2):
    W, dW = np.array(pairs, dtype).T.copy()
    before = W.copy()
    kernels.sgd_update(W, dW, 0.0, l2)
    np.testing.assert_array_equal(W, before)
