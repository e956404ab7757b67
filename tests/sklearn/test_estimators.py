"""fastnn's own estimators: scikit-learn's in all that they say of themselves."""

import contextlib
import inspect
import pickle

import numpy as np
import pytest
import sklearn.base
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import InvalidParameterError
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


# --------------------------------------------------------------------------- parameters in order


def test_parameters_that_are_in_order_are_not_checked_again(blobs, monkeypatch):
    checked, check = [], sklearn.base.validate_parameter_constraints

    def counted(constraints, parameters, caller_name):
        checked.append(caller_name)
        check(constraints, parameters, caller_name=caller_name)

    monkeypatch.setattr(sklearn.base, "validate_parameter_constraints", counted)
    monkeypatch.setattr("fastnn.sklearn.perceptron._IN_ORDER", set())

    def checks(kind=fastnn.MLPClassifier, **parameters):
        checked.clear()
        chosen = {"hidden_layer_sizes": (3,), "max_iter": 1, "n_iter_no_change": 9}
        estimator = kind(**{**chosen, **parameters})
        with contextlib.suppress(ValueError), pytest.warns(ConvergenceWarning):
            estimator.fit(*blobs)
        return len(checked)

    assert [checks(), checks(), checks(alpha=0.5), checks(alpha=0.5), checks()] == [1, 0, 1, 0, 0]
    assert [checks(kind=fastnn.MLPRegressor), checks(kind=fastnn.MLPRegressor)] == [1, 0]
    # What is equal to it, but of another type; what is no plain number.
    assert checks(max_iter=True) == checks(alpha=np.float64(0.5)) == 1
    assert checks(hidden_layer_sizes=[3]) == checks(hidden_layer_sizes=[3]) == 1
    monkeypatch.setattr("fastnn.sklearn.perceptron.MOST_IN_ORDER", 1)
    assert [checks(alpha=0.25), checks(alpha=0.5)] == [1, 1]


@pytest.mark.parametrize("wrong", [{"alpha": -1.0}, {"max_iter": 2.5}, {"solver": "adagrad"}])
def test_parameters_out_of_order_are_refused_each_time(blobs, wrong):
    estimator = fastnn.MLPClassifier((3,), **wrong)
    for _ in range(2):
        with pytest.raises(InvalidParameterError, match=next(iter(wrong))):
            estimator.fit(*blobs)
