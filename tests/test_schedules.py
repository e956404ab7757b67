"""Schedules and optimisers by themselves: factors against worked-out numbers, and their errors."""

import math

import numpy as np
import pytest

from fastnn import optimizers, schedules
from fastnn.optimizers import SGD, Adam, AdamW, Momentum, RMSProp
from fastnn.schedules import Adaptive, Constant, Cosine, InverseScaling, OneCycle, StepDecay


def factors(schedule, total, steps_per_epoch=1, rows=1):
    return schedule.factors(np.arange(total), steps_per_epoch, total, rows)


@pytest.mark.parametrize("schedule", [Constant(), Adaptive()])
def test_nothing_changes(schedule):
    np.testing.assert_array_equal(factors(schedule, 5), np.ones(5))


def test_step_decay_counts_epochs():
    # Two steps an epoch, every third epoch.
    expected = [1] * 6 + [0.5] * 6 + [0.25] * 2
    np.testing.assert_array_equal(factors(StepDecay(every=3, factor=0.5), 14, 2), expected)


def test_inverse_scaling_counts_the_rows_of_whole_epochs():
    # Epochs of 15 rows in two batches of 8 and 7: 1, 16, 31 rows and the one of the formula.
    expected = [1, 1, 1 / 4, 1 / 4, 1 / math.sqrt(31), 1 / math.sqrt(31)]
    np.testing.assert_allclose(factors(InverseScaling(), 6, 2, 15), expected, rtol=1e-15)
    np.testing.assert_allclose(factors(InverseScaling(1.0), 3, 1, 9), [1, 1 / 10, 1 / 19])


def test_cosine():
    # cos of 0, 45, 90 and 135 degrees.
    r = math.sqrt(0.5)
    np.testing.assert_allclose(factors(Cosine(), 4), [1, (1 + r) / 2, 0.5, (1 - r) / 2])
    np.testing.assert_allclose(factors(Cosine(final=0.2), 4)[2], 0.6)
    np.testing.assert_allclose(
        factors(Cosine(warmup=0.5), 8), [1 / 4, 2 / 4, 3 / 4, 1, 1, (1 + r) / 2, 0.5, (1 - r) / 2]
    )


@pytest.mark.parametrize("total", [1, 2, 3, 10, 11, 101])
@pytest.mark.parametrize("warmup", [0, 0.01, 0.25, 0.5, 0.99])
@pytest.mark.parametrize("cls", [Cosine, OneCycle])
def test_no_factor_is_beyond_one(cls, warmup, total):
    numbers = factors(cls(warmup=warmup), total)
    assert numbers.min() >= 0
    assert numbers.max() <= 1


def test_one_cycle():
    # The peak is step 2 of 0..8: cosines of 0 and 90 degrees up, of 0, 30, ... 180 down.
    schedule = OneCycle(warmup=0.25, start=0.1, final=0.01)
    up = [0.1, 0.55]
    down = [0.01 + 0.99 * (1 + math.cos(math.radians(30 * i))) / 2 for i in range(7)]
    np.testing.assert_allclose(factors(schedule, 9), up + down, rtol=1e-14)
    assert factors(schedule, 9)[[2, 8]].tolist() == [1, 0.01]


def test_one_step_alone_is_at_the_full_rate():
    for schedule in schedules.SCHEDULES.values():
        assert factors(schedule, 1).tolist() == [1]


@pytest.mark.parametrize("schedule", [*schedules.SCHEDULES.values(), Cosine(warmup=0.3)])
def test_any_steps_have_the_factors_that_they_have_among_all(schedule):
    everything = schedule.factors(np.arange(101), 7, 101, 50)
    for first, stop in ((0, 1), (3, 20), (50, 101)):
        some = schedule.factors(np.arange(first, stop), 7, 101, 50)
        assert some.tobytes() == everything[first:stop].tobytes()


