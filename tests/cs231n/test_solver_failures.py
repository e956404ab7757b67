"""Solver: what stops or spoils a training, what is refused, and what its attributes are."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import reference
from fastnn.cs231n import Solver, TwoLayerNet
from fastnn.engine.loop import CompiledLoop

from .problems import HISTORIES, OfTheCourse, data_of, models_of

# ----------------------------------------------------------------------------------- failures


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid", "ignore:divide")
@pytest.mark.parametrize("rate", [1e60, 1e200])
def test_training_that_diverges_goes_on(rate):
    (ours, plain), options = models_of("two-layer"), {"optim_config": {"learning_rate": rate}}
    ours = Solver(ours, data_of(), num_epochs=20, verbose=False, **options)
    np.random.seed(7)
    with pytest.warns(RuntimeWarning, match=r"training has diverged; try a smaller") as caught:
        ours.train()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    plain = reference.cs231n.Solver(plain, data_of(), num_epochs=20, verbose=False, **options)
    np.random.seed(7)
    plain.train()
    assert ours.val_acc_history == plain.val_acc_history
    assert ours.best_val_acc == plain.best_val_acc
    assert len(ours.loss_history) == 20
    np.testing.assert_array_equal(np.isfinite(ours.loss_history), np.isfinite(plain.loss_history))


def test_interrupts_keep_what_is_done(monkeypatch):
    run, calls = CompiledLoop.run, []

    def interrupted(loop, items, records):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(items)
        run(loop, items, records)

    options = {"update_rule": "adam", "batch_size": 2, "num_epochs": 3, "verbose": False}
    (net, twin), data = models_of("two-layer"), data_of()
    solver = Solver(net, data, **options)
    monkeypatch.setattr(CompiledLoop, "run", interrupted)
    np.random.seed(7)
    with pytest.raises(KeyboardInterrupt):
        solver.train()
    monkeypatch.setattr(CompiledLoop, "run", run)
    steps = len(solver.loss_history)
    assert 0 < steps < 180
    assert solver.epoch == steps // 60
    assert len(solver.train_acc_history) == len(solver.val_acc_history) == 1 + solver.epoch
    assert solver.best_val_acc == max(solver.val_acc_history)
    assert set(solver.best_params) == set(net.params)

    plain = reference.cs231n.Solver(twin, data, **options)
    np.random.seed(7)
    plain._step()
    plain._check()
    for _ in range(steps - 1):
        plain._step()
    np.testing.assert_allclose(solver.loss_history, plain.loss_history, rtol=1e-9)
    for name, array in twin.params.items():
        np.testing.assert_allclose(net.params[name], array, atol=1e-9)
        for key, value in plain.optim_configs[name].items():
            np.testing.assert_allclose(solver.optim_configs[name][key], value, atol=1e-9)

    solver.train()
    assert len(solver.loss_history) == steps + 180
    assert solver.optim_configs["W1"]["t"] == steps + 180


@pytest.mark.parametrize("where", ["train", "val"])
def test_wrong_data_change_nothing(where):
    net, data = models_of("two-layer")[0], data_of()
    for wrong, match in (
        ({f"X_{where}": data[f"X_{where}"][:-1]}, f"y_{where} has .* labels, but X_{where}"),
        ({f"X_{where}": data[f"X_{where}"][:, :1]}, f"X_{where} has 12 columns, .* has 24"),
        ({f"y_{where}": data[f"y_{where}"] + 1}, f"y_{where} holds the label 5, but .* 5 classes"),
        ({f"y_{where}": data[f"y_{where}"] * 1.5}, f"y_{where} "),
        (
            {f"X_{where}": np.full_like(data[f"X_{where}"], np.nan)},
            f"X_{where} holds nan at row 0, column 0",
        ),
    ):
        solver, before = Solver(net, data | wrong, verbose=False), copy.deepcopy(net.params)
        state = np.random.get_state()[1].copy()
        with pytest.raises((ValueError, TypeError), match=match):
            solver.train()
        np.testing.assert_array_equal(np.random.get_state()[1], state)
        assert not solver.loss_history
        for name, array in before.items():
            np.testing.assert_array_equal(net.params[name], array)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"learning_rate": 1}, ValueError, r"does not know learning_rate: it knows batch_size,"),
        ({"a": 1, "b": 1}, ValueError, r"does not know a, b: it knows"),
        ({"update_rule": "sgdm"}, ValueError, r"update_rule is 'sgdm', but .*sgd_momentum"),
        ({"optim_config": {"lr": 1}}, ValueError, r"optim_config holds 'lr', but sgd knows"),
        ({"optim_config": {"momentum": 1}}, ValueError, r"holds 'momentum', but sgd knows"),
        ({"optim_config": 1}, TypeError, r"optim_config is 1, but it is a dict of learning_rate"),
        ({"optim_config": {"learning_rate": -1}}, ValueError, r"optim_config\['learning_rate'\] "),
        (
            {"update_rule": "adam", "optim_config": {"t": 2**70}},
            ValueError,
            r"optim_config\['t'\] is 1180591620717411303424, but it must be below 461168601842",
        ),
        ({"lr_decay": "a"}, TypeError, r"lr_decay is 'a'"),
        ({"batch_size": 0}, ValueError, r"batch_size is 0"),
        ({"num_epochs": -1}, ValueError, r"num_epochs is -1"),
        ({"num_epochs": 1.5}, TypeError, r"num_epochs is 1.5"),
        ({"num_train_samples": 0}, ValueError, r"num_train_samples is 0"),
        ({"print_every": 0}, ValueError, r"print_every is 0"),
        ({"checkpoint_name": 3}, TypeError, r"checkpoint_name is 3"),
    ],
)
def test_wrong_arguments(options, error, match):
    net = models_of("two-layer")[0]
    with pytest.raises(error, match=match):
        Solver(net, data_of(), **options)
    if not {"learning_rate", "a", "optim_config"} & set(options):
        solver = Solver(net, data_of())
        ((name, value),) = options.items()
        setattr(solver, name, value)
        with pytest.raises(error, match=match):
            solver.train()
        assert not solver.loss_history


def test_wrong_data_and_models():
    data = data_of()
    del data["X_val"], data["y_val"]
    with pytest.raises(ValueError, match=r"data has no X_val and no y_val: pass a dict of X_train"):
        Solver(models_of("two-layer")[0], data)
    for model in (None, 3, fastnn.Network((4, 3)), TwoLayerNet, OfTheCourse):
        with pytest.raises(TypeError, match=r"a Solver trains what has loss\(X, y\) and params"):
            Solver(model, data_of())


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda y: y[:3], ValueError, r"y has 3 labels, but X has \d+ rows"),
        (lambda y: y[:, np.newaxis], ValueError, r"y has shape \(\d+, 1\)"),
        (lambda y: y.astype(str), TypeError, r"y has dtype <U"),
    ],
    ids=["too few", "a column", "text"],
)
def test_wrong_labels_are_no_wrong_answers(change, error, match):
    """NumPy would compare a column with each of the answers, and text with none."""
    data = data_of()
    solver = Solver(models_of("two-layer")[0], data)
    with pytest.raises(error, match=match):
        solver.check_accuracy(data["X_val"], change(data["y_val"]))


def test_wrong_configs():
    net = models_of("two-layer")[0]
    solver = Solver(net, data_of(), update_rule="adam", verbose=False)
    for config, error, match in (
        ({"rate": 1}, ValueError, r"optim_configs\['W2'\] holds 'rate', but adam knows"),
        ({"m": np.ones(3)}, ValueError, r"optim_configs\['W2'\]\['m'\] has shape \(3,\)"),
        ({"t": -1}, ValueError, r"optim_configs\['W2'\]\['t'\] is -1"),
        (
            {"t": 2**63 - 1},
            ValueError,
            r"optim_configs\['W2'\]\['t'\] is .*, but it must be below ",
        ),
        ({"t": None}, TypeError, r"optim_configs\['W2'\]\['t'\] is None"),
        ({"epsilon": 0}, ValueError, r"\['epsilon'\] is 0, but it must be above 0"),
        ({"beta1": 1}, ValueError, r"\['beta1'\] is 1"),
        (None, TypeError, r"optim_configs\['W2'\] is None, but it is a dict of"),
    ):
        solver.optim_configs["W2"] = config
        with pytest.raises(error, match=match):
            solver.train()
    del solver.optim_configs["W2"]
    with pytest.raises(ValueError, match=r"has no 'W2', which is one of model.params: make a new"):
        solver.train()
    assert not solver.loss_history


# --------------------------------------------------------------------------------- its attributes


def test_no_assignment_is_ignored():
    solver = Solver(models_of("two-layer")[0], data_of())
    with pytest.raises(AttributeError, match=r"optim_config is copied .*write into optim_configs"):
        solver.optim_config = {"learning_rate": 1}
    with pytest.raises(TypeError):
        solver.optim_config["learning_rate"] = 1
    for name in ("learning_rate", "reg", "num_iters", "data"):
        with pytest.raises(AttributeError):
            setattr(solver, name, 1)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_copies_go_on_alike(copied):
    options = {"update_rule": "adam", "optim_config": {"learning_rate": 0.01}, "verbose": False}
    solver = Solver(models_of("two-layer")[0], data_of(), num_epochs=2, **options)
    solver.train()
    other = copied(solver)
    assert other.optim_config == {"learning_rate": 0.01}
    assert other.model is not solver.model
    for each in (solver, other):
        np.random.seed(5)
        each.train()
    assert other.loss_history == solver.loss_history
    np.testing.assert_array_equal(other.model.params["W1"], solver.model.params["W1"])


def test_histories_are_lists_of_floats():
    solver = Solver(models_of("two-layer")[0], data_of(), num_epochs=2, verbose=False)
    solver.train()
    for name in HISTORIES:
        assert {type(value) for value in getattr(solver, name)} == {float}
    assert type(solver.best_val_acc) is float
    assert type(solver.epoch) is int


def test_a_read_only_parameter_is_refused_by_the_rule_in_place():
    net = models_of("two-layer")[0]
    net.params["W1"].flags.writeable = False
    with pytest.raises(ValueError, match=r"params\['W1'\] is read-only.*\.copy\(\)"):
        Solver(net, data_of(), verbose=False).train()
    Solver(net, data_of(), update_rule="adam", num_epochs=1, verbose=False).train()
    assert not np.array_equal(net.params["W1"], models_of("two-layer")[1].params["W1"])
