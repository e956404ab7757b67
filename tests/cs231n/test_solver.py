"""Solver: the numbers, draws, prints and records of the course's, for models of any kind."""

import numpy as np
import pytest

import fastnn
from fastnn import reference
from fastnn.cs231n import FullyConnectedNet, Solver, TwoLayerNet
from fastnn.engine import zeros
from fastnn.engine.solver import SolverRun

from .problems import DIMS, NETS, RATES, OfTheCourse, assert_equal, data_of, models_of, solvers


@pytest.fixture
def compiled(monkeypatch):
    """Count the runs of the compiled loop."""
    runs, do = [], SolverRun.do

    def counted(run, *arguments):
        runs.append(run)
        return do(run, *arguments)

    monkeypatch.setattr(SolverRun, "do", counted)
    return runs


# -------------------------------------------------------------------------------- equal numbers


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("rule", RATES)
def test_300_steps_have_the_numbers_of_the_plain_solver(rule, net, compiled):
    ours, plain = solvers(
        *(models_of(net), data_of()),
        update_rule=rule,
        optim_config={"learning_rate": RATES[rule]},
        lr_decay=0.97,
        batch_size=12,
        num_epochs=30,
        num_train_samples=50,
    )
    assert len(compiled) == 1
    assert len(ours.loss_history) == 300
    assert len(ours.val_acc_history) == 31
    # What would be equal without any training would say nothing.
    if "seeded" not in net:
        assert ours.loss_history[-1] < 0.9 * ours.loss_history[0]
        assert ours.best_val_acc > 0.4
    assert_equal(ours, plain)
    # In place of the model's, as in the original; and copies of their own.
    assert ours.model.params["W1"] is not ours.best_params["W1"]


@pytest.mark.parametrize("n_val", [1, 40, 300])
@pytest.mark.parametrize("samples", [(1000, None), (None, None), (50, 20), (1, 1), (120, 10)])
@pytest.mark.parametrize("batch_size", [1, 50, 60, 120, 500])
def test_whatever_is_checked(batch_size, samples, n_val):
    options = {"num_train_samples": samples[0], "num_val_samples": samples[1]}
    for epochs in (0, 1, 3):
        assert_equal(
            *solvers(
                *(models_of("two-layer"), data_of(n_val=n_val)),
                batch_size=batch_size,
                num_epochs=epochs,
                **options,
            )
        )


