"""Softmax with cross-entropy, and its gradient, against the twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import kernels, reference
from fastnn.kernels._jit import kernel
from fastnn.kernels.llvm.intrinsics import address_of, cast_like
from fastnn.kernels.softmax_rows import SoftmaxRows, softmax_rows

DTYPES = ["float32", "float64"]
CLASSES = [1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 33, 48, 49, 50, 96, 97, 100]
ROWS = [1, 2, 3, 4, 5, 7, 8, 9, 13]
SHAPES = sorted({(6, C) for C in CLASSES} | {(n, 10) for n in ROWS} | {(1, 1), (200, 100)})

# The same examples in every run.
properties = settings(derandomize=True, deadline=None, max_examples=100)
# Multiples of 1/8: their differences are exact.
scores_and_labels = st.tuples(st.integers(1, 9), st.integers(1, 20)).flatmap(
    lambda shape: st.tuples(
        st.just(shape),
        st.lists(st.integers(-400, 400), min_size=shape[0] * shape[1], max_size=180),
        st.lists(st.integers(0, shape[1] - 1), min_size=shape[0], max_size=shape[0]),
    )
)


def unpack(drawn, dtype):
    shape, numbers, labels = drawn
    numbers = numbers[: shape[0] * shape[1]]
    return np.array(numbers, dtype).reshape(shape) / dtype(8), np.array(labels, np.int64)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_twin(guards, shape, dtype, scale):
    random = np.random.RandomState(shape)
    scores = (scale * random.randn(*shape)).astype(dtype)
    y = guards.input(random.randint(0, shape[1], shape[0]))
    S, expected = guards.output(scores), scores.copy()

    loss = kernels.softmax_gradient(S, y)
    expected_loss = reference.softmax_gradient(expected, y)

    eps = float(np.finfo(dtype).eps)
    assert isinstance(loss, float)
    assert loss == pytest.approx(expected_loss, rel=32 * eps, abs=32 * eps * len(y))
    # Of the size of the largest element, 1 / n: what is subtracted from it has that rounding.
    np.testing.assert_allclose(S, expected, rtol=64 * eps, atol=4 * eps / len(y))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_class_has_no_loss_and_no_gradient(guards, dtype):
    S = guards.output(np.array([[3.0], [-1e30], [0.0]], dtype))
    assert kernels.softmax_gradient(S, guards.input(np.zeros(3, np.int64))) == 0
    np.testing.assert_array_equal(S, 0)


def test_worked_by_hand(guards):
    # Two classes, scores log 3 and log 1: probabilities 3/4 and 1/4, and n = 2.
    S = guards.output(np.log([[3.0, 1.0], [3.0, 1.0]]))
    loss = kernels.softmax_gradient(S, guards.input(np.array([0, 1])))
    assert loss == pytest.approx(-np.log(3 / 4) - np.log(1 / 4), rel=1e-14)
    np.testing.assert_allclose(S, [[-1 / 8, 1 / 8], [3 / 8, -3 / 8]], rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_rows(guards, dtype):
    S = guards.output(np.empty((0, 3), dtype))
    assert kernels.softmax_gradient(S, np.empty(0, np.int64)) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_scores_neither_overflow_nor_vanish(guards, dtype):
    large = np.finfo(dtype).max / 4
    S = guards.output(np.array([[large, -large, 0], [-large, -large, -large]], dtype))
    loss = kernels.softmax_gradient(S, guards.input(np.array([0, 2])))
    assert loss == pytest.approx(np.log(3), rel=1e-6)
    np.testing.assert_allclose(S, [[0, 0, 0], [1 / 6, 1 / 6, -1 / 3]], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 3, 9])
@pytest.mark.parametrize("row", [0, 2, 5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_that_is_not_finite_shows_in_itself_and_in_the_loss(
    guards, dtype, row, column, value
):
    scores = np.random.RandomState(0).randn(6, 10).astype(dtype)
    y = guards.input(np.arange(6))
    clean = scores.copy()
    kernels.softmax_gradient(clean, y)
    scores[row, column] = value
    S = guards.output(scores)

    assert np.isnan(kernels.softmax_gradient(S, y))
    assert np.isnan(S[row]).all()
    others = np.arange(6) != row
    np.testing.assert_array_equal(S[others], clean[others])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_score_of_minus_infinity_is_a_class_that_never_comes(guards, dtype):
    scores = np.zeros((2, 3), dtype)
    scores[:, 1] = -np.inf
    S = guards.output(scores)
    y = guards.input(np.array([0, 1]))
    # In the second row it is the right class: its loss is infinite.
    assert kernels.softmax_gradient(S, y) == np.inf
    np.testing.assert_allclose(S, [[-0.25, 0, 0.25], [0.25, -0.5, 0.25]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_of_minus_infinities_is_nan(guards, dtype):
    scores = np.zeros((5, 3), dtype)
    scores[4] = -np.inf
    S = guards.output(scores)
    assert np.isnan(kernels.softmax_gradient(S, guards.input(np.zeros(5, np.int64))))
    assert np.isnan(S[4]).all()
    assert np.isfinite(S[:4]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@properties
@given(drawn=scores_and_labels)
def test_rows_of_the_gradient_sum_to_zero(dtype, drawn):
    S, y = unpack(drawn, dtype)
    loss = kernels.softmax_gradient(S, y)
    assert loss >= -1e-5
    bound = 4 * S.shape[1] * np.finfo(dtype).eps / len(S)
    assert (abs(S.sum(axis=1, dtype=np.float64)) <= bound).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@properties
@given(drawn=scores_and_labels, shift=st.integers(-1000, 1000))
def test_a_shift_of_the_scores_changes_no_bit(dtype, drawn, shift):
    S, y = unpack(drawn, dtype)
    shifted = S + dtype(shift)
    loss, loss_of_shifted = (kernels.softmax_gradient(scores, y) for scores in (S, shifted))
    np.testing.assert_array_equal(shifted, S)
    assert loss == loss_of_shifted


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@properties
@given(drawn=scores_and_labels)
def test_only_the_right_class_has_a_negative_gradient(dtype, drawn):
    S, y = unpack(drawn, dtype)
    kernels.softmax_gradient(S, y)
    each_row = np.arange(len(S))
    assert (S[each_row, y] <= 0).all()
    S[each_row, y] = 0
    assert (S >= 0).all()


# ---------------------------------------------------------------- rows with weights, soft targets


@kernel
def general_rows(S, width, classes, y, first, stop, weights, clipped, smoothing, scale):
    like = S[0, 0]
    places = address_of(S), address_of(y), address_of(weights) if weights.size else 0
    spread, factor = cast_like(like, smoothing), cast_like(like, scale)
    rows = SoftmaxRows(
        *(places[0], S.strides[0], width, classes, places[1], first, stop, 0, places[2]),
        *(clipped, spread, factor),
    )
    return softmax_rows(like, rows)


def general_twin(scores, y, weights, smoothing, scale):
    losses, gradient = reference.heads.losses("softmax", scores, y, smoothing)
    return float(np.sum(losses * weights)), gradient * (weights[:, None] * scale)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_and_smoothing_equal_the_twin_at_every_size(guards, dtype, smoothing):
    random = np.random.RandomState(0)
    eps = float(np.finfo(dtype).eps)
    for C in range(1, 71):
        # Rows as the loop has them: padded by classes that never come.
        width = C + C % 5
        scores = np.full((5, width + 3), -np.inf, dtype)
        scores[:, :C] = 3 * random.randn(5, C)
        y, weights = random.randint(0, C, 5), random.uniform(0, 2, 5).astype(dtype)
        weights[2] *= C % 2
        S = guards.output(scores)
        arrays = guards.input(y), guards.input(weights)
        loss = general_rows(S, width, C, arrays[0], 1, 4, arrays[1], 0, smoothing, 0.25)
        real, rows = scores[1:4, :C].astype(float), slice(1, 4)
        expected_loss, expected = general_twin(real, y[rows], weights[rows], smoothing, 0.25)
        assert loss == pytest.approx(expected_loss, rel=64 * eps, abs=64 * eps)
        np.testing.assert_allclose(S[rows, :C], expected, rtol=64 * eps, atol=8 * eps)
        np.testing.assert_array_equal(S[rows, C:width], 0)
        # Nothing else is touched.
        np.testing.assert_array_equal(S[:, width:], -np.inf)
        np.testing.assert_array_equal(S[[0, 4]], scores[[0, 4]])
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_of_one_without_smoothing_are_the_plain_form(guards, dtype):
    random = np.random.RandomState(0)
    eps = float(np.finfo(dtype).eps)
    for C in (2, 10, 17, 100):
        scores, y = random.randn(4, C).astype(dtype), random.randint(0, C, 4)
        S, plain = guards.output(scores), scores.copy()
        loss = general_rows(S, C, C, y, 0, 4, np.ones(4, dtype), 0, 0.0, 0.25)
        assert loss == pytest.approx(kernels.softmax_gradient(plain, y), rel=64 * eps)
        np.testing.assert_allclose(S, plain, rtol=8 * eps, atol=2 * eps)


def test_smoothing_worked_by_hand(guards):
    # Probabilities 3/4 and 1/4; targets 1 - 0.2 + 0.1 and 0.1; a weight of 2.
    S = guards.output(np.log([[3.0, 1.0]]))
    loss = general_rows(S, 2, 2, np.array([0]), 0, 1, np.full(1, 2.0), 0, 0.2, 1.0)
    assert loss == pytest.approx(-2 * (0.9 * np.log(3 / 4) + 0.1 * np.log(1 / 4)), rel=1e-14)
    np.testing.assert_allclose(S, [[2 * (0.75 - 0.9), 2 * (0.25 - 0.1)]], rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_scores_with_smoothing_neither_overflow_nor_vanish(guards, dtype):
    large = np.finfo(dtype).max / 16
    S = guards.output(np.array([[large, -large, 0], [-large, -large, -large]], dtype))
    y, weights = np.array([0, 2]), np.ones(2, dtype)
    loss = general_rows(S, 3, 3, y, 0, 2, weights, 0, 0.3, 1.0)
    # The first row's other classes are 2 and 1 times `large` below the right one.
    assert loss == pytest.approx(0.1 * 3 * float(large) + np.log(3), rel=1e-6)
    expected = [[0.2, -0.1, -0.1], [1 / 3 - 0.1, 1 / 3 - 0.1, 1 / 3 - 0.8]]
    np.testing.assert_allclose(S, expected, rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 9, 18])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_weighted_row_that_is_not_finite_shows_in_itself_and_in_the_loss(
    guards, dtype, column, value
):
    random = np.random.RandomState(0)
    scores, y = random.randn(4, 19).astype(dtype), np.arange(4)
    weights = random.uniform(0, 2, 4).astype(dtype)
    clean = scores.copy()
    general_rows(clean, 19, 19, y, 0, 4, weights, 0, 0.1, 1.0)
    scores[2, column] = value
    S = guards.output(scores)
    assert np.isnan(general_rows(S, 19, 19, y, 0, 4, weights, 0, 0.1, 1.0))
    assert np.isnan(S[2]).all()
    np.testing.assert_array_equal(S[[0, 1, 3]], clean[[0, 1, 3]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@properties
@given(drawn=scores_and_labels, smoothing=st.sampled_from([0.0, 0.1, 0.5]))
def test_rows_of_the_smoothed_gradient_sum_to_zero(dtype, drawn, smoothing):
    S, y = unpack(drawn, dtype)
    n, C = S.shape
    weights = np.arange(n).astype(dtype)
    loss = general_rows(S, C, C, y, 0, n, weights, 0, smoothing, 1.0)
    assert loss >= -1e-4
    bound = 8 * C * np.finfo(dtype).eps * weights
    assert (abs(S.sum(axis=1, dtype=np.float64)) <= bound).all()


# ------------------------------------------------------------------------------ clipped losses


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_clipped_losses_equal_the_twin_and_leave_the_gradient(guards, dtype, scale, weighted):
    random = np.random.RandomState(0)
    eps = float(np.finfo(dtype).eps)
    for C in (1, 2, 3, 10, 17, 100):
        scores, y = (scale * random.randn(4, C)).astype(dtype), random.randint(0, C, 4)
        weights = random.uniform(0, 2, 4).astype(dtype) if weighted else np.ones(4, dtype)
        S, plain, given_weights = guards.output(scores), scores.copy(), weights[: 4 * weighted]
        loss = general_rows(S, C, C, y, 0, 4, given_weights, 1, 0.0, 0.25)
        general_rows(plain, C, C, y, 0, 4, given_weights, 0, 0.0, 0.25)
        losses, _ = reference.heads.losses("softmax", scores, y, clipped=True)
        assert loss == pytest.approx(float(np.sum(losses * weights)), rel=32 * eps, abs=32 * eps)
        np.testing.assert_array_equal(S, plain)
        guards.check()


@pytest.mark.parametrize("weights", [np.ones(0), np.ones(2)], ids=["plain", "weighted"])
def test_a_hopeless_row_and_a_certain_one_worked_by_hand(weights):
    # Of the classes at 0 and 1000 the second is certain: as right class it costs the epsilon.
    loss = general_rows(
        np.array([[0.0, 1e3], [0, 1e3]]), 2, 2, np.arange(2), 0, 2, weights, 1, 0.0, 1
    )
    assert loss == pytest.approx(36.04365338911715, rel=1e-14)
    # A smoothed label counts all probabilities, and none is clipped.
    S = np.array([[0.0, 1e3]])
    assert general_rows(S, 2, 2, np.zeros(1, int), 0, 1, np.ones(1), 1, 0.1, 1) == pytest.approx(
        950
    )


def test_a_clipped_loss_keeps_nan_visible():
    for weights in (np.ones(0), np.ones(2)):
        S = np.array([[0.0, np.nan], [0, 1]])
        assert np.isnan(general_rows(S, 2, 2, np.zeros(2, int), 0, 2, weights, 1, 0.0, 1.0))
