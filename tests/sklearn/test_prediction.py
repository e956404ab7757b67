"""What is computed of few rows without scikit-learn's checks, and of many: the same answers."""

import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from scipy import sparse
from sklearn.metrics import r2_score
from sklearn.preprocessing import LabelBinarizer

import fastnn
from fastnn.sklearn import certainty, from_sklearn, installed

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

METHODS = {"MLPClassifier": ("predict", "predict_proba", "predict_log_proba")}


def fitted(kind, X, y, **parameters):
    """Return one of scikit-learn's and its copy of fastnn's."""
    model = getattr(theirs, kind)(hidden_layer_sizes=(7,), max_iter=5, random_state=0)
    model.set_params(**parameters).fit(X, y)
    return model, from_sklearn(model)


def outcome(estimator, X, y, method="partial_fit", **options):
    """Return the weights after a fit, or a score, or what was raised."""
    try:
        result = getattr(estimator, method)(X, y, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return estimator.coefs_[0] if result is estimator else result


def assert_same_outcome(wanted, ours):
    if isinstance(wanted, str):
        assert ours == wanted
    else:
        np.testing.assert_allclose(ours, wanted, rtol=1e-9)


def targets_of(name, X):
    y = np.arange(len(X)) % 3
    return {
        "binary": lambda: y % 2,
        "classes": lambda: y + 5,
        "names": lambda: np.array(["a", "b", "c"])[y],
        "labels": lambda: np.stack([y > 0, y > 1], axis=1).astype(int),
        "number": lambda: X[:, 0] + 1,
        "numbers": lambda: X,
    }[name]()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["binary", "classes", "names", "labels", "number", "numbers"])
def test_predictions_are_scikit_learn_s(name, dtype, blobs):
    X, y = blobs[0].astype(dtype), targets_of(name, blobs[0])
    kind = "MLPRegressor" if name.startswith("number") else "MLPClassifier"
    model, ours = fitted(kind, X, y)
    many = np.tile(X, (50, 1))
    forms = [X[:1], X[:5], X, many, X[::2], np.asfortranarray(X), X.astype("float64"), X.tolist()]
    forms += [X.astype(int), sparse.csr_matrix(X), sparse.csc_matrix(X)]
    for form in forms:
        for method in METHODS.get(kind, ("predict",)):
            wanted, got = getattr(model, method)(form), getattr(ours, method)(form)
            assert got.dtype == wanted.dtype
            assert got.shape == wanted.shape
            if wanted.dtype.kind == "f":
                tolerance = 1e-10 if wanted.dtype == np.float64 else 1e-4
                np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
            else:
                np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", ["binary", "classes", "names", "labels", "number", "numbers"])
def test_scores_are_scikit_learn_s(name, blobs):
    X, y = blobs[0], targets_of(name, blobs[0])
    kind = "MLPRegressor" if name.startswith("number") else "MLPClassifier"
    model, ours = fitted(kind, X, y)
    weights = np.linspace(0, 1, len(X))
    for targets in (y, y.tolist(), y[::-1]):
        assert ours.score(X, targets) == pytest.approx(model.score(X, targets), rel=1e-10)
        assert type(ours.score(X, targets)) is type(model.score(X, targets))
        assert ours.score(X, targets, weights) == pytest.approx(model.score(X, targets, weights))
    with pytest.raises(ValueError):
        ours.score(X, y[:-1])


@pytest.mark.parametrize("labels", [[4, 4], [0, 1], [3, 1, 7]])
@pytest.mark.parametrize("dtype", ["i8", "u1", "f8", "U2", "?"])
def test_classes_are_found_as_there(labels, dtype, blobs):
    y = np.array(labels)[np.arange(len(blobs[0])) % len(labels)].astype(dtype)
    fits = [
        module.MLPClassifier((3,), max_iter=2, random_state=0).fit(blobs[0], y)
        for module in (theirs, fastnn)
    ]
    assert fits[1].classes_.dtype == fits[0].classes_.dtype
    np.testing.assert_array_equal(fits[1].classes_, fits[0].classes_)
    np.testing.assert_allclose(fits[1].coefs_[1], fits[0].coefs_[1], rtol=1e-9)
    np.testing.assert_array_equal(fits[1].predict(blobs[0]), fits[0].predict(blobs[0]))


