"""FullyConnectedNet: the course's numbers, gradients and draws, both spellings of its dropout."""

import copy
import pickle
import warnings

import numpy as np
import pytest

from fastnn.cs231n import FullyConnectedNet

HIDDEN = [20, 30, 12, 9]


def batch(n=3, D=15, C=10, seed=231):
    random = np.random.RandomState(seed)
    return random.randn(n, D), random.randint(0, C, n)


def plain_loss(params, X, y, reg, masks=None):
    """Compute loss and scores by the textbook, without any of fastnn."""
    depth, A, penalty = len(params) // 2, X, 0.0
    for i in range(1, depth + 1):
        W, b = params[f"W{i}"], params[f"b{i}"]
        penalty += 0.5 * reg * np.sum(W**2)
        A = A.dot(W) + b
        if i < depth:
            A = np.maximum(A, 0) * (1 if masks is None else masks[i - 1])
    log_sums = np.log(np.exp(A - A.max(axis=1, keepdims=True)).sum(axis=1)) + A.max(axis=1)
    return np.mean(log_sums - A[np.arange(len(y)), y]) + penalty, A


# ------------------------------------------------------------------------------- its mathematics


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("reg", [0, 3.14])
@pytest.mark.parametrize("keep", [1, 0.7])
def test_gradients_of_every_parameter(layers, reg, keep):
    X, y = batch()
    np.random.seed(231)
    net = FullyConnectedNet(
        *(HIDDEN[: layers - 1], 15, 10),
        reg=reg,
        weight_scale=0.3,
        dtype=np.float64,
        dropout_keep_ratio=keep,
        seed=123,
    )
    loss, grads = net.loss(X, y)
    assert list(grads) == list(net.params)
    assert len(grads) == 2 * layers
    masks = [(np.random.RandomState(123).rand(3, H) < keep) / keep for H in HIDDEN[: layers - 1]]
    # In double the differences are rounded by more than the smallest gradients allow.
    params = {name: array.astype(np.longdouble) for name, array in net.params.items()}
    X, reg, step = X.astype(np.longdouble), np.longdouble(reg), np.longdouble(1e-6)
    assert loss == pytest.approx(float(plain_loss(params, X, y, reg, masks)[0]), rel=1e-13)
    for name, array in params.items():
        numeric = np.empty_like(array)
        for index in np.ndindex(array.shape):
            before, losses = array[index], []
            for shift in (step, -step):
                array[index] = before + shift
                losses.append(plain_loss(params, X, y, reg, masks)[0])
            array[index] = before
            numeric[index] = (losses[0] - losses[1]) / (2 * step)
        assert np.max(np.abs(numeric)) > 1e-4
        # As the course measures it, element by element.
        scale = np.maximum(np.abs(numeric) + np.abs(grads[name]), 1e-8)
        assert np.max(np.abs(numeric - grads[name]) / scale) < 1e-6, name


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_loss_and_scores_by_the_textbook(layers):
    X, y = batch()
    net = FullyConnectedNet(HIDDEN[: layers - 1], 15, 10, reg=0.5, weight_scale=0.3, dtype="f8")
    loss, scores = plain_loss(net.params, X, y, 0.5)
    assert net.loss(X, y)[0] == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(net.loss(X), scores, rtol=1e-12)
    net.reg = 0
    assert net.loss(X, y)[0] == pytest.approx(plain_loss(net.params, X, y, 0)[0], rel=1e-13)


def test_golden_numbers_of_the_course():
    net = FullyConnectedNet([50], 5, 7, dtype=np.float64)
    ranges = {"W1": (-0.7, 0.3), "b1": (-0.1, 0.9), "W2": (-0.3, 0.4), "b2": (-0.9, 0.1)}
    for name, (low, high) in ranges.items():
        array = net.params[name]
        net.params[name] = np.linspace(low, high, array.size).reshape(array.shape)
    X, y = np.linspace(-5.5, 4.5, 15).reshape(5, 3).T, [0, 5, 1]
    assert net.loss(X, y)[0] == pytest.approx(3.4702243555953918, rel=1e-14)
    net.reg = 1.0
    assert net.loss(X, y)[0] == pytest.approx(26.594842695238583, rel=1e-14)


