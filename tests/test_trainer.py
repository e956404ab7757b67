"""Trainer against a loop in plain NumPy, and what surrounds the steps: weights, stops, reports."""

import _thread
import copy
import functools
import json
import math
import os
import subprocess
import sys
import textwrap
import threading
import warnings

import numpy as np
import pytest
import sklearn.metrics
from scipy.sparse import csr_matrix
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import fastnn
from fastnn import EpochStatus, Network, Trainer, jobs, optimizers, schedules
from fastnn.checks.sparse import Sparse
from fastnn.engine import fit as engine_fit
from fastnn.engine import sources, zeros
from fastnn.engine.epochs import EpochOrder
from fastnn.engine.loop import CompiledLoop
from fastnn.engine.sources import split_off
from fastnn.engine.tapes import Shelf


@pytest.fixture(autouse=True)
def default_threads():
    yield
    fastnn.set_num_threads(None)


def problem(n=53, D=6, C=3, head="softmax", dtype=np.float64, seed=0):
    """Return X, and targets for a head that X says something about."""
    random = np.random.RandomState(seed)
    X = random.randn(n, D)
    S = X @ np.random.RandomState(9).randn(D, C) + 0.3 * random.randn(n, C)
    targets = {
        "softmax": lambda: S.argmax(axis=1),
        "logistic": lambda: (S > 0).astype(float),
        "identity": lambda: S,
        "exponential": lambda: random.poisson(np.exp(0.5 * S)).astype(float),
    }
    return X.astype(dtype), targets[head]()


def network(sizes=(6, 8, 3), head="softmax", dtype=np.float64, activation="tanh"):
    return Network(sizes, activation, head, dtype=dtype, random_state=0)


def fit(X, y, *args, net=None, fit_options=None, **options):
    """Train a network; return it, and the trainer."""
    net = net or network(dtype=X.dtype if X.dtype != np.uint8 else np.float64)
    options = {"batch_size": 10, "max_iter": 4, "random_state": 0, **options}
    trainer = Trainer(net, **options)
    trainer.fit(X, y, *args, **(fit_options or {}))
    return net, trainer


def outcome(net, trainer):
    """Return all that a training leaves, as bytes."""
    history = {name: array.tobytes() for name, array in trainer.history.items()}
    return net.params.tobytes(), history, trainer.n_iter_, trainer.best_epoch_


# --------------------------------------------------------------------------------- plain NumPy


def seed_of(random_state, run=0):
    """Return the seed of a trainer's run; ``RandomState([seed, e])`` orders the rows of epoch e."""
    own = np.random.RandomState(random_state).randint(2**31 - 1)
    return np.random.RandomState([own, run]).randint(2**31 - 1)


def plain_gradients(layers, X, y, alpha):
    """Return the loss of a network of one tanh layer and a softmax, and its gradients."""
    (W1, b1), (W2, b2) = layers
    H = np.tanh(X @ W1 + b1)
    E = np.exp(H @ W2 + b2)
    P = E / E.sum(axis=1, keepdims=True)
    n = len(X)
    loss = -np.log(P[np.arange(n), y]).mean() + alpha / 2 * ((W1**2).sum() + (W2**2).sum())
    P[np.arange(n), y] -= 1
    P /= n
    Z = P @ W2.T * (1 - H**2)
    return loss, [(X.T @ Z + alpha * W1, Z.sum(0)), (H.T @ P + alpha * W2, P.sum(0))]


def plain_step(optimizer, w, g, memory, rate, t, decays):
    """Update an array in place, by the formulas of fastnn.optimizers; t counts from 1."""
    m, v = memory
    if isinstance(optimizer, optimizers.Adam):
        m[...] = optimizer.beta_1 * m + (1 - optimizer.beta_1) * g
        v[...] = optimizer.beta_2 * v + (1 - optimizer.beta_2) * g**2
        m_hat, v_hat = m / (1 - optimizer.beta_1**t), np.sqrt(v / (1 - optimizer.beta_2**t))
        epsilon = optimizer.epsilon
        if not optimizer.corrected_root:
            epsilon /= math.sqrt(1 - optimizer.beta_2**t)
        if decays:
            w *= 1 - rate * getattr(optimizer, "weight_decay", 0)
        w -= rate * m_hat / (v_hat + epsilon)
    elif isinstance(optimizer, optimizers.RMSProp):
        v[...] = optimizer.decay_rate * v + (1 - optimizer.decay_rate) * g**2
        w -= rate * g / (np.sqrt(v) + optimizer.epsilon)
    elif isinstance(optimizer, optimizers.Lion):
        if decays:
            w *= 1 - rate * optimizer.weight_decay
        w -= rate * np.sign(optimizer.beta_1 * m + (1 - optimizer.beta_1) * g)
        m[...] = optimizer.beta_2 * m + (1 - optimizer.beta_2) * g
    elif isinstance(optimizer, optimizers.Momentum):
        m[...] = optimizer.momentum * m - rate * g
        w += optimizer.momentum * m - rate * g if optimizer.nesterovs_momentum else m
    else:
        w -= rate * g


