"""Estimators whose parts do not fit each other: scikit-learn's answer, and nothing read beyond."""

import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs

import fastnn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

KINDS = ["MLPClassifier", "MLPRegressor"]
OPTIONS = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}


def both(kind, **options):
    """Return one of scikit-learn's and one of fastnn's."""
    return [getattr(module, kind)(**{**OPTIONS, **options}) for module in (theirs, fastnn)]


def outcome(estimator, method, *args):
    """Return what a call gives, weights of a fit, or what is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = getattr(estimator, method)(*args)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return estimator.coefs_[0].copy() if result is estimator else result


def assert_same(estimators, method, *args):
    wanted, got = (outcome(each, method, *args) for each in estimators)
    if isinstance(wanted, str) or isinstance(got, str):
        assert got == wanted
    else:
        np.testing.assert_allclose(got, wanted, rtol=1e-9)


@pytest.mark.parametrize("n", [1, 5, 5000])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_other_columns_than_the_network_has(kind, n, blobs):
    X, y = np.c_[blobs[0], blobs[0]], blobs[1]
    estimators = both(kind)
    for each in estimators:
        each.fit(X, y)
        # As by a fit that failed after it had noted its columns, before it made parameters.
        each.n_features_in_ = 3
    some = np.tile(X[:, :3], (1 + n // len(X), 1))[:n]
    for method in ("predict", "predict_proba"):
        if hasattr(estimators[0], method):
            assert_same(estimators, method, some)
    labels = np.arange(n) % 3
    with pytest.raises(ValueError, match="X has 3 columns, but the network 4 inputs: fit the est"):
        estimators[1].transform(some)
    assert_same(estimators, "score", some, labels)
    assert_same(estimators, "partial_fit", some, labels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [2, 3])
def test_after_a_first_fit_that_failed(kind, columns, blobs):
    X, y = np.c_[blobs[0], blobs[0]], blobs[1]
    estimators = both(kind)
    for each in estimators:
        with pytest.raises(ValueError):
            each.fit(X[:, :3], y[:-1] if kind == "MLPRegressor" else y + 0.5)
    for method in ("predict", "score"):
        args = (y,) if method == "score" else ()
        wanted, got = (outcome(each, method, X[:, :columns], *args) for each in estimators)
        assert isinstance(wanted, str)
        if columns == 2 or "no attribute" not in wanted:
            assert got == wanted
        else:
            assert "no attribute" in got or "not fitted" in got


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3), (3, 2)])
def test_targets_of_other_columns_than_the_network_has(before, after, loss, solver, blobs, caplog):
    X, y = blobs[0], abs(np.c_[blobs[0], blobs[0]])
    options = {"solver": solver, "warm_start": True}
    if loss != "squared_error":
        if "loss" not in theirs.MLPRegressor().get_params():
            pytest.skip("this scikit-learn has no Poisson loss")
        options["loss"] = loss
    for method in ("fit", "partial_fit") if solver != "lbfgs" else ("fit",):
        estimators = both("MLPRegressor", **options)
        for each in estimators:
            each.fit(X, y[:, :before].squeeze())
        if solver == "lbfgs":
            # Of a gradient that is not that of the loss: it goes anywhere.
            outcome(estimators[1], method, X, y[:, :after].squeeze())
        else:
            assert_same(estimators, method, X, y[:, :after].squeeze())
        assert f"y has {after} columns, but the network {before} outputs" in caplog.text


@pytest.mark.parametrize("n", [1, 5, 5000])
@pytest.mark.parametrize(
    "part", ["first weights", "last weights", "first biases", "last biases", "a layer less"]
)
def test_parameters_that_do_not_fit_each_other(part, n, blobs):
    estimators = both("MLPClassifier")
    X = np.tile(blobs[0], (50, 1))[:n]
    for each in estimators:
        each.fit(*blobs)
        place = {"first": 0, "last": -1}.get(part.split()[0])
        if part.endswith("weights"):
            each.coefs_[place] = np.pad(each.coefs_[place], ((0, 1), (0, 1)))
        elif part.endswith("biases"):
            each.intercepts_[place] = np.append(each.intercepts_[place], np.ones(30))
        else:
            del each.coefs_[0]
    wanted, got = (outcome(each, "predict_proba", X) for each in estimators)
    assert isinstance(wanted, str)
    assert isinstance(got, str)
    wanted, got = (
        outcome(each, "partial_fit", X, blobs[1][np.arange(n) % 3]) for each in estimators
    )
    assert isinstance(wanted, str)
    assert isinstance(got, str)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["coefs_", "intercepts_"])
def test_parameters_that_are_lists(kind, part, blobs):
    estimators = [each.fit(*blobs) for each in both(kind)]
    for each in estimators:
        setattr(each, part, [numbers.tolist() for numbers in getattr(each, part)])
    assert_same(estimators, "predict", blobs[0])
