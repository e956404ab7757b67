"""TwoLayerNet of the course, in both forms: golden numbers, what tells them apart, what raises."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import reference
from fastnn.cs231n import TwoLayerNet

NAMES = ["W1", "b1", "W2", "b2"]
D, H, C = 5, 50, 7
SCORES = [
    [11.53165108, 12.2917344, 13.05181771, 13.81190102, 14.57198434, 15.33206765, 16.09215096],
    [12.05769098, 12.74614105, 13.43459113, 14.1230412, 14.81149128, 15.49994135, 16.18839143],
    [12.58373087, 13.20054771, 13.81736455, 14.43418138, 15.05099822, 15.66781506, 16.2846329],
]


def golden_net(**options):
    """Return the net of the course's check, whose parameters are evenly spaced."""
    net = TwoLayerNet(input_dim=D, hidden_dim=H, num_classes=C, **options)
    for name, (low, high) in zip(NAMES, [(-0.7, 0.3), (-0.1, 0.9), (-0.3, 0.4), (-0.9, 0.1)]):
        array = net.params[name]
        net.params[name] = np.linspace(low, high, array.size).reshape(array.shape)
    return net


def golden_data():
    return np.linspace(-5.5, 4.5, 3 * D).reshape(D, 3).T, np.array([0, 5, 1])


def toy_data():
    np.random.seed(1)
    return 10 * np.random.randn(5, 4), np.array([0, 1, 2, 2, 1])


# ---------------------------------------------------------------------------------- golden numbers


def test_scores():
    # The course's tables are rounded, some of their numbers up to 1e-6.
    np.testing.assert_allclose(golden_net().loss(golden_data()[0]), SCORES, rtol=0, atol=1.1e-6)


def test_loss_with_the_reg_that_was_assigned_last():
    net, (X, y) = golden_net(), golden_data()
    assert net.loss(X, y)[0] == pytest.approx(3.4702243555953918, rel=1e-14)
    net.reg = 1.0
    assert net.loss(X, y)[0] == pytest.approx(26.594842695238583, rel=1e-14)
    assert golden_net(reg=1.0).loss(X, y)[0] == pytest.approx(26.594842695238583, rel=1e-14)


@pytest.mark.parametrize("reg", [0.0, 0.7])
def test_gradient_against_central_differences(reg):
    net, (X, y) = golden_net(reg=reg), golden_data()
    _, grads = net.loss(X, y)
    assert set(grads) == set(NAMES)
    for name in NAMES:
        array, numeric = net.params[name], np.empty_like(net.params[name])
        for index in np.ndindex(array.shape):
            before, losses = array[index], []
            for step in (1e-5, -1e-5):
                array[index] = before + step
                losses.append(net.loss(X, y)[0])
            array[index] = before
            numeric[index] = (losses[0] - losses[1]) / 2e-5
        assert np.linalg.norm(numeric) > 1e-3
        assert np.linalg.norm(grads[name] - numeric) / np.linalg.norm(numeric) < 1e-7, name


def test_the_form_of_2017_has_the_numbers_of_fastnn_s_own_class():
    X, y = toy_data()
    np.random.seed(0)
    net = TwoLayerNet(4, 10, 3, std=1e-1, reg_factor=1)
    assert net.loss(X, y, reg=0.05)[0] == pytest.approx(1.30378789133, rel=0, abs=1.8e-12)
    np.random.seed(0)
    net = TwoLayerNet(4, 10, 3, std=1e-1)
    assert net.loss(X, y, reg=0.1)[0] == pytest.approx(1.30378789133, rel=0, abs=1.8e-12)
    np.random.seed(0)
    net = TwoLayerNet(4, 10, 3, 1e-1, reg_factor=1)
    history = net.train(X, y, X, y, learning_rate=1e-1, reg=5e-6, num_iters=100)
    assert history["loss_history"][0] == pytest.approx(1.2419938024915662, rel=1e-12)
    assert history["loss_history"][-1] == pytest.approx(0.017149607938732093, rel=1e-9)
    np.testing.assert_array_equal(net.predict(X), y)


# ------------------------------------------------------------------------------ which form it is


@pytest.mark.parametrize(
    ("arguments", "options", "scale", "sizes"),
    [
        ((3, 4, 2), {}, 1e-4, (3, 4, 2)),
        ((3, 4, 2, 0.5), {}, 0.5, (3, 4, 2)),
        ((3, 4, 2), {"std": 0.5}, 0.5, (3, 4, 2)),
        ((3,), {"hidden_size": 4, "output_size": 2}, 1e-4, (3, 4, 2)),
        ((3, 4, 2), {"reg_factor": 1}, 1e-4, (3, 4, 2)),
    ],
)
def test_the_form_of_2017(arguments, options, scale, sizes):
    np.random.seed(3)
    net = TwoLayerNet(*arguments, **options)
    following = np.random.randint(1 << 30)
    np.random.seed(3)
    twin = reference.TwoLayerNet(*sizes, std=scale)
    assert following == np.random.randint(1 << 30)
    for name in NAMES:
        np.testing.assert_array_equal(net.params[name], twin.params[name])
    assert isinstance(net, fastnn.TwoLayerNet)
    for use in (lambda: net.reg, lambda: setattr(net, "reg", 1.0)):
        with pytest.raises(AttributeError, match=r"form of 2017.*by today's names, TwoLayerNet\("):
            use()


