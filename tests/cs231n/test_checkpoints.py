"""Checkpoints of a Solver: what is written, and that a training goes on from them."""

import copy
from pathlib import Path

import numpy as np
import pytest

from fastnn.cs231n import FullyConnectedNet, Solver, TwoLayerNet

from .problems import HISTORIES, RATES, assert_equal, data_of

OPTIONS = {"batch_size": 12, "verbose": False, "lr_decay": 0.9}


class AffineScores:
    """A model of somebody's own, whose parameters have a shape that no network of fastnn has."""

    def __init__(self):
        self.params = {"W": np.zeros((2, 12, 5), np.float32)}

    def loss(self, X, y=None):
        X = X.reshape(len(X), 2, 12)
        S = np.einsum("nik,ikc->nc", X, self.params["W"])
        if y is None:
            return S
        difference = S - np.eye(5)[y]
        dW = 2 * np.einsum("nik,nc->ikc", X, difference) / len(X)
        return np.mean(np.sum(difference**2, axis=1)), {"W": dW}


def net_of(kind="compiled"):
    np.random.seed(231)
    if kind == "own":
        return AffineScores()
    if kind == "2017":
        return TwoLayerNet(24, 20, 5, std=0.1)
    return FullyConnectedNet([20, 9], 24, 5, weight_scale=0.3, reg=0.1, dtype=np.float64)


def trained(net, rule="adam", **options):
    """Return a Solver that has trained a network from a seed on."""
    config = {"learning_rate": RATES[rule] / (100 if isinstance(net, AffineScores) else 1)}
    solver = Solver(net, data_of(), update_rule=rule, optim_config=config, **{**OPTIONS, **options})
    np.random.seed(7)
    solver.train()
    return solver


