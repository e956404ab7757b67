"""Trainer: epochs, schedules, early stopping and checkpoints around the compiled loop."""

import dataclasses
import math
import time
from typing import NamedTuple

import numpy as np

from . import _files, optimizers, schedules, training
from ._checks import (
    check_choice,
    check_function,
    check_input,
    check_number,
    check_random_state,
    check_share,
    check_size,
    check_target,
    check_weights,
)
from .engine import Items, Records, Settings, Source, Sparse
from .network import Network
from .order import EpochOrder, split_off

FORMAT = "fastnn.Trainer"
#: Dense data with a larger share of other numbers than 0 is not worth a measurement.
MOST_NON_ZEROS = 0.4
#: Rounds of the measurement; the fastest counts.
MEASUREMENTS = 3
#: Rows of a block of the validation set.
VALIDATION_ROWS = 256


class EpochStatus(NamedTuple):
    """Where a training stands at the end of an epoch.

    Attributes
    ----------
    epoch, max_iter : int
        Epochs done, and to do.
    loss : float
        Mean of the epoch's losses, the penalty included.
    val_loss : float
        Mean loss on the validation set, without penalty; NaN where there is none.
    val_score : float
        Accuracy of a classifier (of all outputs together), R^2 or, for the exponential head, the
        share of the deviance explained; NaN where there is no validation set.
    learning_rate : float
        Of the latest step.
    samples_per_second : float
        Since the start of this call.
    """

    epoch: int
    max_iter: int
    loss: float
    val_loss: float
    val_score: float
    learning_rate: float
    samples_per_second: float


