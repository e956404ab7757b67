"""What the tests of the Solver share: data, pairs of equal models, and comparisons of trainings."""

import numpy as np

from fastnn import cs231n, reference

#: A learning rate at which each rule learns the problem below.
RATES = {"sgd": 0.1, "sgd_momentum": 0.01, "rmsprop": 1e-3, "adam": 3e-3}
HISTORIES = ("loss_history", "train_acc_history", "val_acc_history")
DIMS = {"input_dim": 24, "num_classes": 5}
NETS = {
    "two-layer": ("TwoLayerNet", (), {"hidden_dim": 20, "weight_scale": 0.1, "reg": 0.1}),
    "one-layer": ("FullyConnectedNet", ([],), {"weight_scale": 0.1, "dtype": np.float64}),
    "five-layer": (
        *("FullyConnectedNet", ([20, 17, 15, 9],)),
        {"weight_scale": 0.3, "reg": 0.01, "dtype": np.float64},
    ),
    "dropout": (
        *("FullyConnectedNet", ([20, 17],)),
        {"weight_scale": 0.3, "dropout_keep_ratio": 0.8, "dtype": np.float64},
    ),
    "seeded dropout": (
        *("FullyConnectedNet", ([20, 17],)),
        {"weight_scale": 0.3, "dropout_keep_ratio": 0.8, "seed": 3, "dtype": np.float64},
    ),
}


def data_of(n=120, n_val=40, shape=(2, 3, 4), C=5, seed=0, dtype=np.float64):
    """Return rows of a shape around a centre a class, that are learnt but not at once."""
    random = np.random.RandomState(seed)
    centres, data = random.randn(C, *shape), {}
    for name, count in (("train", n), ("val", n_val)):
        y = random.randint(0, C, count)
        X = centres[y] + 1.5 * random.randn(count, *shape)
        data |= {f"X_{name}": X.astype(dtype), f"y_{name}": y}
    return data


def pair(kind, *arguments, seed=231, **options):
    """Return fastnn's model of a class, and its twin with the same parameters."""
    models = []
    for module in (cs231n, reference.cs231n):
        np.random.seed(seed)
        models.append(getattr(module, kind)(*arguments, **options))
    return models


def models_of(net, **changed):
    """Return both models of one of the NETS."""
    kind, arguments, options = NETS[net]
    return pair(kind, *arguments, **DIMS, **(options | changed))


class OfTheCourse:
    """A model of somebody's own, with a parameter that no network of fastnn has."""

    def __init__(self):
        self.params = {"W": np.zeros((24, 5)), "scale": np.ones(1)}

    def loss(self, X, y=None):
        X = X.reshape(len(X), -1)
        S = X.dot(self.params["W"]) * self.params["scale"]
        if y is None:
            return S
        P = np.exp(S - S.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        loss, rows = -np.mean(np.log(P[np.arange(len(y)), y])), np.arange(len(y))
        P[rows, y] -= 1
        P /= len(y)
        grad = {"W": X.T.dot(P) * self.params["scale"], "scale": np.atleast_1d(np.sum(P * S))}
        return loss, grad


def solvers(models, data, seed=7, **options):
    """Train a model in fastnn and its twin step by step in NumPy, from the same seed."""
    pairs, states = [], []
    for solver, model in zip((cs231n.Solver, reference.cs231n.Solver), models):
        pairs.append(solver(model, data, **{"verbose": False, **options}))
        np.random.seed(seed)
        pairs[-1].train()
        states.append(np.random.get_state()[1:3])
    np.testing.assert_equal(states[0], states[1])
    return pairs


def assert_equal(ours, plain, rtol=1e-9):
    """Compare all that two trainings have left: what is counted exactly, the rest to rounding."""
    np.testing.assert_allclose(ours.loss_history, plain.loss_history, rtol=rtol)
    for name in (*HISTORIES[1:], "best_val_acc", "epoch"):
        assert getattr(ours, name) == getattr(plain, name), name
    for one, other in (
        (ours.model.params, plain.model.params),
        (ours.best_params, plain.best_params),
    ):
        assert set(one) == set(other)
        for name, array in other.items():
            np.testing.assert_allclose(one[name], array, rtol=rtol, atol=rtol * abs(array).max())
    assert set(ours.optim_configs) == set(plain.optim_configs)
    for name, config in plain.optim_configs.items():
        assert set(ours.optim_configs[name]) == set(config)
        for key, value in config.items():
            atol = rtol * np.abs(value).max()
            np.testing.assert_allclose(ours.optim_configs[name][key], value, rtol=rtol, atol=atol)
