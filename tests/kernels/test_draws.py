"""The numbers and the shuffle of NumPy's RandomState, by its own draws."""

import itertools

import numpy as np
import pytest

from fastnn import kernels, reference
from fastnn.engine import draws
from fastnn.engine.draws import bitgen_of

SIZES = [*range(70), 127, 128, 129, 255, 256, 257, 1000, 4095, 4096, 4097]
#: Up to the largest that the kernel is asked for: at powers of two and beside them.
HIGHS = [*range(1, 20), 255, 256, 257, 65537, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32]
GENERATORS = [np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64]


@pytest.fixture
def loaded(monkeypatch):
    """Have the kernel do the work from the first row on."""
    monkeypatch.setattr(draws, "FIRST_DRAWS", 0)


@pytest.mark.parametrize("generator", GENERATORS)
def test_the_numbers_and_what_is_drawn_next_are_those_of_numpy(guards, generator):
    ours, twins, theirs = (np.random.RandomState(generator(3)) for _ in range(3))
    for high, size in itertools.product(HIGHS, (0, 1, 7, 64)):
        expected, by_the_twin = theirs.randint(0, high, size), np.empty(size, np.int64)
        out = guards.output(np.full(size, -1))
        reference.randint(high, bitgen_of(twins._bit_generator), by_the_twin)
        kernels.randint(high, bitgen_of(ours._bit_generator), out)
        np.testing.assert_array_equal(by_the_twin, expected)
        np.testing.assert_array_equal(out, expected)
        guards.check()
        assert ours.randint(2**31) == twins.randint(2**31) == theirs.randint(2**31)


@pytest.mark.usefixtures("loaded")
def test_the_numbers_of_the_engine_are_those_of_numpy_whoever_draws_them():
    class Derived(np.random.RandomState):
        def randint(self, low, high, size):
            return np.full(size, high - 1)

    for high in (1, 5, 1000, 2**32, 2**40):
        ours, theirs = np.random.RandomState(7), np.random.RandomState(7)
        found = draws.integers(ours, high, 99)
        np.testing.assert_array_equal(found, theirs.randint(0, high, 99))
        assert found.dtype == np.int64
        np.testing.assert_array_equal(draws.integers(Derived(), high, 3), high - 1)
        state = np.random.get_state()
        try:
            np.random.seed(7)
            np.testing.assert_array_equal(draws.integers(np.random, high, 99), found)
        finally:
            np.random.set_state(state)


@pytest.mark.usefixtures("loaded")
def test_a_function_in_the_place_of_numpys_is_asked(monkeypatch):
    monkeypatch.setattr(np.random, "randint", lambda low, high, size: np.full(size, 3))
    np.testing.assert_array_equal(draws.integers(np.random, 9, 4), [3, 3, 3, 3])


@pytest.mark.parametrize("generator", GENERATORS)
def test_the_orders_and_what_is_drawn_next_are_those_of_numpy(guards, generator):
    ours, twins, theirs = (np.random.RandomState(generator(3)) for _ in range(3))
    for size, times in itertools.product(SIZES, (1, 3)):
        order = guards.input(np.arange(size) * 3 - 7)
        expected, by_the_twin = np.empty((2, times, size), np.int64)
        latest = order.copy()
        for row in expected:
            theirs.shuffle(latest)
            row[:] = latest
        out = guards.output(np.full((times, size), -1))
        reference.shuffle(order, bitgen_of(twins._bit_generator), by_the_twin)
        kernels.shuffle(order, bitgen_of(ours._bit_generator), out)
        np.testing.assert_array_equal(by_the_twin, expected)
        np.testing.assert_array_equal(out, expected)
        guards.check()
        # After one draw more or less, this would differ.
        assert ours.randint(2**31) == twins.randint(2**31) == theirs.randint(2**31)
    assert not np.array_equal(out[0], order)


def test_many_rows_are_shuffled_as_numpy_does(guards):
    ours, theirs = np.random.RandomState(5), np.random.RandomState(5)
    expected = np.arange(1 << 17)
    out = guards.output(np.empty((3, len(expected)), np.int64))
    kernels.shuffle(expected, bitgen_of(ours._bit_generator), out)
    for row in out:
        theirs.shuffle(expected)
        np.testing.assert_array_equal(row, expected)
    guards.check()


def test_numpy_and_the_kernel_take_turns_without_a_seam(monkeypatch):
    ours, theirs = np.random.RandomState(8), np.random.RandomState(8)
    order, expected = np.arange(100), np.arange(100)
    monkeypatch.setitem(draws._drawn, "shuffle", 0)
    monkeypatch.setattr(draws, "FIRST_DRAWS", 250)
    seen = []
    for times in (1, 2, 1, 3):
        orders = draws.shuffled(order, ours, times)
        for row in orders:
            theirs.shuffle(expected)
            np.testing.assert_array_equal(row, expected)
        order = orders[-1]
        seen.append(draws._drawn["shuffle"])
    assert seen == [100, 300, 300, 300]


@pytest.mark.usefixtures("loaded")
def test_a_class_of_the_users_own_shuffles_by_itself():
    class Reversed(np.random.RandomState):
        def shuffle(self, rows):
            rows[:] = rows[::-1].copy()

    orders = draws.shuffled(np.arange(9), Reversed(0), 2)
    np.testing.assert_array_equal(orders, [np.arange(9)[::-1], np.arange(9)])


@pytest.mark.usefixtures("loaded")
def test_the_generator_of_all_of_numpy_goes_on_after_it():
    random = np.random.mtrand._rand
    state = random.get_state()
    try:
        np.random.seed(4)
        expected = np.arange(50)
        np.random.shuffle(expected)
        following = np.random.rand()
        np.random.seed(4)
        (order,) = draws.shuffled(np.arange(50), random)
        np.testing.assert_array_equal(order, expected)
        assert np.random.rand() == following
        assert random._bit_generator.lock.acquire(blocking=False)
        random._bit_generator.lock.release()
    finally:
        random.set_state(state)
