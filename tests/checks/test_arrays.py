"""From lists, data frames, series and masked arrays to arrays of numbers."""

import decimal

import numpy as np
import pytest

from fastnn import Network, Trainer, TwoLayerNet
from fastnn.checks.arrays import to_array

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

NAN = np.nan
#: Each column, and the numbers it stands for.
PANDAS = {
    "integers": (pd.Series([1, 2, 3]), [1, 2, 3]),
    "booleans": (pd.Series([True, False, True]), [1, 0, 1]),
    "nullable integers": (pd.Series([1, None, 3], dtype="Int64"), [1, NAN, 3]),
    "nullable booleans": (pd.Series([True, None, False], dtype="boolean"), [1, NAN, 0]),
    "nullable floats": (pd.Series([1.5, 2, 3], dtype="Float32"), [1.5, 2, 3]),
    "Arrow": (pd.Series([1.5, None, 3], dtype="double[pyarrow]"), [1.5, NAN, 3]),
    "Arrow booleans": (pd.Series([True, None, False], dtype="bool[pyarrow]"), [1, NAN, 0]),
    "Arrow decimals": (
        pd.Series([decimal.Decimal("1.5")] * 3, dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
        [1.5, 1.5, 1.5],
    ),
    "categories": (pd.Series([3, 5, 3], dtype="category"), [3, 5, 3]),
    "sparse": (pd.Series(pd.arrays.SparseArray([0, 0, 1.5])), [0, 0, 1.5]),
    "objects": (pd.Series([True, None, 2.5], dtype=object), [1, NAN, 2.5]),
}
POLARS = {
    "integers": (pl.Series([1, 2, 3]), [1, 2, 3]),
    "booleans": (pl.Series([True, False, True]), [1, 0, 1]),
    "nulls": (pl.Series([1, None, 3]), [1, NAN, 3]),
    "booleans with nulls": (pl.Series([True, None, False]), [1, NAN, 0]),
    "bytes": (pl.Series([1, None, 255], dtype=pl.UInt8), [1, NAN, 255]),
    "decimals": (pl.Series(["1.5", "2", "3"]).cast(pl.Decimal(10, 2)), [1.5, 2, 3]),
}


@pytest.mark.parametrize("columns", [PANDAS, POLARS], ids=["pandas", "polars"])
def test_columns_of_a_data_frame(columns):
    frame = (pd if columns is PANDAS else pl).DataFrame({k: c for k, (c, _) in columns.items()})
    expected = np.array([numbers for _, numbers in columns.values()]).T
    array = to_array(frame, "X")
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, expected)
    for column, numbers in columns.values():
        np.testing.assert_array_equal(to_array(column, "y"), np.array(numbers, float))


def test_names_of_columns_may_stand_twice():
    frame = pd.DataFrame([[1, 2.5, True], [3, 4.5, False]], columns=["a", "a", "b"])
    np.testing.assert_array_equal(to_array(frame, "X"), [[1, 2.5, 1], [3, 4.5, 0]])


def test_columns_that_are_no_numbers_are_named():
    frame = pd.DataFrame({"age": [1, 2], "city": ["a", "b"], "size": [1.5, 2]})
    frame["when"] = pd.to_datetime(["2020-01-01"] * 2)
    frame["group"] = pd.Series(["x", "y"], dtype="category")
    frame["digits"] = ["1", "2"]
    with pytest.raises(TypeError, match="X has columns that are no numbers") as caught:
        to_array(frame, "X")
    for name in ("'city'", "'when' (datetime64", "'group' (category)", "'digits'"):
        assert name in str(caught.value)
    assert "age" not in str(caught.value)
    wide = pl.DataFrame({f"c{i}": ["a"] for i in range(9)})
    with pytest.raises(TypeError, match=r"'c4' \(String\) and 4 more\. Drop them, or encode them"):
        to_array(wide, "X")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_mixed_data_frame_trains_as_its_numbers_do(library):
    random = np.random.RandomState(0)
    columns = {
        "a": random.randn(60),
        "b": random.rand(60) < 0.5,
        "c": random.randint(0, 5, 60),
    }
    numbers = np.stack([np.asarray(column, float) for column in columns.values()], axis=1)
    y = (columns["a"] > 0).astype(int)
    frame, labels = pl.DataFrame(columns), pl.Series(y)
    if library == "pandas":
        frame, labels = pd.DataFrame(columns), pd.Series(y, dtype="Int64")
        frame["c"] = frame["c"].astype("int64[pyarrow]")
    params = []
    for X, target in ((numbers, y), (frame, labels)):
        net = Network((3, 5, 2), random_state=0)
        Trainer(net, max_iter=3, random_state=0).fit(X, target, X, target, sample_weight=target + 1)
        params.append((net.params.tobytes(), net.predict(X).tobytes()))
        two = TwoLayerNet(3, 5, 2, random_state=0)
        two.train(X, target, X, target, num_iters=5)
        params[-1] += (two.params["W1"].tobytes(), two.predict(X).tobytes())
    assert params[0] == params[1]


