"""Data frames and series: their checks are left out only where they would find nothing."""

import tempfile
import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from scipy import sparse

import fastnn
from fastnn.sklearn import certainty, from_sklearn, installed

pandas = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = ["a", "b"]


def fitted(kind, X, y):
    """Return one of scikit-learn's, fitted to a data frame, and its copy of fastnn's."""
    model = getattr(theirs, kind)(hidden_layer_sizes=(7,), max_iter=5, random_state=0)
    model.fit(pandas.DataFrame(X, columns=NAMES), y)
    return model, from_sklearn(model)


def outcome(estimator, method, *args):
    """Return what a call returns (a partial fit, weights) or raises, and the warnings it gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = getattr(estimator, method)(*args)
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
    if result is estimator:
        result = estimator.coefs_[0]
    return result, sorted(f"{each.category.__name__}: {each.message}" for each in caught)


def assert_same(wanted, got, tolerance=1e-9):
    assert got[1] == wanted[1]
    if isinstance(wanted[0], str):
        assert got[0] == wanted[0]
    else:
        assert getattr(got[0], "dtype", None) == getattr(wanted[0], "dtype", None)
        np.testing.assert_allclose(got[0], wanted[0], rtol=tolerance, atol=tolerance)


def _with(frame, row, column, value):
    frame = frame.copy()
    frame.iloc[row, column] = value
    return frame


def mapped(X):
    """Return an array whose numbers lie in a file that goes with it."""
    with tempfile.TemporaryFile() as file:
        placed = np.memmap(file, X.dtype, "w+", shape=X.shape)
    placed[:] = X
    return placed


FRAMES = {
    "float64": lambda X: pandas.DataFrame(X, columns=NAMES),
    "float32": lambda X: pandas.DataFrame(X.astype("f4"), columns=NAMES),
    "column by column": lambda X: pandas.DataFrame({name: X[:, i] for i, name in enumerate(NAMES)}),
    "objects as names": lambda X: pandas.DataFrame(X, columns=np.array(NAMES, object)),
    "an odd index": lambda X: pandas.DataFrame(X, columns=NAMES, index=range(len(X), 0, -1)),
    "one row": lambda X: pandas.DataFrame(X[:1], columns=NAMES),
    "float32 and float64": lambda X: pandas.DataFrame(
        {"a": X[:, 0].astype("f4"), "b": X[:, 1]}, columns=NAMES
    ),
    "integers": lambda X: pandas.DataFrame((9 * X).astype(int), columns=NAMES),
    "integers and floats": lambda X: pandas.DataFrame(
        {"a": (9 * X[:, 0]).astype(int), "b": X[:, 1]}
    ),
    "bytes and float32": lambda X: pandas.DataFrame(
        {"a": abs(9 * X[:, 0]).astype("u1"), "b": X[:, 1].astype("f4")}
    ),
    "booleans": lambda X: pandas.DataFrame(X > 0, columns=NAMES),
    "booleans and floats": lambda X: pandas.DataFrame({"a": X[:, 0] > 0, "b": X[:, 1]}),
    "booleans and float32": lambda X: pandas.DataFrame(
        {"a": X[:, 0] > 0, "b": X[:, 1].astype("f4")}
    ),
    "booleans and integers": lambda X: pandas.DataFrame(
        {"a": X[:, 0] > 0, "b": (9 * X[:, 1]).astype(int)}
    ),
    "float16": lambda X: pandas.DataFrame(X.astype("f2"), columns=NAMES),
    "nullable": lambda X: pandas.DataFrame(X, columns=NAMES).astype("Float64"),
    "sparse": lambda X: pandas.DataFrame(X, columns=NAMES).astype(pandas.SparseDtype("f8", 0.0)),
    "texts": lambda X: pandas.DataFrame({"a": X[:, 0], "b": "Kyoto"}),
    "another order": lambda X: pandas.DataFrame(X, columns=NAMES)[["b", "a"]],
    "another name": lambda X: pandas.DataFrame(X, columns=["a", "c"]),
    "a name twice": lambda X: pandas.DataFrame(X, columns=["a", "a"]),
    "numbers as names": lambda X: pandas.DataFrame(X),
    "a column more": lambda X: pandas.DataFrame(X, columns=NAMES).assign(c=1.0),
    "no row": lambda X: pandas.DataFrame(X[:0], columns=NAMES),
    "nan": lambda X: _with(pandas.DataFrame(X, columns=NAMES), 3, 1, np.nan),
    "infinite": lambda X: _with(pandas.DataFrame(X, columns=NAMES), 3, 1, np.inf),
    "no frame": lambda X: X,
    "csr": sparse.csr_array,
    "csc": sparse.csc_array,
    "integers of csr": lambda X: sparse.csr_matrix((9 * X).astype(int)),
    "integers of an array": lambda X: (9 * X).astype("i2"),
    "bytes of an array": lambda X: abs(9 * X).astype("u1"),
    "booleans of an array": lambda X: X > 0,
    "booleans of csr": lambda X: sparse.csr_array(X > 0),
    "a list of booleans": lambda X: (X > 0).tolist(),
    "mapped from a file": lambda X: mapped(X),
    "columns first": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "objects": lambda X: X.astype(object),
    "a list": lambda X: X.tolist(),
    "a list of integers": lambda X: (9 * X).astype(int).tolist(),
    "a list of texts": lambda X: [["1", "2"]] * len(X),
    "a list of rows of two lengths": lambda X: [*X.tolist(), [1.0]],
    "a list of one row": lambda X: X[0].tolist(),
    "an empty list": lambda X: [],
}
#: Those of which scikit-learn's checks would return the very numbers.
CERTAIN = list(FRAMES)[:14]
#: And of a first fit: as long as there are names, they may be any.
FIRST = [*CERTAIN, "another order", "another name", "a column more", "no frame", "csr"]
FIRST += ["integers of csr", "integers of an array", "bytes of an array"]
FIRST += ["a list", "a list of integers", "booleans of an array", "booleans of csr"]
FIRST += ["a list of booleans", "mapped from a file", "columns first", "every other row"]


def rows_in(X):
    """Return the number of rows."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


