"""``fastnn sweep``."""

import re

import numpy as np
import pytest

from fastnn import Network
from fastnn.cli import experiment, options
from fastnn.cli.problem import problem_of
from fastnn.cli.scores import Score
from fastnn.cli.settings import PRESETS, grid, settings_for
from fastnn.data import load_dataset


def test_sweep_trains_all_combinations_and_keeps_the_best(invoke, tmp_path):
    result = invoke(
        *("sweep", "digits", "--learning-rate", 1e6, 0.2, "--reg", 0, 0.001, 1e-2),
        *("--epochs", 3, "--hidden", 30, "--out", "out"),
    )
    lines = re.findall(r"^\d/6  .*", result.stdout, re.M)
    assert [line[:5] for line in lines] == [f"{i}/6  " for i in range(1, 7)]
    pairs = {re.search(r"learning rate (\S+)  reg (\S+)", line).groups() for line in lines}
    assert pairs == {(rate, reg) for rate in ("1e+06", "0.2") for reg in ("0", "0.001", "0.01")}
    assert sum("diverged" in line for line in lines) == 3
    accuracies = [
        float(re.search(r"validation accuracy (\S+)", x)[1]) for x in lines if "diverged" not in x
    ]

    table = result.stdout[result.stdout.index("Final loss") :]
    in_table = [float(value) for value in re.findall(r"(0\.\d{4}|1\.0000) *$", table, re.M)]
    assert in_table[:3] == sorted(accuracies, reverse=True)
    test_accuracy = float(re.search(r"Test accuracy of the best: (\S+)", result.stdout)[1])
    assert test_accuracy > 0.85
    assert len(list((tmp_path / "out").iterdir())) == 3
    dataset = load_dataset("digits")
    best = Network.load("out/model.safetensors")
    for X, y, told in (
        (dataset.X_val, dataset.y_val, max(accuracies)),
        (dataset.X_test, dataset.y_test, test_accuracy),
    ):
        assert np.mean(best.predict(X) == y) == pytest.approx(told, abs=1e-4)


def test_sweep_gives_what_training_alone_gives(blobs):
    """Side by side, on one kernel thread each, and in any order: the same bits."""
    problem = problem_of(load_dataset(blobs), "float32")
    settings = settings_for("npz", "classification", num_iters=20, hidden=6)
    combinations = grid(settings, learning_rate=[0.1, 0.3], reg=[0.0, 0.1])
    alone = {each: experiment.run(problem, each) for each in combinations}
    for outcome in experiment.sweep(problem, combinations, workers=4):
        expected = alone[outcome.settings].model
        np.testing.assert_array_equal(outcome.model.params, expected.params, strict=True)


def test_sweep_of_a_regression(invoke, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    np.savez(tmp_path / "a.npz", X=X, y=5e5 + 1e5 * X[:, 0] * X[:, 1])
    words = ("--task", "regression", "--hidden", 1, 50, "--out", "out")
    result = invoke("sweep", "a.npz", *words)
    found = re.findall(r"hidden (\d+) .* validation R\^2 (\S+)  \(", result.stdout)
    assert len(found) == 2
    values = {int(hidden): float(value) for hidden, value in found}
    assert values[50] > 0.8 > values[1]
    assert "Validation R^2" in result.stdout
    assert float(re.search(r"Test R\^2 of the best: (\S+)", result.stdout)[1]) > 0.8
    assert 0 < float(re.search(r"Test RMSE of the best: (\S+)", result.stdout)[1]) < 5e4
    assert Network.load("out/model.safetensors").layer_sizes == (4, 50, 1)


def test_sweep_in_which_all_diverge(invoke, tmp_path):
    result = invoke("sweep", "digits", "--learning-rate", 1e6, 1e7, "--out", "out", code=1)
    assert result.error.startswith("Error: all 2 runs diverged, and no model was written")
    assert list((tmp_path / "out").iterdir()) == []


def test_diverged_is_never_best():
    def outcome(loss, **scores):
        net = Network((2, 2, 2), random_state=0)
        history = {"step_loss": np.array([loss])}
        return experiment.Outcome(net, PRESETS["npz"], history, 1.0, False, scores)

    bad, good = outcome(np.nan), outcome(1.0, val=Score("R^2", -1e300))
    assert max([bad, good], key=lambda each: each.rank) is good
    assert bad.diverged_at == 0
    assert good.diverged_at is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("D --reg 1 2 --out o", "D --reg 1 --reg 2 --out o"),
        ("--reg 1e-3 -2 D", "--reg 1e-3 --reg -2 D"),
        ("--reg=1 2 3 D", "--reg=1 --reg 2 --reg 3 D"),
        ("--reg 1 --reg 2 3", "--reg 1 --reg 2 --reg 3"),
        ("--reg 1 --hidden 5 6", "--reg 1 --hidden 5 --hidden 6"),
        ("--epochs 3 4", "--epochs 3 4"),
        ("--reg", "--reg"),
    ],
)
def test_options_with_many_values(words, expected):
    actual = options._repeat_options(words.split(), {"--reg", "--hidden"})
    assert " ".join(actual) == expected
