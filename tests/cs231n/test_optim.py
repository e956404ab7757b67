"""The update rules by hand, and by the names that the course's cells import."""

import numpy as np
import pytest

from fastnn import reference
from fastnn.cs231n import optim

W, DW = np.array([1.0, -2.0]), np.array([0.5, 2.0])


def test_sgd_steps_in_place():
    w = W.copy()
    stepped, config = optim.sgd(w, DW)
    assert stepped is w
    np.testing.assert_allclose(w, [0.995, -2.02], rtol=1e-15)
    assert config == {"learning_rate": 1e-2}
    np.testing.assert_allclose(optim.sgd(w, DW, {"learning_rate": 1.0})[0], [0.495, -4.02])


def test_sgd_momentum():
    w, config = optim.sgd_momentum(W, DW, {"learning_rate": 0.1})
    # v = -0.1 dw.
    np.testing.assert_allclose(w, [0.95, -2.2], rtol=1e-15)
    np.testing.assert_allclose(config["velocity"], [-0.05, -0.2], rtol=1e-15)
    w, config = optim.sgd_momentum(w, DW, config)
    # v = 0.9 v - 0.1 dw.
    np.testing.assert_allclose(config["velocity"], [-0.095, -0.38], rtol=1e-15)
    np.testing.assert_allclose(w, [0.855, -2.58], rtol=1e-15)
    assert config["momentum"] == 0.9
    assert W.tolist() == [1, -2]


def test_rmsprop():
    numbers = {"learning_rate": 0.1, "decay_rate": 0.75, "epsilon": 0.25}
    w, config = optim.rmsprop(W, DW, numbers)
    # c = 0.25 dw^2 = (1/16, 1): dw / (sqrt(c) + 1/4) = (0.5 / 0.5, 2 / 1.25).
    np.testing.assert_allclose(config["cache"], [0.0625, 1.0], rtol=1e-15)
    np.testing.assert_allclose(w, [0.9, -2.16], rtol=1e-15)
    _, config = optim.rmsprop(w, DW)
    assert (config["learning_rate"], config["decay_rate"], config["epsilon"]) == (0.01, 0.99, 1e-8)


def test_adam_adds_epsilon_to_the_corrected_root():
    config = {"learning_rate": 0.1, "beta1": 0.5, "beta2": 0.75, "epsilon": 0.5}
    w, config = optim.adam(W, DW, config)
    # The first step is corrected to dw / (|dw| + epsilon), whatever the betas.
    np.testing.assert_allclose(w, [1 - 0.1 * 0.5 / 1.0, -2 - 0.1 * 2 / 2.5], rtol=1e-15)
    assert config["t"] == 1
    np.testing.assert_allclose(config["m"], [0.25, 1.0], rtol=1e-15)
    np.testing.assert_allclose(config["v"], [0.0625, 1.0], rtol=1e-15)
    _, config = optim.adam(w, DW)
    assert [config[key] for key in ("learning_rate", "beta1", "beta2", "epsilon", "t")] == [
        *(1e-3, 0.9, 0.999, 1e-8, 1)
    ]


def test_t_is_raised_before_it_is_used():
    w, config = optim.adam(W, DW, {"learning_rate": 0.1, "beta1": 0.5, "beta2": 0.75, "t": 1})
    # m' = 0.5 dw / (1 - 0.25), v' = 0.25 dw^2 / (1 - 0.5625).
    direction = (0.5 / 0.75) / np.sqrt(0.25 / 0.4375)
    np.testing.assert_allclose(w, W - 0.1 * direction, rtol=1e-7)
    assert config["t"] == 2


@pytest.mark.parametrize("name", reference.cs231n.UPDATE_RULES)
def test_float32_stays_float32(name):
    w, dw = W.astype(np.float32), DW.astype(np.float32)
    config = None
    for _ in range(2):
        w, config = getattr(optim, name)(w, dw, config)
    assert w.dtype == np.float32
    memories = reference.cs231n.UPDATE_RULES[name].memories
    assert {config[key].dtype for key in memories} <= {np.dtype(np.float32)}
