"""What TwoLayerNet asks of the compiled loop: the course's order of work, history and classes."""

import time
from typing import NamedTuple

import numpy as np

from . import inference, reference
from ._progress import Reporter
from .checks.arguments import asks_to_stop, room_for
from .engine import (
    BLOCK,
    EVALUATED_STEP,
    STEP,
    Architecture,
    Items,
    Records,
    Settings,
    Source,
    flops_per_row,
    jit_disabled,
)
from .training import INDEX_BYTES, drive, loop_of, warn_of_divergence

#: Most items of a call: many calls are then alike, and so much of their making is done once.
MOST_ITEMS = 1 << 14


class TrainingProgress(NamedTuple):
    """Where a training stands.

    Attributes
    ----------
    iteration, num_iters : int
        Steps done, and to do.
    loss : float
        Loss of the latest step.
    train_accuracy, val_accuracy : float
        As of the latest evaluation; NaN before the first.
    learning_rate : float
        Of the latest step.
    samples_per_second : float
        Since the start.
    """

    iteration: int
    num_iters: int
    loss: float
    train_accuracy: float
    val_accuracy: float
    learning_rate: float
    samples_per_second: float


class SGDPlan(NamedTuple):
    """The hyper-parameters of a run of TwoLayerNet, checked."""

    learning_rate: float
    learning_rate_decay: float
    l2: float  #: the gradient of the penalty is l2 W
    penalty: float  #: the penalty is this times the sum of all squared weights
    num_iters: int
    batch_size: int