def plain_factor(schedule, step, steps_per_epoch, total, n):
    """Return the factor of a schedule that does not look at losses."""
    epoch = step // steps_per_epoch
    if isinstance(schedule, schedules.StepDecay):
        return schedule.factor ** (epoch // schedule.every)
    if isinstance(schedule, schedules.InverseScaling):
        return (epoch * n + 1) ** -schedule.power_t
    if isinstance(schedule, schedules.Cosine):
        rise = round(schedule.warmup * total)
        if step < rise:
            return (step + 1) / rise
        return (1 + math.cos(math.pi * (step - rise) / (total - rise))) / 2
    if isinstance(schedule, schedules.OneCycle):
        peak = schedule.warmup * (total - 1)
        if step < peak:
            part, low = step / peak + 1, schedule.start
        else:
            part, low = (step - peak) / (total - 1 - peak), schedule.final
        return low + (1 - low) * (1 + math.cos(math.pi * part)) / 2
    return 1


OPTIMIZERS = [
    optimizers.SGD(0.5),
    optimizers.Momentum(0.1, 0.8),
    optimizers.Momentum(0.1, 0.8, nesterovs_momentum=True),
    optimizers.Adam(0.03, 0.8, 0.95),
    optimizers.Adam(0.03, 0.8, 0.95, epsilon=0.1),
    optimizers.Adam(0.03, 0.8, 0.95, epsilon=0.1, corrected_root=True),
    optimizers.AdamW(0.03, weight_decay=0.5),
    optimizers.AdamW(0.03, epsilon=0.1, corrected_root=True, weight_decay=0.5),
    optimizers.RMSProp(0.03, 0.8, epsilon=0.1),
]
SCHEDULES = [
    schedules.Constant(),
    schedules.StepDecay(every=2, factor=0.3),
    schedules.InverseScaling(0.3),
    schedules.Cosine(warmup=0.25),
    schedules.OneCycle(),
    schedules.Adaptive(divisor=3.0, n_iter_no_change=1, tol=0.05),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: f"{type(o).__name__} {o.name}")
def test_fit_is_the_plain_loop(optimizer, schedule):
    X, y = problem()
    n, size, epochs, alpha = len(X), 10, 7, 0.05
    net, trainer = fit(
        *(X, y),
        optimizer=optimizer,
        schedule=schedule,
        max_iter=epochs,
        alpha=alpha,
        random_state=3,
    )
    layers = network().layers
    memory = [[(np.zeros_like(p), np.zeros_like(p)) for p in layer] for layer in layers]
    step_losses, losses, rates = [], [], []
    steps_per_epoch, step, factor, standing = 6, 0, 1.0, 0
    for epoch in range(epochs):
        rows = np.random.RandomState([seed_of(3), epoch]).permutation(n)
        for first in range(0, n, size):
            batch = rows[first : first + size]
            total = epochs * steps_per_epoch
            rate = optimizer.learning_rate_init * factor
            rate *= plain_factor(schedule, step, steps_per_epoch, total, n)
            loss, gradients = plain_gradients(layers, X[batch], y[batch], alpha)
            for layer, gradient, memories in zip(layers, gradients, memory):
                for kind in (0, 1):
                    places = layer[kind], gradient[kind], memories[kind], rate
                    plain_step(optimizer, *places, step + 1, decays=kind == 0)
            step_losses.append((loss, len(batch)))
            step += 1
        parts = np.array(step_losses[-steps_per_epoch:])
        losses.append((parts[:, 0] * parts[:, 1]).sum() / n)
        rates.append(rate)
        if isinstance(schedule, schedules.Adaptive):
            lowest = min(losses[:-1], default=np.inf)
            standing = 0 if losses[-1] < lowest - schedule.tol else standing + 1
            if standing == schedule.n_iter_no_change:
                factor, standing = factor / schedule.divisor, 0
    np.testing.assert_allclose(trainer.history["step_loss"], [a for a, _ in step_losses], rtol=1e-9)
    np.testing.assert_allclose(trainer.history["loss"], losses, rtol=1e-9)
    np.testing.assert_allclose(trainer.history["learning_rate"], rates, rtol=1e-12)
    assert np.isnan(trainer.history["val_loss"]).all()
    expected = np.concatenate([part.ravel() for layer in layers for part in layer])
    np.testing.assert_allclose(net.params, expected, rtol=1e-8, atol=1e-10)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("option", ["in order", "replacement", "one batch"])
def test_the_rows_of_the_batches(option):
    X, y = problem(n=23)
    options = {
        "in order": {"shuffle": False},
        "replacement": {"replacement": True},
        "one batch": {"batch_size": 200},
    }[option]
    net, trainer = fit(X, y, optimizer="sgd", max_iter=2, **options)
    layers, losses = network().layers, []
    for epoch in range(2):
        random = np.random.RandomState([seed_of(0), epoch])
        rows, size = np.arange(23), 10
        if option == "replacement":
            rows = random.randint(0, 23, 30)
        if option == "one batch":
            size = 23
        for first in range(0, len(rows), size):
            batch = rows[first : first + size]
            loss, gradients = plain_gradients(layers, X[batch], y[batch], 0)
            losses.append(loss)
            for layer, gradient in zip(layers, gradients):
                for part, g in zip(layer, gradient):
                    part -= 0.1 * g
    np.testing.assert_allclose(trainer.history["step_loss"], losses, rtol=1e-10)
    np.testing.assert_allclose(net.coefs_[0], layers[0][0], rtol=1e-9)


def test_random_state_reproduces_a_training():
    X, y = problem()
    options = {"dropout": 0.3, "early_stopping": True, "max_iter": 5}
    one = outcome(*fit(X, y, **options, random_state=7))
    assert outcome(*fit(X, y, **options, random_state=7)) == one
    assert outcome(*fit(X, y, **options, random_state=8)) != one
    for state in (np.random.RandomState(7), None):
        np.random.seed(7)
        assert outcome(*fit(X, y, **options, random_state=state)) == one
    # Drawn from where the generator stands: not the same again.
    state = np.random.RandomState(7)
    assert outcome(*fit(X, y, **options, random_state=state)) == one
    assert outcome(*fit(X, y, **options, random_state=state)) != one


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_any_number_of_threads(many_threads, dtype):
    X, y = problem(n=211, D=20, C=5, dtype=dtype)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        results.append(
            outcome(
                *fit(
                    *(X, y, X[:70], y[:70]),
                    net=network((20, 33, 17, 5), dtype=dtype, activation="relu"),
                    dropout=0.4,
                    max_norm=0.5,
                    alpha=0.01,
                    batch_size=40,
                )
            )
        )
    assert results[1:] == results[:1] * 2


def test_training_without_jit():
    source = """
        import json
        import numpy as np
        from fastnn import Network, Trainer
        random = np.random.RandomState(0)
        X, y = random.randn(53, 6), random.randint(0, 3, 53)
        X[np.abs(X) < 0.9] = 0
        net = Network((6, 8, 7, 3), "gelu", dtype="float64", random_state=0)
        trainer = Trainer(
            *(net, "adamw"), batch_size=10, max_iter=6, schedule="cosine", alpha=0.01,
            max_norm=0.3, dropout=0.2, label_smoothing=0.1, class_weight={0: 2.0},
            early_stopping=True, random_state=0, skip_zeros=True,
        )
        history = trainer.fit(X, y, sample_weight=random.rand(53))
        result = [net.params.tolist(), {k: v.tolist() for k, v in history.items()}]
    """
    program = textwrap.dedent(source)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program + "\nprint(json.dumps(result))"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    params, history = json.loads(run.stdout)
    names = {}
    exec(program, names)
    np.testing.assert_allclose(names["result"][0], params, rtol=1e-7, atol=1e-10)
    for name, values in history.items():
        np.testing.assert_allclose(names["result"][1][name], values, rtol=1e-8)


# ------------------------------------------------------------------------------- kinds of input


def test_bytes_are_scaled():
    random = np.random.RandomState(0)
    X, y = random.randint(0, 256, (53, 6)).astype(np.uint8), random.randint(0, 3, 53)
    scaled = (X - 100.0) / 50.0
    net = Network((6, 8, 3), "tanh", dtype=float, random_state=0, input_mean=100, input_scale=50)
    net, trainer = fit(X, y, X, y, net=net)
    expected_net, expected = fit(scaled, y, scaled, y)
    np.testing.assert_allclose(net.params, expected_net.params, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(trainer.history["val_loss"], expected.history["val_loss"])


def sparse_problem(n=90, D=30):
    X, y = problem(n=n, D=D)
    X[np.random.RandomState(5).rand(*X.shape) < 0.85] = 0
    return X, y


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_csr_trains_as_dense_does(optimizer):
    X, y = sparse_problem()
    options = {"optimizer": optimizer, "early_stopping": True, "max_iter": 6, "skip_zeros": False}
    results = [
        fit(data, y, net=network((30, 8, 3)), **options) for data in (X, csr_matrix(X), X.tolist())
    ]
    for net, trainer in results[1:]:
        np.testing.assert_allclose(net.params, results[0][0].params, rtol=1e-9, atol=1e-12)
        for name, values in results[0][1].history.items():
            np.testing.assert_allclose(trainer.history[name], values, rtol=1e-9)


def test_skipping_zeros_changes_rounding_only():
    X, y = sparse_problem()
    nets = [
        fit(X, y, X, y, net=network((30, 8, 3)), skip_zeros=skip_zeros)[0]
        for skip_zeros in (False, True, "auto", np.True_)
    ]
    for net in nets[1:]:
        np.testing.assert_allclose(net.params, nets[0].params, rtol=1e-9, atol=1e-12)


def converted(monkeypatch, *args, **options):
    """Return what a training leaves, and of how many rows the zeros were skipped."""
    rows, without = [], zeros.without

    def counted(source, scaling):
        rows.append(source and len(source))
        return without(source, scaling)

    with monkeypatch.context() as patch:
        patch.setattr(zeros, "without", counted)
        return outcome(*fit(*args, **options)), rows


def test_data_of_mostly_zeros_are_converted(monkeypatch):
    X, y = sparse_problem(D=128)
    options = {"max_iter": 16, "net": network((128, 16, 3))}
    result, rows = converted(monkeypatch, X, y, X[:40], y[:40], **options)
    assert rows == [90, 40]
    options["net"] = network((128, 16, 3))
    assert result == outcome(*fit(X, y, X[:40], y[:40], skip_zeros=True, **options))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [255.0, np.linspace(1, 300, 128)])
def test_bytes_of_mostly_zeros_are_converted(monkeypatch, scale, dtype):
    X, y = sparse_problem(D=128)
    X = np.round(60 * np.abs(X)).astype(np.uint8)

    def bytes_network():
        return Network((128, 16, 3), "tanh", dtype=dtype, random_state=0, input_scale=scale)

    options = {"max_iter": 16}
    result, rows = converted(monkeypatch, X, y, X[:40], y[:40], net=bytes_network(), **options)
    assert rows == [90, 40]
    # To the bits of numbers that were scaled before.
    scaled, plain = (
        csr_matrix(X * bytes_network().scaling.factor),
        network((128, 16, 3), dtype=dtype),
    )
    expected = fit(scaled, y, scaled[:40], y[:40], net=plain, **options)
    assert result == outcome(*expected)
    # And to those of the bytes as they are, within rounding.
    options["skip_zeros"] = False
    dense, _ = fit(X, y, X[:40], y[:40], net=bytes_network(), **options)
    tolerance = 1e-9 if dtype == np.float64 else 1e-3
    np.testing.assert_allclose(dense.params, expected[0].params, tolerance, tolerance)


def test_shifted_bytes_are_never_converted():
    X, y = sparse_problem(D=128)
    X, shift = (X != 0).astype(np.uint8), np.arange(128) / 1000
    nets = []
    for skip_zeros in (False, True):
        net = Network((128, 16, 3), dtype=np.float64, random_state=0, input_mean=shift)
        nets.append(fit(X, y, net=net, skip_zeros=skip_zeros)[0])
    assert nets[0].params.tobytes() == nets[1].params.tobytes()


@pytest.mark.parametrize(
    "changed",
    ["few zeros", "shifted", "csr", "few epochs", "few units", "few weights", "not asked"],
)
def test_other_data_are_left_as_they_are(monkeypatch, changed):
    X, y = sparse_problem(D={"few units": 1024, "few weights": 127}.get(changed, 128))
    units, options = 15 if changed == "few units" else 16, {"max_iter": 40}
    shift = 0.0
    if changed == "few zeros":
        X[:, :20] = 1
    elif changed == "shifted":
        X, shift = (X != 0).astype(np.uint8), np.arange(128) / 1000
    elif changed == "csr":
        X = csr_matrix(X)
    elif changed == "few epochs":
        options["max_iter"] = 15
    elif changed == "not asked":
        options["skip_zeros"] = False
    net = Network((X.shape[1], units, 3), dtype=np.float64, random_state=0, input_mean=shift)
    assert converted(monkeypatch, X, y, net=net, **options)[1] == []


@pytest.mark.parametrize("rows", [1, 30, 5000])
def test_inputs_have_zeros_if_few_are_anything_else(rows):
    X = np.ones((rows, 40), np.float32)
    for zeros_a_row, expected in ((0, False), (12, False), (28, True), (40, True)):
        X[:, :zeros_a_row] = 0
        X[:, zeros_a_row:] = np.nan
        assert zeros.has_zeros(jobs.Source(X)) == expected
        images = jobs.Source((X != 0).astype(np.uint8))
        shifts = np.zeros(40), np.arange(40) / 9
        kept, shifted = (jobs.Scaling(np.full(40, 1 / 255), shift) for shift in shifts)
        assert zeros.has_zeros(images, kept) == expected
        assert not zeros.has_zeros(images, shifted)
        assert not zeros.has_zeros(images)


def test_the_share_of_zeros_is_that_of_rows_from_all_over():
    X = np.zeros((4000, 30))
    X[2000:] = 1
    assert not zeros.mostly(jobs.Source(X), 100, 100)
    X[3000:] = 0
    assert zeros.mostly(jobs.Source(X), 100, 100)
    X[1] = 1
    assert zeros.mostly(jobs.Source(X[:1000]), 100, 100)
    # A copy of very large data might not fit.
    assert not zeros.mostly(jobs.Source(np.broadcast_to(np.float32(0), (1 << 20, 600))), 100, 100)
    # Wide rows are looked at, too, and one is enough.
    assert not zeros.mostly(jobs.Source(np.ones((2, 40_000))), 100, 100)


def test_rows_of_a_csr_matrix():
    X, _ = sparse_problem()
    matrix = csr_matrix(X)
    sparse = Sparse(X.shape, matrix.indptr.astype(np.int64), matrix.indices, matrix.data)
    for chosen in ([0], [3, 4, 50, 89], np.arange(90), np.flatnonzero(X[:, 0] == 0)):
        some = sources.rows_of(sparse, np.array(chosen))
        assert some.shape == (len(chosen), 30)
        np.testing.assert_array_equal(some.toarray(), X[chosen])
    source = zeros.without(jobs.Source(X))
    np.testing.assert_array_equal(source.X.toarray(), X)


# -------------------------------------------------------------------------------------- weights


def test_class_weights_are_sample_weights():
    X, y = problem()
    for class_weight in ({0: 2.0, 2: 0.5}, {np.int64(0): 2, 1: 1, 2: 0.5}):
        weights = np.array([2.0, 1.0, 0.5])[y]
        expected = outcome(*fit(X, y, fit_options={"sample_weight": weights}))
        assert outcome(*fit(X, y, class_weight=class_weight)) == expected
    balanced = sklearn.utils.class_weight.compute_sample_weight("balanced", y)
    net, _ = fit(X, y, class_weight="balanced")
    expected, _ = fit(X, y, fit_options={"sample_weight": balanced})
    np.testing.assert_allclose(net.params, expected.params, rtol=1e-9)
    both = {"sample_weight": np.arange(53.0)}
    expected = fit(X, y, fit_options={"sample_weight": np.arange(53.0) * weights})
    assert outcome(*fit(X, y, class_weight={0: 2, 2: 0.5}, fit_options=both)) == outcome(*expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("end", ["largest", "smallest", "sums beyond all numbers", "longer"])
def test_only_shares_of_weights_count(dtype, end):
    # A power of two changes no bit.
    X, y = problem(dtype=dtype)
    info = np.finfo(dtype)
    shift = {
        "largest": info.maxexp - 1,
        "smallest": info.minexp + 2,
        "sums beyond all numbers": info.maxexp - 4,
        "longer": np.finfo(float).maxexp - 1,
    }[end]
    weights = np.random.RandomState(0).uniform(0.25, 1, 53).astype(dtype).astype(float)
    outcomes = []
    for each in (weights, np.ldexp(weights, shift)):
        both = {"sample_weight": each, "sample_weight_val": each}
        data, net = (X, y, X, y), network(dtype=dtype)
        outcomes.append(outcome(*fit(*data, net=net, fit_options=both, max_iter=3)))
        loss, gradient = net.loss_and_gradient(X, y, sample_weight=each)
        outcomes[-1] += (loss, gradient.tobytes())
    assert outcomes[0] == outcomes[1]


def test_balanced_weights_without_rows_of_a_class():
    y = np.array([0, 0, 0, 2])
    # 4 rows over 2 classes that are there; the weight of class 1 does not count.
    np.testing.assert_allclose(sources.class_factors("balanced", y, 3)[[0, 2]], [4 / 6, 2])


@pytest.mark.parametrize("head", ["softmax", "identity"])
def test_weights_are_repetitions(head):
    X, y = problem(head=head)
    counts = np.random.RandomState(1).randint(0, 4, len(X))
    options = {"batch_size": 500, "optimizer": "sgd", "max_iter": 20}
    net, trainer = fit(
        X, y, net=network(head=head), fit_options={"sample_weight": counts}, **options
    )
    repeated = np.repeat(np.arange(len(X)), counts)
    expected_net, expected = fit(X[repeated], y[repeated], net=network(head=head), **options)
    np.testing.assert_allclose(net.params, expected_net.params, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(trainer.history["loss"], expected.history["loss"])


def test_a_batch_that_weighs_nothing_moves_nothing():
    X, y = problem(n=20)
    weights = np.repeat([0.0, 1.0], 10)
    net, trainer = fit(
        *(X, y),
        optimizer="sgd",
        shuffle=False,
        max_iter=1,
        fit_options={"sample_weight": weights},
    )
    expected, _ = fit(X[10:], y[10:], optimizer="sgd", max_iter=1)
    np.testing.assert_allclose(net.params, expected.params, rtol=1e-12)
    assert trainer.history["step_loss"][0] == 0


# --------------------------------------------------------------------- adaptive, early stopping


def test_the_adaptive_rate_falls_where_the_loss_stands_still():
    X, y = problem()
    schedule = schedules.Adaptive(divisor=10.0, n_iter_no_change=2, tol=1e3, lowest=9e-4)
    _, trainer = fit(X, y, optimizer=optimizers.SGD(0.1), schedule=schedule, max_iter=100)
    # No loss is better by 1000: the first epoch sets the mark, then each pair divides; where the
    # rate would be 0.0001, it ends.
    expected = [0.1] * 3 + [0.01] * 2 + [0.001] * 2
    np.testing.assert_allclose(trainer.history["learning_rate"], expected, rtol=1e-12)
    assert trainer.n_iter_ == 7


def test_the_adaptive_rate_goes_by_the_validation_set():
    X, y = problem()
    # Trained on labels that validation contradicts: the training loss falls, the other rises.
    schedule = schedules.Adaptive(n_iter_no_change=1, tol=0.0)
    _, trainer = fit(X, y, X, (y + 1) % 3, schedule=schedule, max_iter=6, optimizer="sgd")
    rates = trainer.history["learning_rate"]
    assert (np.diff(trainer.history["loss"]) < 0).all()
    assert (np.diff(trainer.history["val_loss"]) > 0).all()
    np.testing.assert_allclose(rates, 0.1 / 5.0 ** np.array([0, 0, 1, 2, 3, 4]), rtol=1e-12)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("monitor", ["loss", "score"])
def test_early_stopping_restores_the_best(monitor, given):
    X, y = problem(n=120, dtype=np.float32)
    random = np.random.RandomState(1)
    y, weights = np.where(random.rand(120) < 0.3, 0, y), random.rand(120)
    validation = problem(n=60, seed=1, dtype=np.float32) if given else ()
    seen = []
    net = network((6, 60, 3), dtype=np.float32)
    options = {"early_stopping": True, "monitor": monitor, "max_iter": 400, "tol": 0.02}
    options |= {"optimizer": optimizers.Adam(0.02), "validation_fraction": 0.25}
    _, trainer = fit(
        *(X, y, *validation),
        net=net,
        n_iter_no_change=4,
        fit_options={
            "sample_weight": weights,
            "callback": lambda status: seen.append(net.params.copy()),
        },
        **options,
    )
    values = trainer.history[f"val_{monitor}"] * (1 if monitor == "loss" else -1)
    assert 4 < trainer.n_iter_ == len(values) == len(seen) < 400
    assert trainer.best_epoch_ == values.argmin() + 1
    assert net.params.tobytes() == seen[trainer.best_epoch_ - 1].tobytes()
    # It ended with the first four epochs that do not improve on the best so far by tol.
    best, patience = np.inf, []
    for value in values:
        patience.append(0 if value < best - 0.02 else patience[-1] + 1)
        best = min(best, value)
    assert patience.index(4) == len(patience) - 1
    if not given:
        chosen, left = split_off(0.25, y, 120, np.random.RandomState(seed_of(0)))
        again, rest = network((6, 60, 3), dtype=np.float32), (X[left], y[left])
        weighted = {"sample_weight": weights[chosen], "sample_weight_val": weights[left]}
        options |= {"n_iter_no_change": 4, "fit_options": weighted}
        expected = fit(X[chosen], y[chosen], *rest, net=again, **options)
        assert outcome(*expected) == outcome(net, trainer)


def test_a_validation_set_changes_no_step():
    X, y = problem()
    net, trainer = fit(X, y, dropout=0.3)
    other, evaluated = fit(X, y, X, y, dropout=0.3)
    assert other.params.tobytes() == net.params.tobytes()
    np.testing.assert_array_equal(evaluated.history["step_loss"], trainer.history["step_loss"])


def test_dropout_differs_from_step_to_step():
    X, y = problem()
    # Nothing is learnt, and the batch is always the same: only the dropout differs.
    _, trainer = fit(X, y, optimizer=optimizers.SGD(0), dropout=0.5, batch_size=53, max_iter=20)
    assert len(set(trainer.history["step_loss"])) == 20
    _, other = fit(
        *(X, y),
        optimizer=optimizers.SGD(0),
        dropout=0.5,
        batch_size=53,
        max_iter=20,
        random_state=1,
    )
    assert not set(other.history["step_loss"]) & set(trainer.history["step_loss"])


def test_improvements_below_tol_are_kept_and_not_waited_for():
    X, y = problem()
    options = {"early_stopping": True, "tol": 1e3, "n_iter_no_change": 3, "max_iter": 50}
    net, trainer = fit(X, y, X, y, optimizer="sgd", **options)
    # Each epoch is better, but for the first not by 1000.
    assert (np.diff(trainer.history["val_loss"]) < 0).all()
    assert trainer.n_iter_ == trainer.best_epoch_ == 4
    assert outcome(net, trainer)[0] == outcome(*fit(X, y, optimizer="sgd"))[0]


def test_early_stopping_without_an_end_keeps_the_best_too():
    X, y = problem()
    _, trainer = fit(X, y, X, (y + 1) % 3, early_stopping=True, max_iter=5, optimizer="sgd")
    assert trainer.n_iter_ == 5
    assert trainer.best_epoch_ == 1


def test_a_validation_set_that_is_never_finite_stops_at_its_patience_with_a_word():
    X, y = problem()
    net = network(head="identity", dtype=np.float32, activation="relu")
    y = np.stack([y, y, y], axis=1)
    options = {"early_stopping": True, "n_iter_no_change": 3, "max_iter": 50}
    with pytest.warns(RuntimeWarning, match=r"validation loss, .*, is NaN at epoch 1") as caught:
        # Hidden units are infinite there, and scores the difference of two of them.
        _, trainer = fit(X, y, np.full((5, 6), 3e38), y[:5], net=net, **options)
    assert len(caught) == 1
    assert trainer.n_iter_ == 3
    assert trainer.best_epoch_ == 0


NO_SCORE = {
    "one row": ("identity", np.ones((1, 3))),
    "constant": ("identity", np.full((9, 3), 2.5)),
    # Of whose mean they differ by rounding.
    "constant tenths": ("identity", np.full((11, 3), 0.1)),
    "constant rates": ("exponential", np.full((11, 3), 0.1)),
    "no events": ("exponential", np.zeros((9, 3))),
}


@pytest.mark.parametrize(("head", "y_val"), NO_SCORE.values(), ids=NO_SCORE)
def test_a_score_that_cannot_be_had_is_refused_before_training(head, y_val):
    X, y = problem(head=head)
    net = network(head=head)
    before = net.params.copy()
    options = {"early_stopping": True, "monitor": "score"}
    with pytest.raises(ValueError, match=r"needs targets that vary .*, or monitor='loss'"):
        fit(X, y, X[: len(y_val)], y_val, net=net, **options)
    np.testing.assert_array_equal(net.params, before)
    _, trainer = fit(X, y, X[: len(y_val)], y_val, net=net, early_stopping=True)
    assert np.isnan(trainer.history["val_score"]).all()


def test_early_stopping_weighs_its_validation_rows():
    # Half of the labels are wrong, and weigh nothing: as if those rows were not there.
    random = np.random.RandomState(0)
    X = random.randn(400, 5)
    y = (X[:, 0] > 0).astype(int)
    wrong = random.permutation(400) < 200
    noisy, weights = np.where(wrong, 1 - y, y), np.where(wrong, 0.0, 1.0)
    options = {"early_stopping": True, "monitor": "score", "n_iter_no_change": 5}
    options |= {"optimizer": optimizers.Adam(0.01), "max_iter": 60, "validation_fraction": 0.3}
    net, trainer = fit(
        X, noisy, net=network((5, 8, 2)), fit_options={"sample_weight": weights}, **options
    )
    assert np.mean(net.predict(X) == y) > 0.95
    assert trainer.history["val_score"].max() > 0.9
    # The same by classes: of three, the third is noise and weighs nothing.
    three = np.where(wrong, 2, y)
    net, trainer = fit(X, three, net=network((5, 8, 3)), class_weight={2: 0.0}, **options)
    assert np.mean(net.predict(X[~wrong]) == y[~wrong]) > 0.95
    assert trainer.history["val_score"].max() > 0.9


@pytest.mark.parametrize("head", ["softmax", "logistic", "identity", "exponential"])
def test_validation_weights_are_repetitions(head):
    X, y = problem(head=head)
    X_val, y_val = problem(n=40, head=head, seed=3)
    counts = np.random.RandomState(1).randint(0, 4, 40)
    repeated = np.repeat(np.arange(40), counts)
    _, trainer = fit(
        *(X, y, X_val, y_val), net=network(head=head), fit_options={"sample_weight_val": counts}
    )
    _, expected = fit(X, y, X_val[repeated], y_val[repeated], net=network(head=head))
    for name in ("val_loss", "val_score"):
        np.testing.assert_allclose(trainer.history[name], expected.history[name], rtol=1e-12)
    np.testing.assert_array_equal(trainer.history["loss"], expected.history["loss"])


def test_validation_rows_are_weighed_by_class():
    X, y = problem()
    net, trainer = fit(X, y, X, y, class_weight={0: 3.0, 1: 0.5})
    weights = np.array([3.0, 0.5, 1.0])[y]
    _, expected = fit(X, y, X, y, fit_options={"sample_weight": weights})
    assert not np.allclose(trainer.history["val_loss"], expected.history["val_loss"])
    both = {"sample_weight": weights, "sample_weight_val": weights}
    assert outcome(*fit(X, y, X, y, fit_options=both)) == outcome(net, trainer)


def test_rows_that_all_weigh_nothing_are_refused():
    X, y = problem()
    weights = np.zeros(53)
    weights[7] = 1
    with pytest.raises(
        ValueError, match=r"\d+ rows to (train on|validate by) .* weight 0: pass X_"
    ):
        fit(X, y, early_stopping=True, fit_options={"sample_weight": weights})
    options = {"sample_weight_val": np.zeros(53)}
    with pytest.raises(ValueError, match=r"sample_weight_val must be .* not all 0"):
        fit(X, y, X, y, fit_options=options)
    with pytest.raises(ValueError, match=r"sample_weight_val is given without X_val: pass both X"):
        fit(X, y, fit_options=options)


def test_the_split_of_a_logistic_head_is_stratified():
    X = np.random.RandomState(0).randn(400, 3)
    y = np.zeros(400)
    y[np.random.RandomState(1).permutation(400)[:8]] = 1
    source = jobs.Source(X, y[:, None])
    for seed in range(50):
        _, val = sources.divide(0.25, source, "logistic", seed)
        assert val.y.sum() == 2
    # Of several outputs, combinations count.
    two = np.stack([y, np.arange(400) % 4 == 0], axis=1)
    shares = [
        sources.divide(0.25, jobs.Source(X, two), "logistic", seed)[1].y.mean(axis=0)
        for seed in range(20)
    ]
    np.testing.assert_allclose(shares, np.tile(two.mean(axis=0), (20, 1)), atol=0.011)
    # Numbers have no classes.
    assert sources.strata(source, "identity") is None


def test_rows_without_weight_are_divided_like_the_others():
    y, weights = np.arange(60) % 3, np.ones(60)
    weights[:30] = 0
    source = jobs.Source(np.zeros((60, 2)), y, weights)
    for seed in range(20):
        train, val = sources.divide(0.2, source, "softmax", seed)
        assert np.bincount(val.y).tolist() == [4, 4, 4]
        assert val.weights.sum() == 6
        assert train.weights.sum() == 24


def test_split_off_takes_each_class_in_proportion():
    labels = np.repeat([0, 1, 2], [100, 60, 40])
    np.random.RandomState(3).shuffle(labels)
    chosen, left = split_off(0.1, labels, 200, np.random.RandomState(0))
    np.testing.assert_array_equal(np.sort(np.concatenate([chosen, left])), np.arange(200))
    assert np.bincount(labels[left]).tolist() == [10, 6, 4]
    assert (np.diff(left) > 0).all()
    _, other = split_off(0.1, labels, 200, np.random.RandomState(1))
    assert left.tolist() != other.tolist()
    _, left = split_off(0.25, None, 10, np.random.RandomState(0))
    assert len(left) == 2


# ------------------------------------------------------------------------------ history, scores


def test_history():
    X, y = problem()
    _, trainer = fit(X, y, X[:7], y[:7], max_iter=3)
    lengths = {name: len(values) for name, values in trainer.history.items()}
    assert lengths == {"step_loss": 18, "loss": 3, "val_loss": 3, "val_score": 3} | {
        "learning_rate": 3
    }
    assert all(values.dtype == np.float64 for values in trainer.history.values())
    steps = trainer.history["step_loss"].reshape(3, 6)
    expected = (10 * steps[:, :5].sum(axis=1) + 3 * steps[:, 5]) / 53
    np.testing.assert_allclose(trainer.history["loss"], expected, rtol=1e-14)
    assert trainer.n_iter_ == 3


def test_no_epochs():
    X, y = problem()
    net, trainer = fit(X, y, X, y, max_iter=0)
    assert net.params.tobytes() == network().params.tobytes()
    assert {len(values) for values in trainer.history.values()} == {0}


def d2(y, predicted):
    return sklearn.metrics.d2_tweedie_score(y, predicted, power=1)


def r2(y, predicted):
    return sklearn.metrics.r2_score(y, predicted, multioutput="variance_weighted")


@pytest.mark.parametrize(
    ("head", "C", "score"),
    [
        ("softmax", 3, sklearn.metrics.accuracy_score),
        ("logistic", 1, sklearn.metrics.accuracy_score),
        ("logistic", 3, sklearn.metrics.accuracy_score),
        ("identity", 1, r2),
        ("identity", 3, r2),
        ("exponential", 1, d2),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_validation_scores(head, C, score, dtype):
    X, y = problem(n=90, C=C, head=head, dtype=dtype)
    # More than one block of the validation set.
    X_val, y_val = problem(n=300, C=C, head=head, dtype=dtype, seed=1)
    net, expected = network((6, 8, C), head=head, dtype=dtype), []

    def callback(status):
        predicted = net.predict(X_val)
        expected.append(score(y_val.reshape(predicted.shape), predicted))
        loss = net.loss_and_gradient(X_val, y_val)[0]
        assert status.val_loss == pytest.approx(loss, rel=1e-5)

    _, trainer = fit(X, y, X_val, y_val, net=net, alpha=0.1, fit_options={"callback": callback})
    np.testing.assert_allclose(trainer.history["val_score"], expected, rtol=1e-4)
    assert np.ptp(expected) > 0


def test_a_softmax_alone_is_logistic_regression():
    X, y = load_digits(return_X_y=True)
    X = X / 16
    X, X_test, y, y_test = X[:1300], X[1300:], y[:1300], y[1300:]
    # One strength of the penalty: ours is on the mean over the rows, theirs on the sum.
    expected = LogisticRegression(C=1.0, max_iter=1000).fit(X, y)
    net, _ = fit(
        *(X, y),
        net=Network((64, 10), random_state=0),
        optimizer=optimizers.Adam(0.01),
        alpha=1 / 1300,
        batch_size=100,
        max_iter=200,
        schedule="cosine",
    )
    accuracy = np.mean(net.predict(X_test) == y_test)
    assert accuracy >= expected.score(X_test, y_test) - 0.003
    # The same minimum of the same convex loss.
    loss = net.loss_and_gradient(X, y, alpha=1 / 1300)[0]
    net.params[:] = np.concatenate([expected.coef_.T.ravel(), expected.intercept_])
    best = net.loss_and_gradient(X, y, alpha=1 / 1300)[0]
    assert best - 1e-5 < loss < best + 0.005


# --------------------------------------------------------------------------- callback, progress


def test_callback_comes_once_an_epoch_with_live_parameters():
    X, y = problem()
    net, seen = network(), []
    trainer = Trainer(net, batch_size=10, max_iter=4, schedule="step", random_state=0)

    def callback(status):
        seen.append((status, net.params.copy(), trainer.n_iter_))
        assert len(trainer.history["loss"]) == status.epoch

    history = trainer.fit(X, y, X, y, callback=callback)
    assert [status.epoch for status, *_ in seen] == [1, 2, 3, 4] == [n for *_, n in seen]
    assert {status.max_iter for status, *_ in seen} == {4}
    for name in ("loss", "val_loss", "val_score", "learning_rate"):
        assert [getattr(status, name) for status, *_ in seen] == history[name].tolist()
    assert all(status.samples_per_second > 0 for status, *_ in seen)
    assert isinstance(seen[0][0], EpochStatus)
    assert seen[-1][1].tobytes() == net.params.tobytes() != seen[0][1].tobytes()
    assert outcome(net, trainer) == outcome(*fit(X, y, X, y, schedule="step"))


def test_callback_ends_the_training():
    X, y = problem()
    net = network()
    trainer = Trainer(net, batch_size=10, max_iter=100)
    trainer.fit(X, y, callback=lambda status: status.epoch == 3)
    assert trainer.n_iter_ == len(trainer.history["loss"]) == 3
    # What is not True does not.
    trainer.fit(X, y, callback=lambda status: 1)
    assert trainer.n_iter_ == 100


def test_an_exception_of_a_callback_keeps_what_was_learnt():
    X, y = problem()
    expected = outcome(*fit(X, y, X, y, early_stopping=True, max_iter=6))
    net, seen = network(), []
    trainer = Trainer(net, batch_size=10, max_iter=6, early_stopping=True, random_state=0)

    def callback(status):
        seen.append(status.epoch)
        if len(seen) in (2, 3):
            raise OSError("disk full")

    for epochs in (2, 3):
        with pytest.raises(OSError, match="disk full"):
            trainer.fit(X, y, X, y, callback=callback)
        assert trainer.n_iter_ == epochs
    trainer.fit(X, y, X, y, callback=callback)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert outcome(net, trainer) == expected


def test_progress_sees_the_end_and_is_in_order():
    X, y = problem()
    seen = []
    _, trainer = fit(X, y, max_iter=30, fit_options={"progress": seen.append})
    epochs = [status.epoch for status in seen]
    assert epochs == sorted(epochs)
    assert epochs[-1] == seen[-1].max_iter == 30
    assert seen[-1].loss == trainer.history["loss"][-1]
    # Eight steps are not two epochs yet.
    assert 0 < seen[0].loss
    assert all(status.samples_per_second > 0 for status in seen)


def test_progress_before_the_first_epoch_ends():
    X, y = problem(n=200)
    seen = []
    _, trainer = fit(X, y, fit_options={"progress": seen.append})
    assert seen[0].epoch == 0
    assert seen[0].loss == trainer.history["step_loss"][7]
    assert math.isnan(seen[0].val_loss)


# ---------------------------------------------------------------------------------------- its name


def test_repr_shows_what_is_not_the_default():
    net = Network((4, 3, 2), random_state=0)
    assert repr(Trainer(net)) == f"Trainer({net!r})"
    assert repr(Trainer(net, "adam", batch_size=200, schedule=schedules.Constant())) == (
        f"Trainer({net!r})"
    )
    trainer = Trainer(
        *(net, optimizers.SGD(0.5)),
        max_iter=7,
        schedule="cosine",
        class_weight={0: 2.0},
        max_norm=1,
        skip_zeros=False,
        early_stopping=True,
        random_state=5,
    )
    assert repr(trainer) == (
        f"Trainer({net!r}, optimizer=SGD(learning_rate_init=0.5), max_iter=7, "
        "schedule=Cosine(warmup=0.0, final=0.0), max_norm=1.0, class_weight={0: 2.0}, "
        "early_stopping=True, skip_zeros=False)"
    )


# ------------------------------------------------------------------------------------ a way out

RUNS = {
    "plain": {},
    "sgd with dropout": {"optimizer": "sgd", "dropout": 0.3},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2, "tol": 0.05},
    "adaptive": {
        "optimizer": "momentum",
        "schedule": schedules.Adaptive(n_iter_no_change=1, tol=0.05),
        "alpha": 0.1,
    },
}


@pytest.mark.parametrize("run", RUNS)
def test_ctrl_c_after_any_work_changes_nothing(monkeypatch, run):
    # Ctrl-C is felt as soon as the compiled side is back: here it comes each time.
    X, y = problem(n=150)
    options = {**RUNS[run], "max_iter": 9}
    expected = outcome(*fit(X, y, X, y, **options))
    net = network()
    trainer = Trainer(net, batch_size=10, random_state=0, **options)
    work = CompiledLoop.run

    def interrupted(loop, items, records):
        work(loop, items, records)
        raise KeyboardInterrupt

    monkeypatch.setattr(CompiledLoop, "run", interrupted)
    seen, ends = [], []
    for _ in range(100):
        try:
            trainer.fit(X, y, X, y, callback=lambda status: seen.append(status.epoch))
            break
        except KeyboardInterrupt:
            ends.append(trainer.n_iter_)
    assert outcome(net, trainer) == expected
    assert seen == list(range(1, trainer.n_iter_ + 1))
    # In the midst of epochs, and at their ends.
    assert len(ends) > len(set(ends)) > 1


@pytest.mark.parametrize("moment", ["run", "finished", "items"])
def test_ctrl_c_around_the_work_changes_nothing(monkeypatch, moment):
    # Before the compiled side begins, and before Python has noted that its work is done.
    X, y = problem(n=150)
    options = {"early_stopping": True, "max_iter": 9}
    expected = outcome(*fit(X, y, X, y, **options))
    owner = EpochOrder if moment == "items" else CompiledLoop
    method, calls = getattr(owner, moment), []

    def interrupted(*arguments):
        calls.append(None)
        if len(calls) % 5 == 4:
            raise KeyboardInterrupt
        return method(*arguments)

    monkeypatch.setattr(owner, moment, interrupted)
    monkeypatch.setattr("fastnn.engine.loop.SHELF", Shelf())  # with no idea of how fast it goes
    net, cuts = network(), 0
    trainer = Trainer(net, batch_size=10, random_state=0, **options)
    for _ in range(100):
        try:
            trainer.fit(X, y, X, y)
            break
        except KeyboardInterrupt:
            cuts += 1
    assert cuts > 1
    assert outcome(net, trainer) == expected


def test_ctrl_c_before_the_first_step_changes_nothing(monkeypatch):
    X, y = problem()
    net = network()
    trainer = Trainer(net, batch_size=10, max_iter=4, random_state=0)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine_fit.Fit, "do", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(X, y)
    trainer.fit(X, y)
    assert outcome(net, trainer) == outcome(*fit(X, y))


@pytest.mark.parametrize(
    ("owner", "moment"), [(CompiledLoop, "store"), (engine_fit.Fit, "history")]
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_while_all_is_being_kept_loses_nothing(
    monkeypatch, tmp_path, owner, moment, early_stopping
):
    X, y = problem(n=150)
    options = {"early_stopping": early_stopping, "max_iter": 9}
    expected = outcome(*fit(X, y, **options))
    method, calls = getattr(owner, moment), []

    def interrupted(*arguments):
        # Early stopping has the parameters at the end of epochs too.
        if sys._getframe(1).f_code.co_name in ("keep", "_keep"):
            calls.append(None)
            if len(calls) == 1:
                raise KeyboardInterrupt
        return method(*arguments)

    monkeypatch.setattr(owner, moment, interrupted)
    net, path = network(), tmp_path / "kept.safetensors"
    trainer = Trainer(net, batch_size=10, random_state=0, **options)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, y)
    assert outcome(net, trainer) == expected
    trainer.save(path)
    read = Trainer.resume(path)
    read.fit(X, y)
    assert outcome(read.network, read) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_keeps_what_was_learnt(many_threads, threads):
    fastnn.set_num_threads(threads)
    X, y = problem(n=1000, dtype=np.float32)
    net = network(dtype=np.float32)
    trainer = Trainer(net, max_iter=1_000_000, batch_size=100, random_state=0)
    before, begun = threading.active_count(), threading.Event()
    timer = threading.Thread(target=lambda: begun.wait(60) and _thread.interrupt_main())

    def progress(status):
        if status.epoch > 3:
            begun.set()

    timer.start()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, y, progress=progress)
    timer.join()
    assert threading.active_count() == before
    steps = len(trainer.history["step_loss"])
    assert 3 < trainer.n_iter_ == steps // 10 < 1_000_000
    assert np.isfinite(trainer.history["step_loss"]).all()
    # As many steps, uninterrupted; the last of them may be in the midst of an epoch.
    twin = Trainer(network(dtype=np.float32), max_iter=1_000_000, batch_size=100, random_state=0)
    twin.fit(X, y, callback=lambda status: status.epoch > trainer.n_iter_)
    expected = twin.history["step_loss"][:steps]
    assert trainer.history["step_loss"].tobytes() == expected.tobytes()


@pytest.mark.parametrize("stops", [False, True])
def test_ctrl_c_at_the_very_end_leaves_nothing_to_be_done(stops, tmp_path):
    X, y = problem()
    net = network()
    options = {"early_stopping": True, "n_iter_no_change": 1, "tol": 10.0} if stops else {}
    trainer, epochs = Trainer(net, max_iter=3, random_state=0, **options), []
    last = 2 if stops else 3

    def interrupt(status):
        epochs.append(status.epoch)
        if status.epoch == last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, y, callback=interrupt, checkpoint=tmp_path / "end.safetensors")
    params, history = net.params.copy(), trainer.history
    others = [copy.deepcopy(trainer), Trainer.resume(tmp_path / "end.safetensors")]
    for each in (trainer, *others):
        again = each.fit(X, y, callback=interrupt)
        np.testing.assert_array_equal(again["step_loss"], history["step_loss"])
        np.testing.assert_array_equal(each.network.params, params)
    assert len(epochs) == last
    # The one after that is a new one.
    trainer.fit(X, y)
    assert not np.array_equal(net.params, params)


def test_an_exception_while_the_last_checkpoint_is_written_leaves_that_to_be_done(
    monkeypatch, tmp_path
):
    X, y = problem()
    options = {"early_stopping": True, "max_iter": 3}
    expected = outcome(*fit(X, y, **options))
    net, path = network(), tmp_path / "end.safetensors"
    trainer = Trainer(net, batch_size=10, random_state=0, **options)

    def full(*arguments):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", full)
        for _ in range(2):
            with pytest.raises(OSError, match="no space left"):
                trainer.fit(X, y, checkpoint=path, checkpoint_seconds=1e9)
    trainer.fit(X, y, checkpoint=path)
    assert outcome(net, trainer) == expected
    read = Trainer.resume(path)
    assert outcome(read.network, read) == expected


def test_what_a_callback_has_made_of_the_history_is_not_made_again(monkeypatch):
    X, y = problem()
    trainer = Trainer(network(), max_iter=7, batch_size=10, random_state=0)
    lengths, histories, work = [], [], engine_fit.Fit.epochs

    def epochs(self, first, stop):
        lengths.append(stop - first)
        return work(self, first, stop)

    monkeypatch.setattr(engine_fit.Fit, "epochs", epochs)
    trainer.fit(X, y, X, y, callback=lambda status: histories.append(trainer.history))
    assert set(lengths) == {1}
    plain = Trainer(network(), max_iter=7, batch_size=10, random_state=0).fit(X, y, X, y)
    for epoch, history in enumerate([*histories, trainer.history], 1):
        assert len(history["step_loss"]) == 6 * min(epoch, 7)
        for name, values in history.items():
            np.testing.assert_array_equal(values, plain[name][: len(values)], err_msg=name)


def test_a_limit_of_epochs_that_is_never_reached():
    X, y = problem()
    options = {"early_stopping": True, "n_iter_no_change": 2, "tol": 1.0, "random_state": 0}
    few, many = (
        Trainer(network(), max_iter=n, batch_size=1, **options).fit(X, y) for n in (50, 10**15)
    )
    assert few.keys() == many.keys()
    for name, values in few.items():
        np.testing.assert_array_equal(many[name], values)


def test_another_fit_after_the_end_is_a_new_one():
    X, y = problem()
    net, trainer = fit(X, y, max_iter=3)
    first, params = trainer.history, net.params.copy()
    second = trainer.fit(X, y)
    assert second["loss"][0] < first["loss"][0]
    assert second["step_loss"].shape == first["step_loss"].shape
    # In another order; the optimiser remembers nothing.
    layers = network()
    layers.params[:] = params
    rows = np.random.RandomState([seed_of(0, run=1), 0]).permutation(len(X))[:10]
    loss, _ = plain_gradients(layers.layers, X[rows], y[rows], 0)
    assert second["step_loss"][0] == pytest.approx(loss, rel=1e-12)


def test_other_data_after_ctrl_c_are_refused():
    X, y = problem()

    def interrupt(status):
        raise KeyboardInterrupt

    net = network()
    trainer = Trainer(net, batch_size=10, random_state=0, max_iter=4)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, y, callback=interrupt)
    params = net.params.copy()
    for data in ((X[1:], y[1:]), (X + 1, y), (X, (y + 1) % 3), (X, y, X, y), (csr_matrix(X), y)):
        with pytest.raises(ValueError, match=r"goes on with a training that was begun with 53"):
            trainer.fit(*data)
    with pytest.raises(ValueError, match=r"fit got other data .* pass the same X, y, weights"):
        trainer.fit(X, y, sample_weight=np.arange(53.0))
    np.testing.assert_array_equal(net.params, params)
    trainer.fit(X.tolist(), y.astype(float))
    assert outcome(net, trainer) == outcome(*fit(X, y))


# ----------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("callback", [None, lambda status: None])
def test_divergence_warns_once_at_the_user_s_line(callback):
    X, y = problem(head="identity")
    net = network(head="identity", activation="relu")
    trainer = Trainer(net, optimizers.SGD(1e10), batch_size=10, max_iter=30, random_state=0)
    with pytest.warns(RuntimeWarning, match=r"the training has diverged; try a smaller") as caught:
        history = trainer.fit(X, y, X, y, callback=callback)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    bad = np.flatnonzero(~np.isfinite(history["step_loss"]))
    assert f"at step {bad[0]}, where the learning rate is 1e+10" in str(caught[0].message)
    assert len(history["loss"]) == 30


def test_a_healthy_training_does_not_warn():
    X, y = problem()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(X, y, X, y, early_stopping=True, schedule="adaptive")


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"network": "net"}, TypeError, r"network is 'net', but a Trainer trains a fastnn.Network"),
        ({"optimizer": "adamax"}, ValueError, r"optimizer is 'adamax', but known are sgd, mom"),
        ({"optimizer": optimizers.Adam}, TypeError, r"optimizer is <class.*Adam\(learning_rate"),
        ({"schedule": "cos"}, ValueError, r"schedule is 'cos', but known are .*Cosine\(warmup=0.1"),
        ({"schedule": 0.1}, TypeError, r"schedule is 0.1, but known are"),
        (
            {"optimizer": optimizers.RMSProp(epsilon=1e-310)},
            ValueError,
            r"epsilon is 1e-310, but numbers as small count as 0 in float64, .* pass for example",
        ),
        ({"batch_size": 0}, ValueError, r"batch_size is 0, but it must be at least 1"),
        ({"batch_size": 1.5}, TypeError, r"batch_size is 1.5 of type float"),
        ({"max_iter": -1}, ValueError, r"max_iter is -1, but it must be at least 0"),
        ({"alpha": -1}, ValueError, r"alpha is -1.0.*pass 0 for no penalty"),
        ({"max_norm": 0}, ValueError, r"max_norm is 0, but then nothing moves: pass None"),
        ({"max_norm": "a"}, TypeError, r"max_norm is 'a', but it is a number: pass None"),
        ({"dropout": 1}, ValueError, r"dropout is 1.0, but it must be below 1: pass 0 for none"),
        ({"label_smoothing": -0.1}, ValueError, r"label_smoothing is -0.1"),
        ({"class_weight": "even"}, ValueError, r"class_weight is 'even', but it is a dict"),
        ({"class_weight": [1, 2]}, TypeError, r"class_weight is \[1, 2\], but it is a dict"),
        ({"class_weight": {0.5: 1}}, TypeError, r"holds the class 0.5, but classes are integers"),
        ({"class_weight": {1: -1}}, ValueError, r"class_weight\[1\] is -1.0, but it must be fini"),
        ({"class_weight": {1: "a"}}, TypeError, r"class_weight\[1\] is 'a', but it is a number"),
        ({"shuffle": "no"}, TypeError, r"shuffle is 'no', but it is True or False"),
        ({"replacement": 1}, TypeError, r"replacement is 1, but it is True or False"),
        ({"early_stopping": None}, TypeError, r"early_stopping is None, but it is True or False"),
        ({"monitor": "accuracy"}, ValueError, r"monitor is 'accuracy', but it is one of loss, sc"),
        ({"validation_fraction": 1}, ValueError, r"validation_fraction is 1.0.*pass for exam"),
        ({"n_iter_no_change": 0}, ValueError, r"n_iter_no_change is 0, but it must be at least 1"),
        ({"tol": -1}, ValueError, r"tol is -1.0.*pass 0 for any improvement"),
        (
            {"skip_zeros": "yes"},
            ValueError,
            r"skip_zeros is 'yes', but it is 'auto', True or False",
        ),
        ({"skip_zeros": 1}, TypeError, r"skip_zeros is 1, but it is 'auto', True or False"),
        ({"random_state": "a"}, TypeError, r"random_state is 'a'.*integer seed"),
    ],
)
def test_wrong_options(options, error, match):
    with pytest.raises(error, match=match):
        Trainer(**{"network": network(), **options})


