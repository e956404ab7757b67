"""Columns of any magnitude and offset: trained as if they were standardised, and told the truth."""

import numpy as np
import pytest

from fastnn import Network
from fastnn.data import load_dataset

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(2000, 4))
Y = (Z[:, 0] * Z[:, 1] + Z[:, 2] > 0).astype(int)
NOISE = RNG.normal(size=2000)


def with_column(column):
    return np.column_stack([Z[:, :3], column])


#: Data, and which of them they are but for the scale of columns.
DATA = {
    "pressure": (with_column(101325 * (1 + 1e-12 * NOISE)), with_column(NOISE)),
    "pressure of float32": (
        with_column(101325 * (1 + 1e-12 * NOISE)).astype("f4"),
        with_column(0 * NOISE),
    ),
    "last digit": (with_column(1e20 * (1 + 1e-16 * NOISE)), with_column(0 * NOISE)),
    "within a minute": (1.6e9 + 10 * Z, Z),
    "1e-40": (1e-40 * Z, Z),
    "1e-40 of float32": ((1e-40 * Z).astype("f4"), Z),
    "1e-300": (1e-300 * Z, Z),
    "1e160": (1e160 * Z, Z),
    "1e30 of float32": ((1e30 * Z).astype("f4"), Z),
    "mixed": (Z * [1e-40, 1e160, 1, 1e9] + [0, 0, 1e6, 1e12], Z),
}


def trained(invoke, X, *options):
    """Train; check what is told against the model in its file; return the test accuracy."""
    np.savez("a.npz", X=X, y=Y)
    result = invoke("train", "a.npz", "--out", "out", *options)
    model, dataset = Network.load("out/model.safetensors"), load_dataset("a.npz")
    for name, split in (("Training", "train"), ("Validation", "val"), ("Test", "test")):
        rows, labels = getattr(dataset, f"X_{split}"), getattr(dataset, f"y_{split}")
        right = np.mean(model.predict(rows) == labels)
        assert result.fact(f"{name} accuracy") == float(f"{right:.4f}")
    predicted = invoke("predict", "out/model.safetensors", "a.npz").stdout.split()
    np.testing.assert_array_equal(np.array(predicted, int), model.predict(X))
    return result.fact("Test accuracy")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("X", "plain"), DATA.values(), ids=DATA)
def test_badly_scaled_columns_train_as_standardised_ones(invoke, X, plain, dtype):
    expected = trained(invoke, plain, "--dtype", dtype)
    assert expected > 0.9
    assert trained(invoke, X, "--dtype", dtype) == pytest.approx(expected, abs=0.01)


def test_number_beyond_the_range_is_named(invoke):
    X = Z.copy()
    np.savez("a.npz", X=X[:200], y=Y[:200], X_val=X[:2] * 1e60, y_val=Y[:2])
    message = invoke("train", "a.npz", code=1).error
    assert "X_val holds" in message
    assert "beyond the range of the network's float32: scale that feature" in message


# ------------------------------------------------------------------------------------------- bytes


def stripes(rng, n=600):
    """Images of bytes: bright stripes that lie or stand, over noise."""
    y = np.arange(n) % 2
    X = rng.integers(0, 120, (n, 8, 8))
    places = rng.integers(0, 8, n)
    for image, label, place in zip(X, y, places):
        image[(place, slice(None)) if label else (slice(None), place)] += 100
    return X.astype(np.uint8), y


def test_bytes_stay_bytes_and_give_what_numbers_give(invoke):
    X, y = stripes(np.random.default_rng(0))
    accuracies = []
    for rows in (X, X.astype(float), X.astype("f4")):
        np.savez("a.npz", X=rows, y=y)
        assert load_dataset("a.npz").X_train.dtype == rows.dtype
        result = invoke("train", "a.npz", "--out", "out")
        accuracies.append([result.fact(f"{name} accuracy") for name in ("Validation", "Test")])
    assert min(accuracies[0]) > 0.9
    np.testing.assert_allclose(accuracies, [accuracies[0]] * 3, atol=0.02)
    # The model takes either.
    flat, model = X.reshape(len(X), -1), Network.load("out/model.safetensors")
    assert np.mean(model.predict(flat) == model.predict(flat.astype(float))) > 0.99


def test_flags_of_bytes_are_numbers(invoke):
    """One-hot columns, as get_dummies made them: not divided by 255."""
    rng = np.random.default_rng(0)
    X = np.eye(5, dtype=np.uint8)[rng.integers(0, 5, (1000, 6))].reshape(1000, 30)
    y = (X[:, :5].argmax(axis=1) + X[:, 5:10].argmax(axis=1)) % 2
    np.savez("a.npz", X=X, y=y)
    assert invoke("train", "a.npz", "--out", "out").fact("Test accuracy") > 0.95
