"""``fastnn train``."""

import os
import re
import sys

import numpy as np
import pytest

from fastnn import TwoLayerNet, get_num_threads
from fastnn.cli import experiment
from fastnn.data import load_dataset

PNG = b"\x89PNG"


@pytest.mark.parametrize("seed", [0, 1])
def test_train_digits_without_options(invoke, tmp_path, seed):
    output = invoke("train", "digits", "--seed", seed)
    assert output.fact("Test accuracy") >= 0.96
    assert output.fact("Training accuracy") == 1
    for name in ("Validation accuracy", "Steps", "Time", "Samples a second", "Threads"):
        assert output.fact(name) > 0
    assert "GFLOP/s" in output.stdout
    folder = tmp_path / "fastnn-digits"
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.png",
        "model.safetensors",
        "weights.png",
    ]
    assert (folder / "history.png").read_bytes().startswith(PNG)
    assert (folder / "weights.png").read_bytes().startswith(PNG)
    assert f"Wrote {folder.name}/model.safetensors" in output.stdout.replace(os.sep, "/")


def test_model_takes_the_data_as_they_are_in_the_file(invoke, blobs):
    with np.load(blobs) as arrays:
        X, y = arrays["X"], arrays["y"]
    output = invoke("train", blobs, "--out", "out", "--hidden", 20)
    net = TwoLayerNet.load("out/model.safetensors")
    assert net.params["W1"].dtype == np.float32
    assert net.params["W1"].shape == (3, 20)
    assert np.mean(net.predict(X.astype(np.float32)) == y) >= 0.97
    result = invoke("predict", "out/model.safetensors", blobs)
    shares = {"Training": 105, "Validation": 15, "Test": 30}
    right = sum(output.fact(f"{name} accuracy") * count for name, count in shares.items())
    assert re.search(r"\((\d+) of 150 rows\)", result.stderr)[1] == str(round(right))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_folding_changes_no_score(dtype):
    rng = np.random.default_rng(0)
    X, mean, scale = rng.normal(size=(9, 4)), rng.normal(size=4), rng.uniform(0.1, 10, 4)
    net = TwoLayerNet(4, 6, 3, std=1, dtype=dtype, random_state=0)
    expected = net.loss(X.astype(dtype))
    W1 = net.params["W1"]
    experiment.fold_preprocessing(net, mean, scale)
    assert net.params["W1"] is W1
    actual = net.loss((X * scale + mean).astype(dtype))
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=200 * np.finfo(dtype).eps)


def test_train_repeats_the_class(invoke, blobs):
    """The options reach the class: the same weights, but for the folding."""
    invoke(
        *("train", blobs, "--out", "out", "--hidden", 5, "--num-iters", 37, "--batch-size", 10),
        *("--learning-rate", 0.3, "--reg", 0.01, "--decay", 0.8, "--std", 0.5),
        *("--dtype", "float64", "--seed", 4),
    )

    dataset = load_dataset(blobs, random_state=4, dtype=np.float64)
    net = TwoLayerNet(3, 5, 3, std=0.5, random_state=4)
    net.train(
        *(dataset.X_train, dataset.y_train, dataset.X_val, dataset.y_val),
        learning_rate=0.3,
        learning_rate_decay=0.8,
        reg=0.01,
        num_iters=37,
        batch_size=10,
    )
    experiment.fold_preprocessing(net, dataset.mean, dataset.scale)
    written = TwoLayerNet.load("out/model.safetensors")
    for name, parameter in net.params.items():
        np.testing.assert_array_equal(written.params[name], parameter)


def test_train_cifar10(invoke, cifar10, tmp_path):
    output = invoke("train", cifar10, "--num-iters", 30, "--learning-rate", 1e-3)
    assert output.fact("Steps") == 30
    assert (tmp_path / "fastnn-cifar10" / "weights.png").read_bytes().startswith(PNG)
    result = invoke("predict", "fastnn-cifar10/model.safetensors", cifar10)
    classes = [int(line) for line in result.stdout.split()]
    assert len(classes) == 20
    right = sum(predicted == i % 10 for i, predicted in enumerate(classes))
    assert result.stderr.strip() == f"Accuracy {right / 20:.4f} ({right} of 20 rows)"
    assert output.fact("Test accuracy") == right / 20


def test_rows_that_are_no_images_leave_no_picture_of_weights(invoke, blobs, tmp_path):
    invoke("train", blobs, "--epochs", 1)
    names = sorted(path.name for path in (tmp_path / "fastnn-blobs").iterdir())
    assert names == ["history.png", "model.safetensors"]


def test_threads_option(invoke, blobs, restore_threads):
    invoke("train", blobs, "--epochs", 1, "--threads", 1)
    assert get_num_threads() == 1


def test_diverged_training_is_an_error_and_shows_its_losses(invoke, tmp_path):
    result = invoke("train", "digits", "--learning-rate", 1e6, "--out", "out", code=1)
    assert re.match(
        r"Error: training diverged: the loss is not finite from step \d+ on", result.error
    )
    assert "Lower --learning-rate, which was 1e+06" in result.error
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["history.png"]


def test_model_is_saved_without_matplotlib(invoke, blobs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "fastnn._figure", raising=False)
    result = invoke("train", blobs, "--epochs", 1, "--out", "out")
    assert 'No plots: plots need matplotlib, which is missing: pip install "fastnn[plot]"' in (
        result.stderr
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.safetensors"]


def test_missing_scikit_learn(invoke, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert 'pip install "fastnn[sklearn]"' in invoke("train", "digits", code=1).error