@pytest.mark.parametrize("form", FRAMES)
def test_predictions_of_frames_are_scikit_learns(form, blobs):
    X = FRAMES[form](blobs[0])
    for kind, names in (
        ("MLPClassifier", ("predict", "predict_proba", "predict_log_proba")),
        ("MLPRegressor", ("predict",)),
    ):
        model, ours = fitted(kind, *blobs)
        for name in names:
            wanted, got = (outcome(each, name, X) for each in (model, ours))
            assert_same(wanted, got, 1e-4 if "float32" in form else 1e-9)


@pytest.mark.parametrize("form", FRAMES)
def test_scores_and_partial_fits_of_frames_are_scikit_learns(form, blobs):
    X = FRAMES[form](blobs[0])
    for kind in ("MLPClassifier", "MLPRegressor"):
        y = blobs[1][: rows_in(X)]
        for targets in (y, pandas.Series(y), pandas.Series(y.astype(float), name="target")):
            model, ours = fitted(kind, *blobs)
            for name in ("score", "partial_fit"):
                wanted, got = (outcome(each, name, X, targets) for each in (model, ours))
                assert_same(wanted, got, 1e-4 if "float32" in form or name == "score" else 1e-9)


TARGETS = {
    "integers": lambda y: y,
    "series": pandas.Series,
    "series of floats": lambda y: pandas.Series(y + 0.5, dtype="f4"),
    "floats": lambda y: y + 0.5,
    "texts": lambda y: np.array(["a", "b", "c"])[y],
    "series of texts": lambda y: pandas.Series(np.array(["a", "b", "c"])[y]),
    "bytes": lambda y: y.astype("u1"),
    "booleans": lambda y: y > 0,
    "a list": list,
    "a column": lambda y: y[:, None],
    "columns": lambda y: np.stack([y, y + 1], axis=1) + 0.0,
    "a missing number": lambda y: np.where(np.arange(len(y)) == 3, np.nan, y),
    "a missing text": lambda y: pandas.Series(np.array(["a", "b", "c"])[y]).where(y > 0),
    "too few": lambda y: y[1:],
    "one class": np.zeros_like,
}