class CS231nOrder:
    """The order of TwoLayerNet's work: batches are drawn with replacement.

    An epoch is: its first step (with the prediction of that step's batch), the blocks of the
    validation set, the other steps.
    """

    def __init__(self, plan, n_train, n_val, block_size, random, boundaries):
        self.plan, self.n_train, self.n_val, self.random = plan, n_train, n_val, random
        self.block_size, self.boundaries, self.done = block_size, boundaries, 0
        self.steps_per_epoch = max(n_train // plan.batch_size, 1)
        self.val_blocks = -(-n_val // block_size)
        self.per_epoch = self.steps_per_epoch + self.val_blocks
        self.epochs = -(-plan.num_iters // self.steps_per_epoch)
        self.total = plan.num_iters + self.epochs * self.val_blocks
        self.longest = max(min(INDEX_BYTES // (8 * plan.batch_size), MOST_ITEMS), 1)
        self.rates = _learning_rates(plan, self.steps_per_epoch)
        self._pattern = (None,)

    def steps_before(self, item):
        """Return how many steps come before an item."""
        return int(self._steps_before(*divmod(item, self.per_epoch)))

    def _steps_before(self, epoch, position):
        # Comparisons: NumPy's minimum and maximum take five times as long.
        behind = position - 1 - self.val_blocks
        return epoch * self.steps_per_epoch + (position > 0) + behind * (behind > 0)

    def epochs_evaluated(self, item):
        """Return how many epochs have been evaluated in full before an item."""
        epoch, position = divmod(item, self.per_epoch)
        return epoch + (position > self.val_blocks)

    def boundary(self, done):
        """Return the item behind the next evaluation, for those who wait for it."""
        if not self.boundaries:
            return self.total
        return self.epochs_evaluated(done) * self.per_epoch + self.val_blocks + 1

    def items(self, first, stop):
        """Return the items first..stop; batches are drawn in their order."""
        n, (epoch, position) = self.plan.batch_size, divmod(first, self.per_epoch)
        if self._pattern[0] != (position, stop - first):
            self._pattern = (position, stop - first), *self._kinds_of(position, stop - first)
        _, kinds, begins, counts, steps, epochs = self._pattern
        steps = steps + epoch * self.steps_per_epoch
        count = np.count_nonzero(kinds != BLOCK)
        listed = self.random.randint(0, self.n_train, (count, n))
        here = steps if steps[-1] < len(self.rates) else np.minimum(steps, len(self.rates) - 1)
        return Items(
            kinds=kinds,
            begins=begins,
            counts=counts,
            steps=steps,
            epochs=epochs + epoch,
            keys=0,
            rates=self.rates.take(here),
            decays=1.0,
            divisors=float(n),
            listed=np.ascontiguousarray(listed, np.int64).ravel(),
        )

    def _kinds_of(self, position, count):
        """Return what is the same for all chunks that begin so and are so long, from epoch 0 on."""
        numbers = np.arange(position, position + count)
        epochs = numbers // self.per_epoch
        positions = numbers - epochs * self.per_epoch
        blocks = (0 < positions) & (positions <= self.val_blocks)
        steps = self._steps_before(epochs, positions)
        size, n = self.block_size, self.plan.batch_size
        first_row = (positions - 1) * size
        kinds = np.where(blocks, BLOCK, np.where(positions == 0, EVALUATED_STEP, STEP))
        begins = np.where(blocks, first_row, (steps - steps[0]) * n)
        counts = np.where(blocks, np.minimum(size, self.n_val - first_row), n)
        return kinds, begins, counts, steps, epochs


def train(layers, data, plan, random, record, *, verbose, callback, progress):
    """Train the layers of a TwoLayerNet in place and record the history.

    Parameters
    ----------
    layers : list of (W, b)
        Parameters of each layer, W (fan_in, fan_out) and b (fan_out,), one dtype; updated in
        place, also when the training is interrupted.
    data : tuple of ndarray
        X, y, X_val, y_val, checked.
    plan : SGDPlan
    random : RandomState or numpy.random
        Draws the batches.
    record : dict
        Receives the three histories, also when the training is interrupted.
    verbose, callback, progress
        See :meth:`TwoLayerNet.train`.
    """
    X, y, X_val, y_val = data
    n_train, n_val = len(X), len(X_val)
    block_size = max(plan.batch_size, min(256, n_val))
    loop = loop_of(
        architecture_of(layers),
        layers,
        Settings(l2=plan.l2, penalty=plan.penalty),
        Source(X, y),
        Source(X_val, y_val),
        batch_sizes=(plan.batch_size,),
        block_size=block_size,
        evaluate_batch=True,
        evaluate_loss=False,
    )
    with room_for(f"a history of {plan.num_iters} steps", 16 * plan.num_iters, "ask for fewer"):
        order = CS231nOrder(plan, n_train, n_val, block_size, random, callback is not None)
        records = Records.empty(plan.num_iters, order.epochs)
    losses, rates = records.losses, order.rates
    evaluated, steps, started, warned = 0, 0, time.perf_counter(), False
    reporter = Reporter(progress, plan.num_iters, _describe)
    try:
        with reporter:
            for _ in drive(loop, order, records):
                before, evaluated = evaluated, order.epochs_evaluated(order.done)
                first, steps = steps, order.steps_before(order.done)
                if verbose:
                    for step in range(first + -first % 100, steps, 100):
                        print(f"iteration {step} / {plan.num_iters}: loss {losses[step]:f}")
                warned = warned or warn_of_divergence(losses, rates, first, steps, stacklevel=4)
                status = TrainingProgress(
                    steps,
                    plan.num_iters,
                    float(losses[steps - 1]) if steps else float("nan"),
                    records.train_correct[evaluated - 1] / plan.batch_size
                    if evaluated
                    else float("nan"),
                    records.val_correct[evaluated - 1] / n_val if evaluated else float("nan"),
                    float(rates[steps - 1]),
                    steps * plan.batch_size / (time.perf_counter() - started),
                )
                reporter.update(status)
                if callback is not None and evaluated > before:
                    loop.store()
                    if asks_to_stop(callback(status)):
                        break
    finally:
        loop.store()
        steps, evaluated = order.steps_before(order.done), order.epochs_evaluated(order.done)
        record["loss_history"] = losses[:steps].tolist()
        record["train_acc_history"] = (records.train_correct[:evaluated] / plan.batch_size).tolist()
        record["val_acc_history"] = (records.val_correct[:evaluated] / n_val).tolist()


def _learning_rates(plan, steps_per_epoch):
    """Return the learning rate of every step; it decays right after an epoch's first step."""
    epochs = -(-plan.num_iters // steps_per_epoch)
    factors = np.full(epochs + 1, plan.learning_rate_decay)
    factors[0] = plan.learning_rate
    by_epoch = np.multiply.accumulate(factors)
    steps = np.arange(plan.num_iters)
    return by_epoch[(steps + steps_per_epoch - 1) // steps_per_epoch]


def _describe(status):
    """Return what the progress bar says."""
    return (
        f"loss {status.loss:.4f}  train {status.train_accuracy:.3f}  "
        f"val {status.val_accuracy:.3f}  {status.samples_per_second:,.0f} samples/s"
    )


def architecture_of(layers):
    """Return the architecture of a TwoLayerNet's layers."""
    return Architecture((len(layers[0][0]), *(len(b) for _, b in layers)))


def predict(layers, X):
    """Return the class with the highest score for each row of X, int64.

    Parameters
    ----------
    layers : list of (W, b)
    X : ndarray of shape (n, fan_in of the first layer)
        C-contiguous, of the dtype of the layers.

    Returns
    -------
    ndarray of shape (n,)
    """
    if len(X) == 1:
        return _predict_row(layers, X[0])
    architecture = architecture_of(layers)
    flops = flops_per_row(architecture.layer_sizes) * len(X)
    if flops < inference.PACKED_FLOPS or len(X) < 16 or jit_disabled():
        return reference.network.scores("relu", layers, X).argmax(axis=1)
    return inference.evaluate(architecture, layers, Source(X)).predicted


def _predict_row(layers, x):
    """Predict one row, as a vector: NumPy's calls then cost half of what they do for a matrix."""
    last = len(layers) - 1
    for depth, (W, b) in enumerate(layers):
        x = x.dot(W)
        x += b
        if depth < last:
            np.maximum(x, 0, out=x)
    return x.argmax(keepdims=True)