@pytest.mark.parametrize("options", [{"label_smoothing": 0.1}, {"class_weight": "balanced"}])
def test_classes_are_of_the_softmax(options):
    with pytest.raises(ValueError, match=r"needs classes, but the network's head is 'logistic'"):
        Trainer(network(head="logistic"), **options)


class OneCycleOfMyOwn(schedules.OneCycle):
    pass


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        (optimizers.Adam, 2e-38),
        (optimizers.RMSProp, 2e-38),
        # At the first step it is multiplied by the root of 1 - beta_2.
        (functools.partial(optimizers.AdamW, corrected_root=True), 5e-37),
    ],
)
def test_an_epsilon_is_no_less_than_a_number_of_the_dtype(kind, least):
    X, y = problem(dtype=np.float32)
    X[:, 1] = 0
    _, trainer = fit(X, y, net=network(dtype=np.float32), optimizer=kind(epsilon=least))
    assert np.isfinite(trainer.network.params).all()
    with pytest.raises(ValueError, match=r"count as 0 in float32, and a weight whose gradient"):
        Trainer(network(dtype=np.float32), kind(epsilon=least / 10))
    Trainer(network(), kind(epsilon=least / 10))


def test_schedules_of_one_s_own_are_refused():
    # A checkpoint could not name them.
    with pytest.raises(TypeError, match=r"schedule is OneCycleOfMyOwn"):
        Trainer(network(), schedule=OneCycleOfMyOwn())


