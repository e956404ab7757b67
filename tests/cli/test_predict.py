"""``fastnn predict``."""

import numpy as np


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


def test_predict_errors(invoke, model):
    _, path = model
    message = invoke("predict", path, "digits", code=1).error
    assert "64 columns" in message
    assert "3 inputs" in message
    message = invoke("predict", path, "digits", "--out", "p.png", code=2).error
    assert "ends in .csv, .txt or .npy" in message
