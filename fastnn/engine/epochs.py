"""The order of a Trainer's work: which rows each step sees, at which learning rate."""

import numpy as np

from ..jobs import BLOCK, LAST_STEP, STEP, Items
from .draws import integers, shuffled

#: Most bytes of row indices drawn ahead.
INDEX_BYTES = 1 << 26


class EpochOrder:
    """Epochs of shuffled batches, each followed by the blocks of the validation set.

    Nothing but the seed and the number of an item decides what it is, so that a training can go on
    from anywhere: epoch e visits its rows as ``RandomState([seed, e])`` permutes, or draws, them.

    Parameters
    ----------
    hyperparameters : Hyperparameters
    train, val : Source
        `val` may be None.
    batch_size, block_size : int
    seed : int
    done : int, default=0
        Items that are done.
    factor : float, default=1.0
        On the learning rate, besides that of the schedule.
    """

    def __init__(
        self, hyperparameters, train, val, batch_size, block_size, seed, done=0, factor=1.0
    ):
        self.hyperparameters, self.weights = hyperparameters, train.weights
        self.seed, self.factor = seed, factor
        self.n, self.n_val = len(train), 0 if val is None else len(val)
        self.val_weight = float(self.n_val)
        if val is not None and val.weights is not None:
            self.val_weight = float(val.weights.sum(dtype=float))
        self.batch_size, self.block_size = batch_size, block_size
        self.steps_per_epoch = -(-self.n // batch_size)
        self.val_blocks = -(-self.n_val // block_size)
        self.per_epoch = self.steps_per_epoch + self.val_blocks
        self.epochs = hyperparameters.max_iter
        self.total = self.epochs * self.per_epoch
        self.total_steps = self.epochs * self.steps_per_epoch
        self.longest = max(INDEX_BYTES // (8 * batch_size), 1)
        self.done = self.asked = min(done, self.total)  # items; and those asked for
        self.in_order = not hyperparameters.replacement and (
            not hyperparameters.shuffle or self.steps_per_epoch == 1
        )
        self.counts = np.full(self.steps_per_epoch, batch_size)
        if not hyperparameters.replacement:
            self.counts[-1] = self.n - (self.steps_per_epoch - 1) * batch_size
        self.rates = np.zeros(self.total_steps)
        self.waits = False
        self._rows, self._random = (-1, None), np.random.RandomState(0)

    def boundary(self, done):
        """Return the item behind which Python wants to look next."""
        return (done // self.per_epoch + 1) * self.per_epoch if self.waits else self.total

    def epochs_done(self):
        """Return how many epochs are done."""
        return self.done // self.per_epoch

    def steps_done(self):
        """Return how many steps are done."""
        epoch, position = divmod(self.done, self.per_epoch)
        return epoch * self.steps_per_epoch + min(position, self.steps_per_epoch)

    def rows(self, epoch):
        """Return the rows of an epoch's batches, one after the other."""
        if self._rows[0] != epoch:
            # To make another generator takes 100 us, a third of an epoch of 1,000 rows of 20-100-3.
            self._random.seed([self.seed, epoch])
            random = self._random
            if self.hyperparameters.replacement:
                rows = integers(random, self.n, self.steps_per_epoch * self.batch_size)
            else:
                (rows,) = shuffled(np.arange(self.n, dtype=np.int64), random)
            self._rows = epoch, rows
        return self._rows[1]

    def items(self, first, stop):
        """Return the items first..stop."""
        self.asked = stop
        numbers = np.arange(first, stop)
        epochs, positions = np.divmod(numbers, self.per_epoch)
        blocks = positions >= self.steps_per_epoch
        within = np.minimum(positions, self.steps_per_epoch - 1)
        first_row = (positions - self.steps_per_epoch) * self.block_size
        begins = within * self.batch_size
        counts = np.where(blocks, np.minimum(self.block_size, self.n_val - first_row), 0)
        counts = np.where(blocks, counts, self.counts[within])
        listed = None
        if not self.in_order:
            listed, begins = self._listed(epochs, begins, counts, blocks)
        steps = epochs * self.steps_per_epoch + within
        optimizer = self.hyperparameters.optimizer
        factors = self.hyperparameters.schedule.factors(
            steps, self.steps_per_epoch, self.total_steps, int(self.counts.sum())
        )
        learning_rates = optimizer.learning_rate_init * self.factor * factors
        self.rates[steps] = learning_rates
        rates, decays, epsilons = optimizer.rates(learning_rates, steps)
        short = (self.counts[within] < self.batch_size) & ~blocks
        return Items(
            kinds=np.where(blocks, BLOCK, np.where(short, LAST_STEP, STEP)),
            begins=np.where(blocks, first_row, begins),
            counts=counts,
            steps=steps,
            epochs=epochs,
            keys=dropout_keys(self.seed, steps),
            rates=rates,
            decays=decays,
            alphas=self.hyperparameters.alpha,
            epsilons=epsilons,
            divisors=self._divisors(listed, begins, counts, blocks),
            listed=listed,
        )

    def _listed(self, epochs, begins, counts, blocks):
        """Return the rows of all steps, and where in them each begins."""
        parts, places, total = [], np.zeros_like(begins), 0
        for epoch in np.unique(epochs):
            here = np.flatnonzero((epochs == epoch) & ~blocks)
            if len(here) == 0:
                continue
            lo, hi = begins[here[0]], begins[here[-1]] + counts[here[-1]]
            parts.append(self.rows(epoch)[lo:hi])
            places[here] = begins[here] - lo + total
            total += hi - lo
        return np.concatenate(parts) if parts else np.zeros(0, np.int64), places

    def _divisors(self, listed, begins, counts, blocks):
        """Return what the losses of steps are divided by: rows, or the sum of their weights."""
        divisors = np.maximum(counts, 1).astype(float)
        if self.weights is None:
            return divisors
        for i in np.flatnonzero(~blocks):
            place = slice(begins[i], begins[i] + counts[i])
            total = self.weights[place if listed is None else listed[place]].sum(dtype=float)
            # Nothing weighs anything: no gradient and no loss.
            divisors[i] = total if total > 0 else np.inf
        return divisors


def dropout_keys(seed, steps):
    """Return a key for each step's dropout, far from each other."""
    with np.errstate(over="ignore"):
        key = np.uint64(seed) << np.uint64(32)
        key = (key + steps.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
        key *= np.uint64(0xBF58476D1CE4E5B9)
        key ^= key >> np.uint64(32)
    return key.view(np.int64)
