"""What drives the compiled loop: batches, learning rates, threads, callbacks, Ctrl-C."""

import itertools
import threading
import time
import warnings
from typing import NamedTuple

import numpy as np

from . import reference
from .threads import threads_for

#: Python looks at the loop this often, in seconds: for Ctrl-C, progress and callbacks.
INTERVAL = 0.1
#: Most bytes of row indices drawn ahead.
INDEX_BYTES = 1 << 26
#: Rows that a thread predicts at a time: their activations stay in the second-level cache.
PREDICT_ROWS = 192
#: Flops of a call that Ctrl-C may have to wait for: some 50 ms on a core.
INTERVAL_FLOPS = 5e9
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
    """The hyper-parameters of a run, checked."""

    learning_rate: float
    learning_rate_decay: float
    l2: float  #: the gradient of the penalty is l2 W
    penalty: float  #: the penalty is this times the sum of all squared weights
    num_iters: int
    batch_size: int


class Items:
    """The order of a run's work, as items that are numbered from 0 on.

    An epoch is: its first step (with the prediction of that step's batch), the blocks of the
    validation set, the other steps.
    """

    def __init__(self, num_iters, steps_per_epoch, val_blocks):
        self.steps_per_epoch, self.val_blocks = steps_per_epoch, val_blocks
        self.per_epoch = steps_per_epoch + val_blocks
        self.epochs = -(-num_iters // steps_per_epoch)
        self.total = num_iters + self.epochs * val_blocks

    def steps_before(self, item):
        """Return how many steps come before an item."""
        epoch, position = divmod(item, self.per_epoch)
        return (
            epoch * self.steps_per_epoch + min(position, 1) + max(position - 1 - self.val_blocks, 0)
        )

    def epochs_evaluated(self, item):
        """Return how many epochs have been evaluated in full before an item."""
        epoch, position = divmod(item, self.per_epoch)
        return epoch + (position > self.val_blocks)

    def next_evaluation(self, item):
        """Return the item behind the next evaluation that ends after `item`."""
        return min(self.epochs_evaluated(item) * self.per_epoch + self.val_blocks + 1, self.total)


def flops_per_row(layer_sizes):
    """Return the flops of a forward pass, a multiplication and an addition for each weight."""
    return 2 * sum(K * N for K, N in itertools.pairwise(layer_sizes))


class CompiledLoop:
    """A run in packed buffers: what `kernels.train` needs, and the threads around it."""

    def __init__(self, layers, data, plan, steps_per_epoch, threads=None, block_size=None):
        from .kernels.program import Program
        from .kernels.train import Data, Plan

        sizes = [len(layers[0][0]), *(len(b) for _, b in layers)]
        self.threads = threads or threads_for(3 * flops_per_row(sizes) * plan.batch_size)
        n_val = len(data[2])
        block_size = block_size or max(plan.batch_size, min(256, n_val))
        self.layers = layers
        self.program = Program(sizes, plan.batch_size, block_size, self.threads, layers[0][0].dtype)
        for depth, (W, b) in enumerate(layers):
            self.program.load(depth, W, b)
        self.data = Data(*(_read_only(array) for array in data))
        self.predicted = np.zeros(n_val, np.int64)
        self.items = Items(plan.num_iters, steps_per_epoch, -(-n_val // block_size))
        self.plan = Plan(
            *(plan.batch_size, block_size, steps_per_epoch, self.items.val_blocks),
            *(float(plan.l2), float(plan.penalty)),
        )

    def run(self, history, first, stop, first_step, rows, rates):
        """Do the items first..stop; on any exception before they begin, nothing is done."""
        from .kernels.train import Batches, History, train

        self.program.buffers.barrier[:] = 0
        batches = Batches(first_step, rows, rates)
        arguments = (
            *(self.threads, self.program.buffers, self.data, self.plan, batches),
            *(History(*history, self.predicted), first, stop),
        )
        _run_threads(train, self.threads, arguments, self._call_off)

    def _call_off(self):
        from .kernels.parallel import ABORT

        self.program.buffers.barrier[ABORT] = 1

    def store(self):
        """Write the parameters back into the layers' own arrays."""
        for depth, (W, b) in enumerate(self.layers):
            self.program.store(depth, W, b)


def _run_threads(function, threads, arguments, call_off):
    """Run ``function(thread, *arguments)`` on all threads, this one being number 0.

    They meet before they begin. Whatever stops this thread from coming (Ctrl-C while the others
    are being started) calls the meeting off; once it is inside, Ctrl-C waits until it is back.
    """
    others = [
        threading.Thread(target=function, args=(thread, *arguments), daemon=True)
        for thread in range(1, threads)
    ]
    try:
        for other in others:
            other.start()
        function(0, *arguments)
    except BaseException:
        call_off()
        raise
    finally:
        for other in others:
            if other.ident is not None:
                other.join()


def _read_only(array):
    """Return a read-only view: one type, and so one compilation, whatever the user's flags."""
    view = array.view()
    view.flags.writeable = False
    return view


def jit_disabled():
    """Tell whether ``NUMBA_DISABLE_JIT=1`` asks for plain Python: the twin then does the work."""
    from numba import config

    return bool(config.DISABLE_JIT)


def train(layers, data, plan, random, record, *, verbose, callback, progress):
    """Train `layers` in place and record the history.

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
    n_train, n_val = len(data[0]), len(data[2])
    steps_per_epoch = max(n_train // plan.batch_size, 1)
    make = reference.TrainingLoop if jit_disabled() else CompiledLoop
    loop = make(layers, data, plan, steps_per_epoch)
    items = loop.items
    losses = np.zeros(plan.num_iters)
    train_correct, val_correct = (np.zeros(items.epochs, np.int64) for _ in range(2))
    history = (losses, train_correct, val_correct)

    done, started, seen_steps, warned = 0, time.perf_counter(), 0, False
    reporter = _Reporter(progress, plan, n_train)
    rates = _learning_rates(plan, steps_per_epoch)
    longest = max(INDEX_BYTES // (8 * plan.batch_size), 1)
    chunk = 1 if loop.threads > 1 else 8
    try:
        with reporter:
            while done < items.total:
                stop = min(done + chunk, items.total)
                if callback is not None:
                    stop = min(stop, items.next_evaluation(done))
                first, last = items.steps_before(done), items.steps_before(stop)
                rows = random.randint(0, n_train, (last - first, plan.batch_size))
                rows = np.ascontiguousarray(rows, np.int64)
                begun = time.perf_counter()
                loop.run(history, done, stop, first, rows, rates[first:last])
                now = time.perf_counter()
                pace = (stop - done) * INTERVAL / max(now - begun, 1e-6)
                chunk = int(max(1, min(pace, 4 * (stop - done) + 1, longest)))

                before, done, seen_steps = items.epochs_evaluated(done), stop, last
                evaluated = items.epochs_evaluated(done)
                if verbose:
                    for step in range(first + -first % 100, last, 100):
                        print(f"iteration {step} / {plan.num_iters}: loss {losses[step]:f}")
                bad = np.flatnonzero(~np.isfinite(losses[first:last]))
                if len(bad) and not warned:
                    warned = True
                    step = first + bad[0]
                    warnings.warn(
                        f"the loss is {losses[step]} at step {step}, where the learning rate is "
                        f"{rates[step]:.3g}: the training has diverged; try a smaller learning "
                        "rate, or scale the features",
                        RuntimeWarning,
                        stacklevel=3,
                    )
                status = TrainingProgress(
                    last,
                    plan.num_iters,
                    float(losses[last - 1]) if last else float("nan"),
                    train_correct[evaluated - 1] / plan.batch_size if evaluated else float("nan"),
                    val_correct[evaluated - 1] / n_val if evaluated else float("nan"),
                    float(rates[last - 1]),
                    last * plan.batch_size / (now - started),
                )
                reporter.update(status)
                if callback is not None and evaluated > before:
                    loop.store()
                    if callback(status) is True:
                        break
    finally:
        loop.store()
        evaluated = items.epochs_evaluated(done)
        record["loss_history"] = losses[:seen_steps].tolist()
        record["train_acc_history"] = (train_correct[:evaluated] / plan.batch_size).tolist()
        record["val_acc_history"] = (val_correct[:evaluated] / n_val).tolist()


def _learning_rates(plan, steps_per_epoch):
    """Return the learning rate of every step; it decays right after an epoch's first step."""
    epochs = -(-plan.num_iters // steps_per_epoch)
    factors = np.full(epochs + 1, plan.learning_rate_decay)
    factors[0] = plan.learning_rate
    by_epoch = np.multiply.accumulate(factors)
    steps = np.arange(plan.num_iters)
    return by_epoch[(steps + steps_per_epoch - 1) // steps_per_epoch]


class _Reporter:
    """Shows progress: nothing, rich's bar, or whatever the user's function does."""

    def __init__(self, progress, plan, n_train):
        self.bar = None
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
            self.task = self.bar.add_task("training", total=plan.num_iters)

    def __enter__(self):
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.stop()

    def update(self, status):
        if self.function is not None:
            self.function(status)
        if self.bar is not None:
            text = (
                f"loss {status.loss:.4f}  train {status.train_accuracy:.3f}  "
                f"val {status.val_accuracy:.3f}  {status.samples_per_second:,.0f} samples/s"
            )
            self.bar.update(self.task, completed=status.iteration, description=text)


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
    sizes = [len(layers[0][0]), *(len(b) for _, b in layers)]
    flops = flops_per_row(sizes) * len(X)
    if flops < PACKED_FLOPS or len(X) < 16 or jit_disabled():
        return reference.scores(X, layers).argmax(axis=1)
    # A run of nothing but one evaluation: its data are the rows to predict.
    threads = threads_for(flops)
    labels = np.zeros(len(X), np.int64)
    plan = SGDPlan(0.0, 1.0, 0.0, 0.0, num_iters=1, batch_size=1)
    data = (X[:1], labels[:1], X, labels)
    loop = CompiledLoop(layers, data, plan, 1, threads, min(PREDICT_ROWS * threads, len(X)))
    history = (np.zeros(1), np.zeros(1, np.int64), np.zeros(1, np.int64))
    block_flops = flops_per_row(sizes) * PREDICT_ROWS * threads
    blocks = max(int(INTERVAL_FLOPS // block_flops), 1)
    for first in range(1, loop.items.total, blocks):
        stop = min(first + blocks, loop.items.total)
        loop.run(history, first, stop, 0, np.zeros((1, 1), np.int64), np.zeros(1))
    return loop.predicted


def _predict_row(layers, x):
    """Predict one row, as a vector: NumPy's calls then cost half of what they do for a matrix."""
    last = len(layers) - 1
    for depth, (W, b) in enumerate(layers):
        x = x.dot(W)
        x += b
        if depth < last:
            np.maximum(x, 0, out=x)
    return x.argmax(keepdims=True)
