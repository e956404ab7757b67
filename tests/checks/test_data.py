"""Rows, labels, targets and weights: what is shared, what is copied, what is refused."""

import numpy as np
import pytest

from fastnn import Network, Trainer, TwoLayerNet, reference
from fastnn.checks import data as checks
from fastnn.checks.data import check_y
from fastnn.checks.standardization import Standardization


def problem(n=40, D=4, C=3):
    random = np.random.RandomState(0)
    X = random.randn(n, D)
    return X, (X @ random.randn(D, C)).argmax(axis=1).astype(np.int64)


# --------------------------------------------------------------------- labels are used as indices


def test_labels_are_a_private_copy():
    y = np.arange(3)
    checked = check_y(y, 3, 3)
    assert checked.dtype == np.int64
    assert not np.shares_memory(checked, y)


@pytest.mark.parametrize("array", ["y", "y_val"])
def test_labels_may_change_while_a_trainer_uses_them(array):
    results = []
    for harm in (False, True):
        X, y = problem()
        labels = {"y": y, "y_val": y.copy()}
        net = Network((4, 6, 3), random_state=0)
        trainer = Trainer(net, max_iter=4, batch_size=7, random_state=0)

        def callback(status, labels=labels, harm=harm):
            if harm:
                labels[array].fill(10**7)

        trainer.fit(X, y, X, labels["y_val"], callback=callback)
        results.append((net.params.tobytes(), trainer.history["val_score"].tobytes()))
    assert results[0] == results[1]


@pytest.mark.parametrize("array", ["y", "y_val"])
def test_labels_may_change_while_the_course_s_class_uses_them(array):
    results = []
    for harm in (False, True):
        X, y = problem()
        labels = {"y": y, "y_val": y.copy()}
        net = TwoLayerNet(4, 6, 3, random_state=0)

        def callback(status, labels=labels, harm=harm):
            if harm:
                labels[array].fill(-(10**7))

        history = net.train(
            *(X, y, X, labels["y_val"]), num_iters=30, batch_size=10, callback=callback
        )
        results.append((net.params["W1"].tobytes(), history["val_acc_history"]))
    assert results[0] == results[1]


class Liar(np.random.RandomState):
    """A generator that does not keep to what it was asked for."""

    def randint(self, *arguments, **options):
        return super().randint(*arguments, **options) + self.shift


@pytest.mark.parametrize("shift", [-(10**6), 10**6])
def test_rows_that_a_generator_makes_up_are_refused(shift):
    X, y = problem()
    random = Liar(0)
    net = TwoLayerNet(4, 6, 3, random_state=random)
    random.shift = shift
    with pytest.raises(
        IndexError, match=r"random_state drew rows of 0\.\.39 and got -?\d+ to -?\d"
    ):
        net.train(X, y, X, y, num_iters=3)


# --------------------------------------------------------------------------- numbers in messages


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (np.inf, "inf"),
        (1e300, "1e\\+300"),
        (-(2**63), "-9223372036854775808"),
        (10**9, "1000000000"),
    ],
)
def test_the_label_that_is_shown_is_the_label(label, shown):
    y = np.array([0, 1, label], dtype=np.asarray(label).dtype)
    with pytest.raises(ValueError, match=rf"y holds the label {shown}, but"):
        check_y(y, 3, 3)


def test_targets_that_are_no_labels_are_recognised():
    prices = np.random.RandomState(0).randint(10**5, 10**6, 500)
    with pytest.raises(
        ValueError, match=r"If y holds numbers to predict, make a network with head"
    ):
        check_y(prices, 500, 10)
    # Few classes with odd numbers are no prices.
    with pytest.raises(
        ValueError, match=r"relabel y, for example with names, y = numpy\.un"
    ) as caught:
        check_y(np.repeat([5, 10**6], 250), 500, 10)
    assert "predict" not in str(caught.value)


def test_numbers_beyond_the_network_s_range_are_shown_as_they_are():
    X, _ = problem()
    X[3, 1] = 1e300
    net = Network((4, 3), random_state=0)
    with pytest.raises(ValueError, match=r"X holds 1e\+300 at row 3, column 1, which is beyond .*"):
        net.predict(X)
    trainer = Trainer(Network((4, 1), head="identity", random_state=0))
    with pytest.raises(ValueError, match=r"y holds -1e\+300 at row 0, which is beyond"):
        trainer.fit(np.eye(4), [-1e300, 0, 0, 0])


# -------------------------------------------------------------------------------- standardisation


