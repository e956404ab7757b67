"""The order of a perceptron's work, that of scikit-learn: the rows of each step, and its rates."""

import numpy as np

from ..engine.epochs import INDEX_BYTES, dropout_keys
from ..engine.patterns import Epoch, pattern_of
from ..jobs import BLOCK, Items

#: Most steps of a call: what is known of them in advance must not take long to write down.
MOST_STEPS = 1 << 13


class PerceptronOrder:
    """Epochs of shuffled batches, each perhaps followed by the blocks of the validation set.

    Each epoch shuffles the order of the one before it. The draws are made in the order of the work
    and not earlier than needed, as the generator may be the user's.

    Parameters
    ----------
    train : Source
    batch_size, epochs : int
    n_val, block_size : int
        Rows of the validation set, none if its losses are not wanted, and of a block of it.
    records : Records
        They grow with the work, as `epochs` is but a limit.
    shuffle : callable or None
        ``shuffle(rows, times)`` returns an array (times, n): the rows in another order, that in
        another one, and so on; None leaves them as they are.
    alpha : float
        Strength of the penalty, which each batch divides by its own rows, or weights.
    rates : callable
        ``rates(steps, epochs)`` returns the rate, the decay and the epsilon of each step.
    seed : int or None
        Of the dropout, None for none.
    """

    def __init__(
        self, train, batch_size, epochs, n_val, block_size, records, *, shuffle, alpha, rates, seed
    ):
        self.records = records
        self.n, self.weights, self.n_val = len(train), train.weights, n_val
        self.batch_size, self.shuffle, self.alpha = batch_size, shuffle, alpha
        self.rates_of, self.seed = rates, seed
        self.epoch = Epoch(self.n, batch_size, n_val, max(block_size, 1), shuffle is not None)
        self.steps_per_epoch, self.per_epoch = self.epoch.steps, self.epoch.items
        self.epochs, self.total = epochs, epochs * self.per_epoch
        self.longest = max(min(INDEX_BYTES // (8 * batch_size), MOST_STEPS), 1)
        #: Items that are done, and that were asked for; the epoch that Python waits for.
        self.done, self.asked, self.look = 0, 0, 1
        #: Rows of each step of an epoch.
        self.counts = np.full(self.steps_per_epoch, batch_size)
        self.counts[-1] = self.n - (self.steps_per_epoch - 1) * batch_size
        self._rows, self._epoch = np.arange(self.n, dtype=np.int64), -1

    def boundary(self, done):
        """Return the item behind the epoch that Python waits for."""
        return self.look * self.per_epoch

    def epochs_done(self):
        """Return how many epochs are done, validation included."""
        return self.done // self.per_epoch

    def steps_done(self):
        """Return how many steps are done."""
        epoch, position = divmod(self.done, self.per_epoch)
        return epoch * self.steps_per_epoch + min(position, self.steps_per_epoch)

    def items(self, first, stop):
        """Return the items first..stop."""
        self.asked = stop
        epoch, position = divmod(first, self.per_epoch)
        pattern, listed = pattern_of(position, stop - first, self.epoch), None
        kinds, begins, counts, steps, epochs, divisors = pattern
        if self.shuffle is not None:
            listed = self._listed(epoch, position, stop - first)
        if self.weights is not None:
            divisors = self._sums_of_weights(listed, begins, counts, kinds != BLOCK)
        steps, epochs = steps + epoch * self.steps_per_epoch, epochs + epoch
        self.records.reserve(int(steps[-1]) + 1, int(epochs[-1]) + 1)
        rates, decays, epsilons = self.rates_of(steps, epochs)
        return Items(
            kinds=kinds,
            begins=begins,
            counts=counts,
            steps=steps,
            epochs=epochs,
            keys=0 if self.seed is None else dropout_keys(self.seed, steps),
            rates=rates,
            decays=decays,
            alphas=self.alpha / divisors,
            epsilons=epsilons,
            divisors=divisors,
            listed=listed,
        )

    def _listed(self, epoch, position, count):
        """Return the rows of all steps of `count` items, one after the other."""
        last, end = divmod(position + count - 1, self.per_epoch)
        begin, end = (min(place * self.batch_size, self.n) for place in (position, end + 1))
        fresh, pieces = epoch + last - self._epoch, []
        if epoch == self._epoch:
            pieces.append(self._rows[begin : self.n if fresh else end])
        if fresh:
            orders = self.shuffle(self._rows, fresh)
            self._rows, self._epoch = orders[-1], epoch + last
            pieces.append(orders.reshape(-1)[: (fresh - 1) * self.n + end])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _sums_of_weights(self, listed, begins, counts, is_step):
        """Return the sum of the weights of each step's batch."""
        sums = np.ones(len(counts))
        for i in np.flatnonzero(is_step):
            place = slice(begins[i], begins[i] + counts[i])
            sums[i] = self.weights[place if listed is None else listed[place]].sum()
        if not sums.all():
            raise ZeroDivisionError(
                "the weights of a batch sum to 0, so that its loss cannot be normalised: pass a "
                "larger batch_size, or leave out rows of sample_weight 0"
            )
        return sums
