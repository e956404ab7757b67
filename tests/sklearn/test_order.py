"""The rows of each step: those of scikit-learn, in whatever pieces they are asked for."""

import numpy as np
import pytest
import sklearn.utils

import fastnn
from fastnn.engine import draws, driver
from fastnn.jobs import BLOCK, Records, Source
from fastnn.sklearn.order import PerceptronOrder

#: As many epochs, whatever the losses do.
ALL = {"tol": 0.0, "n_iter_no_change": 10_000_000}


def order_of(n, batch_size, epochs, n_val, random):
    """Return the order of a fit, with blocks of five rows behind each epoch."""
    return PerceptronOrder(
        *(Source(np.zeros((n, 1)), np.zeros(n)), batch_size, epochs, n_val, 5, Records(0, 0)),
        shuffle=lambda order, times: draws.shuffled(order, random, times),
        alpha=0.0,
        rates=lambda steps, epochs: (np.ones(len(steps)), 1.0, 1e-8),
        seed=None,
    )


def rows_of(order, lengths):
    """Return the rows of all steps, asked for in pieces of these lengths."""
    rows, done = [], 0
    while done < order.total:
        stop = min(done + lengths[len(rows) % len(lengths)], order.total)
        items = order.items(done, stop)
        for kind, begin, count in zip(items.kinds, items.begins, items.counts):
            if kind != BLOCK:
                rows.append(items.listed[begin : begin + count])
        order.done = done = stop
    return rows


@pytest.mark.parametrize("lengths", [[1], [2], [3, 1, 7], [4], [5], [1000]])
@pytest.mark.parametrize("n_val", [0, 1, 12])
@pytest.mark.parametrize(("n", "batch_size"), [(23, 5), (20, 5), (7, 7), (9, 1), (6, 4)])
def test_rows_are_those_of_scikit_learn_in_any_pieces(n, batch_size, n_val, lengths):
    epochs, random, order = 6, np.random.RandomState(3), np.arange(n)
    found = rows_of(order_of(n, batch_size, epochs, n_val, np.random.RandomState(3)), lengths)
    assert len(found) == epochs * -(-n // batch_size)
    for _ in range(epochs):
        order = sklearn.utils.shuffle(order, random_state=random)
        for first in range(0, n, batch_size):
            np.testing.assert_array_equal(found.pop(0), order[first : first + batch_size])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["seed", "state", "pcg64", "derived"])
def test_the_kernel_and_numpy_draw_the_same_fits(kind, blobs, monkeypatch):
    class Derived(np.random.RandomState):
        pass

    def fit(first, interval=0.1):
        monkeypatch.setattr(draws, "FIRST_DRAWS", first)
        monkeypatch.setattr(driver, "INTERVAL", interval)
        random = {
            "seed": lambda: 5,
            "state": lambda: np.random.RandomState(5),
            "pcg64": lambda: np.random.RandomState(np.random.PCG64(5)),
            "derived": lambda: Derived(5),
        }[kind]()
        clf = fastnn.MLPClassifier((6,), batch_size=7, max_iter=9, random_state=random, **ALL)
        clf.fit(*blobs)
        return [*clf.coefs_, *clf.intercepts_, np.array(clf.loss_curve_)]

    by_numpy = fit(1 << 60)
    for interval in (0.1, 0.0):  # many steps a call, and one in two halves
        for ours, wanted in zip(fit(0, interval), by_numpy):
            np.testing.assert_array_equal(ours, wanted)
