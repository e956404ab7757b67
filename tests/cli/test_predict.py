"""``fastnn predict``."""

import numpy as np
import pytest

from fastnn import Network, Trainer, TwoLayerNet


def test_predict_writes_one_class_a_line(invoke, model, tmp_path):
    net, path = model
    X = np.random.default_rng(0).normal(size=(40, 3))
    np.save(tmp_path / "X.npy", X)
    expected = net.predict(X)
    assert set(expected) == {0, 1}

    result = invoke("predict", path, "X.npy")
    assert result.stdout == "".join(f"{label}\n" for label in expected)
    assert result.stderr == ""
    for name in ("p.csv", "p.txt"):
        result = invoke("predict", path, "X.npy", "--out", name)
        assert result.stdout == ""
        np.testing.assert_array_equal(np.loadtxt(tmp_path / name, dtype=int), expected)
    invoke("predict", path, "X.npy", "--out", "p.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), expected)


def test_predict_tells_the_accuracy_where_labels_are(invoke, model, tmp_path):
    net, path = model
    X = np.random.default_rng(0).integers(-9, 9, (4, 3))
    y = net.predict(X.astype(float))
    y[0] = 1 - y[0]
    np.savez(tmp_path / "a.npz", X=X, y=y)
    result = invoke("predict", path, "a.npz")
    assert len(result.stdout.splitlines()) == 4
    assert result.stderr == "Accuracy 0.7500 (3 of 4 rows)\n"


@pytest.mark.parametrize("head", ["softmax", "logistic", "identity", "exponential"])
def test_predict_reads_networks_of_any_head(invoke, tmp_path, head):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    net = Network((3, 4, 2), head=head, random_state=0, input_mean=1.0, input_scale=5.0)
    net.save(tmp_path / "net.safetensors")
    expected = net.predict(X)
    np.savez(tmp_path / "a.npz", X=X, y=expected)
    result = invoke("predict", "net.safetensors", "a.npz")
    actual = np.loadtxt(result.stdout.splitlines(), delimiter=",", dtype=expected.dtype)
    np.testing.assert_array_equal(actual, expected)
    told = {"softmax": "Accuracy 1.0000 (30 of 30 rows)\n", "identity": "R^2 1.0000, RMSE 0, 0 (30"}
    told |= {"logistic": told["softmax"], "exponential": told["identity"]}
    assert result.stderr.startswith(told[head])


def test_predict_reads_checkpoints(invoke, tmp_path):
    X, y = np.eye(3), np.arange(3)
    trainer = Trainer(Network((3, 3), random_state=0), max_iter=2, random_state=0)
    trainer.fit(X, y, checkpoint=tmp_path / "c.safetensors")
    np.save(tmp_path / "X.npy", X)
    result = invoke("predict", "c.safetensors", "X.npy")
    assert result.stdout.split() == [str(label) for label in trainer.network.predict(X)]


@pytest.mark.parametrize("kind", [Network, TwoLayerNet])
def test_what_is_no_model(invoke, tmp_path, kind):
    (tmp_path / "notes.txt").write_text("notes")
    message = invoke("predict", "notes.txt", "digits", code=1).error
    assert "notes.txt is not a safetensors file" in message
    message = invoke("predict", "nothing", "digits", code=1).error
    assert "nothing is no file: pass one written by Network.save" in message
    net = kind((3, 4, 2)) if kind is Network else kind(3, 4, 2)
    net.save(tmp_path / "cut")
    contents = (tmp_path / "cut").read_bytes()
    (tmp_path / "cut").write_bytes(contents[:-9])
    assert "cut is not a safetensors file" in invoke("predict", "cut", "digits", code=1).error


def test_predict_errors(invoke, model):
    _, path = model
    message = invoke("predict", path, "digits", code=1).error
    assert "64 columns" in message
    assert "3 inputs" in message
    message = invoke("predict", path, "digits", "--out", "p.png", code=2).error
    assert "ends in .csv, .txt or .npy" in message
