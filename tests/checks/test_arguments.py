"""Checks of single arguments."""

import numpy as np
import pytest

from fastnn import Network, Trainer, TwoLayerNet
from fastnn.checks.arguments import asks_to_stop, check_function, room_for
from fastnn.cs231n import FullyConnectedNet, Solver


class Tensor:
    """As a library for tensors has it."""

    ndim, dtype = 0, "torch.bool"

    def __init__(self, value):
        self.value = value

    def __bool__(self):
        return self.value

    def __repr__(self):
        return f"Tensor({self.value})"


@pytest.mark.parametrize("value", ["32", 32.0, np.float32(32), 2.5])
def test_what_makes_an_integer_is_told_to_be_made_one(value):
    with pytest.raises(
        TypeError, match=r"batch_size is .*, but it is an .*: pass int\(batch_size\)$"
    ):
        Trainer(Network((4, 4), random_state=0), batch_size=value)
    Trainer(Network((4, 4), random_state=0), batch_size=int(value))


@pytest.mark.parametrize("value", ["auto", "2.5", None, (3,), np.nan, np.inf, 3j])
def test_what_makes_no_integer_is_not_told_to_be_made_one(value):
    net = Network((4, 4), random_state=0)
    with pytest.raises(
        TypeError,
        match=r"batch_size is .*, but it is an integer of at least 1: pass for example "
        r"min\(200, len\(X\)\), which is scikit-learn's 'auto'$",
    ):
        Trainer(net, batch_size=value)
    with pytest.raises(
        TypeError, match=r"max_iter is .*, but it is an integer of at least 0: pas.* one"
    ):
        Trainer(net, max_iter=value)
    with pytest.raises(TypeError, match=r"layer_sizes\[1\] is .* of at least 1: pass one$"):
        Network((4, value, 4))


TRUE = [True, np.True_, np.array(True), np.array([1, 2]).sum() == 3, Tensor(True)]
OTHER = [False, np.False_, None, 1, "no", np.array([True]), np.array(False), Tensor(False), {1: 2}]


@pytest.mark.parametrize("answer", TRUE, ids=repr)
def test_true_of_any_library_stops(answer):
    assert asks_to_stop(answer) is True
    X, y = np.eye(4), np.arange(4)
    net = Network((4, 4), random_state=0)
    trainer = Trainer(net, max_iter=5)
    trainer.fit(X, y, callback=lambda status: answer if status.epoch == 2 else None)
    assert trainer.n_iter_ == 2
    two = TwoLayerNet(4, 4, 4, random_state=0)
    history = two.train(X, y, X, y, batch_size=4, num_iters=9, callback=lambda status: answer)
    assert len(history["loss_history"]) == 1


@pytest.mark.parametrize("answer", OTHER, ids=repr)
def test_other_answers_do_not_stop(answer):
    assert asks_to_stop(answer) is False
    trainer = Trainer(Network((4, 4), random_state=0), max_iter=3)
    trainer.fit(np.eye(4), np.arange(4), callback=lambda status: answer)
    assert trainer.n_iter_ == 3


def test_flags_are_booleans_of_any_library():
    assert check_function(np.True_, "progress", (True, False), "") is True
    assert check_function(np.array(False), "progress", (True, False), "") is False
    assert check_function(None, "callback", (None,), "") is None
    for value, alternatives in ((1, (True, False)), (True, (None,)), (None, (True, False))):
        with pytest.raises(TypeError, match="but it is"):
            check_function(value, "progress", alternatives, "a status")


@pytest.mark.parametrize(("dtype", "value"), [("float32", 1e38), ("float64", 1e308)])
def test_deviation_of_weights_that_no_dtype_holds(dtype, value):
    for name, make in (
        ("init", lambda size: Network((40, 40), init=size, dtype=dtype)),
        ("std", lambda size: TwoLayerNet(40, 40, 2, std=size, dtype=dtype)),
    ):
        with pytest.raises(ValueError, match=rf"{name} is .*, but weights of .* beyond {dtype}: "):
            make(value)
        make(value / 1000)


@pytest.mark.parametrize("seed", [-1, 2**32, 2**64])
def test_seeds_out_of_range_say_the_range(seed):
    message = rf"random_state is {seed}, but a seed is in 0..4294967295: pass for example"
    for make in (
        lambda: Network((4, 4), random_state=seed),
        lambda: TwoLayerNet(4, 4, 4, random_state=seed),
        lambda: Trainer(Network((4, 4), random_state=0), random_state=seed),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def _solver(**options):
    data = dict(zip(("X_train", "y_train", "X_val", "y_val"), (np.eye(4), np.arange(4)) * 2))
    return Solver(FullyConnectedNet([4], 4, 4), data, verbose=False, **options)


TOO_LARGE = {
    "weights": lambda: Network((10**7, 10**7), random_state=0),
    "beyond all addresses": lambda: Network((10**12, 10**12), random_state=0),
    "the course's class": lambda: TwoLayerNet(10**7, 10**7, 3, random_state=0),
    "steps": lambda: TwoLayerNet(4, 4, 4).train(
        *(np.eye(4), np.arange(4)) * 2, num_iters=999_999_999_999_999
    ),
    "steps that count too many bytes": lambda: TwoLayerNet(4, 4, 4).train(
        *(np.eye(4), np.arange(4)) * 2, num_iters=2**62
    ),
    "epochs of a Solver": lambda: _solver(num_epochs=10**15).train(),
    "epochs of a Solver that count too many bytes": lambda: _solver(num_epochs=2**62).train(),
}


@pytest.mark.parametrize("make", TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_does_not_fit_into_memory_is_said_with_its_size(make):
    with pytest.raises(MemoryError, match=r"would take [\d,.]+ GiB of memory, which is not to be"):
        make()


@pytest.mark.parametrize("batch_size", [10**12, 2**62, 10**30])
def test_batches_that_do_not_fit_into_memory_are_named(batch_size):
    message = (
        rf"a training of layers \(4, 4, 4\) with batch_size={batch_size} would take [\d,.]+ GiB of "
        r"memory, which is not to be had: pass a smaller batch_size$"
    )
    net = TwoLayerNet(4, 4, 4, random_state=0)
    with pytest.raises(MemoryError, match=message):
        net.train(*(np.eye(4), np.arange(4)) * 2, batch_size=batch_size, num_iters=1)
    with pytest.raises(MemoryError, match=message):
        _solver(batch_size=batch_size).train()


def test_other_errors_are_left_alone():
    with pytest.raises(ValueError, match=r"^no$"), room_for("this", 1, "that"):
        raise ValueError("no")
