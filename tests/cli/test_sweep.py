"""``fastnn sweep``."""

import re

import numpy as np
import pytest

from fastnn import TwoLayerNet
from fastnn.cli import experiment, options
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
    accuracies = [float(re.search(r"validation (\S+)", x)[1]) for x in lines if "diverged" not in x]

    table = result.stdout[result.stdout.index("Final loss") :]
    in_table = [float(value) for value in re.findall(r"(0\.\d{4}|1\.0000) *$", table, re.M)]
    assert in_table[:3] == sorted(accuracies, reverse=True)
    test_accuracy = float(re.search(r"Test accuracy of the best: (\S+)", result.stdout)[1])
    assert test_accuracy > 0.85
    assert len(list((tmp_path / "out").iterdir())) == 3
    dataset = load_dataset("digits")
    best = TwoLayerNet.load("out/model.safetensors")
    assert experiment.accuracy(best, dataset, "val") == pytest.approx(max(accuracies), abs=1e-4)
    assert experiment.accuracy(best, dataset, "test") == pytest.approx(test_accuracy, abs=1e-4)


def test_sweep_gives_what_training_alone_gives(blobs):
    """Side by side, on one kernel thread each, and in any order: the same bits."""
    dataset = load_dataset(blobs)
    settings = experiment.settings_for("npz", epochs=2, hidden=6)
    combinations = experiment.grid(settings, learning_rate=[0.1, 0.3], reg=[0.0, 0.1])
    alone = {each: experiment.run(dataset, each) for each in combinations}
    for outcome in experiment.sweep(dataset, combinations, workers=4):
        for name, parameter in outcome.net.params.items():
            np.testing.assert_array_equal(
                parameter, alone[outcome.settings].net.params[name], strict=True
            )


def test_sweep_in_which_all_diverge(invoke, tmp_path):
    result = invoke("sweep", "digits", "--learning-rate", 1e6, 1e7, "--out", "out", code=1)
    assert result.error.startswith("Error: all 2 runs diverged, and no model was written")
    assert list((tmp_path / "out").iterdir()) == []


def test_diverged_is_never_best():
    nets = [TwoLayerNet(2, 2, 2, random_state=0) for _ in range(2)]
    settings = experiment.PRESETS["npz"]
    history = {"loss_history": [1.0], "train_acc_history": [], "val_acc_history": []}
    bad = experiment.Outcome(nets[0], settings, history | {"loss_history": [np.nan]}, 1.0, False)
    good = experiment.Outcome(nets[1], settings, history, 1.0, False, {"val": 0.0})
    assert max([bad, good], key=experiment.rank) is good
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
