"""The course's training: its order of work, and a run of it for TwoLayerNet."""

import math
from typing import NamedTuple

import numpy as np

from ..checks.arguments import room_for
from ..jobs import (
    BLOCK,
    EVALUATED_STEP,
    STEP,
    Architecture,
    Items,
    Job,
    Records,
    Settings,
    Source,
)
from . import zeros
from .draws import integers
from .driver import loop_of
from .epochs import INDEX_BYTES
from .run import Run

#: Most items of a call: many calls are then alike, and so much of their making is done once. With
#: twice as many, which the second level does not hold, the toy takes 3 % longer (Zen 5).
MOST_ITEMS = 1 << 13
#: Rows of a block of the validation set, unless batches are larger.
BLOCK_ROWS = 256


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


class CoursePlan(NamedTuple):
    """The hyper-parameters of a training of TwoLayerNet, checked."""

    learning_rate: float
    learning_rate_decay: float
    alpha: float  #: the penalty is alpha / 2 times the sum of all squared weights
    num_iters: int
    batch_size: int


class CourseOrder:
    """The order of TwoLayerNet's work: batches are drawn with replacement.

    An epoch is: its first step (with the prediction of that step's batch), the blocks of the
    validation set, the other steps.
    """

    def __init__(self, plan, n_train, n_val, block_size, random, waits):
        self.plan, self.n_train, self.n_val, self.random = plan, n_train, n_val, random
        self.block_size, self.waits, self.done = block_size, waits, 0
        self.steps_per_epoch = max(n_train // plan.batch_size, 1)
        self.val_blocks = -(-n_val // block_size)
        self.per_epoch = self.steps_per_epoch + self.val_blocks
        self.epochs = -(-plan.num_iters // self.steps_per_epoch)
        self.total = plan.num_iters + self.epochs * self.val_blocks
        self.longest = max(min(INDEX_BYTES // (8 * plan.batch_size), MOST_ITEMS), 1)
        self.rates = _learning_rates(plan, self.steps_per_epoch)
        self._pattern = (None,)

    def steps_done(self):
        """Return how many steps are done."""
        return int(self._steps_before(*divmod(self.done, self.per_epoch)))

    def _steps_before(self, epoch, position):
        # Comparisons: NumPy's minimum and maximum take five times as long.
        behind = position - 1 - self.val_blocks
        return epoch * self.steps_per_epoch + (position > 0) + behind * (behind > 0)

    def epochs_done(self):
        """Return how many epochs have been evaluated in full, as each is after its first step."""
        return self._evaluated(self.done)

    def _evaluated(self, item):
        epoch, position = divmod(item, self.per_epoch)
        return epoch + (position > self.val_blocks)

    def boundary(self, done):
        """Return the item behind the next evaluation, for those who wait for it."""
        if not self.waits:
            return self.total
        return self._evaluated(done) * self.per_epoch + self.val_blocks + 1

    def items(self, first, stop):
        """Return the items first..stop; batches are drawn in their order."""
        n, (epoch, position) = self.plan.batch_size, divmod(first, self.per_epoch)
        if self._pattern[0] != (position, stop - first):
            self._pattern = (position, stop - first), *self._kinds_of(position, stop - first)
        _, kinds, begins, counts, steps, epochs, drawn = self._pattern
        steps = steps + epoch * self.steps_per_epoch
        listed = integers(self.random, self.n_train, drawn)
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
            alphas=self.plan.alpha,
            epsilons=0.0,
            divisors=float(n),
            listed=listed,
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
        return kinds, begins, counts, steps, epochs, np.count_nonzero(~blocks) * n


def _learning_rates(plan, steps_per_epoch):
    """Return the learning rate of every step; it decays right after an epoch's first step."""
    epochs = -(-plan.num_iters // steps_per_epoch)
    factors = np.full(epochs + 1, plan.learning_rate_decay)
    factors[0] = plan.learning_rate
    by_epoch = np.multiply.accumulate(factors)
    # Of the first epoch's rate, one step.
    rates = np.repeat(by_epoch[1:], steps_per_epoch)
    return np.concatenate((by_epoch[:1], rates))[: plan.num_iters]


class CourseRun(Run):
    """A training of the layers of a TwoLayerNet, in place.

    Parameters
    ----------
    layers : list of (W, b)
        Parameters of each layer; updated in place, also when the training is interrupted.
    train, val : tuple of ndarray
        Rows and labels, checked.
    plan : CoursePlan
    random : RandomState or numpy.random
        Draws the batches.
    history : dict
        Receives the three histories, also when the training is interrupted.
    verbose : bool
        Print the loss every 100 steps.
    waits : bool
        The end of each epoch matters to somebody.
    """

    def __init__(self, layers, train, val, plan, random, history, *, verbose, waits):
        self.plan, self.history, self.verbose = plan, history, verbose
        self.n_val = len(val[0])
        block_size = max(plan.batch_size, min(BLOCK_ROWS, self.n_val))
        epochs = plan.num_iters * plan.batch_size / max(len(train[0]), 1)
        sources = Source(*train), Source(*val)
        sources = zeros.skipped_if_mostly(*sources, len(layers[0][1]), epochs)
        job = Job(
            architecture_of(layers),
            layers,
            Settings(penalty=plan.alpha != 0),
            *sources,
            batch_sizes=(plan.batch_size,),
            block_size=block_size,
            evaluate_batch=True,
            evaluate_loss=False,
        )
        loop = loop_with_room(job)
        with room_for(f"a history of {plan.num_iters} steps", 16 * plan.num_iters, "ask for fewer"):
            order = CourseOrder(plan, len(train[0]), self.n_val, block_size, random, waits)
            records = Records(plan.num_iters, order.epochs)
        super().__init__(loop, order, records)

    def after_steps(self, first, stop):
        """Print losses as the course's class does."""
        if self.verbose:
            for step in range(first + -first % 100, stop, 100):
                loss = self.records.losses[step]
                print(f"iteration {step} / {self.plan.num_iters}: loss {loss:f}")

    def status(self):
        """Return where the training stands."""
        steps, epochs, n = self.order.steps_done(), self.order.epochs_done(), self.plan.batch_size
        accuracies = math.nan, math.nan
        if epochs:
            right = self.records.train_correct[epochs - 1], self.records.val_correct[epochs - 1]
            accuracies = right[0] / n, right[1] / self.n_val
        return TrainingProgress(
            steps,
            self.plan.num_iters,
            float(self.records.losses[steps - 1]) if steps else math.nan,
            *accuracies,
            float(self.order.rates[steps - 1]) if steps else self.plan.learning_rate,
            self.samples_per_second(n),
        )

    def keep(self):
        """Write parameters and histories where the user finds them."""
        self.loop.store()
        steps, epochs, records = self.order.steps_done(), self.order.epochs_done(), self.records
        train, val = records.train_correct[:epochs], records.val_correct[:epochs]
        self.history["loss_history"] = records.losses[:steps].tolist()
        self.history["train_acc_history"] = _shares(train, self.plan.batch_size)
        self.history["val_acc_history"] = _shares(val, self.n_val)


def loop_with_room(job):
    """Return the loop of a job; if its batches are too large for the memory, say so."""
    sizes, (n, *_) = job.architecture.layer_sizes, job.batch_sizes
    # The parameters; and of each row its number, the outputs of all layers and their gradients.
    size = sum(W.nbytes + b.nbytes for W, b in job.layers)
    size += n * (8 + 2 * job.layers[0][0].itemsize * sum(sizes[1:]))
    what = f"a training of layers {sizes} with batch_size={n}"
    with room_for(what, size, "pass a smaller batch_size"):
        return loop_of(job)


def _shares(right, rows):
    """Return a list of shares of so many rows, the same object for the same number of right ones.

    An epoch may be a single step: Python's own numbers would then be a tenth of its time.
    """
    if len(right) <= rows:
        return (right / rows).tolist()
    shares = (np.arange(rows + 1) / rows).astype(object)
    return shares.take(right.astype(np.int64)).tolist()


def describe(status):
    """Return what the progress bar says."""
    return (
        f"loss {status.loss:.4f}  train {status.train_accuracy:.3f}  "
        f"val {status.val_accuracy:.3f}  {status.samples_per_second:,.0f} samples/s"
    )


def architecture_of(layers):
    """Return the architecture of a TwoLayerNet's layers."""
    return Architecture((len(layers[0][0]), *(len(b) for _, b in layers)))