class Trainer:
    """Trains a :class:`Network`: optimiser, schedule, regularisation, early stopping, checkpoints.

    Parameters
    ----------
    network : Network
        Its parameters are updated in place.
    optimizer : str or optimiser, default="adam"
        "sgd", "momentum", "nesterov", "adam", "adamw", or one of :mod:`fastnn.optimizers` with
        numbers of your own.
    batch_size : int, default=200
        Rows in a step; the last batch of an epoch has what is left.
    max_iter : int, default=100
        Number of epochs.
    schedule : str or schedule, default="constant"
        "constant", "step", "invscaling", "adaptive", "cosine", "one_cycle", or one of
        :mod:`fastnn.schedules`.
    alpha : float, default=0.0
        Strength of the L2 penalty: ``alpha / 2 sum(W^2)`` over all weights is part of the loss.
    max_norm : float, optional
        Limit on the Euclidean norm of the whole gradient, the penalty's included; longer ones are
        scaled down to it.
    dropout : float, default=0.0
        Chance of each hidden activation to be zeroed in a step.
    label_smoothing : float, default=0.0
        Share of the target that is spread evenly over all classes; softmax only.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, or weights inversely proportional to the classes' frequencies, which
        multiply the sample weights; softmax only.
    shuffle : bool, default=True
        Visit the rows in a new order each epoch. A batch of all rows is visited as it lies.
    replacement : bool, default=False
        Draw each batch with replacement instead.
    early_stopping : bool, default=False
        End when the validation set has not improved by `tol` for `n_iter_no_change` epochs, and
        restore the best parameters.
    monitor : str, default="loss"
        "loss" or "score": what of the validation set counts.
    validation_fraction : float, default=0.1
        What early stopping splits off where no validation set is given, evenly over the classes.
    n_iter_no_change : int, default=10
    tol : float, default=1e-4
    skip_zeros : bool or "auto", default="auto"
        Skip the zeros of dense data, as is faster where most are zeros: "auto" measures it at the
        start of a fit. The two ways differ by rounding.
    random_state : int, RandomState or None, default=None
        Shuffles, splits and drops out.

    Attributes
    ----------
    history : dict of ndarray
        ``step_loss``, one a step; ``loss``, ``val_loss``, ``val_score`` and ``learning_rate``, one
        an epoch, see :class:`EpochStatus`.
    n_iter_ : int
        Epochs done.
    best_epoch_ : int
        The epoch, from 1 on, whose parameters early stopping keeps; 0 before the first.

    Raises
    ------
    TypeError, ValueError
        For arguments of a wrong type or value; the message says what to do.
    """

    def __init__(
        self,
        network,
        optimizer="adam",
        *,
        batch_size=200,
        max_iter=100,
        schedule="constant",
        alpha=0.0,
        max_norm=None,
        dropout=0.0,
        label_smoothing=0.0,
        class_weight=None,
        shuffle=True,
        replacement=False,
        early_stopping=False,
        monitor="loss",
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        skip_zeros="auto",
        random_state=None,
    ):
        if not isinstance(network, Network):
            raise TypeError(f"network is {network!r}, but a Trainer trains a fastnn.Network")
        self.network = network
        self.optimizer = optimizers.check_optimizer(optimizer)
        self.batch_size = check_size(batch_size, "batch_size")
        self.max_iter = check_size(max_iter, "max_iter", at_least=0)
        self.schedule = schedules.check_schedule(schedule)
        self.alpha = check_number(alpha, "alpha", "pass 0 for no penalty")
        self.max_norm = None
        if max_norm is not None:
            self.max_norm = check_number(max_norm, "max_norm", "pass None for no limit")
            if self.max_norm == 0:
                raise ValueError("max_norm is 0, but then nothing moves: pass None for no limit")
        self.dropout = check_share(dropout, "dropout", "pass 0 for none")
        self.label_smoothing = check_share(label_smoothing, "label_smoothing", "pass 0 for none")
        for name, value in (
            ("label_smoothing", label_smoothing),
            ("class_weight", class_weight is not None),
        ):
            if value and network.head != "softmax":
                raise ValueError(
                    f"{name} needs classes, but the network's head is {network.head!r}: pass it "
                    "for head='softmax' only"
                )
        if not (class_weight is None or class_weight == "balanced"):
            try:
                class_weight = {
                    int(k): check_number(v, "class_weight", "pass a number of at least 0")
                    for k, v in class_weight.items()
                }
            except (AttributeError, ValueError, TypeError) as error:
                raise type(error)(
                    f"class_weight is {class_weight!r}, but it is a dict from classes to weights, "
                    f"'balanced' or None ({error})"
                ) from None
        self.class_weight = class_weight
        self.shuffle, self.replacement = bool(shuffle), bool(replacement)
        self.early_stopping = bool(early_stopping)
        self.monitor = check_choice(monitor, "monitor", ("loss", "score"))
        self.validation_fraction = check_share(
            validation_fraction, "validation_fraction", "pass for example 0.1"
        )
        self.n_iter_no_change = check_size(n_iter_no_change, "n_iter_no_change")
        self.tol = check_number(tol, "tol", "pass 0 for any improvement")
        if not (skip_zeros == "auto" or isinstance(skip_zeros, bool)):
            raise TypeError(f"skip_zeros is {skip_zeros!r}, but it is True, False or 'auto'")
        self.skip_zeros = skip_zeros
        self._random = np.random.RandomState()
        self._random.set_state(_copied_state(random_state))
        self._position = None  # of a run that is not at its end
        self._best = None
        self.history = {name: np.zeros(0) for name in ("step_loss", *EPOCH_FIELDS)}
        self.n_iter_, self.best_epoch_ = 0, 0

    # ------------------------------------------------------------------------------ training

    def fit(
        self,
        X,
        y,
        X_val=None,
        y_val=None,
        *,
        sample_weight=None,
        callback=None,
        progress=False,
        checkpoint=None,
        checkpoint_seconds=0.0,
    ):
        """Train for `max_iter` epochs, or go on where a checkpoint or Ctrl-C has left off.

        Parameters
        ----------
        X : array-like or CSR matrix of shape (n_samples, n_inputs)
            C-contiguous data of the network's dtype, uint8, and CSR matrices with sorted indices
            are used as they are.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes 0..n_outputs-1 for the softmax, else targets.
        X_val, y_val : array-like, optional
            Validation data, evaluated at the end of each epoch.
        sample_weight : array-like of shape (n_samples,), optional
            The loss of a batch is its weighted mean.
        callback : callable, optional
            Called at the end of each epoch with an :class:`EpochStatus`; the network is up to date
            then. Returning True ends the training.
        progress : bool or callable, default=False
            True shows a progress bar (needs rich: ``pip install "fastnn[cli]"``); a callable gets
            an :class:`EpochStatus` about ten times a second.
        checkpoint : str or Path, optional
            Write a file, see :meth:`save`, at the end of epochs and at the end of the training,
            whatever ends it.
        checkpoint_seconds : float, default=0.0
            Least time between two of them.

        Returns
        -------
        dict of ndarray
            The `history`.

        Raises
        ------
        TypeError, ValueError
            For arguments of a wrong type, shape or value; nothing has changed then.
        KeyboardInterrupt
            On Ctrl-C, within a fraction of a second. The network holds the last finished step, and
            another `fit` goes on from there.

        Warns
        -----
        RuntimeWarning
            Once, at the first loss that is not finite.
        """
        check_function(callback, "callback", (None,))
        check_function(progress, "progress", (True, False))
        run = _Run(self, X, y, X_val, y_val, sample_weight)
        run.do(callback, progress, checkpoint, checkpoint_seconds)
        return self.history

    # ----------------------------------------------------------------------------- checkpoints

    def save(self, path):
        """Write a checkpoint: all that continues the training to the same bits.

        Network, optimiser, schedule, generators and history are in one safetensors file. It is
        written beside `path` and moved there when it is complete, so that a kill at any moment
        leaves the previous file or the new one, whole.

        Parameters
        ----------
        path : str or Path
        """
        description = {
            "network": self.network._description(),
            "trainer": self._parameters(),
            "random": _state_to_json(self._random.get_state()),
            "position": None,
            "n_iter": self.n_iter_,
            "best_epoch": self.best_epoch_,
            "best": None,
        }
        arrays = self.network._arrays()
        arrays.update({f"history.{name}": array for name, array in self.history.items()})
        if self._best is not None:
            description["best"], arrays["best_params"] = self._best
        if self._position is not None:
            description["position"], state = self._position
            arrays.update({f"state.{name}": array for name, array in state.items()})
        _files.save(path, FORMAT, description, arrays)

    @classmethod
    def resume(cls, path):
        """Read a checkpoint; `fit` with the same data then goes on, to the same bits.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Trainer

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no checkpoint.
        """
        description, arrays = _files.load(path, (FORMAT,), "Trainer.save")
        network = Network._from_file(description["network"], arrays, path)
        trainer = cls(network, **_parameters_from_json(description["trainer"]))
        trainer._random.set_state(_state_from_json(description["random"]))
        trainer.n_iter_ = description["n_iter"]
        trainer.best_epoch_ = description["best_epoch"]
        if description["best"] is not None:
            trainer._best = description["best"], arrays["best_params"]
        parts = {"history": {}, "state": {}}
        for name, array in arrays.items():
            group, _, rest = name.partition(".")
            if rest:
                parts[group][rest] = array
        trainer.history = parts["history"]
        if description["position"] is not None:
            trainer._position = description["position"], parts["state"]
        return trainer

    def _parameters(self):
        """Return the arguments of the constructor but the network, for JSON."""
        names = (
            *("batch_size", "max_iter", "alpha", "max_norm", "dropout", "label_smoothing"),
            *("class_weight", "shuffle", "replacement", "early_stopping", "monitor"),
            *("validation_fraction", "n_iter_no_change", "tol", "skip_zeros"),
        )
        parameters = {name: getattr(self, name) for name in names}
        for name in ("optimizer", "schedule"):
            value = getattr(self, name)
            parameters[name] = [type(value).__name__, dataclasses.asdict(value)]
        return parameters