COLUMNS = {
    "all but constant": lambda r: 101325 * (1 + 1e-12 * r),
    "time stamps of a minute": lambda r: 1.7e9 + 60 * r,
    "tiny": lambda r: 1e-40 * r,
    "huge": lambda r: 1e160 * r,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("column", COLUMNS)
def test_a_network_standardises_in_the_data_s_own_precision(column, dtype):
    random = np.random.RandomState(0)
    X = random.randn(300, 4)
    y = (X[:, 0] + X[:, 3] > 0).astype(int)
    raw = X.copy()
    raw[:, 2] = COLUMNS[column](X[:, 2])
    mean = raw.mean(axis=0)
    scale = np.abs(raw - mean).max(axis=0)
    net = Network((4, 8, 2), dtype=dtype, input_mean=mean, input_scale=scale, random_state=0)
    plain = Network((4, 8, 2), dtype=dtype, random_state=0)
    standardised = ((raw - mean) / scale).astype(dtype)
    for network, data in ((net, raw), (plain, standardised)):
        Trainer(network, random_state=0, max_iter=5).fit(data, y, data, y)
    assert net.params.tobytes() == plain.params.tobytes()
    np.testing.assert_array_equal(net.predict(raw), plain.predict(standardised))
    np.testing.assert_array_equal(net.predict_proba(raw[:1]), plain.predict_proba(standardised[:1]))
    loss, gradient = net.loss_and_gradient(raw, y)
    assert (loss, gradient.tobytes()) == (
        (expected := plain.loss_and_gradient(standardised, y))[0],
        expected[1].tobytes(),
    )


def test_wide_integers_are_not_rounded_before_the_mean_is_subtracted():
    stamps = np.array([[1.7e18], [1.7e18 + 4096], [1.7e18 + 8192]]).astype(np.int64)
    read = Standardization(np.array([1.7e18]), np.array([4096.0]))
    np.testing.assert_array_equal(read.apply(stamps, np.float32), [[0], [1], [2]])


def test_sparse_rows_are_scaled_but_cannot_have_a_mean():
    sparse = pytest.importorskip("scipy.sparse")
    X, _ = problem()
    X[X < 0] = 0
    scale = [1, 2, 3, 1e-3]
    net = Network((4, 3), input_scale=scale, dtype=float, random_state=0)
    np.testing.assert_allclose(net.decision_function(sparse.csr_array(X)), net.decision_function(X))
    net = Network((4, 3), input_mean=[0, 0, 0, 1e-9], random_state=0)
    with pytest.raises(ValueError, match=r"X is sparse, but .* input_mean=0, or pass X\.toarray"):
        net.predict(sparse.csr_array(X))


def test_bytes_are_numbers_like_any_other():
    random = np.random.RandomState(0)
    X = random.randint(0, 2, (200, 6)).astype(np.uint8)  # as get_dummies makes them
    y = (X[:, 0] ^ X[:, 1]).astype(int)
    nets = []
    for data in (X, X.astype(np.float32)):
        nets.append(Network((6, 16, 2), random_state=0))
        Trainer(nets[-1], "adam", max_iter=30, batch_size=20, random_state=0).fit(data, y)
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-5, atol=1e-6)
    for data in (X, X.astype(float)):
        np.testing.assert_array_equal(nets[0].predict(data), nets[1].predict(data))


def test_a_word_where_bytes_seem_to_be_something_else():
    random = np.random.RandomState(0)
    images, flags = (random.randint(0, high, (20, 4)).astype(np.uint8) for high in (256, 2))
    y = np.arange(20) % 2

    def fit(X, **options):
        net = Network((4, 2), random_state=0, **options)
        Trainer(net, max_iter=1, optimizer="sgd").fit(X, y)

    with pytest.warns(UserWarning, match=r"uint8 .* up to 25\d, which .* as they are: for images"):
        fit(images)
    with pytest.warns(
        UserWarning, match=r"uint8 with values of at most 1, which .* divides by 255"
    ):
        fit(flags, input_scale=255)
    fit(images, input_scale=255)
    fit(flags)
    fit(images.astype(float))


# ------------------------------------------------------------------- attributes, read-only arrays


def test_what_a_network_is_cannot_be_assigned():
    net = Network((4, 6, 3), random_state=0, input_scale=2)
    before = net.params.copy()
    for name, value in {
        "dtype": np.dtype("f8"),
        "layer_sizes": (4, 3),
        "activation": "tanh",
        "head": "identity",
        "init": "he",
        "input_mean": np.ones(4),
        "input_scale": np.ones(4),
        "layers": (),
        "architecture": None,
        "scaling": None,
        "standardization": None,
        "activaton": "tanh",
    }.items():
        with pytest.raises(AttributeError):
            setattr(net, name, value)
    for array in (net.input_mean, net.input_scale):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5
    with pytest.raises(TypeError):
        net.layers[0] = net.layers[1]
    np.testing.assert_array_equal(net.params, before)


