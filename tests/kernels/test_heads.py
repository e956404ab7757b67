"""The heads other than the softmax: predictions, losses and gradients against their twins."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import kernels, reference
from fastnn.kernels._jit import kernel
from fastnn.kernels.head_rows import PredictRows, head_predictions
from fastnn.kernels.heads import _weighted_loss
from fastnn.kernels.llvm.intrinsics import address_of
from fastnn.kernels.losses import CLIPPED_LOGISTIC, HEADS, SOFTMAX

DTYPES = ["float32", "float64"]
GRADIENTS = {
    "logistic": (kernels.logistic_gradient, reference.logistic_gradient),
    "identity": (kernels.squared_error_gradient, reference.squared_error_gradient),
    "exponential": (kernels.poisson_gradient, reference.poisson_gradient),
}

properties = settings(derandomize=True, deadline=None, max_examples=100)


def random_targets(random, head, shape, dtype):
    if head == "logistic":
        # Classes and probabilities.
        return np.where(random.uniform(size=shape) < 0.3, random.uniform(size=shape), 1).astype(
            dtype
        ) * random.randint(0, 2, shape).astype(dtype)
    if head == "exponential":
        return random.poisson(1.5, shape).astype(dtype)
    return random.randn(*shape).astype(dtype)


def both(guards, head, scores, targets, weights):
    """Return the gradients and losses of the kernel and its twin."""
    ours, twin = GRADIENTS[head]
    S, expected = guards.output(scores), scores.copy()
    arguments = guards.input(targets), guards.input(weights)
    loss = ours(S, *arguments, guards.output(np.full(len(S), -1)))
    expected_loss = twin(expected, targets, weights, None)
    assert isinstance(loss, float)
    return S, loss, expected, expected_loss


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_clipped_logistic_loss_equals_the_twin_and_leaves_the_gradient(guards, dtype, scale):
    random = np.random.RandomState(0)
    eps = float(np.finfo(dtype).eps)
    for outputs in (1, 2, 7, 8, 15, 16, 17, 33):
        scores = (scale * random.randn(3, outputs)).astype(dtype)
        targets = random.randint(0, 2, scores.shape).astype(dtype)
        weights, S = random.uniform(0, 2, 3).astype(dtype), guards.output(scores)
        table, plain = guards.output(np.full(3, -1)), scores.copy()
        loss = _weighted_loss(CLIPPED_LOGISTIC, S, targets, weights, table)
        kernels.logistic_gradient(plain, targets, weights, table)
        losses, _ = reference.heads.losses("logistic", scores, targets, clipped=True)
        # What is left of a probability near 1 is known to an epsilon, whatever its logarithm.
        slack = 32 * eps + 1e-2 * (scale > 1)
        assert loss == pytest.approx(float(np.sum(losses * weights)), rel=slack, abs=slack)
        np.testing.assert_array_equal(S, plain)
        guards.check()


@pytest.mark.parametrize("outputs", [1, 3, 16, 33, 40])
@pytest.mark.parametrize("dtype", DTYPES)
def test_clipped_logistic_loss_of_scores_beyond_all_bounds(guards, dtype, outputs):
    for score in (-1e29, -1e30, -1e38, -np.inf, 1e30, np.inf):
        scores = np.full((3, outputs), score, dtype)
        targets = np.arange(3 * outputs).reshape(3, outputs).astype(dtype) % 2
        table, weights = np.full(3, -1), np.ones(3, dtype)
        losses, _ = reference.heads.losses("logistic", scores, targets, clipped=True)
        loss = _weighted_loss(CLIPPED_LOGISTIC, guards.output(scores), targets, weights, table)
        # As above: a positive score's is of what is left of 1.
        assert loss == pytest.approx(float(np.sum(losses)), rel=1e-2), score
    scores[1, outputs // 2] = np.nan
    loss = _weighted_loss(CLIPPED_LOGISTIC, guards.output(scores), targets, weights, table)
    assert np.isnan(loss)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", GRADIENTS)
def test_gradient_equals_the_twin_at_every_size(guards, head, dtype):
    random = np.random.RandomState(0)
    eps = float(np.finfo(dtype).eps)
    for outputs in range(1, 71):
        shape = 1 + outputs % 7, outputs
        scores = (3 * random.randn(*shape)).astype(dtype)
        targets = random_targets(random, head, shape, dtype)
        weights = random.uniform(0, 2, shape[0]).astype(dtype)
        weights[-1] *= outputs % 3 > 0
        S, loss, expected, expected_loss = both(guards, head, scores, targets, weights)
        assert loss == pytest.approx(expected_loss, rel=64 * eps, abs=64 * eps)
        largest = max(abs(expected).max(), 1 / shape[0])
        np.testing.assert_allclose(S, expected, rtol=16 * eps, atol=8 * eps * largest)
        guards.check()


@pytest.mark.parametrize("head", GRADIENTS)
def test_gradient_by_central_differences(head):
    random = np.random.RandomState(1)
    scores, weights = random.randn(3, 5), np.array([0.5, 2.0, 0.0])
    targets = random_targets(random, head, scores.shape, np.float64)
    ours, _ = GRADIENTS[head]
    table, h = np.empty(3, np.int64), 1e-5
    S = scores.copy()
    ours(S, targets, weights, table)
    assert abs(S[:2]).max() > 0.1
    np.testing.assert_array_equal(S[2], 0)
    for index in np.ndindex(S.shape):
        losses = []
        for step in (h, -h):
            moved = scores.copy()
            moved[index] += step
            losses.append(ours(moved, targets, weights, table))
        numerical = (losses[0] - losses[1]) / (2 * h) / len(S)
        assert S[index] == pytest.approx(numerical, rel=0, abs=1e-9)


def test_worked_by_hand(guards):
    # A score of log 3 is a probability of 3/4, or a rate of 3.
    scores = np.log([[3.0]])
    one, two = np.ones((1, 1)), np.full(1, 2.0)
    table = np.zeros(1, np.int64)
    S = guards.output(scores)
    assert kernels.logistic_gradient(S, one, two, table) == pytest.approx(-2 * np.log(3 / 4))
    assert S[0, 0] == pytest.approx(2 * (3 / 4 - 1))
    S = guards.output(scores)
    assert kernels.squared_error_gradient(S, one, two, table) == pytest.approx((np.log(3) - 1) ** 2)
    assert S[0, 0] == pytest.approx(2 * (np.log(3) - 1))
    S = guards.output(scores)
    # Half the deviance, y log(y / 3) - y + 3, is 0 for a target of 3.
    assert kernels.poisson_gradient(S, 3 * one, two, table) == pytest.approx(0, abs=1e-14)
    assert S[0, 0] == pytest.approx(0, abs=1e-14)
    S = guards.output(scores)
    assert kernels.poisson_gradient(S, 0 * one, two, table) == pytest.approx(2 * 3)
    assert S[0, 0] == pytest.approx(2 * 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_scores_do_not_overflow_the_logistic(guards, dtype):
    large = np.finfo(dtype).max / 8
    scores = np.array([[large, -large, 1000, -1000, large, -large]], dtype)
    targets = np.array([[1, 0, 0, 1, 0, 1]], dtype)
    S, loss, expected, expected_loss = both(guards, "logistic", scores, targets, np.ones(1, dtype))
    assert loss == pytest.approx(2000 + 2 * float(large), rel=1e-6)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    np.testing.assert_array_equal(S, [[0, 0, 1, -1, 1, -1]])
    np.testing.assert_array_equal(expected, S)


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_scores_of_the_exponential_are_rates_of_zero(guards, dtype):
    scores = np.array([[-np.finfo(dtype).max / 8, -1000.0, -1000.0]], dtype)
    targets = np.array([[0, 0, 2]], dtype)
    S, loss, _, expected_loss = both(guards, "exponential", scores, targets, np.ones(1, dtype))
    assert loss == pytest.approx(2000 + 2 * (np.log(2) - 1), rel=1e-6)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    np.testing.assert_array_equal(S, [[0, 0, -2]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rate_beyond_all_numbers_shows(guards, dtype):
    S = guards.output(np.array([[1.0, 1000.0, 2.0]], dtype))
    arrays = np.ones((1, 3), dtype), np.ones(1, dtype), np.zeros(1, np.int64)
    assert kernels.poisson_gradient(S, *arrays) == np.inf
    assert S[0, 1] == np.inf
    assert np.isfinite(S[0, [0, 2]]).all()


@pytest.mark.parametrize("column", [0, 7, 18])
@pytest.mark.parametrize("row", [0, 2, 5])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", GRADIENTS)
def test_nan_shows_in_itself_and_in_the_loss(guards, head, dtype, row, column):
    random = np.random.RandomState(0)
    scores = random.randn(6, 19).astype(dtype)
    targets = random_targets(random, head, scores.shape, dtype)
    arrays = targets, np.ones(6, dtype), np.zeros(6, np.int64)
    clean = scores.copy()
    GRADIENTS[head][0](clean, *arrays)
    scores[row, column] = np.nan
    S = guards.output(scores)
    assert np.isnan(GRADIENTS[head][0](S, *arrays))
    clean[row, column] = np.nan
    np.testing.assert_array_equal(S, clean)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", GRADIENTS)
def test_infinity_shows(guards, head, dtype):
    S = guards.output(np.array([[0.5, np.inf, -0.5]], dtype))
    targets = np.array([[0, 0, 1]], dtype)
    loss = GRADIENTS[head][0](S, targets, np.ones(1, dtype), np.zeros(1, np.int64))
    assert not np.isfinite(loss)
    assert np.isfinite(S[0, [0, 2]]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", GRADIENTS)
def test_nothing_to_do(guards, head, dtype):
    S = guards.output(np.empty((0, 3), dtype))
    arrays = np.empty((0, 3), dtype), np.empty(0, dtype), np.empty(0, np.int64)
    assert GRADIENTS[head][0](S, *arrays) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("head", GRADIENTS)
@properties
@given(numbers=st.lists(st.integers(0, 40), min_size=1, max_size=40))
def test_no_loss_and_no_gradient_where_the_target_is_met(head, dtype, numbers):
    S = np.array([numbers], dtype) / 8
    targets = S.copy()
    if head == "logistic":
        reference.logistic(S, targets)
    elif head == "exponential":
        targets = np.exp(S)
    before = S.copy()
    loss = GRADIENTS[head][0](S, targets, np.ones(1, dtype), np.zeros(1, np.int64))
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(S, 0, atol=8 * eps * max(1, abs(targets).max()))
    assert loss >= -64 * eps * targets.sum()
    if head == "identity":
        assert loss == 0
        np.testing.assert_array_equal(targets, before)


# ------------------------------------------------------------------------------------ predictions


@kernel
def predicted(code, S, width, first, stop, out):
    places, outputs = (address_of(S), address_of(out)), out.shape[1]
    rows = PredictRows(
        code, places[0], S.strides[0], width, outputs, first, stop, places[1], out.strides[0]
    )
    head_predictions(S[0, 0], rows)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", HEADS)
def test_predictions_equal_the_twin_at_every_size(guards, head, dtype):
    random = np.random.RandomState(0)
    eps = np.finfo(dtype).eps
    for outputs in range(1, 71):
        # Rows as the loop has them: padded, by -inf for the softmax.
        width = outputs + outputs % 5
        scores = np.full((6, width + 3), -np.inf, dtype)
        scores[:, :outputs] = 3 * random.randn(6, outputs)
        S = guards.output(scores) if HEADS[head] == SOFTMAX else guards.input(scores)
        out = guards.output(np.full((6, outputs), 7, dtype))
        assert predicted(HEADS[head], S, width, 2, 5, out) is None
        expected = reference.heads.predictions(head, scores[2:5, :outputs])
        np.testing.assert_allclose(out[2:5], expected, rtol=16 * eps)
        # Other rows are left alone.
        np.testing.assert_array_equal(out[[0, 1, 5]], 7)
        np.testing.assert_array_equal(S[[0, 1, 5]], scores[[0, 1, 5]])
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", HEADS)
def test_predictions_of_single_outputs_equal_the_twin_for_any_number_of_rows(guards, head, dtype):
    random, eps = np.random.RandomState(0), np.finfo(dtype).eps
    for count, first in itertools.product(range(71), (0, 3)):
        scores = 3 * random.randn(first + count + 2, 5).astype(dtype)
        rows, expected = slice(first, first + count), np.full((len(scores), 1), 7, dtype)
        expected[rows] = reference.heads.predictions(head, scores[rows, :1])
        # Predictions of a row lie side by side, or apart.
        for apart in (1, 4):
            S = guards.output(scores) if HEADS[head] == SOFTMAX else guards.input(scores)
            out = guards.output(np.full((len(scores), apart), 7, dtype))
            predicted(HEADS[head], S, 1, rows.start, rows.stop, out[:, :1])
            np.testing.assert_allclose(out[:, :1], expected, rtol=16 * eps)
            np.testing.assert_array_equal(out[:, 1:], 7)
            guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_predictions_far_from_zero(dtype):
    large = np.finfo(dtype).max / 8
    S = np.array([[large, -large, 0.0, np.nan]], dtype)
    expected = {"logistic": [1, 0, 0.5, np.nan], "exponential": [np.inf, 0, 1, np.nan]}
    for head, wanted in expected.items():
        out = np.empty_like(S)
        predicted(HEADS[head], S, 4, 0, 1, out)
        np.testing.assert_array_equal(out[0], np.array(wanted, dtype))
    out = np.empty((1, 3), dtype)
    predicted(SOFTMAX, S[:, :3].copy(), 3, 0, 1, out)
    np.testing.assert_array_equal(out[0], [1, 0, 0])
    out = np.empty((1, 4), dtype)
    predicted(SOFTMAX, S, 4, 0, 1, out)
    assert np.isnan(out).all()
