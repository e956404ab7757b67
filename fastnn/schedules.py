"""Schedules: what becomes of the learning rate while a network trains.

Their numbers are checked where they are made: ValueError for a number out of its range, TypeError
for what is no number.
"""

import math
from dataclasses import dataclass

import numpy as np

from .checks.fields import check_fields, check_kind


@dataclass(frozen=True)
class Constant:
    """The learning rate stays what it is."""

    def __post_init__(self):
        check_fields(self)

    def factors(self, steps, steps_per_epoch, total, rows):
        """Return the factors on the learning rate at some steps.

        Parameters
        ----------
        steps : ndarray of shape (n,)
            Numbers of steps, from 0 on.
        steps_per_epoch, total : int
            Steps in an epoch and in the whole training.
        rows : int
            Rows that an epoch visits.

        Returns
        -------
        ndarray of shape (n,)
        """
        return np.ones(len(steps))


@dataclass(frozen=True)
class StepDecay(Constant):
    """Multiply the learning rate by `factor` every `every` epochs.

    Parameters
    ----------
    every : int, default=10
    factor : float, default=0.1
    """

    every: int = 10
    factor: float = 0.1

    def factors(self, steps, steps_per_epoch, total, rows):
        """Return the factors on the learning rate at some steps."""
        return self.factor ** (steps // steps_per_epoch // self.every).astype(float)


@dataclass(frozen=True)
class InverseScaling(Constant):
    """Divide the learning rate by ``(t + 1)^power_t``, t rows visited when the epoch begins.

    That is scikit-learn's ``learning_rate="invscaling"``.

    Parameters
    ----------
    power_t : float, default=0.5
    """

    power_t: float = 0.5

    def factors(self, steps, steps_per_epoch, total, rows):
        """Return the factors on the learning rate at some steps."""
        seen = (steps // steps_per_epoch) * float(rows)
        return 1 / (seen + 1) ** self.power_t


@dataclass(frozen=True)
class Adaptive(Constant):
    """Divide the learning rate by `divisor` where the training stands still.

    The loss that counts is that of the validation set if there is one, else the mean over the
    epoch's steps. scikit-learn's ``learning_rate="adaptive"`` does much the same.

    Parameters
    ----------
    divisor : float, default=5.0
        Above 1.
    n_iter_no_change : int, default=10
        Epochs without an improvement by `tol` that are waited for.
    tol : float, default=1e-4
    lowest : float, default=1e-6
        The training ends where the learning rate would fall below it.
    """

    divisor: float = 5.0
    n_iter_no_change: int = 10
    tol: float = 1e-4
    lowest: float = 1e-6


@dataclass(frozen=True)
class Cosine(Constant):
    """Warm up in a straight line, then follow half a cosine down to `final` [1]_.

    Parameters
    ----------
    warmup : float, default=0.0
        Share of the training, in [0, 1), in which the learning rate rises from 0.
    final : float, default=0.0
        Factor on the learning rate, in [0, 1], to which it falls.

    References
    ----------
    .. [1] Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.
    """

    warmup: float = 0.0
    final: float = 0.0

    def factors(self, steps, steps_per_epoch, total, rows):
        """Return the factors on the learning rate at some steps."""
        # Whole steps, so that the last of them comes to the full rate and not beyond.
        rise = round(self.warmup * total)
        place = np.clip((steps - rise) / max(total - rise, 1), 0, 1)
        falling = self.final + (1 - self.final) * (1 + np.cos(math.pi * place)) / 2
        return np.where(steps < rise, (steps + 1) / max(rise, 1), falling)


@dataclass(frozen=True)
class OneCycle(Constant):
    """Rise along a cosine to the learning rate, then fall far below the start [1]_.

    Parameters
    ----------
    warmup : float, default=0.3
        Share of the training, in [0, 1), in which the learning rate rises.
    start : float, default=0.04
        First factor on the learning rate, in [0, 1].
    final : float, default=4e-6
        Last factor, in [0, 1].

    References
    ----------
    .. [1] Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
       Learning Rates", 2017.
    """

    warmup: float = 0.3
    start: float = 0.04
    final: float = 4e-6

    def factors(self, steps, steps_per_epoch, total, rows):
        """Return the factors on the learning rate at some steps."""
        peak = self.warmup * (total - 1)
        rising = np.clip(steps / max(peak, 1e-9), 0, 1)
        falling = np.clip((steps - peak) / max(total - 1 - peak, 1e-9), 0, 1)
        up = self.start + (1 - self.start) * (1 - np.cos(math.pi * rising)) / 2
        down = self.final + (1 - self.final) * (1 + np.cos(math.pi * falling)) / 2
        return np.where(steps < peak, up, down)


#: The names that stand for a schedule with its defaults.
SCHEDULES = {
    "constant": Constant(),
    "step": StepDecay(),
    "invscaling": InverseScaling(),
    "adaptive": Adaptive(),
    "cosine": Cosine(),
    "one_cycle": OneCycle(),
}


def check_schedule(schedule):
    """Return a schedule for itself or its name."""
    return check_kind(schedule, "schedule", SCHEDULES, "fastnn.schedules.Cosine(warmup=0.1)")