@pytest.mark.parametrize(("reg", "loss"), [(0, 2.3004790897684924), (3.14, 7.052114776533016)])
def test_initial_losses_that_the_course_s_notebook_prints(reg, loss):
    np.random.seed(231)
    X = np.random.randn(2, 15)
    y = np.random.randint(10, size=2)
    if reg:
        # The notebook's cell goes on with the same generator.
        FullyConnectedNet([20, 30], 15, 10)
    net = FullyConnectedNet([20, 30], 15, 10, reg=reg, weight_scale=5e-2, dtype=np.float64)
    assert net.loss(X, y)[0] == pytest.approx(loss, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_are_drawn_layer_by_layer_and_then_converted(dtype):
    np.random.seed(5)
    net = FullyConnectedNet([7, 6], input_dim=4, num_classes=3, weight_scale=0.1, dtype=dtype)
    following = np.random.rand()
    np.random.seed(5)
    for i, shape in enumerate([(4, 7), (7, 6), (6, 3)], 1):
        expected = (0.1 * np.random.randn(*shape)).astype(dtype)
        np.testing.assert_array_equal(net.params[f"W{i}"], expected)
        assert not net.params[f"b{i}"].any()
        assert net.params[f"W{i}"].dtype == net.params[f"b{i}"].dtype == dtype
    assert following == np.random.rand()


def test_the_default_is_the_course_s():
    np.random.seed(0)
    net = FullyConnectedNet([4])
    assert [array.shape for array in net.params.values()] == [(3072, 4), (4,), (4, 10), (10,)]
    assert (net.reg, net.dtype, net.use_dropout, net.normalization) == (0, np.float32, False, None)
    assert net.num_layers == 2
    assert net.params["W1"].std() == pytest.approx(0.01, rel=0.05)


def test_images_of_any_dtype_are_rows():
    random = np.random.RandomState(0)
    images, y = random.randint(0, 255, (4, 3, 2, 2)).astype(np.uint8), [0, 1, 2, 1]
    net = FullyConnectedNet([5], input_dim=12, num_classes=3, weight_scale=0.01)
    rows = images.reshape(4, 12).astype(np.float32)
    assert net.loss(images, y)[0] == net.loss(rows, y)[0]
    assert net.loss(images).dtype == np.float32


# ------------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("seed", [None, 123])
def test_masks_are_drawn_as_the_course_draws_them(seed):
    X, y = batch()
    options = {"dropout_keep_ratio": 0.6, "seed": seed, "dtype": np.float64, "weight_scale": 0.3}
    net = FullyConnectedNet([20, 30], 15, 10, **options)
    np.random.seed(9)
    losses = [net.loss(X, y)[0] for _ in range(3)]
    following = np.random.rand()
    np.random.seed(9)
    for loss in losses:
        masks = []
        for H in (20, 30):
            if seed is not None:
                np.random.seed(seed)
            masks.append((np.random.rand(3, H) < 0.6) / 0.6)
        assert loss == pytest.approx(plain_loss(net.params, X, y, 0, masks)[0], rel=1e-13)
    assert following == np.random.rand()
    assert (len(set(losses)) == 1) == (seed is not None)


@pytest.mark.parametrize("seed", [None, 123])
def test_test_mode_drops_nothing(seed):
    X, y = batch()
    net = FullyConnectedNet([20], 15, 10, dropout_keep_ratio=0.6, seed=seed, dtype="f8")
    net.loss(X, y)
    assert net.dropout_param["mode"] == "train"
    np.random.seed(9)
    np.testing.assert_allclose(net.loss(X), plain_loss(net.params, X, y, 0)[1], rtol=1e-12)
    assert net.dropout_param["mode"] == "test"
    following = np.random.rand()
    # The course's dropout seeds the generator in test mode too.
    np.random.seed(9 if seed is None else seed)
    assert following == np.random.rand()


@pytest.mark.parametrize(
    ("arguments", "options", "keep"),
    [
        ((), {}, 1),
        ((), {"dropout": 1}, 1),
        ((), {"dropout": 0.25}, 0.25),
        ((0.25,), {}, 0.25),
        ((), {"dropout_keep_ratio": 0.25}, 0.25),
        ((), {"dropout_keep_ratio": 1}, 1),
        # In 2016.
        ((), {"dropout": 0, "use_batchnorm": False}, 1),
        ((), {"use_batchnorm": False}, 1),
        ((), {"dropout": 0.25, "use_batchnorm": False}, 0.75),
        ((0.25, False), {}, 0.75),
        ((0.25, np.False_), {}, 0.75),
        ((0.25, None), {}, 0.25),
    ],
)
def test_every_spelling_of_dropout(arguments, options, keep):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = FullyConnectedNet([4], 6, 3, *arguments, **options)
    assert net.dropout_param == ({} if keep == 1 else {"mode": "train", "p": keep})
    assert net.use_dropout == (keep != 1)


def test_a_dropout_of_0_is_none_with_a_word_on_what_it_means():
    with pytest.warns(UserWarning, match=r"dropout is 0, taken as none.*use_batchnorm=False") as w:
        net = FullyConnectedNet([4], 6, 3, dropout=0)
    assert not net.use_dropout
    assert w[0].filename == __file__


def test_the_dropout_param_is_live():
    X, y = batch()
    net = FullyConnectedNet([20], 15, 10, dropout_keep_ratio=0.6, dtype="f8")
    net.dropout_param["p"] = 0.9
    net.dropout_param["seed"] = 4
    loss, _ = net.loss(X, y)
    np.random.seed(4)
    masks = [(np.random.rand(3, 20) < 0.9) / 0.9]
    assert loss == pytest.approx(plain_loss(net.params, X, y, 0, masks)[0], rel=1e-13)
    net.dropout_param["keep"] = 0.5
    with pytest.raises(ValueError, match=r"dropout_param is .*write no other keys into it"):
        net.loss(X, y)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"dropout": 0.5, "dropout_keep_ratio": 0.5}, TypeError, r"two spellings of one number"),
        ({"dropout_keep_ratio": 0}, ValueError, r"dropout_keep_ratio is 0.0, but it is the chance"),
        ({"dropout_keep_ratio": 1.5}, ValueError, r"dropout_keep_ratio is 1.5.*pass 1 for no"),
        ({"dropout": -0.5}, ValueError, r"dropout is -0.5, but it must be finite"),
        ({"dropout": "a"}, TypeError, r"dropout is 'a', but it is a number"),
        ({"dropout": 1, "use_batchnorm": False}, ValueError, r"chance to drop an activation"),
        ({"dropout_keep_ratio": 0.5, "seed": -1}, ValueError, r"seed is -1"),
        ({"dropout_keep_ratio": 0.5, "seed": "a"}, TypeError, r"seed is 'a'"),
        ({"normalization": "batchnorm"}, ValueError, r"'batchnorm', which fastnn does not have"),
        ({"normalization": "layernorm"}, ValueError, r"keep the course's own FullyConnectedNet"),
        ({"normalization": "x"}, ValueError, r"normalization is 'x', but known to the course are"),
        ({"use_batchnorm": True}, ValueError, r"normalization is 'batchnorm'.*step by step"),
        ({"use_batchnorm": "no"}, TypeError, r"use_batchnorm is 'no', but it is True or False"),
        ({"normalization": True}, ValueError, r"normalization is 'batchnorm'"),
        ({"hidden_dims": 5}, TypeError, r"hidden_dims is 5, but it is a sequence of integers"),
        ({"hidden_dims": [5, 0]}, ValueError, r"hidden_dims\[1\] is 0"),
        ({"input_dim": 0}, ValueError, r"input_dim is 0"),
        ({"num_classes": 2.5}, TypeError, r"num_classes is 2.5"),
        ({"reg": -1}, ValueError, r"reg is -1.0.*pass 0 for no penalty"),
        ({"weight_scale": -1}, ValueError, r"weight_scale is -1.0"),
        ({"dtype": np.float16}, TypeError, r"dtype is .*float16.*numpy.float32 or numpy.float64"),
        ({"weight_init": "he"}, TypeError, r"unexpected keyword argument 'weight_init'"),
    ],
)
def test_wrong_arguments(options, error, match):
    with pytest.raises(error, match=match):
        FullyConnectedNet(**{"hidden_dims": [5], "input_dim": 6, "num_classes": 3, **options})


