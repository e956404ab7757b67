"""``fastnn train``."""

import os
import re
import sys

import numpy as np
import pytest

from fastnn import Network, Trainer, get_num_threads, optimizers, schedules
from fastnn.cli import experiment
from fastnn.cli.problem import problem_of
from fastnn.cli.settings import settings_for
from fastnn.data import load_dataset

PNG = b"\x89PNG"


@pytest.mark.parametrize("seed", [0, 1])
def test_train_digits_without_options(invoke, tmp_path, seed):
    output = invoke("train", "digits", "--seed", seed)
    assert output.fact("Test accuracy") >= 0.96
    assert output.fact("Training accuracy") == 1
    for name in ("Validation accuracy", "Steps", "Time", "Samples a second", "Threads, at most"):
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


@pytest.mark.parametrize("seed", range(10))
def test_preset_of_the_digits_keeps_its_quality(seed):
    dataset = load_dataset("digits", random_state=seed)
    problem = problem_of(dataset, "float32")
    outcome = experiment.run(problem, settings_for("digits", "classification", seed=seed))
    experiment.measure(outcome, dataset, ("test",))
    assert outcome.scores["test"].value >= 0.97


def test_model_takes_the_data_as_they_are_in_the_file(invoke, blobs):
    with np.load(blobs) as arrays:
        X, y = arrays["X"], arrays["y"]
    output = invoke("train", blobs, "--out", "out", "--hidden", 20)
    net = Network.load("out/model.safetensors")
    assert (net.dtype, net.layer_sizes) == (np.float32, (3, 20, 3))
    assert np.mean(net.predict(X) == y) >= 0.97
    result = invoke("predict", "out/model.safetensors", blobs)
    shares = {"Training": 105, "Validation": 15, "Test": 30}
    right = sum(output.fact(f"{name} accuracy") * count for name, count in shares.items())
    assert re.search(r"\((\d+) of 150 rows\)", result.stderr)[1] == str(round(right))


def test_options_reach_the_training(invoke, blobs):
    """SGD of CS231n's class, by a Trainer of the same numbers: the same bits."""
    invoke(
        *("train", blobs, "--out", "out", "--hidden", 5, "--epochs", 4, "--batch-size", 10),
        *("--learning-rate", 0.3, "--reg", 0.01, "--decay", 0.8, "--std", 0.5),
        *("--dtype", "float64", "--seed", 4),
    )
    dataset = load_dataset(blobs, random_state=4)
    net = Network(
        (3, 5, 3),
        dtype=np.float64,
        init=0.5,
        random_state=4,
        input_mean=dataset.inputs.mean,
        input_scale=dataset.inputs.scale,
    )
    trainer = Trainer(
        net,
        optimizers.SGD(0.3),
        batch_size=10,
        max_iter=4,
        schedule=schedules.StepDecay(every=1, factor=0.8),
        alpha=0.01,
        replacement=True,
        random_state=4,
    )
    trainer.fit(dataset.X_train, dataset.y_train)
    written = Network.load("out/model.safetensors")
    np.testing.assert_array_equal(written.params, net.params, strict=True)


@pytest.mark.parametrize("steps", [1, 10, 11, 37, 44])
def test_number_of_steps_is_exact(blobs, steps):
    """Of 11 steps an epoch; the last of them may be cut short."""
    problem = problem_of(load_dataset(blobs), "float64")
    common = {"hidden": 4, "batch_size": 10, "dtype": "float64", "decay": 0.5}
    settings = settings_for("npz", "classification", num_iters=steps, **common)
    outcome = experiment.run(problem, settings)
    assert outcome.steps == steps
    whole, rest = divmod(steps, 11)
    rates = 0.1 * 0.5 ** np.arange(whole + (rest > 0))
    np.testing.assert_allclose(outcome.history["learning_rate"], rates)
    # As far as whole epochs go, they are those of a training without a rest.
    if whole:
        settings = settings_for("npz", "classification", epochs=whole, **common)
        expected = experiment.run(problem, settings).history["step_loss"]
        np.testing.assert_array_equal(outcome.history["step_loss"][: 11 * whole], expected)


def test_batch_larger_than_the_data(invoke, blobs):
    assert invoke("train", blobs, "--batch-size", 10**6, "--epochs", 3).fact("Steps") == 3


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
    assert (
        "No plots: plots need matplotlib, which is missing: python -m pip install matplotlib"
        in (result.stderr)
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.safetensors"]


def test_missing_scikit_learn(invoke, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert "python -m pip install scikit-learn" in invoke("train", "digits", code=1).error
