"""Several outputs of classes at once."""

import pickle

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from fastnn import MLPClassifier
from fastnn.sklearn import installed

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def outputs():
    """Two outputs, of three and of four classes, which the place in the plane tells."""
    X = np.random.RandomState(0).randn(200, 2)
    thirds, quarters = (X[:, 0] > -0.4).astype(int) + (X[:, 0] > 0.4), (X > 0) @ [1, 2]
    return X, np.stack([thirds + 5, quarters], axis=1)


PARAMETERS = {"solver": "lbfgs", "max_iter": 300, "random_state": 0}


def test_they_are_learnt_together(outputs):
    X, y = outputs
    clf = MLPClassifier((30,), **PARAMETERS).fit(X, y)
    assert [each.tolist() for each in clf.classes_] == [[5, 6, 7], [0, 1, 2, 3]]
    assert len(clf.coefs_) == 2
    predicted = clf.predict(X)
    assert predicted.shape == y.shape
    assert predicted.dtype == y.dtype
    assert clf.score(X, y) == (predicted == y).all(axis=1).mean() > 0.9
    weights = np.linspace(0, 1, len(X))
    wanted = np.average((predicted == y).all(axis=1), weights=weights)
    assert clf.score(X, y, sample_weight=weights) == wanted
    for part, log, classes, column in zip(
        clf.predict_proba(X), clf.predict_log_proba(X), clf.classes_, predicted.T
    ):
        np.testing.assert_allclose(part.sum(axis=1), 1)
        np.testing.assert_array_equal(classes[part.argmax(axis=1)], column)
        np.testing.assert_array_equal(np.exp(log).argmax(axis=1), part.argmax(axis=1))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict(X), predicted)


def test_each_class_has_a_logistic_of_its_own(outputs):
    X, y = outputs
    columns = np.hstack([column[:, None] == np.unique(column) for column in y.T]).astype(int)
    wanted = MLPClassifier((10,), **PARAMETERS).fit(X, columns)
    ours = MLPClassifier((10,), **PARAMETERS).fit(X, y)
    for one, other in zip(ours.coefs_, wanted.coefs_):
        np.testing.assert_array_equal(one, other)


def test_names_lists_and_steps(outputs):
    X, y = outputs
    names = np.array(["a", "b", "c", "d", "e", "f", "g", "h"])[y]
    clf = MLPClassifier((10,), early_stopping=True, max_iter=5, random_state=0)
    clf.fit(X.tolist(), names.tolist())
    assert len(clf.validation_scores_) == 5
    assert set(clf.predict(X)[:, 0]) <= {"f", "g", "h"}
    clf.fit(X[:150], names[:150], validation_data=(X[150:], names[150:]))
    assert clf.set_params(restore_best=False).fit(
        X[:150], names[:150], validation_data=(X[150:], names[150:])
    ).validation_scores_[-1] == clf.score(X[150:], names[150:])


def test_partial_fit_takes_the_classes_of_each(outputs):
    X, y = outputs
    clf = MLPClassifier((10,), random_state=0)
    clf.partial_fit(X[:3], y[:3], classes=[[5, 6, 7], np.arange(4)])
    clf.partial_fit(X, y)
    wanted = MLPClassifier((10,), max_iter=1, random_state=0).fit(X, y)
    assert clf.coefs_[1].shape == wanted.coefs_[1].shape
    with pytest.raises(ValueError, match="classes must be a list of the classes of each"):
        MLPClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match=r"column 1 of y has the classes \[9\], but the first fit"):
        clf.partial_fit(X[:2], [[5, 9], [6, 1]])
    with pytest.raises(ValueError, match=r"y is of shape \(3, 3\), but there are 2 outputs: pass"):
        clf.partial_fit(X[:3], np.full((3, 3), 5))


@pytest.mark.parametrize(
    "classes", [[[0, 1, 2], [0, 1]], [[0, 1, 2]] * 2, np.full((2, 3), range(3))]
)
def test_a_first_batch_of_zeros_and_ones_is_of_outputs_if_classes_say_so(classes):
    X, y = np.random.RandomState(0).randn(9, 2), np.repeat([[0, 1], [1, 0], [2, 1]], 3, axis=0)
    clf = MLPClassifier((4,), random_state=0)
    clf.partial_fit(X[:6], y[:6], classes=classes).partial_fit(X, y, classes=classes)
    assert [each.tolist() for each in clf.classes_] == [list(each) for each in classes]
    assert len(clf.predict_proba(X)) == 2


def test_scores_of_rows_that_do_not_match(outputs):
    X, y = outputs
    clf = MLPClassifier((4,), max_iter=2).fit(X, y)
    for data in ((X[:1], y), (X, y[:1]), (X, y, np.ones(3))):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            clf.score(*data)
    for wrong in (y[0], y[:, :1], np.hstack([y, y])):
        with pytest.raises(ValueError, match=r"there are 2 outputs: pass one col|1D"):
            clf.score(X, wrong)
    with pytest.raises(ValueError, match="contains NaN"):
        clf.score(X, y * np.nan)
    with pytest.raises((TypeError, ValueError)):
        clf.score(X, 0)


def test_class_weights_of_each(outputs):
    if not installed.TAKES_WEIGHTS:
        pytest.skip("no weights of rows before 1.7")
    X, y = outputs
    weights = [{5: 1, 6: 2, 7: 3}, dict.fromkeys(range(4), 1)]
    clf = MLPClassifier((10,), class_weight=weights, max_iter=3, random_state=0).fit(X, y)
    wanted = MLPClassifier((10,), max_iter=3, random_state=0)
    wanted.fit(X, y, sample_weight=compute_sample_weight(weights, y))
    np.testing.assert_array_equal(clf.coefs_[0], wanted.coefs_[0])


def test_they_are_not_converted(outputs):
    clf = MLPClassifier((10,), max_iter=2).fit(*outputs)
    with pytest.raises(ValueError, match="has several outputs of classes, which scikit-learn's"):
        clf.to_sklearn()


def test_a_fit_on_one_output_forgets_them(outputs):
    X, y = outputs
    clf = MLPClassifier((10,), max_iter=3, random_state=0).fit(X, y).fit(X, y[:, 0])
    assert clf.predict(X).ndim == 1
    assert clf.predict_proba(X).shape == (200, 3)
