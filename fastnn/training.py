"""What drives the compiled loop: chunks of work, progress, and the training of TwoLayerNet."""

import time
import warnings
from typing import NamedTuple

import numpy as np

from . import reference
from .engine import (
    BLOCK,
    EVALUATED_STEP,
    STEP,
    Architecture,
    CompiledLoop,
    Items,
    Records,
    Settings,
    Source,
    flops_per_row,
    jit_disabled,
)
from .threads import threads_for

#: Python looks at the loop this often, in seconds: for Ctrl-C, progress and callbacks.
INTERVAL = 0.1
#: Most bytes of row indices drawn ahead.
INDEX_BYTES = 1 << 26
#: Most items of a call: many calls are then alike, and so much of their making is done once.
MOST_ITEMS = 1 << 14
#: Rows that a thread predicts at a time: their activations stay in the second-level cache.
PREDICT_ROWS = 192
#: Below this many flops a prediction is left to NumPy: packing the weights would cost more.
PACKED_FLOPS = 2_000_000


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


def loop_of(*arguments, **options):
    """Make a CompiledLoop, or its twin where compilation is switched off."""
    if jit_disabled():
        return reference.TrainingLoop(*arguments, **options)
    return CompiledLoop(*arguments, **options)


def drive(loop, order, records):
    """Do all items of an order from `order.done` on; yield some ten times a second.

    Parameters
    ----------
    loop : CompiledLoop
    order : object
        ``total`` items; ``items(first, stop)`` makes some of them, ``longest`` at most;
        ``boundary(done)`` is the item behind which Python wants to look next. ``done`` is kept
        up to date, also when Ctrl-C ends it all.
    records : Records
    """
    chunk = 1 if loop.threads > 1 else 8
    while order.done < order.total:
        done = order.done
        stop = min(done + chunk, order.boundary(done), order.total)
        # Not in `run`: Ctrl-C may come before its first line.
        loop.begin()
        items = order.items(done, stop)
        begun = time.perf_counter()
        try:
            loop.run(items, records)
        finally:
            # Ctrl-C is felt as soon as the compiled side is back, its work done.
            if loop.finished():
                order.done = stop
        elapsed = time.perf_counter() - begun
        pace = (stop - done) * INTERVAL / max(elapsed, 1e-6)
        chunk = int(max(1, min(pace, 4 * (stop - done) + 1, order.longest)))
        # Chunks of equal lengths have much in common that need not be worked out again.
        chunk = 1 << (chunk.bit_length() - 1)
        yield


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
                    if callback(status) is True:
                        break
    finally:
        loop.store()
        steps, evaluated = order.steps_before(order.done), order.epochs_evaluated(order.done)
        record["loss_history"] = losses[:steps].tolist()
        record["train_acc_history"] = (records.train_correct[:evaluated] / plan.batch_size).tolist()
        record["val_acc_history"] = (records.val_correct[:evaluated] / n_val).tolist()


def architecture_of(layers):
    """Return the architecture of a TwoLayerNet's layers."""
    return Architecture((len(layers[0][0]), *(len(b) for _, b in layers)))


def warn_of_divergence(losses, rates, first, stop, stacklevel):
    """Warn of the first loss that is not finite among steps first..stop; return whether."""
    bad = np.flatnonzero(~np.isfinite(losses[first:stop]))
    if len(bad) == 0:
        return False
    step = first + bad[0]
    warnings.warn(
        f"the loss is {losses[step]} at step {step}, where the learning rate is "
        f"{rates[step]:.3g}: the training has diverged; try a smaller learning "
        "rate, or scale the features",
        RuntimeWarning,
        stacklevel=stacklevel,
    )
    return True


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


class Reporter:
    """Shows progress: nothing, rich's bar, or whatever the user's function does."""

    def __init__(self, progress, total, describe):
        self.bar, self.describe = None, describe
        self.function = progress if callable(progress) else None
        if progress and self.function is None:
            try:
                from rich.progress import (
                    BarColumn,
                    MofNCompleteColumn,
                    Progress,
                    TextColumn,
                    TimeRemainingColumn,
                )
            except ImportError:
                raise ImportError(
                    'progress=True needs rich: pip install "fastnn[cli]", or pass a function'
                ) from None
            self.bar = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                TimeRemainingColumn(),
            )
            self.task = self.bar.add_task("training", total=total)

    def __enter__(self):
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.stop()

    def update(self, status):
        """Show where the training stands."""
        if self.function is not None:
            self.function(status)
        if self.bar is not None:
            self.bar.update(self.task, completed=status[0], description=self.describe(status))


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
    if flops < PACKED_FLOPS or len(X) < 16 or jit_disabled():
        return reference.network.scores("relu", layers, X).argmax(axis=1)
    return evaluate(architecture, layers, Source(X)).predicted


def evaluate(architecture, layers, source, output_head=None, scaling=None):
    """Run some rows through a network, in blocks that stay in cache; return the loop.

    Its ``predicted`` holds the classes with the highest scores or, given an `output_head`,
    ``outputs`` the predictions.
    """
    n = len(source)
    threads = threads_for(flops_per_row(architecture.layer_sizes) * n)
    block_size = min(PREDICT_ROWS * threads, n)
    loop = loop_of(
        *(architecture, layers, Settings(), None, source),
        block_size=block_size,
        evaluate_loss=False,
        output_head=output_head,
        scaling=scaling,
        threads=threads,
    )
    order = BlockOrder(n, block_size)
    for _ in drive(loop, order, Records.empty(0, 1)):
        pass
    return loop


class BlockOrder:
    """Nothing but the blocks of one evaluation."""

    def __init__(self, n, block_size):
        self.n, self.block_size, self.done = n, block_size, 0
        self.total = self.longest = -(-n // block_size)

    def boundary(self, done):
        """Return the end: Python looks nowhere else."""
        return self.total

    def items(self, first, stop):
        """Return the blocks first..stop."""
        return block_items(np.arange(first, stop) * self.block_size, self.block_size, self.n)


def block_items(begins, block_size, n, epoch=0):
    """Return blocks of the validation set, of n rows, as items."""
    return Items(
        kinds=np.full(len(begins), BLOCK),
        begins=begins,
        counts=np.minimum(block_size, n - begins),
        steps=0,
        epochs=epoch,
        keys=0,
        rates=0.0,
        decays=1.0,
        divisors=1.0,
        listed=None,
    )


def _predict_row(layers, x):
    """Predict one row, as a vector: NumPy's calls then cost half of what they do for a matrix."""
    last = len(layers) - 1
    for depth, (W, b) in enumerate(layers):
        x = x.dot(W)
        x += b
        if depth < last:
            np.maximum(x, 0, out=x)
    return x.argmax(keepdims=True)
