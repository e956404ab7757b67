"""Scores: accuracy of classifiers, R^2 and RMSE of the rest."""

import math

import numpy as np
import pytest

from fastnn import Network, TwoLayerNet
from fastnn.cli.scores import LISTED, root_mean_square, score, task_of

RNG = np.random.default_rng(0)


def net(head, outputs=2):
    return Network((3, outputs), head=head, random_state=0)


@pytest.mark.parametrize("model", [net("softmax"), TwoLayerNet(3, 4, 2, random_state=0)])
def test_accuracy_of_classes(model):
    assert task_of(model) == "classification"
    reached = score(model, np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]))
    assert (reached.name, reached.value, reached.right, reached.rows) == ("accuracy", 0.75, 3, 4)
    assert reached.facts() == [("accuracy", "0.7500")]


def test_accuracy_of_several_outputs():
    model = net("logistic")
    predicted = np.array([[0, 1], [1, 1], [0, 0]])
    assert task_of(model) == "regression"
    reached = score(model, predicted, np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]))
    assert (reached.name, reached.right) == ("accuracy", 2)


@pytest.mark.parametrize("head", ["identity", "exponential"])
def test_fit(head):
    metrics = pytest.importorskip("sklearn.metrics")
    y = RNG.normal(size=(50, 2)) * [1, 1e6]
    predicted = y + RNG.normal(size=(50, 2)) * [0.1, 1e5]
    reached = score(net(head), predicted, y)
    assert reached.value == pytest.approx(metrics.r2_score(y, predicted))
    expected = metrics.root_mean_squared_error(y, predicted, multioutput="raw_values")
    np.testing.assert_allclose(reached.errors, expected)
    assert reached.rank == reached.value


def test_targets_that_do_not_vary_have_no_share():
    y = np.column_stack([np.full(9, 0.1), np.arange(9.0)])
    assert score(net("identity"), y + 0.5, y).value == pytest.approx(1 - 0.25 / (60 / 9))
    reached = score(net("identity", 1), y[:, 0] + 0.5, y[:, :1])
    assert math.isnan(reached.value)
    assert reached.facts() == [("R^2", "undefined"), ("RMSE", "0.5")]
    worse = score(net("identity", 1), y[:, 0] + 2, y[:, :1])
    assert reached.rank > worse.rank


def test_some_errors_are_listed():
    y = RNG.normal(size=(9, LISTED + 1))
    (_, _), (_, text) = score(net("identity", LISTED + 1), y + 1, y).facts()
    assert text == "1, 1, 1, 1, 1, ..."


def test_other_targets():
    with pytest.raises(ValueError, match="y has 3 targets a row, but the model predicts 2: needed"):
        score(net("identity"), np.zeros((5, 2)), np.zeros((5, 3)))


@pytest.mark.parametrize("factor", [1e-300, 1.0, 1e300])
def test_root_mean_square_of_any_magnitude(factor):
    assert root_mean_square(factor * np.array([[3.0], [-4.0]])) == pytest.approx(
        factor * math.sqrt(12.5)
    )
    assert root_mean_square(np.zeros((3, 1))) == 0