def test_a_missing_value_has_a_place():
    frame = pd.DataFrame({"a": [1.5, 2, 3], "b": pd.array([1, None, 2], dtype="Int64")})
    with pytest.raises(
        ValueError, match=r"X holds nan at row 1, column 1 \('b'\), but every feature"
    ):
        Network((2, 2), random_state=0).predict(frame)


def _uses(masked):
    """Yield calls that use an array as each of their arguments."""
    X, y = np.random.RandomState(0).randn(6, 2), np.array([0, 1, 0, 1, 0, 1])
    mask = np.zeros(6, bool)
    mask[2] = masked
    M, m = np.ma.array(X, mask=np.stack([mask, mask], 1)), np.ma.array(y, mask=mask)
    net, two = Network((2, 3, 2), random_state=0), TwoLayerNet(2, 3, 2, random_state=0)

    def trainer():
        return Trainer(net, max_iter=1)

    return {
        "predict": lambda: net.predict(M),
        "predict_proba": lambda: net.predict_proba(M),
        "loss_and_gradient": lambda: net.loss_and_gradient(X, m),
        "fit X": lambda: trainer().fit(M, y),
        "fit y": lambda: trainer().fit(X, m),
        "fit sample_weight": lambda: trainer().fit(X, y, sample_weight=m),
        "fit X_val": lambda: trainer().fit(X, y, M, y),
        "fit y_val": lambda: trainer().fit(X, y, X, m),
        "fit sample_weight_val": lambda: trainer().fit(X, y, X, y, sample_weight_val=m),
        "params": lambda: setattr(net, "params", np.ma.array(net.params, mask=masked)),
        "coefs_": lambda: net.coefs_.__setitem__(0, np.ma.array(net.coefs_[0], mask=masked)),
        "TwoLayerNet.predict": lambda: two.predict(M),
        "TwoLayerNet.loss": lambda: two.loss(X, m),
        "TwoLayerNet.train": lambda: two.train(X, m, X, y, num_iters=1),
        "TwoLayerNet.train y_val": lambda: two.train(X, y, X, m, num_iters=1),
    }


@pytest.mark.parametrize("use", _uses(True))
def test_masked_elements_are_refused_everywhere(use):
    with pytest.raises(ValueError, match=r"is a masked array of which \d+ elem.*\.filled\(value\)"):
        _uses(True)[use]()
    _uses(False)[use]()  # no element is masked


def test_lists_of_unequal_lengths_and_objects():
    with pytest.raises(ValueError, match=r"X makes no array \(.*\): pass rows of equal lengths"):
        to_array([[1, 2], [3]], "X")
    with pytest.raises(TypeError, match=r"X holds 'a' at \[1, 0\], but all of it must be numbers"):
        to_array(np.array([[1, 2.5], ["a", None]], object), "X")
    with pytest.raises(TypeError, match=r"y holds <NA> at \[1\]"):
        to_array([1, pd.NA], "y")
    with pytest.raises(
        TypeError, match=r"y holds \{1\} at \[0\], .*: drop or replace such elements$"
    ):
        to_array([{1}], "y")
    array = to_array([[decimal.Decimal("1.5"), None, True]], "X")
    np.testing.assert_array_equal(array, [[1.5, NAN, 1]])


NO_ARRAYS = {
    "dict": ({"a": 1}, r"is a dict, .*: pass one of its values, or pandas\.DataFrame\({name}\)"),
    "generator": ((row for row in np.eye(4)), r"is a generator, .*: pass list\({name}\)"),
    "map": (map(float, "12"), r"is a map, .*: pass list\({name}\)"),
    "keys": ({1: 2}.keys(), r"is a dict_keys, .*: pass list\({name}\)"),
    "set": ({1, 2}, r"is a set, .*: pass an array or a list, as a set has no order"),
    "None": (None, r"is None, .*: pass an array, a list or a data frame"),
    "text": ("train.csv", r"is a str, .*: pass an array, a list or a data frame"),
    "function": (len, r"is a builtin_function_or_method, .*: pass an array, a list or"),
    "class": (Network, r"is the class Network, .*: pass an array, a list or"),
}


@pytest.mark.parametrize(("value", "message"), NO_ARRAYS.values(), ids=NO_ARRAYS)
def test_what_makes_no_array_is_called_by_its_type(value, message):
    net, X, y = Network((4, 5, 4), random_state=0), np.eye(4), np.arange(4)
    for name, use in (
        ("X", lambda: net.predict(value)),
        ("X", lambda: Trainer(net).fit(value, y)),
        ("y", lambda: Trainer(net).fit(X, value)),
        ("X_val", lambda: TwoLayerNet(4, 5, 4).train(X, y, value, y)),
    ):
        pattern = f"^{name} {message.replace('{name}', name)}"
        with pytest.raises(TypeError, match=pattern) as caught:
            use()
        assert "but needed is an array of numbers" in str(caught.value)
        assert "OneHotEncoder" not in str(caught.value)
