"""The ReLU's backward pass against its twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import kernels, reference

DTYPES = ["float32", "float64"]
SHAPES = [(1, 1), (1, 7), (3, 5), (4, 10), (5, 33), (7, 50), (8, 16), (9, 100), (2, 97)]

properties = settings(derandomize=True, deadline=None, max_examples=100)
numbers = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0.0, -0.0]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_twin(guards, shape, dtype):
    random = np.random.RandomState(0)
    A = guards.input(np.maximum(random.randn(*shape), 0).astype(dtype))
    gradient = random.randn(*shape).astype(dtype)
    dA, expected = guards.output(gradient), gradient.copy()
    assert kernels.relu_backward(A, dA) is None
    reference.relu_backward(A, expected)
    np.testing.assert_array_equal(dA, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_that_are_not_finite(guards, dtype):
    A = guards.input(np.array([[np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 1.0, 0.0]], dtype))
    dA = guards.output(np.array([[2.0, 3.0, 4.0, np.nan, np.inf, np.nan, -np.inf, 5.0]], dtype))
    kernels.relu_backward(A, dA)
    # A NaN lets the gradient through; where the activation is zero, even a NaN is stopped.
    np.testing.assert_array_equal(dA, [[2.0, 3.0, 0.0, 0.0, 0.0, np.nan, -np.inf, 0.0]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_do(guards, dtype):
    kernels.relu_backward(np.empty((0, 3), dtype), guards.output(np.empty((0, 3), dtype)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@properties
@given(pairs=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=40))
def test_zero_where_the_activation_is(dtype, pairs):
    A, gradient = np.array(pairs, dtype).T.copy()
    dA = gradient.copy()[np.newaxis]
    kernels.relu_backward(A[np.newaxis], dA)
    assert (dA[0, A <= 0] == 0).all()
    np.testing.assert_array_equal(dA[0, A > 0], gradient[A > 0])
