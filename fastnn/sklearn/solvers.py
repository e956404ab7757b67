"""scikit-learn's optimisers: made as it makes them, and what the engine needs to know of them."""

import numpy as np
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from ..engine.driver import loop_of
from . import kept


def make(estimator):
    """Return a new optimiser for an estimator's parameters, as scikit-learn makes it."""
    params = estimator.coefs_ + estimator.intercepts_
    if estimator.solver == "sgd":
        return SGDOptimizer(
            params,
            estimator.learning_rate_init,
            estimator.learning_rate,
            estimator.momentum,
            estimator.nesterovs_momentum,
            estimator.power_t,
        )
    return AdamOptimizer(
        params,
        estimator.learning_rate_init,
        estimator.beta_1,
        estimator.beta_2,
        estimator.epsilon,
    )


def take_over(optimizer, before):
    """Have a new optimiser go on where one of its kind was, with its own parameters."""
    kept.settle(before)
    if type(before) is not type(optimizer):
        return
    if isinstance(optimizer, AdamOptimizer):
        optimizer.t, optimizer.ms, optimizer.vs = before.t, before.ms, before.vs
        return
    optimizer.velocities = before.velocities
    if optimizer.learning_rate_init == before.learning_rate_init:
        # An adaptive rate has come down.
        optimizer.learning_rate = before.learning_rate


class Solver:
    """An optimiser of scikit-learn's, whose steps the engine does.

    Parameters
    ----------
    optimizer : SGDOptimizer or AdamOptimizer
        Its learning rate is read at each epoch, and :meth:`keep` leaves it so that it can go on.
    schedule : schedule or None
        One of fastnn's, for all solvers; None for scikit-learn's own.
    weight_decay : float or None
        Of AdamW.
    """

    def __init__(self, optimizer, schedule=None, weight_decay=None):
        self.optimizer, self.schedule, self.weight_decay = optimizer, schedule, weight_decay
        self.is_adam = isinstance(optimizer, AdamOptimizer)
        self.first = optimizer.t if self.is_adam else 0
        if self.is_adam:
            self.rule = "adam"
            self.numbers = optimizer.beta_1, optimizer.beta_2
        else:
            self.rule = "nesterov" if optimizer.nesterov else "momentum"
            self.numbers = optimizer.momentum, 0.0

    def rates(self, steps, epochs, ended, fit):
        """Return the rates of some steps, the factors on the weights, and what roots are added to.

        Parameters
        ----------
        steps, epochs : ndarray of shape (n,)
            Numbers of the steps and of their epochs in this fit, from 0 on.
        ended : int
            Epochs whose end the optimiser has been told of.
        fit : object
            With the rows of an epoch, ``n``, the steps of one and of all, and ``t``, the rows that
            had been visited after `ended` epochs.
        """
        learning_rates, optimizer = self._learning_rates(steps, epochs, ended, fit), self.optimizer
        decays = 1.0
        if self.weight_decay is not None:
            decays = 1.0 - learning_rates * self.weight_decay
        if self.is_adam:
            t = self.first + steps + 1.0
            learning_rates = learning_rates * np.sqrt(1 - optimizer.beta_2**t)
            learning_rates /= 1 - optimizer.beta_1**t
        return learning_rates, decays, optimizer.epsilon if self.is_adam else 0.0

    def _learning_rates(self, steps, epochs, ended, fit):
        optimizer = self.optimizer
        if self.is_adam:
            learning_rates = np.full(len(steps), float(optimizer.learning_rate_init))
        else:
            learning_rates = np.full(len(steps), float(optimizer.learning_rate))
            if optimizer.lr_schedule == "invscaling":
                later = epochs > ended
                visited = fit.t + fit.n * (epochs[later] - ended)
                base = float(optimizer.learning_rate_init)
                learning_rates[later] = base / (visited + 1.0) ** optimizer.power_t
        if self.schedule is not None:
            factors = self.schedule.factors(steps, fit.steps_per_epoch, fit.total_steps, fit.n)
            learning_rates = float(optimizer.learning_rate_init) * factors
        return learning_rates

    def learning_rate(self, step, fit):
        """Return the learning rate of a step of the latest epoch, without Adam's corrections."""
        if self.schedule is None:
            optimizer = self.optimizer
            return optimizer.learning_rate_init if self.is_adam else optimizer.learning_rate
        step = np.array([step])
        return self._learning_rates(step, step, 0, fit)[0]

    def loop_of(self, job):
        """Return a loop for a job that has what the optimiser remembers."""
        loop = kept.loop_in(self.optimizer)
        if loop is not None and loop.go_on(job):
            return loop
        loop = loop_of(job)
        loop.remember(self._memories())
        return loop

    def _memories(self):
        """Return what the optimiser remembers, as the engine takes it: lists of (W, b)."""
        optimizer = self.optimizer
        lists = [optimizer.ms, optimizer.vs] if self.is_adam else [optimizer.velocities]
        return [list(zip(parts[: len(parts) // 2], parts[len(parts) // 2 :])) for parts in lists]

    def _own_memories(self, dtype):
        """Return the same where it may be written over, else None: new arrays take longer."""
        memories = self._memories()
        parts = (part for layers in memories for layer in layers for part in layer)
        fits = all(part.flags.writeable and part.dtype == dtype for part in parts)
        return memories if fits else None

    def keep(self, loop, steps, stays):
        """Leave the optimiser as scikit-learn's would be after so many steps of this fit.

        Its memories may stay in the loop if that is nobody else's; return whether they do.
        """
        optimizer = self.optimizer
        stays = stays and kept.keep(optimizer, loop)
        if not stays:
            self._take(loop.memories(self._own_memories(loop.layers[0][0].dtype)))
        if self.is_adam:
            optimizer.t = self.first + steps
            if steps > 0:
                optimizer.learning_rate = (
                    optimizer.learning_rate_init
                    * np.sqrt(1 - optimizer.beta_2**optimizer.t)
                    / (1 - optimizer.beta_1**optimizer.t)
                )
        return stays

    def _take(self, memories):
        parts = [[W for W, _ in layers] + [b for _, b in layers] for layers in memories]
        if self.is_adam:
            self.optimizer.ms, self.optimizer.vs = parts
        else:
            (self.optimizer.velocities,) = parts