def test_assigned_weights_are_the_network_s_own(tmp_path):
    X, _ = problem()
    net, other = (Network((4, 6, 3), random_state=seed) for seed in (0, 1))
    net.coefs_[0] = other.coefs_[0]
    net.coefs_[1] = other.coefs_[1].tolist()
    net.intercepts_ = other.intercepts_
    assert net.params.tobytes() == other.params.tobytes()
    net.save(tmp_path / "net")
    np.testing.assert_array_equal(Network.load(tmp_path / "net").predict(X), other.predict(X))
    net.coefs_ = [np.zeros((4, 6)), np.ones((6, 3))]
    assert net.params.sum() == 18 + other.intercepts_[0].sum() + other.intercepts_[1].sum()
    kept = net.params.copy()
    for assign, match in (
        (
            lambda: net.coefs_.__setitem__(0, np.zeros((6, 4))),
            r"coefs_\[0\] has shape \(6, 4\), .*",
        ),
        (lambda: setattr(net, "coefs_", [np.zeros((4, 6))]), r"coefs_ got 1 arrays, .* 2 layers"),
        (
            lambda: setattr(net, "intercepts_", [np.zeros(6), np.zeros(4)]),
            r"intercepts_\[1\] has shape \(4,\), but the network needs \(3,\)",
        ),
        (lambda: setattr(net, "params", 3), r"params has shape \(\)"),
    ):
        with pytest.raises(ValueError, match=match):
            assign()
    with pytest.raises(TypeError, match=r"params has dtype complex128, but parameters are real"):
        net.params = net.params.astype(complex)
    with pytest.raises(TypeError, match=r"coefs_ takes one layer at a time"):
        net.coefs_[:] = other.coefs_
    with pytest.raises(IndexError):
        net.coefs_[2] = np.zeros((6, 3))
    np.testing.assert_array_equal(net.params, kept)
    assert len(net.coefs_) == 2
    assert "array" in repr(net.coefs_)


def test_what_a_trainer_does_cannot_be_assigned():
    trainer = Trainer(Network((4, 3), random_state=0), max_iter=2)
    for name in Trainer.__init__.__kwdefaults__ | {"network": 0, "optimizer": 0, "history": 0}:
        if name == "random_state":
            continue
        value = getattr(trainer, name)
        with pytest.raises(AttributeError):
            setattr(trainer, name, value)
    for name in ("n_iter_", "best_epoch_", "max_iters", "random_state"):
        with pytest.raises(AttributeError):
            setattr(trainer, name, 5)


def test_attributes_of_the_course_s_class():
    X, y = problem()
    net = TwoLayerNet(4, 6, 3, random_state=0)
    for name in ("dtype", "history", "reg", "learning_rate"):
        with pytest.raises(AttributeError):
            setattr(net, name, np.dtype("f4"))
    net.reg_factor = 1
    expected = reference.loss_and_gradients(X, y, net.params, 0.1, 1.0)[0]
    assert net.loss(X, y, reg=0.1)[0] == expected
    with pytest.raises(ValueError, match=r"reg_factor is -1.0, but .* pass 0\.5 \(the post\)"):
        net.reg_factor = -1
    net.params = None
    with pytest.raises(TypeError, match=r"params is None, but it is a dict of the arrays W1, b1"):
        net.predict(X)


def test_subclasses_may_have_attributes_of_their_own():
    class Named(Network):
        def __init__(self, *arguments, name, **options):
            super().__init__(*arguments, **options)
            self.name = name

    assert Named((4, 3), name="mine", random_state=0).name == "mine"


@pytest.mark.parametrize("make", [Network, TwoLayerNet])
def test_a_network_that_was_mapped_from_a_file_can_be_trained(tmp_path, make):
    joblib = pytest.importorskip("joblib")
    X, y = problem()
    if make is Network:
        net, other = (Network((4, 6, 3), random_state=0) for _ in range(2))
    else:
        net, other = (TwoLayerNet(4, 6, 3, random_state=0) for _ in range(2))
    joblib.dump(net, tmp_path / "net")
    mapped = joblib.load(tmp_path / "net", mmap_mode="r")
    content = (tmp_path / "net").read_bytes()
    for network in (mapped, other):
        if make is Network:
            Trainer(network, max_iter=2, random_state=0).fit(X, y)
        else:
            network.train(X, y, X, y, num_iters=10)
    np.testing.assert_array_equal(mapped.predict(X), other.predict(X))
    assert (tmp_path / "net").read_bytes() == content