EPOCH_FIELDS = ("loss", "val_loss", "val_score", "learning_rate")


def _parameters_from_json(parameters):
    parameters = dict(parameters)
    for name, module in (("optimizer", optimizers), ("schedule", schedules)):
        kind, numbers = parameters[name]
        parameters[name] = getattr(module, kind)(**numbers)
    if isinstance(parameters["class_weight"], dict):
        parameters["class_weight"] = {int(k): v for k, v in parameters["class_weight"].items()}
    return parameters


def _copied_state(random_state):
    """Return the state of a generator of the trainer's own, drawn from the user's."""
    random = check_random_state(random_state)
    seed = random.randint(0, 2**31 - 1, 4)
    return np.random.RandomState(seed).get_state()


def _state_to_json(state):
    name, keys, position, has_gauss, gauss = state
    return [name, [int(key) for key in keys], int(position), int(has_gauss), float(gauss)]


def _state_from_json(state):
    name, keys, *rest = state
    return (name, np.array(keys, np.uint32), *rest)


class _Run:
    """One fit: its data, its loop, and what happens at the end of an epoch."""

    def __init__(self, trainer, X, y, X_val, y_val, sample_weight):
        self.trainer, self.network = trainer, trainer.network
        network = self.network
        D, C = network.layer_sizes[0], network.layer_sizes[-1]
        X = check_input(X, D, network.dtype)
        y = check_target(y, network.head, X.shape[0], C, network.dtype)
        weights = check_weights(sample_weight, X.shape[0], network.dtype)
        if trainer.class_weight is not None:
            factors = _class_factors(trainer.class_weight, y, C)[y].astype(network.dtype)
            weights = factors if weights is None else weights * factors
            weights = check_weights(weights, X.shape[0], network.dtype, "class_weight")
        if (X_val is None) != (y_val is None):
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} is given without {missing}: pass both, or neither")
        if X_val is not None:
            X_val = check_input(X_val, D, network.dtype, "X_val")
            y_val = check_target(
                y_val, network.head, X_val.shape[0], C, network.dtype, "y_val", "X_val"
            )
            if _kind(X_val) is not _kind(X):
                raise TypeError(
                    f"X_val is {_kind(X_val)}, but X is {_kind(X)}: pass both of one kind"
                )
        self._begin(X, y, weights, X_val, y_val)

    def _begin(self, X, y, weights, X_val, y_val):
        trainer, network = self.trainer, self.network
        n = X.shape[0]
        position = trainer._position
        if position is None:
            # All that a later call must draw again, or must not draw again.
            seeds = trainer._random.randint(0, 2**31 - 1, 2).tolist()
            place = {"n_samples": n, "seeds": seeds, "done": 0, "stopped": False}
            place |= {"skip_zeros": None, "factor": 1.0, "lowest": None, "standing": 0}
            place["patience"], state = 0, None
            trainer._best, trainer.best_epoch_ = None, 0
        else:
            place, state = dict(position[0]), position[1]
            if place["n_samples"] != n:
                raise ValueError(
                    f"X has {n} rows, but this training was begun with {place['n_samples']}: pass "
                    "the same data, or make a new Trainer"
                )
        self.place = place
        if trainer.early_stopping and X_val is None:
            chosen, left = split_off(
                trainer.validation_fraction,
                y if network.head == "softmax" else None,
                n,
                np.random.RandomState(place["seeds"][0]),
            )
            X_val, y_val = _rows(X, left), y[left]
            X, y = _rows(X, chosen), y[chosen]
            weights = None if weights is None else weights[chosen]
        if place["skip_zeros"] is None:
            place["skip_zeros"] = self._skips_zeros(X, y)
        if place["skip_zeros"]:
            X, X_val = _sparse(X), None if X_val is None else _sparse(X_val)
        self.train = Source(X, y, weights)
        self.val = None if X_val is None else Source(X_val, y_val)
        n, n_val = len(self.train), 0 if X_val is None else len(self.val)
        size = min(trainer.batch_size, n)
        last = n % size
        self.batch_sizes = (size, last) if last and not trainer.replacement else (size,)
        self.loop = self._loop(network.layers, self.train, self.val)
        self.order = order = EpochOrder(
            trainer, self.train, self.val, size, min(VALIDATION_ROWS, n_val) or 1, place
        )
        self.null = None if self.val is None else _null_loss(network.head, self.val.y)
        self.records = records = Records.empty(order.total_steps, order.epochs)
        if state:
            self.loop.restore(state)
            order.rates[: len(state["rates"])] = state["rates"]
            for name in RECORDED:
                target = getattr(records, name)
                part = state[name][: len(target)]
                target[: len(part)] = part

    def _loop(self, layers, train, val, batch_sizes=None, threads=None):
        trainer = self.trainer
        beta_1, beta_2, epsilon = trainer.optimizer.numbers()
        settings = Settings(
            trainer.optimizer.name,
            *(trainer.alpha, trainer.alpha / 2, beta_1, beta_2, epsilon),
            *(trainer.label_smoothing, trainer.max_norm or 0.0, trainer.dropout),
        )
        return training.loop_of(
            *(self.network.architecture, layers, settings, train, val),
            batch_sizes=batch_sizes or self.batch_sizes,
            block_size=min(VALIDATION_ROWS, len(val)) if val is not None else 0,
            scaling=self.network.scaling,
            threads=threads,
        )

    def _skips_zeros(self, X, y):
        """Tell whether to skip the zeros of dense data, by a measurement if nobody says."""
        trainer = self.trainer
        if isinstance(X, Sparse) or X.dtype == np.uint8 or training.jit_disabled():
            return False
        if trainer.skip_zeros != "auto":
            return trainer.skip_zeros
        sample = X[: 4 * trainer.batch_size]
        if np.count_nonzero(sample) > MOST_NON_ZEROS * sample.size:
            return False
        size = min(trainer.batch_size, len(sample))
        loops = []
        for kind in (sample, _sparse(sample)):
            # Copies: the measurement must leave no trace.
            layers = [(W.copy(), b.copy()) for W, b in self.network.layers]
            # On one thread, so that the choice does not depend on how many there are.
            source = Source(kind, y[: len(sample)])
            loops.append(self._loop(layers, source, None, (size,), threads=1))
        fastest = [math.inf, math.inf]
        items = measured_items(len(sample), size)
        records = Records.empty(len(items.kinds), 1)
        for _ in range(MEASUREMENTS):
            for i, loop in enumerate(loops):
                begun = time.perf_counter()
                loop.run(items, records)
                fastest[i] = min(fastest[i], time.perf_counter() - begun)
        return fastest[1] < fastest[0]

    # ---------------------------------------------------------------------------- the epochs

    def do(self, callback, progress, checkpoint, checkpoint_seconds):
        """Train to the end, and leave everything as it stands, whatever ends it."""
        trainer, order = self.trainer, self.order
        adapts = isinstance(trainer.schedule, schedules.Adaptive)
        order.waits = bool(
            callback is not None or checkpoint is not None or trainer.early_stopping or adapts
        )
        self.begun, self.first_step = time.perf_counter(), order.steps_done()
        epochs, steps, warned = order.epochs_done(), order.steps_done(), False
        saved, self.stopped = time.perf_counter(), self.place["stopped"]
        reporter = training.Reporter(progress, order.epochs, _describe)
        try:
            with reporter:
                for _ in () if self.stopped else training.drive(self.loop, order, self.records):
                    before, steps = steps, order.steps_done()
                    warned = warned or training.warn_of_divergence(
                        self.records.losses, order.rates, before, steps, stacklevel=5
                    )
                    if progress is not False:
                        reporter.update(self._status())
                    if not order.waits or order.epochs_done() == epochs:
                        continue
                    epochs = order.epochs_done()
                    self._end_epoch(adapts)
                    if callback is not None:
                        self.loop.store()
                        self.stopped = callback(self._status()) is True or self.stopped
                    if checkpoint is not None and time.perf_counter() >= saved + checkpoint_seconds:
                        self._keep()
                        trainer.save(checkpoint)
                        saved = time.perf_counter()
                    if self.stopped:
                        break
        finally:
            self._keep()
            if self.stopped or order.done >= order.total:
                trainer._position = None
                if trainer._best is not None:
                    self.network.params[:] = trainer._best[1]
            if checkpoint is not None:
                trainer.save(checkpoint)

    def _end_epoch(self, adapts):
        """Do what an epoch's losses call for: adapt the learning rate, keep the best, stop."""
        trainer, place, epoch = self.trainer, self.place, self.order.epochs_done()
        history = self._epochs(epoch)
        val_loss, score = history["val_loss"][-1], history["val_score"][-1]
        if adapts:
            schedule = trainer.schedule
            loss = history["loss"][-1] if math.isnan(val_loss) else val_loss
            better = place["lowest"] is None or loss < place["lowest"] - schedule.tol
            place["standing"] = 0 if better else place["standing"] + 1
            if place["lowest"] is None or loss < place["lowest"]:
                place["lowest"] = loss
            if place["standing"] >= schedule.n_iter_no_change:
                place["standing"] = 0
                place["factor"] /= schedule.divisor
                rate = trainer.optimizer.learning_rate_init * place["factor"]
                self.stopped = self.stopped or rate < schedule.lowest
        if trainer.early_stopping:
            value = val_loss if trainer.monitor == "loss" else -score
            best = math.inf if trainer._best is None else trainer._best[0]["value"]
            place["patience"] = 0 if value < best - trainer.tol else place["patience"] + 1
            if value < best:
                self.loop.store()
                trainer._best = {"value": float(value)}, self.network.params.copy()
                trainer.best_epoch_ = epoch
            self.stopped = self.stopped or place["patience"] >= trainer.n_iter_no_change

    def _epochs(self, stop):
        """Return the history of the epochs up to `stop`."""
        order, records = self.order, self.records
        shape = stop, order.steps_per_epoch
        steps = stop * order.steps_per_epoch
        with np.errstate(over="ignore", invalid="ignore"):
            losses = records.losses[:steps].reshape(shape) @ order.counts / order.counts.sum()
            val_losses = records.val_losses[:stop] / max(order.n_val, 1)
            if self.null is None:
                scores = records.val_correct[:stop] / max(order.n_val, 1)
            else:
                scores = 1 - records.val_losses[:stop] / self.null
        if not order.n_val:
            val_losses, scores = np.full(stop, np.nan), np.full(stop, np.nan)
        rates = order.rates[:steps].reshape(shape)[:, -1].copy()
        return dict(zip(EPOCH_FIELDS, (losses, val_losses, scores, rates)))

    def _status(self):
        order = self.order
        epoch, steps = order.epochs_done(), order.steps_done()
        loss, val_loss, score, rate = (math.nan,) * 4
        if epoch:
            loss, val_loss, score, rate = (v[-1] for v in self._epochs(epoch).values())
        elif steps:
            loss, rate = self.records.losses[steps - 1], order.rates[steps - 1]
        seconds = max(time.perf_counter() - self.begun, 1e-9)
        pace = (steps - self.first_step) * order.n / order.steps_per_epoch / seconds
        numbers = (float(x) for x in (loss, val_loss, score, rate, pace))
        return EpochStatus(epoch, order.epochs, *numbers)

    def _keep(self):
        """Leave the network, the history and what continues the run in the trainer."""
        trainer, order, records = self.trainer, self.order, self.records
        self.loop.store()
        epochs, steps = order.epochs_done(), order.steps_done()
        trainer.n_iter_ = epochs
        trainer.history = {"step_loss": records.losses[:steps].copy(), **self._epochs(epochs)}
        place = {**self.place, "done": order.done, "stopped": bool(self.stopped)}
        state = {**self.loop.state(), "rates": order.rates[:steps].copy()}
        for name in RECORDED:
            state[name] = getattr(records, name)[: steps if name == "losses" else epochs + 1].copy()
        trainer._position = place, state