# ------------------------------------------------------------------------------------- attributes


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("dtype", r"pass dtype=numpy\.float64"),
        ("num_layers", r"pass other hidden_dims"),
        ("use_dropout", r"pass dropout_keep_ratio=1"),
        ("normalization", r"there is none here"),
        ("Reg", "Reg"),
        ("weight_scale", "weight_scale"),
        ("bn_params", "bn_params"),
    ],
)
def test_no_assignment_is_ignored(name, remedy):
    net = FullyConnectedNet([5], 6, 3)
    with pytest.raises(AttributeError, match=remedy):
        setattr(net, name, 1)


def test_params_are_live():
    X, y = batch()
    net = FullyConnectedNet([20], 15, 10, dtype=np.float64)
    net.params["W1"] = np.zeros((15, 20), np.float32)
    net.params["b2"][0] = 3
    np.testing.assert_array_equal(net.loss(X)[:, 0], 3)
    assert net.params["W1"].dtype == np.float64
    net.params = {"W1": 1}
    with pytest.raises(ValueError, match=r"params\['W1'\] has shape \(\), but the network needs"):
        net.loss(X, y)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))]
)
def test_copies_and_files_hold_all_of_it(copied, tmp_path):
    X, y = batch()
    net = FullyConnectedNet([20, 30], 15, 10, dropout_keep_ratio=0.6, seed=5, reg=0.3)
    net.save(tmp_path / "net")
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    loaded = FullyConnectedNet.load(tmp_path / "net")
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    for other in (copied(net), loaded):
        assert repr(other) == repr(net)
        assert other.loss(X, y)[0] == net.loss(X, y)[0]
        assert other.dropout_param == net.dropout_param


def test_a_file_of_a_network_without_dropout(tmp_path):
    net = FullyConnectedNet([], 15, 10, dtype=np.float64)
    net.save(tmp_path / "net")
    other = FullyConnectedNet.load(tmp_path / "net")
    assert repr(other) == repr(net)
    assert other.dropout_param == {}
    np.testing.assert_array_equal(other.params["W1"], net.params["W1"])


def test_repr():
    assert repr(FullyConnectedNet([5, 4], 6, 3, reg=0.5)) == (
        "FullyConnectedNet([5, 4], input_dim=6, num_classes=3, dropout_keep_ratio=1, reg=0.5, "
        "dtype=float32)"
    )