def test_rates_of_the_optimisers():
    rates, steps = np.array([0.1, 0.2]), np.array([0, 1])
    for optimizer, epsilon in ((SGD(), 0), (Momentum(), 0), (RMSProp(epsilon=0.5), 0.5)):
        for got, expected in zip(optimizer.rates(rates, steps), (rates, [1, 1], epsilon)):
            np.testing.assert_array_equal(got, expected)
    # sqrt(1 - b2^t) / (1 - b1^t) with b1 = 0.5, b2 = 0.75: 0.5 / 0.5, sqrt(0.4375) / 0.75.
    expected = [0.1, 0.2 * math.sqrt(0.4375) / 0.75]
    np.testing.assert_allclose(Adam(0.1, 0.5, 0.75).rates(rates, steps)[0], expected)
    corrected, decays, epsilons = AdamW(0.1, 0.5, 0.75, weight_decay=0.1).rates(rates, steps)
    np.testing.assert_allclose(corrected, expected)
    np.testing.assert_allclose(decays, [0.99, 0.98])
    np.testing.assert_array_equal(epsilons, [1e-8, 1e-8])
    # 0.1 sqrt(1 - b2^t): sqrt(0.25), sqrt(0.4375).
    for kind in (Adam, AdamW):
        optimizer = kind(0.1, 0.5, 0.75, epsilon=0.1, corrected_root=True)
        _, _, epsilons = optimizer.rates(rates, steps)
        np.testing.assert_allclose(epsilons, [0.05, 0.1 * math.sqrt(0.4375)])


def test_numbers_become_python_s_own():
    optimizer = Momentum(np.float32(0.5), np.float64(0.25), np.True_)
    assert [type(value) for value in vars(optimizer).values()] == [float, float, bool]
    assert type(StepDecay(np.int64(3)).every) is int
    assert Adam(learning_rate_init=1) == Adam(learning_rate_init=1.0)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: SGD(-1), ValueError, r"learning_rate_init is -1.0.*SGD\(learning_rate_init=0.1\)"),
        (lambda: SGD("a"), TypeError, r"learning_rate_init is 'a', but it is a number: pass for"),
        (lambda: Adam(np.nan), ValueError, r"learning_rate_init is nan, but it must be finite"),
        (lambda: Adam(beta_1=1), ValueError, r"beta_1 is 1.0.*below 1: .*Adam\(beta_1=0.9\)"),
        (lambda: Adam(beta_2=1.5), ValueError, r"beta_2 is 1.5, but it must be below 1"),
        (lambda: Adam(epsilon=0), ValueError, r"epsilon is 0.0, but it must be above 0: pass"),
        (lambda: Adam(corrected_root="yes"), TypeError, r"corrected_root is 'yes', but it is True"),
        (lambda: RMSProp(decay_rate=1), ValueError, r"decay_rate is 1.0.*RMSProp\(decay_rate=0.99"),
        (lambda: RMSProp(epsilon=0), ValueError, r"epsilon is 0.0, but it must be above 0: pass"),
        (lambda: AdamW(weight_decay=-1), ValueError, r"weight_decay is -1.0"),
        (lambda: Momentum(momentum=1), ValueError, r"momentum is 1.0.*Momentum\(momentum=0.9\)"),
        (lambda: Momentum(nesterovs_momentum="no"), TypeError, r"is 'no', but it is True or False"),
        (lambda: StepDecay(every=0), ValueError, r"every is 0, but it must be at least 1"),
        (lambda: StepDecay(every=2.5), TypeError, r"every is 2.5 of type float"),
        (lambda: Adaptive(divisor=1), ValueError, r"divisor is 1.0, but it must be above 1: pass"),
        (lambda: Adaptive(n_iter_no_change=0), ValueError, r"n_iter_no_change is 0"),
        (lambda: Cosine(warmup=1), ValueError, r"warmup is 1.0, but it must be below 1: pass for"),
        (lambda: Cosine(final=2), ValueError, r"final is 2.0, but it must be at most 1"),
        (lambda: OneCycle(start=1.1), ValueError, r"start is 1.1.*at most 1.*start=0.04"),
        (lambda: InverseScaling(None), TypeError, r"power_t is None, but it is a number"),
    ],
)
def test_errors(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_names():
    for name, optimizer in optimizers.OPTIMIZERS.items():
        assert optimizers.check_optimizer(name) is optimizer
    for name, schedule in schedules.SCHEDULES.items():
        assert schedules.check_schedule(name) is schedule
    assert optimizers.check_optimizer(Adam(0.5)) == Adam(0.5)