#: Of the records, what a run goes on with.
RECORDED = ("losses", "val_losses", "val_correct")


def measured_items(n, size):
    """Return a few steps, in order, for a measurement."""
    begins = np.arange(0, n - size + 1, size)
    steps = np.arange(len(begins))
    zeros = np.zeros_like(begins)
    return Items(
        kinds=zeros,
        begins=begins,
        counts=np.full(len(begins), size),
        steps=steps,
        epochs=zeros,
        keys=zeros,
        rates=np.full(len(begins), 1e-6),
        decays=np.ones(len(begins)),
        divisors=np.full(len(begins), float(size)),
        listed=None,
    )


def _describe(status):
    """Return what the progress bar says."""
    text = f"loss {status.loss:.4f}  "
    if not math.isnan(status.val_loss):
        text += f"val loss {status.val_loss:.4f}  val score {status.val_score:.3f}  "
    return text + f"{status.samples_per_second:,.0f} samples/s"


def _kind(X):
    if isinstance(X, Sparse):
        return "a CSR matrix"
    return "uint8" if X.dtype == np.uint8 else "dense"


def _sparse(X):
    """Return the non-zeros of a dense array."""
    if isinstance(X, Sparse):
        return X
    there = X != 0
    indptr = np.zeros(len(X) + 1, np.int64)
    np.cumsum(np.count_nonzero(there, axis=1), out=indptr[1:])
    return Sparse(X.shape, indptr, np.nonzero(there)[1].astype(np.int32), X[there])


