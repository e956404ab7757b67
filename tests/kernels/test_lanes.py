"""Losses, predictions and right answers of rows in lanes, at every width and number of rows."""

import itertools

import numpy as np
import pytest

from fastnn import reference
from fastnn.kernels._jit import kernel
from fastnn.kernels.head_rows import LossRows, PredictRows, head_losses, head_predictions
from fastnn.kernels.lanes import MOST_COLUMNS
from fastnn.kernels.llvm.intrinsics import address_of, cast_like
from fastnn.kernels.llvm.processor import VECTOR_BYTES
from fastnn.kernels.losses import CLIPPED_LOGISTIC, HEADS, SOFTMAX
from fastnn.kernels.right_answers import RightRows, right_answers
from fastnn.kernels.softmax_lanes import softmax_losses
from fastnn.kernels.softmax_rows import SoftmaxRows
from fastnn.kernels.transpose import Square, turn

DTYPES = ["float32", "float64"]
#: In lanes, and beyond.
WIDTHS = [*range(1, MOST_COLUMNS + 3), 50]
#: Rows before those that are asked for, and behind them.
BEFORE, BEHIND = 4, 2
LOSSES = [*(name for name, code in HEADS.items() if code != SOFTMAX), "clipped"]


def lanes_of(dtype):
    return VECTOR_BYTES // np.dtype(dtype).itemsize


def cases(dtype):
    """Return widths with numbers of rows: one, all lanes, some less and some more."""
    lanes = lanes_of(dtype)
    return itertools.product(WIDTHS, sorted({1, 3, 4, 5, lanes - 1, lanes, lanes + 1, 2 * lanes}))


def rows_of(count):
    """Return how many rows there are, which are asked for, and which are not."""
    total = BEFORE + count + BEHIND
    others = [*range(BEFORE), *range(BEFORE + count, total)]
    return total, slice(BEFORE, BEFORE + count), others


def by_fours(numbers):
    """Return the sums of each four."""
    return np.add.reduceat(numbers, np.arange(0, len(numbers), 4))


@kernel
def softmax_of(S, width, classes, y, first, stop, losses, clipped, scale):
    like = S[0, 0]
    places = address_of(S), address_of(y), address_of(losses)
    rows = SoftmaxRows(
        *(places[0], S.strides[0], width, classes, places[1], first, stop, places[2]),
        *(0, clipped, cast_like(like, 0.0), cast_like(like, scale)),
    )
    return softmax_losses(like, rows)


@kernel
def loss_of(code, S, outputs, targets, weights, table, first, stop, losses, scale):
    like = S[0, 0]
    for i in range(len(table)):
        table[i] = address_of(targets) + i * targets.strides[0]
    places = address_of(S), address_of(table), address_of(weights), address_of(losses)
    rows = LossRows(
        *(code, places[0], S.strides[0], outputs, places[1], first, stop, places[3]),
        *(places[2], cast_like(like, scale)),
    )
    return head_losses(like, rows)


@kernel
def predicted(code, S, width, first, stop, out):
    places, outputs = (address_of(S), address_of(out)), out.shape[1]
    rows = PredictRows(
        code, places[0], S.strides[0], width, outputs, first, stop, places[1], out.strides[0]
    )
    head_predictions(S[0, 0], rows)


@kernel
def right_of(S, classes, y, first, stop, correct, weights, best):
    places = address_of(S), address_of(y), address_of(correct)
    given = address_of(weights) if weights.size else 0
    wanted = address_of(best) if best.size else 0
    rows = RightRows(
        places[0], S.strides[0], classes, places[1], first, stop, places[2], given, wanted
    )
    right_answers(S[0, 0], rows)


