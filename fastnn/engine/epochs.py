"""The order of a Trainer's work: which rows each step sees, at which learning rate."""

import numpy as np

from ..jobs import BLOCK, Items, grown
from .draws import integers, shuffled
from .patterns import Epoch, pattern_of

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
    records : Records
        They grow with the work, as the number of epochs may be but a limit.
    seed : int
    done : int
        Items that are done.
    factor : float
        On the learning rate, besides that of the schedule.
    """

    def __init__(
        self, hyperparameters, train, val, batch_size, block_size, records, seed, done, factor
    ):
        self.records = records
        self.hyperparameters, self.weights = hyperparameters, train.weights
        self.seed, self.factor = seed, factor
        self.n, self.n_val = len(train), 0 if val is None else len(val)
        self.val_weight = float(self.n_val)
        if val is not None and val.weights is not None:
            self.val_weight = float(val.weights.sum(dtype=float))
        self.batch_size, self.steps_per_epoch = batch_size, -(-self.n // batch_size)
        self.in_order = not hyperparameters.replacement and (
            not hyperparameters.shuffle or self.steps_per_epoch == 1
        )
        #: Rows that an epoch sees.
        self.visited = self.steps_per_epoch * batch_size if hyperparameters.replacement else self.n
        self.epoch = Epoch(self.visited, batch_size, self.n_val, block_size, not self.in_order)
        self.per_epoch = self.epoch.items
        self.epochs = hyperparameters.max_iter
        self.total = self.epochs * self.per_epoch
        self.total_steps = self.epochs * self.steps_per_epoch
        self.longest = max(INDEX_BYTES // (8 * batch_size), 1)
        self.done = self.asked = min(done, self.total)  # items; and those asked for
        #: Rows of each step of an epoch.
        self.counts = np.full(self.steps_per_epoch, batch_size)
        self.counts[-1] = self.visited - (self.steps_per_epoch - 1) * batch_size
        self.rates = np.zeros(0)
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
                rows = integers(random, self.n, self.visited)
            else:
                (rows,) = shuffled(np.arange(self.n, dtype=np.int64), random)
            self._rows = epoch, rows
        return self._rows[1]

    def items(self, first, stop):
        """Return the items first..stop."""
        self.asked = stop
        epoch, position = divmod(first, self.per_epoch)
        pattern, listed = pattern_of(position, stop - first, self.epoch), None
        kinds, begins, counts, steps, epochs, divisors = pattern
        if not self.in_order:
            listed = self._listed(epoch, position, stop - first)
        if self.weights is not None:
            divisors = self._sums_of_weights(listed, begins, counts, kinds != BLOCK)
        steps, epochs = steps + epoch * self.steps_per_epoch, epochs + epoch
        self.reserve(int(steps[-1]) + 1, int(epochs[-1]) + 1)
        h = self.hyperparameters
        factors = h.schedule.factors(steps, self.steps_per_epoch, self.total_steps, self.visited)
        learning_rates = h.optimizer.learning_rate_init * self.factor * factors
        self.rates[steps] = learning_rates
        rates, decays, epsilons = h.optimizer.rates(learning_rates, steps)
        return Items(
            kinds=kinds,
            begins=begins,
            counts=counts,
            steps=steps,
            epochs=epochs,
            keys=dropout_keys(self.seed, steps) if h.dropout else 0,
            rates=rates,
            decays=decays,
            alphas=h.alpha,
            epsilons=epsilons,
            divisors=divisors,
            listed=listed,
        )

    def reserve(self, steps, epochs):
        """Have room to record so many steps and epochs, and the learning rates."""
        self.records.reserve(steps, epochs)
        self.rates = grown(self.rates, steps)

    def _listed(self, epoch, position, count):
        """Return the rows of all steps of `count` items, one after the other."""
        last, end = divmod(position + count - 1, self.per_epoch)
        begin, end = (min(place * self.batch_size, self.visited) for place in (position, end + 1))
        pieces = [self.rows(each) for each in range(epoch, epoch + last + 1)]
        pieces[-1] = pieces[-1][:end]
        pieces[0] = pieces[0][begin:]
        return pieces[0] if last == 0 else np.concatenate(pieces)

    def _sums_of_weights(self, listed, begins, counts, is_step):
        """Return what the losses of steps are divided by where rows have weights."""
        sums = np.ones(len(counts))
        for i in np.flatnonzero(is_step):
            place = slice(begins[i], begins[i] + counts[i])
            total = self.weights[place if listed is None else listed[place]].sum(dtype=float)
            # Nothing weighs anything: no gradient and no loss.
            sums[i] = total if total > 0 else np.inf
        return sums


def dropout_keys(seed, steps):
    """Return a key for each step's dropout, far from each other."""
    with np.errstate(over="ignore"):
        key = np.uint64(seed) << np.uint64(32)
        key = (key + steps.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
        key *= np.uint64(0xBF58476D1CE4E5B9)
        key ^= key >> np.uint64(32)
    return key.view(np.int64)
