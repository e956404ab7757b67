"""Columns of data frames go by their names, as scikit-learn's estimators have them."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
from safetensors import safe_open

from fastnn import Network, Trainer
from fastnn.checks.feature_names import check_feature_names, feature_names
from fastnn.files import container

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

COLUMNS = ["age", "fare", "rooms"]


def data(kind=pandas, columns=COLUMNS):
    X = np.random.RandomState(0).randn(40, 3)
    return kind.DataFrame({name: X[:, i] for i, name in enumerate(columns)}), np.arange(40) % 2


def trained(X, y, *val):
    net = Network((3, 4, 2), random_state=0)
    trainer = Trainer(net, max_iter=2, random_state=0)
    trainer.fit(X, y, *val)
    return trainer


CALLS = {
    "predict": lambda trainer, X, y: trainer.network.predict(X),
    "predict_proba": lambda trainer, X, y: trainer.network.predict_proba(X),
    "decision_function": lambda trainer, X, y: trainer.network.decision_function(X),
    "loss_and_gradient": lambda trainer, X, y: trainer.network.loss_and_gradient(X, y),
    "fit": lambda trainer, X, y: trainer.fit(X, y),
    "validation": lambda trainer, X, y: trainer.fit(X.to_numpy(), y, X, y),
}


@pytest.mark.parametrize("kind", [pandas, polars])
@pytest.mark.parametrize("call", CALLS)
def test_columns_in_another_order_are_refused(kind, call):
    X, y = data(kind)
    trainer = trained(X, y)
    before = trainer.network.params.copy()
    name = "X_val" if call == "validation" else "X"
    with pytest.raises(
        ValueError,
        match=rf"{name} has the columns of the network in another order: column 0 is 'rooms', but "
        rf"needed is 'age': pass {name}\[list\(network\.feature_names_in_\)\]$",
    ):
        CALLS[call](trainer, X[COLUMNS[::-1]], y)
    np.testing.assert_array_equal(trainer.network.params, before)


def test_other_names_are_refused():
    X, y = data()
    net = trained(X, y).network
    other, _ = data(columns=["age", "price", "space"])
    with pytest.raises(
        ValueError,
        match=r"X has the columns 'price', 'space', which the network does not know, and lacks "
        r"'fare', 'rooms': pass .*to_numpy\(\)",
    ):
        net.predict(other)
    with pytest.raises(ValueError, match=r"X has the columns 'city', which the network does not"):
        net.predict(X.assign(city="Kyoto"))
    with pytest.raises(ValueError, match=r"X lacks the columns 'fare': .* order$"):
        net.predict(X.drop(columns="fare"))
    many = [f"c{i}" for i in range(9)]
    with pytest.raises(ValueError, match=r"'c0', 'c1', 'c2', 'c3', 'c4' and 4 more, which"):
        check_feature_names(pandas.DataFrame([[0] * 9], columns=many), ("a",), "X")


def test_the_validation_set_has_the_columns_of_the_training():
    X, y = data()
    with pytest.raises(ValueError, match=r"X_val has the columns .* in another order"):
        trained(X, y, X[COLUMNS[::-1]], y)


def test_names_are_known_after_a_fit_only():
    X, y = data()
    net = Network((3, 4, 2), random_state=0)
    assert net.feature_names_in_ is None
    with pytest.raises(ValueError, match="label"):
        Trainer(net).fit(X, y + 7)
    assert net.feature_names_in_ is None
    Trainer(net, max_iter=1).fit(X.to_numpy(), y)
    assert net.feature_names_in_ is None
    Trainer(net, max_iter=1).fit(X, y)
    assert net.feature_names_in_.dtype == object
    assert net.feature_names_in_.tolist() == COLUMNS
    Trainer(net, max_iter=1).fit(X.to_numpy(), y)
    assert net.feature_names_in_.tolist() == COLUMNS


def of_statistics(mean, scale, **options):
    return Network((3, 4, 2), input_mean=mean, input_scale=scale, random_state=0, **options)


def test_the_labels_of_a_mean_are_names():
    X, y = data()
    numbered = X.std().set_axis([0, 1, 2])
    for mean, scale in (
        *((X.mean(), X.std()), (X.mean(), X.std().to_numpy()), (X.mean(), 2.0)),
        *((0.0, X.std()), (X.mean().tolist(), X.std()), (X.mean(), numbered)),
    ):
        net = of_statistics(mean, scale)
        assert net.feature_names_in_.tolist() == COLUMNS
        turned = X[COLUMNS[::-1]]
        for call in (
            lambda net=net, turned=turned: net.predict(turned),
            lambda net=net, turned=turned: Trainer(net, max_iter=1).fit(turned, y),
        ):
            with pytest.raises(ValueError, match=r"X has the columns of the network in another or"):
                call()
        with pytest.raises(ValueError, match=r"X has the columns 'a', 'b', 'c', which the network"):
            net.predict(X.set_axis(["a", "b", "c"], axis=1))
        np.testing.assert_array_equal(net.predict(X), net.predict(X.to_numpy()))
        Trainer(net, max_iter=1).fit(X.to_numpy(), y)
        assert net.feature_names_in_.tolist() == COLUMNS
    for mean in (X.mean().to_numpy(), X.mean().set_axis(["age", "fare", 2]), numbered, 0):
        assert of_statistics(mean, 1).feature_names_in_ is None


def test_a_mean_and_a_scale_of_other_columns_are_refused():
    X, _ = data()
    with pytest.raises(
        ValueError,
        match=r"^input_scale has the columns of input_mean in another order: column 0 is 'rooms', "
        r"but needed is 'age': pass input_scale\[input_mean\.index\]$",
    ):
        of_statistics(X.mean(), X[COLUMNS[::-1]].std())
    with pytest.raises(
        ValueError,
        match=r"^input_scale has the columns 'price', which input_mean has not and lacks 'fare': "
        r"compute both of the same columns of one frame$",
    ):
        of_statistics(X.mean(), X.std().rename({"fare": "price"}))


def test_statistics_of_a_frame_of_polars_are_told_how_to_pass():
    X, _ = data(polars)
    with pytest.raises(ValueError, match=r"input_mean has shape \(1, 3\), .* numpy\.ravel\("):
        of_statistics(X.mean(), 1.0)
    np.testing.assert_array_equal(
        of_statistics(np.ravel(X.mean()), 1.0).input_mean, np.ravel(X.mean())
    )


def test_a_row_of_a_frame_is_told_to_keep_its_names():
    X, y = data()
    net = trained(X, y).network
    for row in (X.iloc[3], X.iloc[3].astype(object)):
        with pytest.raises(ValueError, match=r"for one sample pass X\.to_frame\(\)\.T$"):
            net.predict_proba(row)
        np.testing.assert_array_equal(
            net.predict_proba(row.to_frame().T), net.predict_proba(X.iloc[3:4])
        )
    with pytest.raises(ValueError, match=r"X has the columns of the network in another order"):
        net.predict_proba(X.iloc[3][COLUMNS[::-1]].to_frame().T)
    with pytest.raises(ValueError, match=r"for one sample pass numpy\.reshape\(X, \(1, -1\)\)$"):
        net.predict_proba(X.iloc[3].set_axis([0, 1, 2]))


def test_the_names_of_a_mean_are_kept_in_files(tmp_path):
    X, _ = data()
    of_statistics(X.mean(), X.std()).save(tmp_path / "net.safetensors")
    assert Network.load(tmp_path / "net.safetensors").feature_names_in_.tolist() == COLUMNS


def test_what_has_no_names_is_taken_by_place():
    X, y = data()
    net = trained(X, y).network
    expected = net.predict_proba(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rows in (X.to_numpy(), X.to_numpy().tolist(), X.set_axis([0, 1, 2], axis=1)):
            np.testing.assert_array_equal(net.predict_proba(rows), expected)
    assert feature_names(X.set_axis(["a", 1, "b"], axis=1)) is None
    # As many names, but one of them twice: which is which, nobody knows.
    twice = X.set_axis(["age", "fare", "fare"], axis=1)
    with pytest.raises(ValueError, match=r"X lacks the columns 'rooms'"):
        net.predict(twice)


def test_names_are_kept_in_files_pickles_and_copies(tmp_path):
    X, y = data()
    trainer = trained(X, y)
    net = trainer.network
    net.save(tmp_path / "net.safetensors")
    trainer.save(tmp_path / "trainer.safetensors")
    for other in (
        Network.load(tmp_path / "net.safetensors"),
        Network.load(tmp_path / "trainer.safetensors"),
        Trainer.load(tmp_path / "trainer.safetensors").network,
        *(pickle.loads(pickle.dumps(net)), copy.copy(net), copy.deepcopy(net)),
    ):
        assert other.feature_names_in_.tolist() == COLUMNS
        with pytest.raises(ValueError, match="another order"):
            other.predict(X[COLUMNS[::-1]])
        np.testing.assert_array_equal(other.predict(X), net.predict(X))


def test_files_and_pickles_without_names_are_read(tmp_path):
    path = tmp_path / "net.safetensors"
    net = Network((3, 4, 2), random_state=0)
    net.save(path)
    with safe_open(path, framework="numpy") as file:
        assert "feature_names" not in json.loads(file.metadata()["description"])
    assert Network.load(path).feature_names_in_ is None
    state = net.__getstate__()
    del state["_feature_names"]
    other = Network.__new__(Network)
    other.__setstate__(state)
    assert other.feature_names_in_ is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b"], "feature_names holds 2 names, but the network has 3 inputs"),
        (["a", "b", 1], r"feature_names\[2\] is 1, but needed is a text"),
        (["a", "b", None], r"feature_names\[2\] is None, but needed is a text"),
        ("abc", "feature_names is 'abc', but needed is a list of texts"),
        (None, "feature_names is None, but needed is a list of texts"),
        ({"a": 0, "b": 1, "c": 2}, "feature_names is {.*}, but needed is a list of texts"),
    ],
)
@pytest.mark.parametrize("kind", [Network, Trainer])
def test_names_that_no_fit_leaves_are_refused(tmp_path, names, message, kind):
    path = tmp_path / "net.safetensors"
    trainer = trained(*data())
    (trainer.network if kind is Network else trainer).save(path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    description = json.loads(metadata["description"]) | {"feature_names": names}
    container.write(path, metadata["format"], description, arrays)
    with pytest.raises(ValueError, match=rf"is damaged.*{message}"):
        kind.load(path)


def test_a_network_made_of_an_estimator_has_its_names():
    neural_network = pytest.importorskip("sklearn.neural_network")
    X, y = data()
    clf = neural_network.MLPClassifier((4,), solver="lbfgs", max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.fit(X, y)
    assert Network.from_sklearn(clf).feature_names_in_.tolist() == COLUMNS
