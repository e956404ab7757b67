"""The optimisers' steps against their twins."""

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


# --------------------------------------------------------------------------------------- momentum

NESTEROV = [False, True]


@pytest.mark.parametrize("nesterov", NESTEROV)
@pytest.mark.parametrize("dtype", DTYPES)
def test_momentum_update_equals_the_twin(guards, dtype, nesterov):
    eps = np.finfo(dtype).eps
    for shape in [*SHAPES, *((size,) for size in range(1, 71))]:
        random = np.random.RandomState(0)
        before, velocity = (random.randn(*shape).astype(dtype) for _ in range(2))
        W, v = guards.output(before), guards.output(velocity)
        expected, expected_v = before.copy(), velocity.copy()
        for _ in range(3):
            gradient = random.randn(*shape).astype(dtype)
            dW = guards.input(gradient)
            assert kernels.momentum_update(W, dW, 0.1, 0.01, 0.9, nesterov, v) is None
            reference.momentum_update(expected, gradient, 0.1, 0.01, 0.9, nesterov, expected_v)
        np.testing.assert_allclose(v, expected_v, rtol=8 * eps, atol=8 * eps)
        np.testing.assert_allclose(W, expected, rtol=8 * eps, atol=16 * eps)
        guards.check()


@pytest.mark.parametrize("nesterov", NESTEROV)
@pytest.mark.parametrize("dtype", DTYPES)
def test_momentum_update_is_exact_for_small_binary_fractions(guards, dtype, nesterov):
    random = np.random.RandomState(1)
    before, gradient, velocity = (random.randint(-9, 10, (7, 33)).astype(dtype) for _ in range(3))
    W, v = guards.output(before), guards.output(velocity)
    kernels.momentum_update(W, guards.input(gradient), 0.25, 0.5, 0.75, nesterov, v)
    step = 0.25 * (gradient + 0.5 * before)
    expected = 0.75 * velocity - step
    np.testing.assert_array_equal(v, expected)
    np.testing.assert_array_equal(W, before + (0.75 * expected - step if nesterov else expected))


@pytest.mark.parametrize("nesterov", NESTEROV)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_momentum_keeps_a_gradient_that_is_not_finite(guards, dtype, value, nesterov):
    W, v = guards.output(np.ones((3, 7), dtype)), guards.output(np.zeros((3, 7), dtype))
    dW = np.ones((3, 7), dtype)
    dW[1, 5] = value
    kernels.momentum_update(W, guards.input(dW), 0.5, 0.0, 0.5, nesterov, v)
    expected = np.full((3, 7), -0.5)
    expected[1, 5] = -value
    np.testing.assert_array_equal(v, expected)
    np.testing.assert_array_equal(W, 1 + 1.5 * expected if nesterov else 1 + expected)


# ------------------------------------------------------------------------------------------- Adam

BETAS = 0.9, 0.999


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_update_equals_the_twin(guards, dtype, weight_decay):
    eps = np.finfo(dtype).eps
    for shape in [*SHAPES, *((size,) for size in range(1, 71))]:
        random = np.random.RandomState(0)
        before = random.randn(*shape).astype(dtype)
        W, moments = guards.output(before), guards.output(np.zeros((2, *shape), dtype))
        expected, expected_moments = before.copy(), np.zeros((2, *shape), dtype)
        for step in (1, 2, 3, 1000):
            gradient = random.randn(*shape).astype(dtype)
            numbers = 0.1, 0.01, weight_decay, BETAS, 1e-8, step
            assert kernels.adam_update(W, guards.input(gradient), *numbers, moments) is None
            reference.adam_update(expected, gradient, *numbers, expected_moments)
        np.testing.assert_allclose(moments, expected_moments, rtol=32 * eps, atol=8 * eps)
        np.testing.assert_allclose(W, expected, rtol=16 * eps, atol=64 * eps)
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_update_worked_by_hand(guards, dtype):
    # At the first step m / (1 - beta_1) is g and v / (1 - beta_2) its square: the step is of the
    # length of the learning rate, whatever the gradient.
    gradient = np.array([1e-3, -1e-3, 1.0, -2.0, 1e4, 0.0], dtype)
    W, moments = guards.output(np.ones(6, dtype)), guards.output(np.zeros((2, 6), dtype))
    kernels.adam_update(W, guards.input(gradient), 0.25, 0.0, 0.0, BETAS, 1e-15, 1, moments)
    rtol = 1e-5 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(W, 1 - 0.25 * np.sign(gradient), rtol=rtol)
    np.testing.assert_allclose(moments[0], 0.1 * gradient, rtol=rtol)
    np.testing.assert_allclose(moments[1], 0.001 * gradient**2, rtol=rtol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_decay_by_themselves(guards, dtype):
    # No gradient moves them, nor does their decay enter the moments.
    W, moments = guards.output(np.full(19, 2, dtype)), guards.output(np.zeros((2, 19), dtype))
    dW = guards.input(np.zeros(19, dtype))
    kernels.adam_update(W, dW, 0.5, 0.0, 0.25, BETAS, 1e-8, 1, moments)
    np.testing.assert_array_equal(W, 2 * (1 - 0.5 * 0.25))
    np.testing.assert_array_equal(moments, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_keeps_a_gradient_that_is_not_finite(guards, dtype, value):
    dW = np.ones((3, 7), dtype)
    clean, clean_moments = np.ones((3, 7), dtype), np.zeros((2, 3, 7), dtype)
    kernels.adam_update(clean, dW, 0.5, 0.0, 0.0, BETAS, 1e-8, 1, clean_moments)
    W, moments = guards.output(np.ones((3, 7), dtype)), guards.output(np.zeros((2, 3, 7), dtype))
    dW[1, 5] = value
    kernels.adam_update(W, guards.input(dW), 0.5, 0.0, 0.0, BETAS, 1e-8, 1, moments)
    # An infinity divided by an infinity is NaN.
    clean[1, 5] = np.nan
    clean_moments[:, 1, 5] = value, abs(value)
    np.testing.assert_array_equal(W, clean)
    np.testing.assert_array_equal(moments, clean_moments)


# ------------------------------------------------------------------------------------------- both


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_update_and_to_remember(guards, dtype):
    W, dW = guards.output(np.empty((0, 3), dtype)), np.empty((0, 3), dtype)
    kernels.momentum_update(W, dW, 0.1, 0.1, 0.9, False, np.empty((0, 3), dtype))
    kernels.adam_update(W, dW, 0.1, 0.1, 0.1, BETAS, 1e-8, 1, np.empty((2, 0, 3), dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@properties
@given(pairs=st.lists(st.tuples(finite, finite), min_size=1, max_size=40), l2=st.floats(0, 10))
def test_zero_learning_rate_only_remembers(dtype, pairs, l2):
    W, dW = np.array(pairs, dtype).T.copy()
    before, zeros = W.copy(), np.zeros_like(W)
    for nesterov in NESTEROV:
        kernels.momentum_update(W, dW, 0.0, l2, 0.9, nesterov, zeros.copy())
        np.testing.assert_array_equal(W, before)
    kernels.adam_update(W, dW, 0.0, l2, 0.1, BETAS, 1e-8, 1, np.zeros((2, len(W)), dtype))
    np.testing.assert_array_equal(W, before)