def _rows(X, chosen):
    """Return some rows, ascending indices, of an input of any kind."""
    if not isinstance(X, Sparse):
        return X[chosen]
    counts = np.diff(X.indptr)
    keep = np.zeros(X.shape[0], bool)
    keep[chosen] = True
    mask = np.repeat(keep, counts)
    indptr = np.concatenate([[0], np.cumsum(counts[chosen])]).astype(np.int64)
    span = slice(X.indptr[0], X.indptr[-1])
    shape = len(chosen), X.shape[1]
    return Sparse(shape, indptr, X.indices[span][mask], X.data[span][mask])


def _class_factors(class_weight, y, C):
    """Return the weight of each class."""
    counts = np.bincount(y, minlength=C)
    if class_weight == "balanced":
        present = np.count_nonzero(counts)
        return len(y) / (present * np.maximum(counts, 1))
    factors = np.ones(C)
    for label, weight in class_weight.items():
        if not 0 <= label < C:
            raise ValueError(
                f"class_weight holds the class {label}, but the network has the classes "
                f"0..{C - 1}: take it out"
            )
        factors[label] = weight
    return factors


def _null_loss(head, y):
    """Return the summed loss of the best constant prediction of a regression, or None."""
    if head in ("softmax", "logistic"):
        return None
    y = y.astype(np.float64)
    if head == "identity":
        return float(np.sum((y - y.mean(axis=0)) ** 2)) / 2
    mean = np.broadcast_to(y.mean(axis=0), y.shape)
    positive = y > 0
    return float(np.sum(y[positive] * np.log(y[positive] / mean[positive])))
