"""fastnn's own estimators: scikit-learn's in all that they say of themselves."""

import inspect
import pickle

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

import fastnn
from fastnn.sklearn.estimators import OF_CLASSES
from fastnn.sklearn.perceptron import PARAMETERS

KINDS = ["MLPClassifier", "MLPRegressor"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("module", [fastnn, theirs])
def test_scikit_learn_s_checks(module, name, patched):
    check_estimator(getattr(module, name)())


@pytest.mark.parametrize("name", KINDS)
def test_parameters_are_theirs_in_their_order_and_keywords_on_top(name):
    own = inspect.signature(getattr(fastnn, name)).parameters
    wanted = inspect.signature(getattr(theirs, name)).parameters
    assert list(own)[: len(wanted)] == list(wanted)
    extra = list(own)[len(wanted) :]
    assert set(extra) == {*PARAMETERS, *(OF_CLASSES if name == "MLPClassifier" else ())}
    assert {own[each].kind for each in extra} == {inspect.Parameter.KEYWORD_ONLY}
    for method in ("fit", "partial_fit"):
        ours = inspect.signature(getattr(getattr(fastnn, name), method)).parameters
        assert list(ours)[:-1] == list(
            inspect.signature(getattr(getattr(theirs, name), method)).parameters
        )
        assert list(ours)[-1] == "validation_data"


@pytest.mark.parametrize("name", KINDS)
def test_they_are_cloned_shown_and_pickled(name, blobs):
    estimator = getattr(fastnn, name)(dropout=0.1, random_state=0, tol=0.01, max_iter=500)
    assert "dropout=0.1" in repr(estimator)
    assert clone(estimator).get_params() == estimator.get_params()
    estimator.fit(*blobs)
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.predict(blobs[0]), estimator.predict(blobs[0]))
    again.partial_fit(*blobs)
    estimator.partial_fit(*blobs)
    for ours, other in zip(again.coefs_, estimator.coefs_):
        np.testing.assert_array_equal(ours, other)