@pytest.mark.parametrize("kind", ["compiled", "2017", "own"])
@pytest.mark.parametrize("rule", RATES)
def test_a_training_goes_on_from_a_checkpoint(kind, rule, tmp_path):
    name = tmp_path / "course"
    solver = trained(net_of(kind), rule, num_epochs=3, checkpoint_name=str(name))
    names = [f"course_epoch_{epoch}.safetensors" for epoch in range(4)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    twin = trained(net_of(kind), rule, num_epochs=3)
    assert_equal(solver, twin, rtol=0)

    # From the second epoch on, with the third epoch's draws.
    middle = trained(net_of(kind), rule, num_epochs=2)
    state = np.random.get_state()
    fresh = Solver(net_of(kind), data_of(), update_rule=rule, num_epochs=1, **OPTIONS)
    fresh.restore(tmp_path / names[2])
    assert (fresh.epoch, fresh.loss_history) == (2, twin.loss_history[:20])
    assert fresh.val_acc_history == middle.val_acc_history
    np.random.set_state(state)
    fresh.train()
    assert list(fresh.model.params) == list(twin.model.params)
    # A training begins with a check behind its first step, which may be the best of it.
    np.testing.assert_allclose(fresh.loss_history, twin.loss_history, rtol=1e-12)
    assert fresh.val_acc_history[-1] == twin.val_acc_history[-1]
    for name, config in twin.optim_configs.items():
        for key, value in config.items():
            found = fresh.optim_configs[name][key]
            np.testing.assert_allclose(found, value, atol=1e-12 * np.abs(value).max())


@pytest.mark.parametrize("kind", ["compiled", "own"])
def test_a_checkpoint_knows_whether_it_is_the_best(kind, tmp_path):
    solver = trained(net_of(kind), num_epochs=3, checkpoint_name=str(tmp_path / "course"))
    for epoch in range(4):
        fresh = Solver(net_of(kind), data_of(), update_rule="adam", **OPTIONS)
        fresh.restore(tmp_path / f"course_epoch_{epoch}.safetensors")
        assert [len(getattr(fresh, name)) for name in HISTORIES] == [
            *(10 * epoch or 1, 1 + epoch, 1 + epoch)
        ]
        assert fresh.val_acc_history == solver.val_acc_history[: 1 + epoch]
        assert fresh.best_val_acc == max(fresh.val_acc_history)
        if fresh.best_val_acc == fresh.val_acc_history[-1] > max([0, *fresh.val_acc_history[:-1]]):
            for name, array in fresh.model.params.items():
                np.testing.assert_array_equal(fresh.best_params[name], array)


def test_before_any_best_a_checkpoint_has_none(tmp_path):
    data = data_of()
    data["y_val"] = np.full_like(data["y_val"], 4)
    net = net_of()
    net.params["b3"][4] = -100
    options = {**OPTIONS, "checkpoint_name": str(tmp_path / "course"), "num_epochs": 1}
    Solver(net, data, **options).train()
    fresh = Solver(net_of(), data, **OPTIONS)
    fresh.restore(tmp_path / "course_epoch_1.safetensors")
    assert (fresh.best_params, fresh.best_val_acc, fresh.epoch) == ({}, 0, 1)


def test_prints(tmp_path, capsys):
    name = tmp_path / "course"
    trained(net_of(), num_epochs=2, checkpoint_name=str(name), verbose=True, print_every=100)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f'Saving checkpoint to "{name}_epoch_0.safetensors"'
    assert lines[2].startswith("(Epoch 0 / 2) train acc: ")
    assert lines[3] == f'Saving checkpoint to "{name}_epoch_1.safetensors"'


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: (net_of(), "sgd"), ValueError, r"is of a training by adam, but .*'sgd': make one"),
        (
            lambda: (TwoLayerNet(hidden_dim=4, input_dim=24, num_classes=5), "adam"),
            *(ValueError, r"holds parameters of the shapes .*, but the model's are"),
        ),
    ],
)
def test_a_checkpoint_of_something_else(make, error, match, tmp_path):
    trained(net_of(), num_epochs=1, checkpoint_name=str(tmp_path / "course"))
    net, rule = make()
    fresh, before = Solver(net, data_of(), update_rule=rule, **OPTIONS), copy.deepcopy(net.params)
    with pytest.raises(error, match=match):
        fresh.restore(tmp_path / "course_epoch_1.safetensors")
    assert (fresh.epoch, fresh.loss_history) == (0, [])
    for name, array in before.items():
        np.testing.assert_array_equal(net.params[name], array)


def test_files_that_are_none(tmp_path):
    solver = trained(net_of(), num_epochs=1, checkpoint_name=str(tmp_path / "course"))
    path = tmp_path / "course_epoch_1.safetensors"
    with pytest.raises(FileNotFoundError, match="course_epoch_7"):
        solver.restore(tmp_path / "course_epoch_7.safetensors")
    damaged = bytearray(path.read_bytes())
    damaged[-9] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"course_epoch_1.safetensors"):
        solver.restore(path)
    solver.model.save(path)
    with pytest.raises(ValueError, match=r"FullyConnectedNet"):
        solver.restore(path)
    (tmp_path / "course_epoch_0.safetensors").rename(path)
    with pytest.raises(ValueError, match=r"Solver"):
        FullyConnectedNet.load(path)


def test_folders_that_are_not_there_are_told_before_the_work(tmp_path):
    solver = Solver(net_of(), data_of(), checkpoint_name=str(tmp_path / "no" / "course"), **OPTIONS)
    with pytest.raises(OSError, match=r"checkpoint_name"):
        solver.train()
    assert solver.loss_history == []


def test_parameters_that_no_file_holds_are_told_before_the_work(tmp_path):
    net = AffineScores()
    net.params["W"] = net.params["W"].astype(complex)
    solver = Solver(net, data_of(), checkpoint_name=str(tmp_path / "course"), **OPTIONS)
    with pytest.raises(TypeError, match=r"has dtype complex128, but a checkpoint holds .*convert"):
        solver.train()
    assert list(Path(tmp_path).iterdir()) == []
