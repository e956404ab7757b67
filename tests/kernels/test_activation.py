"""The activations and the ways back through them, against their twins."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import kernels, reference
from fastnn.kernels._jit import kernel
from fastnn.kernels.activation import (
    ACTIVATIONS,
    FROM_OUTPUT,
    Backward,
    BackwardStored,
    Equation,
    activation_backward,
    codes_from_output,
    evaluate,
    multiply_in_place,
)
from fastnn.kernels.llvm.intrinsics import address_of

DTYPES = ["float32", "float64"]
SHAPES = [(1, 1), (1, 7), (3, 5), (4, 10), (5, 33), (7, 50), (8, 16), (9, 100), (2, 97)]
NAMES, CODES = list(ACTIVATIONS), sorted(ACTIVATIONS.values())
SIZES = [*range(1, 36), 63, 64, 65, 70, 129]

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


def activated(Z, code, derivative=True):
    """Return f(Z) and f'(Z), which is empty if not asked for."""
    A, D = Z.copy(), np.full_like(Z, np.nan) if derivative else np.empty(0, Z.dtype)
    assert kernels.activation(A, code, D) is None
    return A, D


@kernel
def backward(code, A, dA):
    activation_backward(A[0], Backward(code, address_of(A), address_of(dA), A.size))


@kernel
def product(D, dA):
    multiply_in_place(D[0], BackwardStored(address_of(D), address_of(dA), D.size))


def test_the_tables_of_kernels_and_twins_are_alike():
    assert list(ACTIVATIONS) == list(reference.activations.ACTIVATIONS)
    assert CODES == list(ACTIVATIONS.values()) == list(range(len(ACTIVATIONS)))


def test_the_docstring_has_them_in_the_order_of_their_codes():
    _, _, rows, _ = re.split(r"^ *=+ =[ =]*\n", kernels.activation.__doc__, flags=re.M)
    assert [row.split()[0] for row in rows.splitlines()] == NAMES


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", reference.activations.ACTIVATIONS)
def test_twins_keep_the_dtype(name, dtype):
    Z = np.array([-2, -0.5, 0, 0.5, 2], dtype)
    f, derivative = reference.activations.ACTIVATIONS[name]
    assert (f(Z).dtype, derivative(Z, f(Z)).dtype) == (dtype, dtype)


def derivative_of(emit, value, derivative):
    """Emit a softsign whose parts are these, and its derivative."""
    return evaluate("softsign", lambda emit, z: (value, lambda: derivative), emit, value)[1]()


def test_an_equation_returns_a_value_and_a_function(emit):
    z = emit.constant(0.5)
    for result in (z, (z, z), 1.0, None):
        with pytest.raises(TypeError, match=r"`softsign` does not .* `return value, derivative`"):
            evaluate("softsign", lambda emit, z, result=result: result, emit, z)


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (1, r"1: write emit\.constant\(1\.0\)"),
        (np.float32(0.5), r"0\.5: write emit\.constant\(0\.5\)"),
        (None, r"None: a register of numbers is needed, as emit\.where\("),
    ],
)
def test_an_equation_that_returns_no_register(emit, result, shown):
    z = emit.constant(0.5)
    with pytest.raises(TypeError, match=rf"^f\(z\) of `softsign` returned {shown}"):
        derivative_of(emit, result, z)
    with pytest.raises(TypeError, match=rf"^the derivative of `softsign` returned {shown}"):
        derivative_of(emit, z, result)


def test_an_equation_that_returns_a_condition_or_one_number(emit):
    z = emit.constant(0.5)
    for result, kind in ((z > 0.0, "i1>"), (emit.number(1.0), "float:")):
        with pytest.raises(TypeError, match=rf"derivative of `softsign` returned .*{kind}"):
            derivative_of(emit, z, result)


def test_a_line_of_the_table_that_is_no_equation():
    with pytest.raises(TypeError, match=r"`softsign` in EQUATIONS is <.*>: write Equation"):
        codes_from_output({"relu": Equation(None), "softsign": lambda emit, z: z})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("code", CODES, ids=NAMES)
def test_activation_equals_the_twin_at_every_size(guards, code, dtype):
    random = np.random.RandomState(code)
    eps = np.finfo(dtype).eps
    for size in SIZES:
        Z = (3 * random.randn(size)).astype(dtype)
        expected, expected_D = Z.copy(), np.empty_like(Z)
        reference.activation(expected, code, expected_D)
        A, D = guards.output(Z), guards.output(np.full(size, np.nan, dtype))
        kernels.activation(A, code, D)
        # Of the negative side of a GELU, 1 + erf leaves an absolute precision.
        absolute = 4 * eps if NAMES[code] == "gelu" else 0
        np.testing.assert_allclose(A, expected, rtol=6 * eps, atol=absolute)
        np.testing.assert_allclose(D, expected_D, rtol=8 * eps, atol=4 * eps)
        alone = guards.output(Z)
        kernels.activation(alone, code, guards.output(np.empty(0, dtype)))
        np.testing.assert_array_equal(alone, A)
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("code", CODES, ids=NAMES)
def test_activation_of_other_shapes(code, dtype):
    Z = np.random.RandomState(0).randn(3, 5, 7).astype(dtype)
    A, D = activated(Z, code)
    flat_A, flat_D = activated(Z.ravel(), code)
    np.testing.assert_array_equal(A.ravel(), flat_A)
    np.testing.assert_array_equal(D.ravel(), flat_D)
    activated(np.empty((0, 4), dtype), code)


