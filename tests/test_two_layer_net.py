"""TwoLayerNet gives the numbers of CS231n's class, whatever it is given, or says what is wrong."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array

from fastnn import TwoLayerNet, reference
from fastnn.engine import zeros
from fastnn.threads import set_num_threads

NAMES = ["W1", "b1", "W2", "b2"]
CONVENTIONS = [0.5, 1.0]

# ------------------------------------------------------------------------------- the toy problem

TOY_SCORES = [
    [-0.81233741, -1.27654624, -0.70335995],
    [-0.17129677, -1.18803311, -0.47310444],
    [-0.51590475, -1.01354314, -0.8504215],
    [-0.15419291, -0.48629638, -0.52901952],
    [-0.00618733, -0.12435261, -0.15226949],
]


def toy_net(cls=TwoLayerNet, **options):
    np.random.seed(0)
    return cls(4, 10, 3, std=1e-1, **options)


def toy_data():
    np.random.seed(1)
    return 10 * np.random.randn(5, 4), np.array([0, 1, 2, 2, 1])


def two_blobs(n, D, C, seed=0, dtype=np.float64):
    """Return features and labels that a network can learn, but not at once."""
    random = np.random.RandomState(seed)
    y = random.randint(0, C, n)
    centres = random.randn(C, D)
    return (centres[y] + random.randn(n, D)).astype(dtype), y


def params_of(net):
    return {name: net.params[name].copy() for name in NAMES}


def assert_same_params(net, expected):
    for name in NAMES:
        np.testing.assert_array_equal(net.params[name], expected[name])


class TestToyProblem:
    def test_scores(self):
        net, (X, _) = toy_net(), toy_data()
        np.testing.assert_allclose(net.loss(X), TOY_SCORES, rtol=0, atol=5.1e-9)

    @pytest.mark.parametrize(("reg", "reg_factor"), [(0.1, 0.5), (0.05, 1)])
    def test_loss(self, reg, reg_factor):
        net, (X, y) = toy_net(reg_factor=reg_factor), toy_data()
        loss, _ = net.loss(X, y, reg=reg)
        assert loss == pytest.approx(1.30378789133, rel=0, abs=1.8e-12)

    def test_loss_of_the_wrong_convention(self):
        net, (X, y) = toy_net(reg_factor=0.5), toy_data()
        loss, _ = net.loss(X, y, reg=0.05)
        assert loss == pytest.approx(1.2848224717239367, rel=1e-14)
        assert 1.30378789133 - loss == pytest.approx(0.0189654196, abs=1e-10)

    @pytest.mark.parametrize("reg_factor", CONVENTIONS)
    def test_gradient_against_central_differences(self, reg_factor):
        net, (X, y) = toy_net(reg_factor=reg_factor), toy_data()
        _, grads = net.loss(X, y, reg=0.05)
        assert set(grads) == set(NAMES)
        step = 1e-5
        for name in NAMES:
            # As in the course: one element at a time, perturbed in place.
            array, gradient = net.params[name], grads[name]
            assert gradient.shape == array.shape
            assert np.linalg.norm(gradient) > 1e-3
            numeric = np.empty_like(array)
            for index in np.ndindex(array.shape):
                before = array[index]
                array[index] = before + step
                above, _ = net.loss(X, y, reg=0.05)
                array[index] = before - step
                below, _ = net.loss(X, y, reg=0.05)
                array[index] = before
                numeric[index] = (above - below) / (2 * step)
            error = np.linalg.norm(gradient - numeric)
            assert error / np.linalg.norm(gradient) < 1e-8, name

    @pytest.mark.parametrize(("reg", "reg_factor"), [(1e-5, 0.5), (5e-6, 1)])
    def test_training(self, reg, reg_factor):
        X, y = toy_data()
        net = toy_net(reg_factor=reg_factor)
        history = net.train(X, y, X, y, learning_rate=1e-1, reg=reg, num_iters=100)
        assert len(history["loss_history"]) == 100
        assert history["loss_history"][0] == pytest.approx(1.2419938024915662, rel=1e-12)
        assert history["loss_history"][-1] == pytest.approx(0.017149607938732093, rel=1e-9)
        assert history["val_acc_history"][-1] == 1.0
        np.testing.assert_array_equal(net.predict(X), y)

    def test_training_in_float32(self):
        X, y = toy_data()
        net = toy_net(dtype=np.float32)
        history = net.train(X, y, X, y, learning_rate=1e-1, reg=1e-5, num_iters=100)
        assert history["loss_history"][0] == pytest.approx(1.2419938024915662, rel=1e-5)
        assert history["loss_history"][-1] == pytest.approx(0.017149607938732093, rel=1e-3)
        assert {array.dtype for array in net.params.values()} == {np.dtype(np.float32)}


class TestConstruction:
    def test_draws_as_the_original_does(self):
        np.random.seed(3)
        net = TwoLayerNet(7, 5, 4, std=0.1)
        following = np.random.randint(1 << 30)
        np.random.seed(3)
        twin = reference.TwoLayerNet(7, 5, 4, std=0.1)
        assert following == np.random.randint(1 << 30)
        assert_same_params(net, twin.params)
        assert list(net.params) == NAMES

    @pytest.mark.parametrize("make", [int, np.int64, np.random.RandomState])
    def test_any_kind_of_random_state_draws_the_same_numbers(self, make):
        X, y = two_blobs(40, 6, 3)
        np.random.seed(11)
        expected = TwoLayerNet(6, 5, 3, std=0.1)
        expected_history = expected.train(X, y, X, y, 0.1, num_iters=30, batch_size=7)
        state = np.random.get_state()[1].copy()

        net = TwoLayerNet(6, 5, 3, std=0.1, random_state=make(11))
        history = net.train(X, y, X, y, 0.1, num_iters=30, batch_size=7)
        assert history == expected_history
        assert_same_params(net, expected.params)
        # The global generator is left alone.
        np.testing.assert_array_equal(np.random.get_state()[1], state)

    def test_random_state_is_not_drawn_again_at_each_training(self):
        X, y = two_blobs(40, 6, 3)
        net = TwoLayerNet(6, 5, 3, random_state=0)
        first = net.train(X, y, X, y, 0.0, num_iters=5, batch_size=7)
        second = net.train(X, y, X, y, 0.0, num_iters=5, batch_size=7)
        assert first["loss_history"] != second["loss_history"]

    def test_sizes_may_be_numpy_integers(self):
        net = TwoLayerNet(np.int32(3), np.int64(4), np.uint8(2))
        assert net.params["W1"].shape == (3, 4)
        assert net.params["W2"].shape == (4, 2)

    def test_zero_std(self):
        assert not TwoLayerNet(3, 4, 2, std=0).params["W1"].any()

    def test_repr_says_what_it_is(self):
        net = TwoLayerNet(3, 4, 2, dtype="float32", reg_factor=1)
        assert repr(net) == "TwoLayerNet(3, 4, 2, dtype=float32, reg_factor=1.0)"

    @pytest.mark.parametrize("dtype", [np.float32, "float32", np.dtype("f4"), float, "f8"])
    def test_dtype(self, dtype):
        net = TwoLayerNet(3, 4, 2, dtype=dtype)
        assert {array.dtype for array in net.params.values()} == {np.dtype(dtype)}
        assert net.loss([[1, 2, 3]]).dtype == np.dtype(dtype)

    @pytest.mark.parametrize(
        ("sizes", "options", "error", "match"),
        [
            ((0, 4, 2), {}, ValueError, r"input_size is 0, but it must be at least 1"),
            ((3, -1, 2), {}, ValueError, r"hidden_size is -1, but it must be at least 1"),
            ((3, 4, 0), {}, ValueError, r"output_size is 0, but it must be at least 1"),
            ((3.0, 4, 2), {}, TypeError, r"input_size is 3.0 of type float.*pass int\(input_size"),
            ((3, "4", 2), {}, TypeError, r"hidden_size is '4' of type str"),
            ((3, 4, None), {}, TypeError, r"output_size is None"),
            ((3, 4, 2), {"std": -1}, ValueError, r"std is -1.0.*small positive number"),
            ((3, 4, 2), {"std": np.nan}, ValueError, r"std is nan, but it must be finite"),
            ((3, 4, 2), {"std": "a"}, TypeError, r"std is 'a', but it is a number"),
            ((3, 4, 2), {"reg_factor": -1}, ValueError, r"reg_factor is -1.0.*pass 0.5"),
            ((3, 4, 2), {"reg_factor": None}, TypeError, r"reg_factor is None"),
            ((3, 4, 2), {"dtype": "float16"}, TypeError, r"dtype is 'float16'.*float32 or numpy"),
            ((3, 4, 2), {"dtype": int}, TypeError, r"dtype is <class 'int'>"),
            ((3, 4, 2), {"dtype": ">f8"}, TypeError, r"dtype is '>f8'"),
            ((3, 4, 2), {"dtype": "nonsense"}, TypeError, r"dtype is 'nonsense'"),
            ((3, 4, 2), {"dtype": None}, TypeError, r"dtype is None"),
            ((3, 4, 2), {"random_state": "a"}, TypeError, r"random_state is 'a'.*integer seed"),
            ((3, 4, 2), {"random_state": 1.5}, TypeError, r"random_state is 1.5"),
        ],
    )
    def test_errors(self, sizes, options, error, match):
        with pytest.raises(error, match=match):
            TwoLayerNet(*sizes, **options)


# ----------------------------------------------------------------------------- against the twin

# n is no multiple of 4 or 8, batches larger than the data, batches of one, more than one vector.
RUNS = {
    "toy": {"n": 5, "sizes": (4, 10, 3), "batch_size": 200, "rate": 0.1},
    "batch of one": {"n": 7, "sizes": (5, 6, 4), "batch_size": 1, "rate": 0.01},
    "odd": {"n": 37, "sizes": (13, 11, 5), "batch_size": 7, "rate": 0.1},
    "digits": {"n": 301, "sizes": (64, 100, 10), "batch_size": 33, "rate": 0.1},
    "larger than the data": {"n": 30, "sizes": (17, 50, 10), "batch_size": 31, "rate": 0.1},
    "long rows": {"n": 90, "sizes": (300, 50, 10), "batch_size": 20, "rate": 0.01},
    "one hidden unit": {"n": 30, "sizes": (3, 1, 2), "batch_size": 5, "rate": 0.1},
    "one input": {"n": 30, "sizes": (1, 9, 2), "batch_size": 6, "rate": 0.1},
    "one class": {"n": 10, "sizes": (3, 4, 1), "batch_size": 3, "rate": 0.1},
    "one row": {"n": 1, "sizes": (3, 4, 2), "batch_size": 3, "rate": 0.1},
}


def train_both(run, reg_factor=0.5, dtype=np.float64, num_iters=300, **options):
    D, H, C = run["sizes"]
    X, y = two_blobs(run["n"], D, C, dtype=dtype)
    X_val, y_val = two_blobs(run["n"] // 2 + 1, D, C, seed=1, dtype=dtype)
    both = []
    for cls in (TwoLayerNet, reference.TwoLayerNet):
        np.random.seed(5)
        net = cls(D, H, C, std=0.1, dtype=dtype, reg_factor=reg_factor)
        history = net.train(
            *(X, y, X_val, y_val, run["rate"]),
            **{"reg": 0.01, "num_iters": num_iters, "batch_size": run["batch_size"], **options},
        )
        both.append((net, history, np.random.randint(1 << 30)))
    return both


@pytest.mark.parametrize("reg_factor", CONVENTIONS)
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_training_follows_the_twin(run, reg_factor):
    (net, history, following), (twin, expected, expected_following) = train_both(run, reg_factor)
    np.testing.assert_allclose(
        history["loss_history"], expected["loss_history"], rtol=1e-9, atol=1e-14
    )
    assert history["train_acc_history"] == expected["train_acc_history"]
    assert history["val_acc_history"] == expected["val_acc_history"]
    for name in NAMES:
        np.testing.assert_allclose(net.params[name], twin.params[name], rtol=1e-8, atol=1e-11)
    # Not one random number more, or less.
    assert following == expected_following


def test_training_on_mostly_zeros_follows_the_twin(monkeypatch):
    random = np.random.RandomState(0)
    X = random.randn(90, 130) * (random.rand(90, 130) < 0.15)
    y, rows, without = (X @ random.randn(130, 3)).argmax(axis=1), [], zeros.without
    monkeypatch.setattr(
        zeros, "without", lambda source: rows.append(len(source)) or without(source)
    )
    histories = []
    for cls in (TwoLayerNet, reference.TwoLayerNet):
        np.random.seed(5)
        net = cls(130, 16, 3, std=0.1)
        data = X[:60], y[:60], X[60:], y[60:]
        histories.append(net.train(*data, learning_rate=0.5, num_iters=300, batch_size=8))
    assert rows == [60, 30]
    ours, wanted = histories
    np.testing.assert_allclose(ours["loss_history"], wanted["loss_history"], rtol=1e-9)
    assert wanted["loss_history"][-1] < 0.5 * wanted["loss_history"][0]
    for name in ("train_acc_history", "val_acc_history"):
        assert ours[name] == wanted[name]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_training_in_float32_follows_the_twin(run):
    (net, history, _), (_, expected, _) = train_both(run, dtype=np.float32)
    np.testing.assert_allclose(
        history["loss_history"], expected["loss_history"], rtol=2e-3, atol=1e-5
    )
    np.testing.assert_allclose(
        history["loss_history"][:20], expected["loss_history"][:20], rtol=2e-5, atol=1e-6
    )
    assert all(array.dtype == np.float32 for array in net.params.values())


@pytest.mark.parametrize("num_iters", [0, 1, 2, 5, 6, 11])
def test_histories_have_the_lengths_of_the_original(num_iters):
    (net, history, _), (_, expected, _) = train_both(RUNS["odd"], num_iters=num_iters)
    for name, values in expected.items():
        assert history[name] == pytest.approx(values, rel=1e-10), name
    assert net.history is history
    assert list(history) == ["loss_history", "train_acc_history", "val_acc_history"]
    assert all(type(value) is float for values in history.values() for value in values)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0, 1.01])
def test_learning_rate_decays_as_the_original_does(decay):
    (_, history, _), (_, expected, _) = train_both(RUNS["odd"], learning_rate_decay=decay)
    np.testing.assert_allclose(history["loss_history"], expected["loss_history"], rtol=1e-9)


def test_a_second_training_continues_the_first():
    X, y = two_blobs(40, 6, 3)
    losses = []
    for cls in (TwoLayerNet, reference.TwoLayerNet):
        np.random.seed(2)
        net = cls(6, 9, 3, std=0.1)
        for _ in range(2):
            history = net.train(X, y, X, y, 0.1, num_iters=25, batch_size=9)
        losses.append(history["loss_history"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)


@pytest.mark.parametrize("n_val", [1, 2, 3, 100, 255, 256, 257, 300, 700])
def test_validation_sets_of_any_size(n_val):
    X, y = two_blobs(50, 6, 3)
    X_val, y_val = two_blobs(n_val, 6, 3, seed=4)
    histories = []
    for cls in (TwoLayerNet, reference.TwoLayerNet):
        np.random.seed(2)
        net = cls(6, 9, 3, std=0.1)
        histories.append(net.train(X, y, X_val, y_val, 0.1, num_iters=23, batch_size=9))
    assert histories[0]["val_acc_history"] == histories[1]["val_acc_history"]
    assert histories[0]["train_acc_history"] == histories[1]["train_acc_history"]
    assert len(histories[0]["val_acc_history"]) == 5


def test_verbose_prints_what_the_original_prints(capsys):
    X, y = toy_data()
    printed = []
    for cls in (TwoLayerNet, reference.TwoLayerNet):
        toy_net(cls).train(X, y, X, y, num_iters=301, verbose=True)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    lines = printed[0].splitlines()
    assert lines[0].startswith("iteration 0 / 301: loss 1.")
    assert [line.split(":")[0] for line in lines[1:]] == [
        "iteration 100 / 301",
        "iteration 200 / 301",
        "iteration 300 / 301",
    ]


def test_silent_by_default(capsys):
    X, y = toy_data()
    toy_net().train(X, y, X, y, num_iters=101)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


# ------------------------------------------------------------------------------------ prediction


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 191, 192, 193, 1000, 3001])
def test_predict_is_the_argmax_of_the_scores(n, dtype):
    net = TwoLayerNet(50, 97, 11, std=0.3, dtype=dtype, random_state=0)
    X = np.random.RandomState(1).randn(n, 50).astype(dtype)
    labels = net.predict(X)
    assert labels.dtype == np.int64
    assert labels.shape == (n,)
    scores = reference.forward(X.astype(np.float64), net.params)[1]
    best, second = np.sort(scores, axis=1)[:, :-3:-1].T
    clear = best - second > 1e-3 * abs(scores).max()
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(labels[clear], scores.argmax(axis=1)[clear])


@pytest.mark.parametrize("n", [3, 3001])
def test_predict_takes_the_first_of_equal_scores(n):
    net = TwoLayerNet(50, 97, 11, random_state=0)
    net.params["W2"][:] = 0
    X = np.random.RandomState(1).randn(n, 50)
    net.params["b2"][:] = [0, 0, 3, 0, 0, 3, 0, 0, 0, 0, 3]
    np.testing.assert_array_equal(net.predict(X), 2)


@pytest.mark.parametrize("n", [3, 3001])
def test_nothing_changes_what_a_prediction_reads(n):
    net = TwoLayerNet(50, 97, 11, std=0.1, random_state=0)
    X = np.random.RandomState(1).randn(n, 50)
    before, params = X.copy(), params_of(net)
    first, second = net.predict(X), net.predict(X)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(X, before)
    assert_same_params(net, params)


# ------------------------------------------------------------------------------- live parameters


def test_params_are_modified_in_place_by_training():
    X, y = two_blobs(40, 6, 3)
    net = TwoLayerNet(6, 9, 3, random_state=0)
    arrays = dict(net.params)
    net.train(X, y, X, y, 0.1, num_iters=3)
    for name in NAMES:
        assert net.params[name] is arrays[name]
        assert arrays[name].any()


def test_the_next_call_sees_what_was_assigned():
    X, y = two_blobs(40, 6, 3)
    net = TwoLayerNet(6, 9, 3, random_state=0)
    other = TwoLayerNet(6, 9, 3, std=1.0, random_state=1)
    for name in NAMES:
        net.params[name] = other.params[name].copy()
    net.params["b2"][1] = other.params["b2"][1] = 50.0
    np.testing.assert_array_equal(net.loss(X), other.loss(X))
    np.testing.assert_array_equal(net.predict(X), other.predict(X))
    assert (net.predict(X) == 1).all()
    assert net.loss(X, y)[0] == other.loss(X, y)[0]
    net._random = np.random.RandomState(2)
    other._random = np.random.RandomState(2)
    first, second = (one.train(X, y, X, y, num_iters=5) for one in (net, other))
    assert first == second


ASSIGNMENTS = {
    "list": lambda array: array.tolist(),
    "float32": lambda array: array.astype(np.float32).astype(np.float64),
    "other precision": lambda array: array.astype(np.longdouble),
    "Fortran order": np.asfortranarray,
    "strided": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "transposed": lambda array: np.ascontiguousarray(array.T).T,
    "reversed": lambda array: array[::-1].copy()[::-1],
    "other byte order": lambda array: array.astype(">f8"),
}


@pytest.mark.parametrize("assign", ASSIGNMENTS.values(), ids=ASSIGNMENTS)
def test_params_may_be_assigned_in_any_form(assign):
    X, y = two_blobs(40, 6, 3)
    net, expected = (TwoLayerNet(6, 9, 3, std=0.5, random_state=0) for _ in range(2))
    for name in NAMES:
        if assign is ASSIGNMENTS["float32"]:
            expected.params[name] = assign(expected.params[name])
        net.params[name] = assign(net.params[name])
    np.testing.assert_allclose(net.loss(X), expected.loss(X), rtol=1e-12, atol=1e-14)
    assert net.loss(X, y)[0] == pytest.approx(expected.loss(X, y)[0], rel=1e-12)
    np.testing.assert_array_equal(net.predict(X), expected.predict(X))
    history = net.train(X, y, X, y, 0.1, num_iters=10, batch_size=8)
    assert history == expected.train(X, y, X, y, 0.1, num_iters=10, batch_size=8)
    for name in NAMES:
        np.testing.assert_array_equal(net.params[name], expected.params[name])


def test_integer_params():
    net = TwoLayerNet(2, 2, 2)
    net.params.update(W1=np.eye(2, dtype=int), W2=[[1, 2], [3, 4]], b2=np.array([0, 1]))
    np.testing.assert_array_equal(net.loss([[1.0, 1.0]]), [[4, 7]])


def test_params_that_were_read_only_are_trained_or_refused_before_the_training():
    X, y = two_blobs(40, 6, 3)
    net = TwoLayerNet(6, 9, 3, std=0.1, random_state=0)
    net.params["W1"].flags.writeable = False
    before = params_of(net)
    with pytest.raises(ValueError, match=r"params\['W1'\] is read-only"):
        net.train(X, y, X, y, num_iters=3)
    assert_same_params(net, before)
    assert net.history is None
    net.loss(X, y)
    net.predict(X)


@pytest.mark.parametrize(
    ("name", "value", "error", "match"),
    [
        ("W1", np.zeros((6, 8)), ValueError, r"params\['W1'\] has shape \(6, 8\).*\(6, 9\)"),
        ("b1", np.zeros((9, 1)), ValueError, r"params\['b1'\] has shape \(9, 1\).*\(9,\)"),
        ("W2", None, TypeError, r"params\['W2'\] is None, but needed is an array"),
        ("W2", 0.5, ValueError, r"params\['W2'\] has shape \(\)"),
        ("b2", ["a", "b", "c"], TypeError, r"params\['b2'\] has dtype <U1.*numeric"),
        ("b2", np.zeros(3, complex), TypeError, r"params\['b2'\] has dtype complex128"),
        ("b2", [object()] * 3, TypeError, r"params\['b2'\] holds <object .*> at \[0\], but all"),
    ],
)
def test_wrong_params(tmp_path, name, value, error, match):
    X, y = two_blobs(40, 6, 3)
    net = TwoLayerNet(6, 9, 3)
    net.params[name] = value
    calls = [
        lambda: net.loss(X),
        lambda: net.predict(X),
        lambda: net.train(X, y, X, y),
        lambda: net.save(tmp_path / "net"),
    ]
    for call in calls:
        with pytest.raises(error, match=match):
            call()
    assert not list(tmp_path.iterdir())


def test_missing_params():
    net = TwoLayerNet(6, 9, 3)
    del net.params["b1"]
    with pytest.raises(ValueError, match=r"params has no 'b1': it needs W1, b1, W2, b2"):
        net.predict(np.zeros((1, 6)))


# --------------------------------------------------------------------------------- forms of input


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


FORMS = {
    "lists": np.ndarray.tolist,
    "tuples": lambda array: tuple(map(tuple, array.tolist())) if array.ndim == 2 else tuple(array),
    "Fortran order": np.asfortranarray,
    "every second": lambda array: np.repeat(array, 2, axis=0)[::2],
    "reversed": lambda array: array[::-1].copy()[::-1],
    "columns of a wider array": lambda array: np.stack([array, array], axis=-1)[..., 0],
    "read-only": read_only,
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "other precision": lambda array: array.astype("g" if array.dtype.kind == "f" else "i2"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_data_in_any_form(form):
    data = (*two_blobs(60, 50, 3), *two_blobs(23, 50, 3, seed=1))
    copies = [array.copy() for array in data]
    nets = [TwoLayerNet(50, 40, 3, std=0.1, random_state=0) for _ in range(2)]
    formed = [form(array) for array in data]
    (X, y), (X_formed, y_formed) = data[:2], formed[:2]

    np.testing.assert_allclose(nets[1].loss(X_formed), nets[0].loss(X), rtol=1e-12, atol=1e-14)
    assert nets[1].loss(X_formed, y_formed, 0.1)[0] == nets[0].loss(X, y, 0.1)[0]
    np.testing.assert_array_equal(nets[1].predict(X_formed), nets[0].predict(X))
    options = {"learning_rate": 0.1, "num_iters": 20, "batch_size": 13}
    assert nets[1].train(*formed, **options) == nets[0].train(*data, **options)
    assert_same_params(nets[1], nets[0].params)
    for array, before in zip(data, copies, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i4", "u4", "u8", "f4", "f8", ">i8"])
def test_labels_of_any_integral_type(kind):
    X, y = two_blobs(30, 6, 2)
    np.testing.assert_array_equal(np.unique(y), [0, 1])
    nets = [TwoLayerNet(6, 9, 2, std=0.1, random_state=0) for _ in range(2)]
    labels = y.astype(kind)
    assert nets[0].loss(X, y)[0] == nets[1].loss(X, labels)[0]
    histories = [
        net.train(X, values, X, values, 0.1, num_iters=10, batch_size=8)
        for net, values in zip(nets, (y, labels), strict=True)
    ]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("kind", ["?", "u1", "i8", "f4"])
def test_features_of_any_real_type(kind):
    X = np.random.RandomState(0).randint(0, 2, (30, 6))
    net = TwoLayerNet(6, 9, 2, std=0.1, random_state=0)
    np.testing.assert_array_equal(net.loss(X.astype(kind)), net.loss(X.astype(float)))


def test_an_array_of_the_right_kind_is_used_as_it_is():
    X, _ = two_blobs(30, 6, 2)
    from fastnn.checks.data import check_X

    assert np.shares_memory(check_X(X, 6, np.dtype(np.float64)), X)


def test_finite_features_whose_squares_overflow_are_accepted():
    net = TwoLayerNet(2, 3, 2, std=0.0)
    assert np.isfinite(net.loss([[1e300, -1e300]])).all()


# ---------------------------------------------------------------------------------------- errors

GOOD_X, GOOD_Y = np.zeros((4, 3)), np.array([0, 1, 1, 0])
WITH_NAN = GOOD_X.copy()
WITH_NAN[2, 1] = np.nan
WITH_INF = GOOD_X.copy()
WITH_INF[3, 0] = -np.inf

WRONG_X = [
    (
        np.zeros((4, 32, 32, 3)),
        ValueError,
        r"has shape \(4, 32, 32, 3\), but.*reshape\(X\w*, \(len\(",
    ),
    (
        np.zeros(3),
        ValueError,
        r"has shape \(3,\), but needed is \(n_samples, 3\).*reshape\(X\w*, \(1, -1",
    ),
    (np.float64(3), ValueError, r"has shape \(\), but needed is \(n_samples, 3\)"),
    (
        np.zeros((4, 5)),
        ValueError,
        r"has 5 columns, but the network has 3 inputs.*make a network with 5",
    ),
    (np.zeros((4, 0)), ValueError, r"has 0 columns"),
    (np.zeros((0, 3)), ValueError, r"is empty, shape \(0, 3\): pass at least one row"),
    (WITH_NAN, ValueError, r"holds nan at row 2, column 1.*finite.*median"),
    (WITH_INF, ValueError, r"holds -inf at row 3, column 0"),
    ([["a", 1, 2]], TypeError, r"has dtype <U\d+, but features are real numbers"),
    ([[object(), 1, 2]], TypeError, r"holds <object .*> at \[0, 0\], but all .* be numbers"),
    ([[1, 2, 3], [4, 5]], ValueError, r"makes no array .*: pass rows of equal lengths"),
    (csr_array(GOOD_X), TypeError, r"is a sparse matrix, .*\.toarray\(\)"),
    (GOOD_X.astype(complex), TypeError, r"has dtype complex128"),
    (GOOD_X.astype(str), TypeError, r"has dtype <U"),
]
WRONG_Y = [
    (
        np.array([[0, 1, 1, 0]]),
        ValueError,
        r"has shape \(1, 4\), but needed is \(4,\).*ravel\(y\w*\)",
    ),
    (GOOD_Y[:, None], ValueError, r"has shape \(4, 1\), but needed is \(4,\).*ravel\(y\w*\)"),
    (np.eye(2)[GOOD_Y], ValueError, r"has shape \(4, 2\).*one-hot rows.*argmax\(y\w*, axis=1\)"),
    (GOOD_Y[:3], ValueError, r"has 3 labels, but X\w* has 4 rows"),
    (np.empty(0, int), ValueError, r"has 0 labels, but X\w* has 4 rows"),
    (
        [0, 1, 2, 0],
        ValueError,
        r"holds the label 2, but.*2 classes \(0..1\): make a network with 3",
    ),
    ([0, 1, -1, 0], ValueError, r"holds the label -1, but.*relabel"),
    ([0, 1, 0.5, 0], ValueError, r"holds the label 0.5, but labels are integers 0..1.*unique"),
    ([0, 1, np.nan, 0], ValueError, r"holds the label nan"),
    ([0, 1, np.inf, 0], ValueError, r"holds the label inf"),
    ([0, 1, -np.inf, 0], ValueError, r"holds the label -inf"),
    ([0, 1, 1e300, 0], ValueError, r"holds the label 1e\+300"),
    (
        np.array([0, 1, 2**64 - 1, 0], np.uint64),
        ValueError,
        r"holds the label 18446744073709551615",
    ),
    (["a", "b", "b", "a"], TypeError, r"has dtype <U1, but labels are integers 0..1.*unique"),
    (GOOD_Y.astype(str), TypeError, r"has dtype <U21, but labels are integers"),
    (GOOD_Y.astype(complex), TypeError, r"has dtype complex128"),
    (None, TypeError, r"is None, but needed is an array of numbers"),
    (1, ValueError, r"has shape \(\)"),
]


def assert_nothing_changes(call, net, error, match):
    before, keys = params_of(net), list(net.params)
    arrays, history = dict(net.params), net.history
    state = np.random.get_state()[1].copy(), np.random.get_state()[2]
    with pytest.raises(error, match=match):
        call()
    assert_same_params(net, before)
    assert list(net.params) == keys
    assert all(net.params[name] is arrays[name] for name in NAMES)
    assert net.history is history
    np.testing.assert_array_equal(np.random.get_state()[1], state[0])
    assert np.random.get_state()[2] == state[1]


@pytest.mark.parametrize(("X", "error", "match"), WRONG_X)
def test_wrong_features(X, error, match):
    net = TwoLayerNet(3, 4, 2)
    assert_nothing_changes(lambda: net.loss(X), net, error, "^X " + match)
    assert_nothing_changes(lambda: net.loss(X, GOOD_Y), net, error, "^X " + match)
    assert_nothing_changes(lambda: net.predict(X), net, error, "^X " + match)
    good = (GOOD_X, GOOD_Y)
    assert_nothing_changes(lambda: net.train(X, GOOD_Y, *good), net, error, "^X " + match)
    assert_nothing_changes(lambda: net.train(*good, X, GOOD_Y), net, error, "^X_val " + match)


@pytest.mark.parametrize(("y", "error", "match"), WRONG_Y)
def test_wrong_labels(y, error, match):
    net = TwoLayerNet(3, 4, 2)
    if y is not None:
        assert_nothing_changes(lambda: net.loss(GOOD_X, y), net, error, "^y " + match)
    good = (GOOD_X, GOOD_Y)
    assert_nothing_changes(lambda: net.train(GOOD_X, y, *good), net, error, "^y " + match)
    assert_nothing_changes(lambda: net.train(*good, GOOD_X, y), net, error, "^y_val " + match)


def test_remedies_name_the_array_that_is_wrong():
    net, good = TwoLayerNet(3, 4, 2), (GOOD_X, GOOD_Y)
    with pytest.raises(ValueError, match=r"relabel y_val$"):
        net.train(*good, GOOD_X, [0, 1, 2, 0])
    with pytest.raises(ValueError, match=r"relabel y_val, for example with names, y_val = n"):
        net.train(*good, GOOD_X, [0, 1, -2, 0])
    with pytest.raises(ValueError, match=r"numpy\.reshape\(X_val, \(1, -1\)\)$"):
        net.train(*good, GOOD_X[0], GOOD_Y)


def test_a_feature_beyond_float32_is_not_finite_there():
    X = GOOD_X.copy()
    X[1, 2] = 1e300
    net = TwoLayerNet(3, 4, 2, dtype=np.float32)
    message = r"^X holds 1e\+300 at row 1, column 2, which is beyond the range of .* float32"
    assert_nothing_changes(lambda: net.predict(X), net, ValueError, message)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"batch_size": 0}, ValueError, r"batch_size is 0, but it must be at least 1"),
        ({"batch_size": -5}, ValueError, r"batch_size is -5"),
        ({"batch_size": 10.0}, TypeError, r"batch_size is 10.0 of type float.*int\(batch_size\)"),
        ({"batch_size": None}, TypeError, r"batch_size is None"),
        ({"num_iters": -1}, ValueError, r"num_iters is -1, but it must be at least 0"),
        ({"num_iters": 1e3}, TypeError, r"num_iters is 1000.0 of type float"),
        ({"learning_rate": -1e-3}, ValueError, r"learning_rate is -0.001.*not negative.*1e-3"),
        ({"learning_rate": np.nan}, ValueError, r"learning_rate is nan, but it must be finite"),
        ({"learning_rate": np.inf}, ValueError, r"learning_rate is inf"),
        ({"learning_rate": "fast"}, TypeError, r"learning_rate is 'fast', but it is a number"),
        ({"learning_rate": None}, TypeError, r"learning_rate is None"),
        ({"learning_rate": 1j}, TypeError, r"learning_rate is 1j"),
        ({"learning_rate": 10**400}, ValueError, r"learning_rate is "),
        ({"learning_rate_decay": -0.5}, ValueError, r"learning_rate_decay is -0.5.*pass 1"),
        ({"learning_rate_decay": np.nan}, ValueError, r"learning_rate_decay is nan"),
        ({"reg": -1}, ValueError, r"reg is -1.0.*pass 0 for no penalty"),
        ({"reg": np.nan}, ValueError, r"reg is nan"),
        ({"callback": "later"}, TypeError, r"callback is 'later', but it is None or a function"),
        ({"progress": "yes"}, TypeError, r"progress is 'yes', but it is True, False or a function"),
    ],
)
def test_wrong_options(options, error, match):
    net = TwoLayerNet(3, 4, 2)
    data = (GOOD_X, GOOD_Y, GOOD_X, GOOD_Y)
    assert_nothing_changes(lambda: net.train(*data, **options), net, error, match)


@pytest.mark.parametrize("reg", [-1.0, np.nan, "a"])
def test_wrong_penalty_of_loss(reg):
    net = TwoLayerNet(3, 4, 2)
    with pytest.raises((TypeError, ValueError), match=r"^reg is .*pass 0 for no penalty"):
        net.loss(GOOD_X, GOOD_Y, reg=reg)


# ------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_save_and_load(tmp_path, dtype):
    net = TwoLayerNet(6, 9, 3, std=0.5, dtype=dtype, reg_factor=1 / 3, random_state=0)
    X, y = two_blobs(40, 6, 3, dtype=dtype)
    net.train(X, y, X, y, 0.1, num_iters=5)
    path = tmp_path / "net.safetensors"
    for name in (path, str(path)):
        net.save(name)
        loaded = TwoLayerNet.load(name)
        assert isinstance(loaded, TwoLayerNet)
        assert repr(loaded) == repr(net)
        assert loaded.reg_factor == net.reg_factor
        assert_same_params(loaded, net.params)
        assert {array.dtype for array in loaded.params.values()} == {np.dtype(dtype)}
        np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    assert [one.name for one in tmp_path.iterdir()] == ["net.safetensors"]


def test_a_loaded_network_trains_on_from_the_global_generator(tmp_path):
    X, y = two_blobs(40, 6, 3)
    np.random.seed(4)
    net = TwoLayerNet(6, 9, 3, std=0.5)
    net.save(tmp_path / "net")
    state = np.random.get_state()
    loaded = TwoLayerNet.load(tmp_path / "net")
    np.testing.assert_array_equal(np.random.get_state()[1], state[1])
    expected = net.train(X, y, X, y, num_iters=5)
    np.random.set_state(state)
    assert loaded.train(X, y, X, y, num_iters=5) == expected


def test_saves_params_in_any_layout(tmp_path):
    net = TwoLayerNet(6, 9, 3, std=0.5, random_state=0)
    expected = params_of(net)
    net.params["W1"] = np.asfortranarray(net.params["W1"])
    net.params["W2"] = np.repeat(net.params["W2"], 2, axis=1)[:, ::2]
    net.save(tmp_path / "net")
    assert_same_params(TwoLayerNet.load(tmp_path / "net"), expected)


class Named(TwoLayerNet):
    """A class of a user, with an attribute of its own."""


def test_attributes_of_a_subclass_are_copied():
    net = Named(2, 3, 2)
    net.name = "mine"
    assert copy.deepcopy(net).name == "mine"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
@pytest.mark.parametrize("random_state", [None, 0])
def test_copies_are_independent_and_equal(copied, random_state):
    X, y = two_blobs(40, 6, 3)
    net = TwoLayerNet(6, 9, 3, std=0.5, reg_factor=1, dtype="float32", random_state=random_state)
    net.train(X, y, X, y, num_iters=3)
    twin = copied(net)
    assert repr(twin) == repr(net)
    assert twin.history == net.history
    histories = []
    for one in (net, twin):
        np.random.seed(1)
        histories.append(one.train(X, y, X, y, num_iters=5))
    assert histories[0] == histories[1]
    assert_same_params(twin, net.params)
    net.params["W1"][:] = 0
    assert twin.params["W1"].any()


# ------------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("threads", [1, 2])
def test_divergence_warns_once_and_training_goes_on(many_threads, threads):
    set_num_threads(threads)
    X, y = two_blobs(40, 6, 3)
    net = TwoLayerNet(6, 9, 3, std=0.1, random_state=0)
    with pytest.warns(RuntimeWarning) as caught:
        history = net.train(1e3 * X, y, X, y, learning_rate=1e4, num_iters=50, batch_size=10)
    set_num_threads(None)
    losses = np.array(history["loss_history"])
    assert len(losses) == 50
    assert np.isfinite(losses[0])
    assert np.isnan(losses[-1])
    first = np.flatnonzero(~np.isfinite(losses))[0]
    assert len(caught) == 1
    rate = 1e4 * 0.95 ** ((first + 3) // 4)
    assert str(caught[0].message).startswith(
        f"the loss is {losses[first]} at step {first}, where the learning rate is {rate:.3g}: "
        "the training has diverged; try a smaller learning rate"
    )
    assert caught[0].filename == __file__
    assert len(history["val_acc_history"]) == 13


def test_a_healthy_training_does_not_warn():
    X, y = toy_data()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        toy_net().train(X, y, X, y)


def test_all_pairs_of_small_sizes_train():
    for D, H, C in itertools.product([1, 2, 5], [1, 3, 9], [1, 2, 4]):
        X, y = two_blobs(6, D, C)
        losses = []
        for cls in (TwoLayerNet, reference.TwoLayerNet):
            np.random.seed(0)
            net = cls(D, H, C, std=0.5)
            history = net.train(X, y, X, y, 0.05, reg=0.1, num_iters=10, batch_size=3)
            losses.append(history["loss_history"])
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-10, atol=1e-14)