@pytest.mark.parametrize("wrong", ["columns", "nan", "infinite", "vector", "empty", "text"])
def test_what_scikit_learn_refuses_is_refused_in_its_words(wrong, blobs):
    model, ours = fitted("MLPClassifier", *blobs)
    X = {
        "columns": np.zeros((1, 3)),
        "nan": np.array([[0.0, np.nan]]),
        "infinite": np.array([[np.inf, 0.0]]),
        "vector": np.zeros(2),
        "empty": np.zeros((0, 2)),
        "text": np.array([["a", "b"]]),
    }[wrong]
    with pytest.raises(ValueError) as theirs_raised:
        model.predict(X)
    with pytest.raises(ValueError) as raised:
        ours.predict(X)
    assert str(raised.value) == str(theirs_raised.value)


def test_names_of_features_are_missed_as_there(blobs):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(blobs[0], columns=["a", "b"])
    clf = fastnn.MLPClassifier((7,), max_iter=3, random_state=0).fit(X, blobs[1])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        clf.predict(blobs[0][:1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.predict(X[:1])


def test_an_estimator_that_is_not_fitted_says_so():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        fastnn.MLPClassifier().predict(np.zeros((1, 2)))


@pytest.mark.parametrize(
    "y",
    [
        *(np.array(labels, dtype) for labels in ([5, 6, 7], [7, 7, 5]) for dtype in ("i8", "u1")),
        np.array([5, 6, 8]),
        np.array([5, -6, 7]),
        np.array([5.0, 6.0, 7.0]),
        np.array([5.5, 6, 7]),
        np.array([[5], [6], [7]]),
        np.array(["5", "6", "7"]),
        np.array([5, 6]),
        [5, 6, 7],
    ],
)
def test_labels_of_partial_fit_are_checked_as_there(y, blobs):
    X = blobs[0][:3]
    model, ours = fitted("MLPClassifier", blobs[0], targets_of("classes", blobs[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_same_outcome(*(outcome(each, X, y) for each in (model, ours)))


@pytest.mark.parametrize("labels", [[0, 1], [3, 5, 9], [-2, 7]])
def test_indicators_are_those_of_the_binarizer(labels, blobs):
    X = blobs[0]
    y = np.array(labels)[np.arange(len(X)) % len(labels)]
    _, ours = fitted("MLPClassifier", X, y)
    for rows in (slice(None), slice(0, 1), slice(1, 2)):
        found = certainty.indicators_of(ours, y[rows], len(y[rows]))
        wanted = ours._label_binarizer.transform(y[rows]).astype(bool)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


LABELS = {
    "integers": [3, 5, 9],
    "texts": ["a", "bb", "c"],
    "objects": np.array(["a", "bb", "c"], object),
}


@pytest.mark.parametrize("form", LABELS)
@pytest.mark.parametrize(
    "wrong", ["", "unknown", "missing", "short", "long", "none", "mixed", "floats", "column"]
)
@pytest.mark.parametrize("warm_start", [False, True])
def test_labels_of_any_kind_are_taken_as_there(form, wrong, warm_start, blobs):
    names = np.asarray(LABELS[form])
    y = names[np.arange(len(blobs[0])) % 3]
    model, ours = fitted("MLPClassifier", blobs[0], y, warm_start=warm_start)
    targets = {
        "": y,
        "unknown": np.where(
            np.arange(len(y)) == 7, names.dtype.type(4) if form == "integers" else "zz", y
        ),
        "missing": np.where(y == names[1], names[0], y),
        "short": y[:-1],
        "long": np.append(y, y[:1]),
        "none": np.where(np.arange(len(y)) == 7, None, y),
        "mixed": np.where(np.arange(len(y)) == 7, 3.5, y.astype(object)),
        "floats": np.arange(len(y)) % 3 + 0.0,
        "column": y[:, None],
    }[wrong]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_same_outcome(*(outcome(each, blobs[0], targets) for each in (model, ours)))
        scores = [outcome(each, blobs[0], targets, "score") for each in (model, ours)]
        assert scores[0] == scores[1]
        assert type(scores[0]) is type(scores[1])
        if warm_start:
            both = (outcome(each, blobs[0], targets, "fit") for each in (model, ours))
            assert_same_outcome(*both)


@pytest.mark.parametrize(
    "columns",
    [
        np.eye(3, dtype=int)[np.arange(30) % 3],
        np.zeros((30, 3), bool),
        np.ones((30, 3), "u1"),
        np.eye(3)[np.arange(30) % 3],
        2 * np.eye(3, dtype=int)[np.arange(30) % 3],
        np.eye(2, dtype=int)[np.arange(30) % 2],
        np.arange(90).reshape(30, 3) % 3,
        np.eye(3, dtype=int)[np.arange(29) % 3],
    ],
)
def test_columns_of_several_labels_are_taken_as_there(columns, blobs):
    X = blobs[0]
    labels = np.stack([np.arange(len(X)) % k == 0 for k in (2, 3, 4)], axis=1).astype(int)
    model, ours = fitted("MLPClassifier", X, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted, got = (outcome(each, X[:30], columns) for each in (model, ours))
        if isinstance(wanted, str) and not isinstance(got, str):
            pytest.fail(f"raised nothing, but scikit-learn {wanted}")
        assert_same_outcome(wanted, got)


@pytest.mark.parametrize(
    "classes", [[0, 1, 2], np.arange(3), (2, 1, 0), [0, 1, 1, 2], [0.0, 1.0, 2.0], [0, 1], ["a"], 3]
)
def test_classes_at_each_partial_fit_are_taken_as_there(classes, blobs):
    both = fitted("MLPClassifier", *blobs)
    assert_same_outcome(*(outcome(each, *blobs, classes=classes) for each in both))


def test_sparse_rows_that_scikit_learn_refuses(blobs):
    model, ours = fitted("MLPClassifier", *blobs)
    for row in ([[0, np.nan]], [[np.inf, 0]], [[1, 0, 2]], np.zeros((0, 2))):
        X = sparse.csr_array(np.array(row, float))
        raised = []
        for each in (model, ours):
            with pytest.raises(ValueError) as error:
                each.predict(X)
            raised.append(str(error.value))
        assert raised[0] == raised[1]


@pytest.mark.parametrize("classes", [[0, 1], [3, 5, 9], [-2, 7], list(range(40, 0, -3))])
def test_a_certain_binarizer_is_the_one_that_is_fitted(classes):
    y = np.repeat(classes, 3)
    found, wanted = certainty.binarizer_of(y), LabelBinarizer().fit(y)
    assert vars(found).keys() == vars(wanted).keys()
    for name, value in vars(wanted).items():
        np.testing.assert_array_equal(vars(found)[name], value)
        assert type(vars(found)[name]) is type(value)
    assert found.classes_.dtype == wanted.classes_.dtype
    np.testing.assert_array_equal(found.transform(y), wanted.transform(y))
    # Nobody else has it.
    assert certainty.binarizer_of(y) is not found


@pytest.mark.parametrize(
    "y",
    [
        np.zeros(9, int),
        np.arange(30),
        np.repeat([0, 1], 5).astype("u1"),
        np.repeat([0.0, 1.0], 5),
        np.repeat(["a", "b"], 5),
        np.repeat([[0, 1]], 5, axis=0),
        [0, 0, 1, 1],
        np.ma.masked_array(np.repeat([0, 1], 5)),
    ],
)
def test_other_labels_are_left_to_the_binarizer(y):
    assert certainty.binarizer_of(y) is None


@pytest.mark.parametrize("name", ["number", "numbers"])
def test_targets_of_partial_fit_are_checked_as_there(name, blobs):
    X, y = blobs[0], targets_of(name, blobs[0])
    for form in (y, y.astype("f4"), y.astype(int), y.tolist(), np.where(y == y.flat[3], np.nan, y)):
        assert_same_outcome(*(outcome(each, X, form) for each in fitted("MLPRegressor", X, y)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2,), (30,), (30, 1), (30, 3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_score_of_a_regression_is_scikit_learns(shape, dtype, weighted):
    random = np.random.RandomState(0)
    y = random.randn(*shape).astype(dtype)
    predicted = (y + 0.3 * random.randn(*shape)).astype(dtype)
    if shape[1:] == (1,):
        predicted = predicted.ravel()
    tolerance = 1e-14 if dtype == "float64" else 1e-5
    weights = random.rand(len(y)).astype(dtype) if weighted else None
    wanted = r2_score(y, predicted, sample_weight=weights)
    assert certainty.certain_r2(y, predicted, weights) == pytest.approx(wanted, tolerance)
    assert certainty.certain_r2(y, y.astype(dtype).reshape(predicted.shape), weights) == 1


def test_no_score_is_certain_of_odd_numbers():
    y = np.arange(6.0)
    for value in (np.nan, np.inf, 1e200):
        assert certainty.certain_r2(y, np.where(y == 3, value, y)) is None
    assert certainty.certain_r2(y[:1], y[:1]) is None
    assert certainty.certain_r2(np.ones(6), y) is None
    assert certainty.certain_r2(y, y[:, None]) is None
    assert certainty.certain_r2(y.astype(int), y) is None
    assert certainty.certain_r2(y.tolist(), y) is None
    columns = np.column_stack([y, np.ones(6)])
    assert certainty.certain_r2(columns, columns) is None


def weights_of(X, weighted):
    """Return the arguments of a fit, with weights of the rows if it takes them."""
    if not weighted:
        return {}
    if not installed.TAKES_WEIGHTS:
        pytest.skip("this scikit-learn takes no weights")
    return {"sample_weight": np.random.RandomState(1).rand(len(X)) * (np.arange(len(X)) % 4 > 0)}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labels", ["integers", "texts", "several"])
def test_early_stopping_of_classes_has_scikit_learns_scores(blobs, labels, weighted):
    X, y = blobs
    y = {"integers": y, "texts": np.array(["a", "b", "c"])[y], "several": np.eye(3, dtype=int)[y]}
    options = {"early_stopping": True, "max_iter": 10, "n_iter_no_change": 99, "random_state": 0}
    scores = [
        module.MLPClassifier(**options).fit(X, y[labels], **weights_of(X, weighted))
        for module in (theirs, fastnn)
    ]
    assert scores[0].validation_scores_ == scores[1].validation_scores_
    assert len(set(scores[0].validation_scores_)) > 1
    assert {type(score) for score in scores[1].validation_scores_} == {float}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [1, 2])
def test_early_stopping_of_numbers_has_scikit_learns_scores(blobs, outputs, weighted):
    X = blobs[0]
    y = np.column_stack([X[:, 0] - X[:, 1], X[:, 0]])[:, :outputs].squeeze()
    options = {"early_stopping": True, "max_iter": 10, "n_iter_no_change": 99, "random_state": 0}
    weights = weights_of(X, weighted)
    scores = [
        module.MLPRegressor(**options).fit(X, y, **weights).validation_scores_
        for module in (theirs, fastnn)
    ]
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-10)
    # Of a column that does not change, what scikit-learn says.
    flat = [m.MLPRegressor(**options).fit(X, np.ones(len(X)), **weights) for m in (theirs, fastnn)]
    assert flat[0].validation_scores_ == flat[1].validation_scores_


def test_no_score_is_certain_of_weights_that_add_up_to_nothing():
    y, none = np.arange(6.0), np.zeros(6)
    assert certainty.certain_accuracy(y > 2, none) is None
    assert certainty.certain_accuracy(y > 2, none + 1) == 0.5
    assert certainty.certain_r2(y, y + 1, none) is None
    assert certainty.certain_r2(y, y, np.where(y == 3, 1.0, 0.0)) is None  # of a single row