GOOD = dict(zip(("X", "y"), problem()))


@pytest.mark.parametrize(
    ("data", "options", "error", "match"),
    [
        ({"X": np.zeros((53, 5))}, {}, ValueError, r"X has 5 columns, but the network has 6"),
        ({"y": GOOD["y"][:-1]}, {}, ValueError, r"y has 52 labels, but X has 53 rows"),
        ({"y": GOOD["y"] + 1}, {}, ValueError, r"y holds the label 3"),
        ({"X_val": GOOD["X"]}, {}, ValueError, r"X_val is given without y_val: pass both X_val"),
        ({"y_val": GOOD["y"]}, {}, ValueError, r"y_val is given without X_val"),
        (
            {"X_val": GOOD["X"][:, :5], "y_val": GOOD["y"]},
            *({}, ValueError, r"X_val has 5 columns"),
        ),
        (
            {"X_val": GOOD["X"], "y_val": GOOD["y"][1:]},
            *({}, ValueError, r"y_val has 52 labels, but X_val has 53 rows"),
        ),
        (
            {"X_val": csr_matrix(GOOD["X"]), "y_val": GOOD["y"]},
            *({}, TypeError, r"X_val is a CSR matrix, but X is a dense array .* convert one"),
        ),
        ({"sample_weight": np.ones(5)}, {}, ValueError, r"sample_weight has shape \(5,\)"),
        ({"sample_weight": -np.ones(53)}, {}, ValueError, r"sample_weight must be finite"),
        (
            {"sample_weight": GOOD["y"] == 0},
            {"class_weight": {0: 0}},
            *(ValueError, r"sample_weight times class_weight must be finite in"),
        ),
        ({}, {"class_weight": {3: 1}}, ValueError, r"the class 3, but the network has .* 0..2"),
        (
            {},
            {"early_stopping": True, "validation_fraction": 0.001},
            *(ValueError, r"validation_fraction=0.001 of 53 rows is 0: pass a fraction"),
        ),
        ({"callback": 1}, {}, TypeError, r"callback is 1, but it is None or a function"),
        ({"progress": None}, {}, TypeError, r"progress is None, but it is True, False or a fun"),
        ({"checkpoint": 1}, {}, TypeError, r"checkpoint is 1, but it is the path of a file"),
        ({"checkpoint": "no/where"}, {}, FileNotFoundError, r"there is no folder no: make it"),
        ({"checkpoint": "/"}, {}, IsADirectoryError, r"checkpoint is /, a folder"),
        ({"checkpoint_seconds": -1}, {}, ValueError, r"checkpoint_seconds is -1.0.*pass 0 for"),
    ],
)
def test_wrong_data_change_nothing(data, options, error, match):
    net = network()
    trainer = Trainer(net, batch_size=10, max_iter=4, random_state=0, **options)
    with pytest.raises(error, match=match):
        trainer.fit(**{**GOOD, **data})
    assert net.params.tobytes() == network().params.tobytes()
    if not options:
        trainer.fit(**GOOD)
        assert outcome(net, trainer) == outcome(*fit(**GOOD))