@pytest.mark.parametrize("form", FRAMES)
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_fits_are_checked_as_there(form, kind, blobs):
    options = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
    X = FRAMES[form](blobs[0])
    for target in TARGETS if form in ("float64", "csr", "no frame") else ("integers", "floats"):
        if kind == "MLPClassifier" and target == "columns":
            continue  # several outputs of classes, which scikit-learn's does not take
        if kind == "MLPRegressor" and "text" in target:
            continue  # which no check of scikit-learn's refuses, but the arithmetic that follows
        y, both = TARGETS[target](blobs[1][: rows_in(X)]), []
        for module in (theirs, fastnn):
            # Whatever names it had are forgotten, but where the data are refused.
            for before in (None, pandas.DataFrame(blobs[0], columns=["x", "y"])):
                estimator = getattr(module, kind)(**options)
                if before is not None:
                    estimator.fit(before, blobs[1])
                result = outcome(estimator, "fit", X, y)
                names = getattr(estimator, "feature_names_in_", None)
                kinds = getattr(names, "dtype", None), type(getattr(estimator, "classes_", None))
                known = None if names is None else names.tolist(), kinds
                both.append((result, known, getattr(estimator, "n_features_in_", None)))
        for wanted, got in zip(both[:2], both[2:]):
            assert_same(wanted[0], got[0], 1e-4 if "float32" in form else 1e-9)
            assert got[1:] == wanted[1:]


@pytest.mark.parametrize("form", FRAMES)
def test_checks_are_left_out_of_certain_frames_alone(form, blobs, monkeypatch):
    _, ours = fitted("MLPClassifier", *blobs)
    X, checked = FRAMES[form](blobs[0]), []
    monkeypatch.setattr(installed, "validated", lambda *args: checked.append(args) or blobs[0])
    ours.predict(X)
    assert len(checked) == (form not in CERTAIN)
    rows = certainty.certain_rows(ours, X)
    assert (rows is not None) == (form in CERTAIN)
    if rows is not None:
        np.testing.assert_array_equal(rows, np.asarray(X))


@pytest.mark.parametrize("form", FRAMES)
def test_checks_are_left_out_of_certain_fits_alone(form, blobs, monkeypatch):
    X, checked, check = FRAMES[form](blobs[0]), [], installed.validated_pair
    monkeypatch.setattr(
        installed, "validated_pair", lambda *args: checked.append(args) or check(*args)
    )
    y = blobs[1][: rows_in(X)]
    outcome(fastnn.MLPClassifier((3,), max_iter=1), "fit", X, y)
    assert len(checked) == (form not in FIRST)


@pytest.mark.parametrize("dtype", [object, "string", None])
@pytest.mark.parametrize("missing", [False, True])
def test_series_of_texts_are_taken_as_there(dtype, missing, blobs):
    X = pandas.DataFrame(blobs[0], columns=NAMES)
    texts = pandas.Series(np.array(["a", "b", "c"], object)[blobs[1]], dtype=dtype)
    y = texts.where(np.arange(len(texts)) != 7) if missing else texts
    model = theirs.MLPClassifier((7,), max_iter=5, random_state=0).fit(X, texts)
    ours = from_sklearn(model)
    for name in ("score", "partial_fit"):
        wanted, got = (outcome(each, name, X, y) for each in (model, ours))
        assert_same(wanted, got)


def test_an_estimator_without_names_is_not_certain_of_a_frame(blobs):
    ours = fastnn.MLPClassifier((7,), max_iter=2, random_state=0).fit(*blobs)
    assert certainty.certain_rows(ours, pandas.DataFrame(blobs[0], columns=NAMES)) is None
    with pytest.warns(UserWarning, match="X has feature names, but MLPClassifier was fitted with"):
        ours.predict(pandas.DataFrame(blobs[0], columns=NAMES))


@pytest.mark.parametrize(
    ("y", "known"),
    [
        (pandas.Series([1, 2]), True),
        (pandas.Series([1.5, 2.5], dtype="f4"), True),
        (pandas.Series(["a", "b"], dtype=object), True),
        (pandas.Series(["a", "b"], dtype="string"), True),
        (pandas.Series(["a", "b"]), True),
        (pandas.Series([1, 2], dtype="Int64"), False),
        (pandas.Series(["a", "b"], dtype="category"), False),
        (pandas.Index([1, 2]), False),
        ([1, 2], False),
    ],
)
def test_values_of_series(y, known):
    values = certainty.values_of(y)
    assert (type(values) is np.ndarray) == known
    assert values is y or list(values) == list(y)
