"""scikit-learn's perceptrons on the engine: what the tests share."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

import fastnn
from fastnn.sklearn import support


@pytest.fixture(autouse=True)
def as_it_was():
    """Leave neither a patch nor a setting behind; begin without memory of what was logged."""
    support.forget()
    yield
    fastnn.unpatch_sklearn()
    fastnn.set_num_threads(None)


@pytest.fixture
def patched():
    fastnn.patch_sklearn()
    yield
    fastnn.unpatch_sklearn()


@pytest.fixture(scope="session")
def blobs():
    """Three classes in the plane, easily told apart."""
    random = np.random.RandomState(0)
    y = np.arange(120) % 3
    centres = np.array([[0, 0], [2, 0], [0, 2]])
    return centres[y] + 0.4 * random.randn(120, 2), y