@pytest.mark.parametrize("clipped", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_equals_the_twin_at_every_size(guards, dtype, clipped):
    random, eps = np.random.RandomState(0), float(np.finfo(dtype).eps)
    for classes, count in cases(dtype):
        (total, rows, others), width = rows_of(count), classes + classes % 5
        scores = np.full((total, width + 3), -np.inf, dtype)
        scores[:, :classes] = 9 * random.randn(total, classes)
        y, numbers = random.randint(0, classes, total), np.full(-(-total // 4), 7.0)
        S, written = guards.output(scores), guards.output(numbers)
        loss = softmax_of(
            S, width, classes, guards.input(y), BEFORE, BEFORE + count, written, clipped, 0.25
        )
        exact, real = scores[rows, :classes].astype(float), scores[rows, :classes]
        losses, gradient = reference.heads.losses("softmax", exact, y[rows])
        if clipped:
            losses, _ = reference.heads.losses("softmax", real, y[rows], clipped=True)
        slack = {"rel": 64 * eps, "abs": 64 * eps}
        assert loss == pytest.approx(losses.sum(), **slack)
        fours = by_fours(losses)
        assert written[1 : 1 + len(fours)] == pytest.approx(fours, **slack)
        np.testing.assert_allclose(S[rows, :classes], 0.25 * gradient, rtol=64 * eps, atol=8 * eps)
        np.testing.assert_array_equal(S[rows, classes:width], 0)
        # Nothing else is touched.
        np.testing.assert_array_equal(np.delete(written, range(1, 1 + len(fours))), 7)
        np.testing.assert_array_equal(S[:, width:], -np.inf)
        np.testing.assert_array_equal(S[others], scores[others])
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", LOSSES)
def test_losses_equal_the_twin_at_every_size(guards, head, dtype):
    random, eps = np.random.RandomState(0), float(np.finfo(dtype).eps)
    name, code = ("logistic", CLIPPED_LOGISTIC) if head == "clipped" else (head, HEADS[head])
    for outputs, count in cases(dtype):
        total, rows, others = rows_of(count)
        scores = (2 * random.randn(total, outputs + 3)).astype(dtype)
        targets = random.randint(0, 2, (total, outputs)).astype(dtype)
        weights = random.uniform(0, 2, total).astype(dtype)
        S, written = guards.output(scores), guards.output(np.full(-(-total // 4), 7.0))
        arguments = guards.input(targets), guards.input(weights), np.empty(total, np.int64)
        loss = loss_of(code, S, outputs, *arguments, BEFORE, BEFORE + count, written, 0.25)
        losses, gradient = reference.heads.losses(
            name, scores[rows, :outputs].astype(float), targets[rows], clipped=head == "clipped"
        )
        losses, factor = losses * weights[rows], 0.25 * weights[rows, None]
        slack = {"rel": 256 * eps, "abs": 256 * eps * outputs}
        assert loss == pytest.approx(losses.sum(), **slack)
        fours = by_fours(losses)
        assert written[1 : 1 + len(fours)] == pytest.approx(fours, **slack)
        np.testing.assert_allclose(
            S[rows, :outputs], factor * gradient, rtol=64 * eps, atol=32 * eps
        )
        np.testing.assert_array_equal(np.delete(written, range(1, 1 + len(fours))), 7)
        np.testing.assert_array_equal(S[:, outputs:], scores[:, outputs:])
        np.testing.assert_array_equal(S[others], scores[others])
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", HEADS)
def test_predictions_equal_the_twin_at_every_size(guards, head, dtype):
    random, eps = np.random.RandomState(0), float(np.finfo(dtype).eps)
    for outputs, count in cases(dtype):
        total, rows, others = rows_of(count)
        scores = (3 * random.randn(total, outputs)).astype(dtype)
        S, out = guards.output(scores), guards.output(np.full((total, outputs + 1), 7, dtype))
        predicted(HEADS[head], S, outputs, BEFORE, BEFORE + count, out[:, :outputs])
        expected = reference.heads.predictions(head, scores[rows])
        np.testing.assert_allclose(out[rows, :outputs], expected, rtol=32 * eps)
        np.testing.assert_array_equal(out[others], 7)
        np.testing.assert_array_equal(out[:, outputs], 7)
        guards.check()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_right_answers_are_those_of_numpy(guards, dtype, weighted):
    random = np.random.RandomState(0)
    for classes, count in cases(dtype):
        total, rows, others = rows_of(count)
        # Ties, numbers that are none, and rows of nothing else.
        scores = random.randint(-2, 3, (total, classes)).astype(dtype)
        scores[random.uniform(size=scores.shape) < 0.1] = np.nan
        scores[random.uniform(size=scores.shape) < 0.1] = -np.inf
        scores[BEFORE] = -np.inf
        y, best = random.randint(0, classes, total), np.argmax(scores, axis=1)
        y[::2] = best[::2]
        weights = random.randint(1, 9, total).astype(dtype)
        correct, classes_out = (
            guards.output(x) for x in (np.full(-(-total // 4), 7.0), np.full(total, -1))
        )
        arguments = guards.input(scores), classes, guards.input(y), BEFORE, BEFORE + count
        given = guards.input(weights[: total * weighted])
        right_of(*arguments, correct, given, classes_out)
        np.testing.assert_array_equal(classes_out[rows], best[rows])
        np.testing.assert_array_equal(classes_out[others], -1)
        counts = np.where(best == y, weights if weighted else 1.0, 0.0)[rows]
        fours = by_fours(counts)
        np.testing.assert_array_equal(correct[1 : 1 + len(fours)], fours)
        np.testing.assert_array_equal(np.delete(correct, range(1, 1 + len(fours))), 7)
        # Without a place for the classes, as where batches are evaluated.
        again = np.zeros_like(correct)
        right_of(*arguments, again, given, classes_out[:0])
        np.testing.assert_array_equal(again[1 : 1 + len(fours)], fours)
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_has_the_same_bits_in_any_lane_and_company(dtype):
    random, n = np.random.RandomState(0), 40
    for outputs in (1, 2, 3, 10, 17, 32):
        scores, y = random.randn(n, outputs).astype(dtype), random.randint(0, outputs, n)
        targets = random.randint(0, 2, scores.shape).astype(dtype)
        arguments = targets, np.full(n, 1.5, dtype), np.empty(n, np.int64)

        def softmax(S, first, stop, losses, outputs=outputs, y=y):
            softmax_of(S, outputs, outputs, y, first, stop, losses, 1, 0.25)

        def logistic(S, first, stop, losses, outputs=outputs, arguments=arguments):
            loss_of(HEADS["logistic"], S, outputs, *arguments, first, stop, losses, 0.25)

        for loss in (softmax, logistic):
            together, losses = scores.copy(), np.zeros(n // 4)
            loss(together, 0, n, losses)
            for length in (4, 8, 12, 20):
                apart, others = scores.copy(), np.zeros(n // 4)
                for first in range(0, n, length):
                    loss(apart, first, min(first + length, n), others)
                np.testing.assert_array_equal(together, apart)
                np.testing.assert_array_equal(losses, others)


@kernel
def turned(source, rows, columns, out, filled):
    places = address_of(source), address_of(out)
    square = Square(places[0], source.strides[0], rows, columns, places[1], out.strides[0], filled)
    turn(source[0, 0], square)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_square_is_turned_at_every_size(guards, dtype):
    random, lanes = np.random.RandomState(0), lanes_of(dtype)
    for rows, columns in itertools.product(range(1, lanes + 1), repeat=2):
        for filled in {rows, lanes}:
            source = random.randn(rows, columns).astype(dtype)
            out = guards.output(np.full((columns, filled), 7, dtype))
            turned(guards.input(source), rows, columns, out, filled)
            # Behind the last row, that one again.
            expected = source[np.minimum(np.arange(filled), rows - 1)].T
            np.testing.assert_array_equal(out, expected)
            guards.check()
