"""Estimators of fastnn's made of scikit-learn's, and the other way round."""

import pickle

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn.sklearn import from_sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(params=["binary", "classes", "labels", "number", "numbers"])
def data(request, blobs):
    X, y = blobs
    targets = {
        "binary": np.array(["no", "yes"])[(y == 0).astype(int)],
        "classes": y,
        "labels": (X > 0.5).astype(int),
        "number": X[:, 0],
        "numbers": X,
    }
    kind = "MLPRegressor" if request.param.startswith("number") else "MLPClassifier"
    return kind, X, targets[request.param]


@pytest.mark.parametrize(
    "function", [from_sklearn, fastnn.sklearn.explain, fastnn.Network.from_sklearn]
)
def test_what_is_around_a_perceptron_is_refused_by_its_type(function):
    clf = theirs.MLPClassifier(hidden_layer_sizes=tuple(range(1, 99)))
    search = GridSearchCV(clf, {})
    search.best_estimator_ = clf
    for wrong, message in (
        (
            make_pipeline(StandardScaler(), clf),
            r" Pipeline, but .*: pass its last step, pipeline\[-1\]$",
        ),
        (search, r" GridSearchCV, but .*: pass its best_estimator_$"),
        (StandardScaler(), r" StandardScaler, but .*: pass "),
        (theirs.MLPClassifier, r" the class MLPClassifier, but .*: pass "),
    ):
        with pytest.raises(TypeError, match=message) as caught:
            function(wrong)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_fitted_model_goes_there_and_back(data, solver, caplog):
    kind, X, y = data
    model = getattr(theirs, kind)(solver=solver, max_iter=5, random_state=0).fit(X, y)
    ours = from_sklearn(model)
    assert type(ours) is getattr(fastnn, kind)
    np.testing.assert_allclose(ours._forward_pass_fast(X), model._forward_pass_fast(X))
    back = ours.to_sklearn()
    assert type(back) is getattr(theirs, kind)
    assert vars(back).keys() == vars(model).keys()
    assert back.get_params() == model.get_params()
    np.testing.assert_array_equal(back.predict(X), model.predict(X))
    assert not caplog.records
    if solver != "lbfgs":
        for each in (model, ours, back):
            each.partial_fit(X, y)
        for one, other, third in zip(model.coefs_, ours.coefs_, back.coefs_):
            np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)
            np.testing.assert_array_equal(third, one)


def test_they_are_copies(blobs):
    model = theirs.MLPClassifier(max_iter=2, random_state=0).fit(*blobs)
    before = pickle.dumps(model.coefs_)
    from_sklearn(model).partial_fit(*blobs)
    assert pickle.dumps(model.coefs_) == before
    ours = fastnn.MLPClassifier(max_iter=2, random_state=0).fit(*blobs)
    before = pickle.dumps(ours.coefs_)
    ours.to_sklearn().partial_fit(*blobs)
    assert pickle.dumps(ours.coefs_) == before


def test_what_scikit_learn_does_not_have_is_told(blobs, caplog):
    ours = fastnn.MLPClassifier(
        *((6,),), solver="adamw", dropout=0.2, learning_rate="cosine", max_iter=2, random_state=0
    ).fit(*blobs)
    plain = ours.to_sklearn()
    assert "scikit-learn has no such dropout, solver, learning_rate: the" in caplog.text
    assert (plain.solver, plain.learning_rate) == ("adam", "constant")
    np.testing.assert_allclose(plain.predict_proba(blobs[0]), ours.predict_proba(blobs[0]))
    plain.partial_fit(*blobs)
    plain.fit(*blobs)
    sgd = fastnn.MLPClassifier(
        *((6,),), solver="sgd", learning_rate="one_cycle", max_iter=2, random_state=0
    )
    sgd.fit(*blobs).to_sklearn().partial_fit(*blobs)


def test_what_scikit_learn_cannot_compute_is_refused(blobs):
    ours = fastnn.MLPClassifier((6,), activation="gelu", max_iter=2).fit(*blobs)
    with pytest.raises(ValueError, match="activation is 'gelu', which scikit-learn does not have"):
        ours.to_sklearn()
    with pytest.raises(ValueError, match="activation is \\['tanh'\\], which"):
        fastnn.MLPClassifier((6,), activation=["tanh"]).to_sklearn()


@pytest.mark.parametrize("wrong", [3, theirs.MLPClassifier, theirs.BernoulliRBM()])
def test_only_perceptrons_are_converted(wrong):
    with pytest.raises(TypeError, match="but only perceptrons can be converted: pass an"):
        from_sklearn(wrong)
    with pytest.raises(TypeError, match="but only perceptrons have a network: pass a fitted"):
        fastnn.Network.from_sklearn(wrong)


def test_network_of_the_weights(data):
    kind, X, y = data
    model = getattr(theirs, kind)((7, 5) if kind == "MLPClassifier" else "squared_error")
    model.set_params(hidden_layer_sizes=(7, 5), activation="tanh", max_iter=3, random_state=0)
    net = fastnn.Network.from_sklearn(model.fit(X, y))
    wanted = model._forward_pass_fast(X)
    ours = net.predict(X) if kind == "MLPRegressor" else net.predict_proba(X)
    if ours.shape != wanted.shape:
        ours = ours.reshape(len(X), -1)[:, -1:]
    np.testing.assert_allclose(ours, wanted, rtol=1e-10)
    net.coefs_[0][:] = 0
    assert model.coefs_[0].any()
    with pytest.raises(ValueError, match="is not fitted: call its fit first"):
        fastnn.Network.from_sklearn(getattr(theirs, kind)())
