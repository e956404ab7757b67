"""Regressions: in the user's units, whatever these are."""

import re

import numpy as np
import pytest

from fastnn import Network
from fastnn.cli.scores import root_mean_square
from fastnn.data import load_dataset

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1000, 5))
Z = X[:, 0] * X[:, 1] + np.sin(X[:, 2]) + 0.1 * RNG.normal(size=1000)

REGRESSION = ("--task", "regression", "--out", "out")
TARGETS = {
    "prices": 5e5 + 1e5 * Z,
    "tiny": 1e-9 * Z,
    "vanishing": 1e-300 * Z,
    "huge": 1e300 * Z,
    "millions": 1e6 + Z,
    "billions": 1e9 + Z,
    "far away": 1e12 + Z,
    "float32": (5e5 + 1e5 * Z).astype("f4"),
    "integers": np.round(5e5 + 1e5 * Z).astype(int),
}


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_plain_targets(invoke):
    result = invoke("train", saved("a.npz", X=X, y=Z), *REGRESSION)
    assert result.fact("Training R^2") > 0.95
    assert result.fact("Test R^2") > 0.9
    assert result.fact("Validation RMSE") < 0.5


def test_the_help_says_that_the_model_is_of_float64(invoke):
    out = " ".join(invoke("train", "--help").stdout.split())
    assert "The model of a regression is float64 in any case" in out
    invoke("train", saved("a.npz", X=X, y=Z), *REGRESSION, "--epochs", 1, "--out", "out")
    assert Network.load("out/model.safetensors").dtype == np.float64


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_targets_of_any_unit_and_offset(invoke, y):
    expected = invoke("train", saved("a.npz", X=X, y=Z), *REGRESSION)
    result = invoke("train", saved("b.npz", X=X, y=y), *REGRESSION)
    unit = np.std(y / np.abs(y).max(), dtype=float) * float(np.abs(y).max()) / Z.std()
    for split in ("Training", "Validation", "Test"):
        name = f"{split} R^2"
        assert result.fact(name) == pytest.approx(expected.fact(name), abs=3e-3)
        name = f"{split} RMSE"
        assert result.fact(name) == pytest.approx(expected.fact(name) * unit, rel=0.02)


def test_what_is_told_is_what_the_model_in_the_file_does(invoke):
    metrics = pytest.importorskip("sklearn.metrics")
    result = invoke("train", saved("a.npz", X=X, y=1e9 + Z), *REGRESSION, "--epochs", 3)
    model = Network.load("out/model.safetensors")
    dataset = load_dataset("a.npz", task="regression")
    for name, split in (("Training", "train"), ("Validation", "val"), ("Test", "test")):
        rows, y = getattr(dataset, f"X_{split}"), getattr(dataset, f"y_{split}")[:, 0]
        predicted = model.predict(rows)
        share = metrics.r2_score(y, predicted)
        assert result.fact(f"{name} R^2") == pytest.approx(share, abs=6e-5)
        error = metrics.root_mean_squared_error(y, predicted)
        assert result.fact(f"{name} RMSE") == pytest.approx(error, rel=1e-3)


def test_several_targets(invoke):
    metrics = pytest.importorskip("sklearn.metrics")
    y = np.column_stack([1e9 + Z, 1e-9 * X[:, 3], 5e5 + 1e5 * X[:, 4]])
    result = invoke("train", saved("a.npz", X=X, y=y), *REGRESSION)
    dataset = load_dataset("a.npz", task="regression")
    predicted = Network.load("out/model.safetensors").predict(dataset.X_test)
    share = metrics.r2_score(dataset.y_test, predicted)
    assert share > 0.9
    assert result.fact("Test R^2") == pytest.approx(share, abs=6e-5)
    errors = re.search(r"Test RMSE +(\S+), (\S+), (\S+)", result.stdout).groups()
    expected = root_mean_square(dataset.y_test - predicted)
    np.testing.assert_allclose([float(error) for error in errors], expected, rtol=1e-3)