@pytest.mark.parametrize("code", CODES, ids=NAMES)
def test_derivative_by_central_differences(code):
    h = 1e-5
    Z = np.append(np.random.RandomState(0).uniform(-6, 6, 2000), np.arange(-6.0, 7.0))
    (left, left_D), (right, right_D) = activated(Z - h, code), activated(Z + h, code)
    _, D = activated(Z, code)
    assert D.any(), "the derivative is 0 everywhere"
    # Around a kink of f or of f', the difference is not the derivative: there, f' bends by more
    # than a multiple of h^2.
    smooth = abs(left_D - 2 * D + right_D) < 1000 * h**2
    assert smooth.mean() > 0.95, "the derivative jumps to and fro"
    np.testing.assert_allclose(D[smooth], ((right - left) / (2 * h))[smooth], atol=2e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("code", CODES, ids=NAMES)
def test_far_from_zero(code, dtype):
    name, largest = NAMES[code], np.finfo(dtype).max
    steps = np.array([6, 10, 30, 50, 88, 104, 200, 709, 750, 2000, 1e15, largest], dtype)
    with np.errstate(over="ignore"):
        Z = np.concatenate([steps, -steps, [0, -0.0, np.inf, -np.inf, np.nan]]).astype(dtype)
    A, D = activated(Z, code)
    # A SELU of the largest number is beyond it.
    finite = np.isfinite(Z) & ((name != "selu") | (Z < largest))
    assert np.isfinite(A[finite]).all()
    assert np.isfinite(D[finite]).all()
    assert np.isnan(A[-1])
    expected, expected_D = Z.copy(), np.empty_like(Z)
    reference.activation(expected, code, expected_D)
    # Of zeros: a twin's 0 is 0 here too.
    np.testing.assert_allclose(A[-5:-3], expected[-5:-3], rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(A, expected, 1e-4, 1e-8)
    np.testing.assert_allclose(D, expected_D, 1e-5, 1e-6)
    if name in ("identity", "relu", "leaky_relu"):
        assert D[-1] == 1  # which lets a gradient through at NaN
    if name in ("tanh", "logistic"):
        assert D[-3] == 0
    if name in ("relu", "silu", "gelu", "mish"):  # f is 0 at -infinity
        assert A[-2] == 0
    if name in ("relu", "tanh", "logistic", "silu", "gelu", "mish"):  # f' is 0 far to the left
        # Far is from -200 on, and 0 what may be less than 1e-80.
        assert (abs(D[len(steps) + 6 : 2 * len(steps)]) <= 1e-80).all()
        assert D[-2] == 0
    if name in ("identity", "relu", "leaky_relu", "silu", "gelu", "mish"):  # f' is 1 at +infinity
        assert D[-3] == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("code", sorted(FROM_OUTPUT), ids=lambda code: NAMES[code])
def test_way_back_from_the_activation_alone(guards, code, dtype):
    random = np.random.RandomState(code)
    for size in SIZES:
        A, D = activated((2 * random.randn(size)).astype(dtype), code)
        gradient = random.randn(size).astype(dtype)
        dA, by_product = guards.output(gradient), guards.output(gradient)
        backward(code, guards.input(A), dA)
        product(guards.input(D), by_product)
        eps = np.finfo(dtype).eps
        np.testing.assert_array_equal(by_product, gradient * D)
        np.testing.assert_allclose(dA, by_product, rtol=4 * eps, atol=4 * eps)
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_way_back_where_values_are_not_finite(guards, dtype):
    gradient = np.array([2.0, 3.0, np.nan, np.nan, 5.0], dtype)
    small, five = np.array([0.01, 5.0], dtype)
    expected = {
        "identity": gradient,
        "relu": [2.0, 3.0, 0.0, np.nan, 0.0],
        "leaky_relu": [2.0, 3.0, np.nan, np.nan, small * five],
    }
    for name, wanted in expected.items():
        A = guards.input(np.array([np.nan, np.inf, -0.0, 1.0, -np.inf], dtype))
        dA = guards.output(gradient)
        backward(ACTIVATIONS[name], A, dA)
        np.testing.assert_array_equal(dA, wanted)