@pytest.mark.parametrize(
    ("arguments", "options", "scale", "sizes", "reg"),
    [
        ((), {}, 1e-3, (3072, 100, 10), 0),
        ((), {"input_dim": 3, "hidden_dim": 4, "num_classes": 2}, 1e-3, (3, 4, 2), 0),
        ((), {"hidden_dim": 4}, 1e-3, (3072, 4, 10), 0),
        ((), {"reg": 0.5}, 1e-3, (3072, 100, 10), 0.5),
        ((3, 4, 2), {"reg": 0.5}, 1e-3, (3, 4, 2), 0.5),
        ((3, 4, 2), {"weight_scale": 0.5}, 0.5, (3, 4, 2), 0),
        ((3, 4, 2, 0.5, 0.25), {}, 0.5, (3, 4, 2), 0.25),
        ((3,), {"hidden_dim": 4, "num_classes": 2}, 1e-3, (3, 4, 2), 0),
    ],
)
def test_the_form_of_today(arguments, options, scale, sizes, reg):
    np.random.seed(3)
    net = TwoLayerNet(*arguments, **options)
    following = np.random.randint(1 << 30)
    np.random.seed(3)
    twin = reference.cs231n.TwoLayerNet(*sizes, weight_scale=scale)
    assert following == np.random.randint(1 << 30)
    for name in NAMES:
        np.testing.assert_array_equal(net.params[name], twin.params[name])
        assert net.params[name].dtype == np.float64
    assert net.reg == reg
    with pytest.raises(TypeError, match=r"of today's form.*Solver\(net, data\)\.train\(\)"):
        net.train(np.ones((2, sizes[0])), [0, 1], np.ones((2, sizes[0])), [0, 1])
    with pytest.raises(TypeError, match=r"loss got reg.*assign net\.reg"):
        net.loss(np.ones((2, sizes[0])), [0, 1], reg=0.1)


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        ((3, 4), {}, r"needs output_size: 2017's is TwoLayerNet\(.*today's TwoLayerNet\(input_dim"),
        ((), {"std": 0.1}, r"needs input_size and hidden_size and output_size"),
        ((3, 4, 2), {"input_dim": 3}, r"input_size and input_dim are one size"),
        ((3, 4, 2), {"std": 0.1, "weight_scale": 0.1}, r"std belongs to the form of 2017"),
        ((3, 4, 2), {"reg": 0.1, "reg_factor": 1}, r"reg_factor belongs to the form of 2017"),
        ((3, 4, 2), {"hidden": 3}, r"unexpected keyword argument 'hidden'"),
        ((3, 4, 2.5), {}, r"output_size is 2.5 of type float"),
    ],
)
def test_wrong_arguments(arguments, options, match):
    with pytest.raises(TypeError, match=match):
        TwoLayerNet(*arguments, **options)


@pytest.mark.parametrize("reg", [-1, np.nan, "a", None])
def test_wrong_reg(reg):
    net = golden_net(reg=0.5)
    with pytest.raises((TypeError, ValueError), match=r"^reg is .*pass 0 for no penalty"):
        net.reg = reg
    assert net.reg == 0.5


# -------------------------------------------------------------------------------------- its users


@pytest.mark.parametrize("form", ["2017", "today"])
def test_no_assignment_is_ignored(form):
    net = TwoLayerNet(3, 4, 2) if form == "2017" else TwoLayerNet(hidden_dim=4)
    for name in ("Reg", "learning_rate", "dtype", "history", "weight_scale"):
        with pytest.raises(AttributeError):
            setattr(net, name, 1.0)
    net.params["W3"] = np.ones(3)
    with pytest.raises(ValueError, match=r"params holds 'W3', which the network does not have"):
        net.loss(np.ones((1, len(net.params["W1"]))))


@pytest.mark.parametrize("make", [lambda: TwoLayerNet(24, 4, 3), lambda: TwoLayerNet(24, 4, 3, 1)])
def test_rows_of_any_shape(make):
    random = np.random.RandomState(0)
    images, y = random.randn(6, 2, 4, 3), random.randint(0, 3, 6)
    rows, nets = images.reshape(6, 24), []
    np.testing.assert_array_equal((net := make()).loss(images), net.loss(rows))
    np.testing.assert_array_equal(net.predict(images), net.predict(rows))
    assert net.loss(images, y)[0] == net.loss(rows, y)[0]
    for X in (images, rows):
        np.random.seed(0)
        nets.append(make())
        nets[-1].train(X, y, X, y, num_iters=5, batch_size=3)
    np.testing.assert_array_equal(nets[0].params["W1"], nets[1].params["W1"])
    with pytest.raises(ValueError, match=r"X has 12 columns, but the network has 24 inputs"):
        net.loss(images[:, :1])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
@pytest.mark.parametrize("options", [{"std": 0.1}, {"reg": 0.3}, {}])
def test_copies_and_files_hold_all_of_it(copied, options, tmp_path):
    net, (X, y) = TwoLayerNet(4, 10, 3, dtype="float32", **options), toy_data()
    net.save(tmp_path / "net")
    for other in (copied(net), TwoLayerNet.load(tmp_path / "net")):
        assert repr(other) == repr(net)
        assert other.loss(X, y)[0] == net.loss(X, y)[0]
        assert (other._reg, other._guessed) == (net._reg, net._guessed)
        other.params["W1"][:] = 0
        assert net.params["W1"].any()


def test_repr():
    assert repr(TwoLayerNet(3, 4, 2)) == "TwoLayerNet(3, 4, 2, dtype=float64, reg_factor=0.5)"
    assert repr(TwoLayerNet(3, 4, 2, reg=1)) == (
        "TwoLayerNet(input_dim=3, hidden_dim=4, num_classes=2, dtype=float64, reg=1.0)"
    )