@pytest.mark.parametrize("columns", [1, 3])
def test_predict_writes_numbers(invoke, tmp_path, columns):
    y = np.column_stack([1e9 + Z, Z, 1e-9 * Z])[:, :columns]
    invoke("train", saved("a.npz", X=X, y=y), *REGRESSION, "--epochs", 2)
    expected = Network.load("out/model.safetensors").predict(X).reshape(-1, columns)
    result = invoke("predict", "out/model.safetensors", "a.npz")
    actual = [line.split(",") for line in result.stdout.splitlines()]
    # As many digits as tell the numbers apart.
    np.testing.assert_array_equal(np.array(actual, float), expected)
    assert re.fullmatch(
        r"R\^2 -?[\d.]+, RMSE [\de.+-]+(, [\de.+-]+)* \(1000 rows\)\n", result.stderr
    )
    invoke("predict", "out/model.safetensors", "a.npz", "--out", "p.csv")
    csv = np.loadtxt("p.csv", delimiter=",", ndmin=2)
    np.testing.assert_array_equal(csv, expected)
    invoke("predict", "out/model.safetensors", "a.npz", "--out", "p.npy")
    np.testing.assert_array_equal(np.load("p.npy").reshape(-1, columns), expected)


def test_prices_as_classes_are_an_error_that_says_what_to_do(invoke):
    prices = np.round(5e5 + 1e5 * Z)
    for y in (prices, prices.astype(int), prices + 0.5):
        message = invoke("train", saved("a.npz", X=X, y=y), "--out", "out", code=1).error
        assert "train with --task regression" in message
    # ... before anything is made for them.
    result = invoke("train", "a.npz", *REGRESSION, "--epochs", 1)
    assert "Test RMSE" in result.stdout


def test_who_insists_on_classes_gets_them(invoke):
    y = np.arange(1000) % 600
    assert "looks like numbers" in invoke("train", saved("a.npz", X=X, y=y), code=1).error
    invoke("train", "a.npz", "--task", "classification", "--epochs", 1)


def test_notes_on_odd_labels(invoke):
    words = ("--epochs", 1, "--out", "out")
    result = invoke("train", saved("a.npz", X=X, y=1 + np.arange(1000) % 2), *words)
    assert result.stderr == (
        "Note: class 0 does not occur in y in a.npz (classes 0 to 2). If your labels start at 1, "
        "number them from 0: y - 1\n"
    )
    result = invoke("train", saved("a.npz", X=X, y=np.zeros(1000)), *words)
    assert "y in a.npz holds one class only, 0: there is nothing to tell apart" in result.stderr
    assert result.fact("Test accuracy") == 1


def test_target_beyond_the_range_is_named(invoke):
    path = saved("a.npz", X=X, y=Z, X_val=X, y_val=1e300 * Z)
    message = invoke("train", path, *REGRESSION, code=1).error
    assert re.search(r"y_val holds \S+e\+\d+, which is beyond the range of float32, st", message)


def test_model_of_classes_says_so_of_numbers(invoke):
    invoke("train", "digits", "--epochs", 1, "--out", "out")
    path = saved("a.npz", X=np.zeros((9, 64)), y=np.arange(9) + 0.5)
    message = invoke("predict", "out/model.safetensors", path, code=1).error
    assert "looks like a number to predict: train with --task regression" in message


def test_digits_as_numbers(invoke):
    assert invoke("train", "digits", *REGRESSION).fact("Test R^2") > 0.8


def test_validation_row_that_does_not_vary(invoke):
    words = {"X": X, "y": Z, "X_val": X[:1], "y_val": Z[:1]}
    result = invoke("train", saved("a.npz", **words), *REGRESSION)
    assert re.search(r"Validation R\^2 +undefined", result.stdout)
    result = invoke("sweep", "a.npz", *REGRESSION, "--hidden", 1, 100)
    assert "validation R^2 undefined" in result.stdout


def test_bytes_of_images(invoke):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (400, 6, 6, 3)) + rng.integers(0, 156, (400, 1, 1, 1))
    y = 1e6 + images.mean(axis=(1, 2, 3))
    path = saved("a.npz", X=images.astype(np.uint8), y=y)
    assert invoke("train", path, *REGRESSION).fact("Test R^2") > 0.95
    assert Network.load("out/model.safetensors").predict(
        images.reshape(400, -1).astype(np.uint8)
    ) == pytest.approx(y, abs=30)