def test_parameters_that_are_read_only_are_refused_before_training():
    X, y = problem()
    net = Network((4, 6, 3), random_state=0)
    net.params.flags.writeable = False
    with pytest.raises(ValueError, match=r"params are read-only, but training updates them in pla"):
        Trainer(net, max_iter=2).fit(X, y, callback=lambda status: pytest.fail("it has begun"))
    two = TwoLayerNet(4, 6, 3, random_state=0)
    two.params["W2"].flags.writeable = False
    with pytest.raises(ValueError, match=r"params\['W2'\] is read-only"):
        two.train(X, y, X, y, num_iters=2)


# ------------------------------------------------------------------------------ remedies of labels


def refused(y, n_classes, name="y"):
    """Return what is said of labels."""
    with pytest.raises(ValueError) as caught:
        check_y(y, len(y), n_classes, name, "X")
    return str(caught.value)


def test_a_code_of_factorize_for_a_missing_label_is_told():
    pandas = pytest.importorskip("pandas")
    codes, _ = pandas.factorize(pandas.Series(["yes", None, "no", "yes"]))
    assert refused(codes, 2) == (
        "y holds the label -1, but the network has 2 classes (0..1): if -1 is pandas.factorize's "
        "code of a missing label, drop those rows of X and y, else relabel y, for example with "
        "names, y = numpy.unique(y, return_inverse=True)"
    )
    # Two classes called -1 and 1, as for a hinge loss, and lower labels: none is missing.
    for other in ([-1, 1, 1, -1], [0, -1, -2]):
        assert "factorize" not in refused(other, 2)
        assert "): relabel y, for example with names, y = numpy.unique(" in refused(other, 2)


def test_labels_that_run_from_1_are_told():
    needed = "holds the label 3, but the network has 3 classes (0..2): labels run from 1 to 3: pass"
    assert refused(np.array([3, 1, 2]), 3) == f"y {needed} y - 1"
    assert refused(np.array([3.0, 1, 1]), 3, "y_val").endswith(": pass y_val - 1")
    assert refused([3, 1, 2], 3) == f"y {needed} numpy.subtract(y, 1)"
    for other in ([0, 1, 2, 3], [2, 3], [1, 2, 4]):
        assert "make a network with" in refused(other, 3)


def test_a_label_that_is_missing_is_to_be_dropped():
    assert refused([0, np.nan, 1], 2) == (
        "y holds the label nan, but labels are integers 0..1: drop the rows of X and y that have "
        "none"
    )


@pytest.mark.parametrize("kind", ["pandas", "polars", "list"])
def test_remedies_work_for_data_frames_and_lists(kind):
    library = None if kind == "list" else pytest.importorskip(kind)
    net = Network((2, 3, 2), random_state=0)
    indicators = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])

    def made(array):
        """Return an array as what a user of the library has."""
        if kind == "list":
            return array.tolist()
        return library.Series(array) if array.ndim == 1 else library.DataFrame(array)

    for X, y, wrong, remedy in (
        (indicators, np.ones((3, 1)), "y", r"numpy\.ravel\(y\)"),
        (indicators, indicators, "y", r"numpy\.argmax\(y, axis=1\)"),
        (np.array([1.0, 2.0]), np.array([0]), "X", r"numpy\.reshape\(X, \(1, -1\)\)"),
    ):
        given = {"X": made(X), "y": made(y)}
        with pytest.raises(ValueError, match=rf"^{wrong} has shape .* pass {remedy}$") as caught:
            net.loss_and_gradient(**given)
        taken = eval(str(caught.value).rpartition("pass ")[2], {"numpy": np}, given)
        net.loss_and_gradient(**{**given, wrong: taken})


# ------------------------------------------------------------------------------------ large data


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_number_that_is_not_finite_is_found_in_large_data_too(monkeypatch, dtype, order):
    monkeypatch.setattr(checks, "LARGE", 0)
    X = np.ones((50, 30), dtype, order)
    assert checks.check_X(X, 30, np.dtype(dtype)).dtype == dtype
    X[43, 7] = np.inf
    with pytest.raises(ValueError, match="X holds inf at row 43, column 7, but every feature"):
        checks.check_X(X, 30, np.dtype(dtype))


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f8", "f2", "i8"])
def test_numbers_of_any_kind_are_looked_through(monkeypatch, dtype):
    monkeypatch.setattr(checks, "LARGE", 0)
    X = np.ones(40, dtype)
    odd = np.zeros(40 * X.itemsize + 1, np.uint8)[1:].view(dtype)
    for array in (X, X[::2], odd):
        assert checks.all_finite(array)
        if array.dtype.kind == "f":
            array[-1] = np.inf
            assert not checks.all_finite(array)