@pytest.mark.parametrize("rule", RATES)
def test_float32_stays_near_the_plain_solver(rule):
    models = models_of("five-layer", dtype=np.float32)
    ours, plain = solvers(
        *(models, data_of(dtype=np.float32)),
        update_rule=rule,
        optim_config={"learning_rate": RATES[rule]},
        batch_size=12,
        num_epochs=2,
    )
    np.testing.assert_allclose(ours.loss_history, plain.loss_history, rtol=2e-4)
    for config in ours.optim_configs.values():
        for memory in reference.cs231n.UPDATE_RULES[rule].memories:
            assert config[memory].dtype == np.float32
    assert {array.dtype for array in ours.model.params.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("net", ["two-layer", "five-layer", "dropout", "seeded dropout"])
def test_images_of_mostly_zeros_have_the_numbers_of_the_plain_solver(net, monkeypatch):
    data, random = data_of(), np.random.RandomState(0)
    for name in ("X_train", "X_val"):
        data[name] *= random.rand(*data[name].shape) < 0.15
    # The course's images are larger.
    monkeypatch.setattr(zeros, "LEAST_WEIGHTS", 1)
    rows, without = [], zeros.without
    monkeypatch.setattr(
        zeros, "without", lambda source: rows.append(len(source)) or without(source)
    )
    ours, plain = solvers(
        *(models_of(net), data), batch_size=12, num_epochs=30, num_train_samples=50
    )
    assert rows == [120, 40]
    assert_equal(ours, plain)


@pytest.mark.parametrize("rule", RATES)
def test_another_training_goes_on(rule):
    data, options = data_of(), {"update_rule": rule, "batch_size": 12, "num_epochs": 2}
    ours, plain = solvers(
        *(models_of("five-layer"), data), optim_config={"learning_rate": RATES[rule]}, **options
    )
    for solver in (ours, plain):
        solver.num_epochs, solver.lr_decay, solver.batch_size = 3, 0.5, 30
        solver.model.reg = 0.5
        solver.model.params["W1"] = 1.01 * solver.model.params["W1"]
        solver.model.params["b2"][:] += 0.01
        for config in solver.optim_configs.values():
            config["learning_rate"] *= 0.9
        solver.X_train, solver.y_train = data["X_val"], data["y_val"]
        np.random.seed(5)
        solver.train()
    assert ours.epoch == 5
    assert_equal(ours, plain)


@pytest.mark.parametrize("rule", RATES)
def test_the_order_of_params_does_not_matter(rule):
    ours, plain = solvers(models_of("five-layer"), data_of(), update_rule=rule, num_epochs=2)
    for solver in (ours, plain):
        params = solver.model.params
        solver.model.params = {name: params[name] for name in sorted(params, reverse=True)}
        np.random.seed(5)
        solver.train()
    assert_equal(ours, plain)


def test_adam_begins_where_its_config_says():
    ours, plain = solvers(
        *(models_of("two-layer"), data_of()),
        update_rule="adam",
        optim_config={"t": 1, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3},
        num_epochs=3,
    )
    assert ours.optim_configs["W1"]["t"] == 4
    assert_equal(ours, plain)


@pytest.mark.parametrize("kind", ["numbers", "memory"])
def test_configs_that_differ_from_parameter_to_parameter(kind, compiled):
    models, pairs = models_of("five-layer"), []
    for solver, model in zip((Solver, reference.cs231n.Solver), models):
        pairs.append(
            solver(model, data_of(), update_rule="sgd_momentum", batch_size=12, verbose=False)
        )
        config = pairs[-1].optim_configs["W2"]
        config |= {"momentum": 0.5} if kind == "numbers" else {"velocity": np.ones((20, 17))}
        np.random.seed(7)
        pairs[-1].train()
    assert not compiled
    assert_equal(*pairs)


def test_the_form_of_2017_is_trained_too(compiled):
    net = TwoLayerNet(24, 20, 5, std=0.1)
    ours = Solver(net, data_of(), num_epochs=2, verbose=False)
    own = fastnn.TwoLayerNet(24, 20, 5, std=0.1)
    rows = {key: array.reshape(len(array), -1) for key, array in data_of().items() if "X" in key}
    Solver(own, data_of() | rows, num_epochs=2, verbose=False).train()
    before = net.params["W1"].copy()
    ours.train()
    assert len(compiled) == 2
    assert (net.params["W1"] != before).all()
    with pytest.raises(ValueError, match=r"input_dim=24, hidden_dim=20, num_classes=5 \(or say"):
        Solver(TwoLayerNet(24, 20, 5), data_of())


# ----------------------------------------------------------------------------- what is printed


@pytest.mark.parametrize("options", [{}, {"print_every": 7}, {"print_every": 1000}])
@pytest.mark.parametrize("net", ["two-layer", "dropout"])
def test_prints(net, options, capsys):
    printed = []
    for solver, model in zip((Solver, reference.cs231n.Solver), models_of(net)):
        np.random.seed(7)
        trained = solver(model, data_of(), batch_size=12, num_epochs=3, **options)
        trained.train()
        trained.num_epochs = 1
        trained.train()
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    lines = printed[0].splitlines()
    assert lines[0].startswith("(Iteration 1 / 30) loss: ")
    assert lines[1].startswith("(Epoch 0 / 3) train acc: 0.")
    assert "; val_acc: 0." in lines[1]


def test_verbose_is_what_it_is_at_the_call(capsys):
    solver = Solver(models_of("two-layer")[0], data_of(), num_epochs=1)
    solver.verbose = False
    solver.train()
    assert capsys.readouterr().out == ""


# ----------------------------------------------------------------------------- models of all kinds


class WithAPenaltyOfItsOwn(FullyConnectedNet):
    def loss(self, X, y=None):
        result = super().loss(X, y)
        if y is None:
            return result
        grads = result[1]
        return result[0] + self.params["b1"].sum(), grads | {"b1": grads["b1"] + 1}


@pytest.mark.parametrize("rule", RATES)
def test_a_model_of_the_user_s_own(rule, compiled, capsys):
    ours, plain = solvers(
        *((OfTheCourse(), OfTheCourse()), data_of()), update_rule=rule, batch_size=12, verbose=True
    )
    assert not compiled
    assert ours.loss_history == plain.loss_history
    assert ours.loss_history[-1] < 0.95 * ours.loss_history[0]
    assert_equal(ours, plain, rtol=0)
    printed = capsys.readouterr().out
    assert printed[: len(printed) // 2] == printed[len(printed) // 2 :]


def test_a_loss_that_is_written_anew_is_called(compiled):
    np.random.seed(0)
    net = WithAPenaltyOfItsOwn([5], weight_scale=0.1, **DIMS)
    solver = Solver(net, data_of(), num_epochs=2, verbose=False)
    solver.train()
    assert not compiled
    assert len(solver.loss_history) == 2
    np.random.seed(0)
    other = FullyConnectedNet([5], weight_scale=0.1, **DIMS)
    other.__class__ = type("Renamed", (FullyConnectedNet,), {"__slots__": ()})
    Solver(other, data_of(), num_epochs=2, verbose=False).train()
    assert len(compiled) == 1
    assert (other.params["b1"] != net.params["b1"]).all()


def test_a_step_that_is_written_anew_is_taken(compiled):
    class Halving(Solver):
        def _step(self):
            super()._step()
            self.model.params["W1"] *= 0.5

    net = models_of("two-layer")[0]
    solver = Halving(net, data_of(), num_epochs=20, verbose=False)
    solver.train()
    assert not compiled
    assert abs(net.params["W1"]).max() < 0.5


def test_check_accuracy():
    ours, plain = solvers(models_of("five-layer"), data_of(), num_epochs=2)
    data = data_of(n=400, seed=3)
    for arguments in ((), (50,), (50, 7), (None, 7), (1000,)):
        answers = []
        for solver in (ours, plain):
            np.random.seed(4)
            answers.append(solver.check_accuracy(data["X_train"], data["y_train"], *arguments))
        assert answers[0] == answers[1]
        assert type(answers[0]) is float
