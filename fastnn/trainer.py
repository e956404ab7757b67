"""Trainer: epochs, schedules, early stopping and checkpoints around the compiled loop."""

import dataclasses
import functools

import numpy as np

from .checkpoints import Checkpointed
from .checks.arguments import check_function, check_number, check_random_state
from .checks.feature_names import feature_names
from .engine.fit import Fit, Watch
from .engine.position import EPOCH_FIELDS, EpochStatus, Position, describe
from .engine.progress import Reporter
from .engine.sources import check_data, fingerprint
from .files import formats
from .files.writing import check_target_path
from .hyperparameters import Hyperparameters
from .network import Network

__all__ = ["EpochStatus", "Trainer"]


def _hyperparameter(name):
    return property(
        lambda self: getattr(self._hyperparameters, name),
        doc=f"The hyper-parameter `{name}`; make a new Trainer for another one.",
    )


class Trainer(Checkpointed):
    """Trains a :class:`Network`: optimiser, schedule, regularisation, early stopping, checkpoints.

    Parameters
    ----------
    network : Network
        Its parameters are updated in place.
    optimizer : str or optimiser, default="adam"
        "sgd", "momentum", "nesterov", "adam", "adamw", "lion", "rmsprop", or one of
        :mod:`fastnn.optimizers` with numbers of your own.
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
        multiply the sample weights of training and validation rows; softmax only.
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
        What early stopping splits off where no validation set is given, evenly over the classes
        (of a logistic head: over the combinations of its outputs).
    n_iter_no_change : int, default=10
    tol : float, default=1e-4
    skip_zeros : bool or "auto", default="auto"
        Skip the zeros of dense data, as is faster where most are zeros: "auto" does so where no
        more than a quarter of the numbers are anything else, the fit is long enough to pay for a
        copy, and the data as floating-point numbers take no more than 2 GiB. The two ways differ
        by rounding. Zeros among bytes are skipped where the network does not shift them by a mean.
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

    _format, _readable = formats.TRAINER_FORMAT, (formats.TRAINER_FORMAT,)

    # No attributes but these: a name that is misspelt raises, and is not ignored.
    __slots__ = (
        *("__weakref__", "_best_epoch", "_history", "_hyperparameters", "_n_iter", "_network"),
        *("_progress", "_read_at_its_end", "_runs", "_seed"),
    )

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
        self._network = network
        self._hyperparameters = Hyperparameters(
            optimizer=optimizer,
            batch_size=batch_size,
            max_iter=max_iter,
            schedule=schedule,
            alpha=alpha,
            max_norm=max_norm,
            dropout=dropout,
            label_smoothing=label_smoothing,
            class_weight=class_weight,
            shuffle=shuffle,
            replacement=replacement,
            early_stopping=early_stopping,
            monitor=monitor,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            skip_zeros=skip_zeros,
        )
        self._hyperparameters.check_head(network.head)
        self._hyperparameters.check_dtype(network.dtype)
        # Each run draws all that it needs from this and how many have come to their ends.
        self._seed, self._runs = int(check_random_state(random_state).randint(2**31 - 1)), 0
        self._progress = None  # position and state of a run that is not at its end
        self._read_at_its_end = False
        self._history = {name: np.zeros(0) for name in ("step_loss", *EPOCH_FIELDS)}
        self._n_iter, self._best_epoch = 0, 0

    # --------------------------------------------------------------- what it is, to be read only

    optimizer, batch_size, max_iter, schedule, alpha, max_norm, dropout = map(
        _hyperparameter,
        ("optimizer", "batch_size", "max_iter", "schedule", "alpha", "max_norm", "dropout"),
    )
    label_smoothing, class_weight, shuffle, replacement, early_stopping = map(
        _hyperparameter,
        ("label_smoothing", "class_weight", "shuffle", "replacement", "early_stopping"),
    )
    monitor, validation_fraction, n_iter_no_change, tol, skip_zeros = map(
        _hyperparameter, ("monitor", "validation_fraction", "n_iter_no_change", "tol", "skip_zeros")
    )

    @property
    def network(self):
        """The network that is trained."""
        return self._network

    @property
    def history(self):
        """What was recorded."""
        return self._history

    @property
    def n_iter_(self):
        """Epochs done."""
        return self._n_iter

    @property
    def best_epoch_(self):
        """The epoch whose parameters early stopping keeps."""
        return self._best_epoch

    def __repr__(self):
        # As scikit-learn does: the arguments that are not the default. That of random_state is not
        # kept, only what it drew.
        default = Hyperparameters()
        changed = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(default)
            if getattr(self, field.name) != getattr(default, field.name)
        ]
        return f"Trainer({', '.join([repr(self.network), *changed])})"

    # ------------------------------------------------------------------------------ training

    def fit(
        self,
        X,
        y,
        X_val=None,
        y_val=None,
        *,
        sample_weight=None,
        sample_weight_val=None,
        callback=None,
        progress=False,
        checkpoint=None,
        checkpoint_seconds=0.0,
    ):
        """Train for `max_iter` epochs, or go on where a checkpoint or Ctrl-C has left off.

        After a training that came to its end, the next call is a new one, from the parameters as
        they are. Only the first call on a checkpoint of the end returns at once; so does the first
        one after an exception, a callback's for example, that came when all was done.

        Parameters
        ----------
        X : array-like or CSR matrix of shape (n_samples, n_inputs)
            C-contiguous data of the network's dtype, uint8, and CSR matrices with sorted indices
            are used as they are.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes 0..n_outputs-1 for the softmax, else targets.
        X_val, y_val : array-like, optional
            Validation data, evaluated at the end of each epoch; `class_weight` holds for them too.
        sample_weight : array-like of shape (n_samples,), optional
            The loss of a batch is its weighted mean. Rows that early stopping splits off keep
            their weights.
        sample_weight_val : array-like of shape (n_val,), optional
            Weights of the validation rows, in their loss and their score.
        callback : callable, optional
            Called at the end of each epoch with an :class:`EpochStatus`; the network and the
            trainer are up to date then, so that it may save them. Returning True, or NumPy's, ends
            the training.
        progress : bool or callable, default=False
            True shows a progress bar, in a terminal on stderr (needs rich: ``python -m pip install
            rich``) or in a notebook; a callable gets an :class:`EpochStatus` about ten times a
            second.
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
        check_function(callback, "callback", (None,), "an EpochStatus")
        check_function(progress, "progress", (True, False), "an EpochStatus")
        checkpoint_seconds = check_number(
            checkpoint_seconds, "checkpoint_seconds", "pass 0 for the end of each epoch"
        )
        if checkpoint is not None:
            least = self.network.params.nbytes
            checkpoint = check_target_path(checkpoint, "checkpoint", size=least)
        train, val = check_data(
            self.network,
            (X, y, sample_weight),
            (X_val, y_val, sample_weight_val),
            self.class_weight,
        )
        if not self.network.params.flags.writeable:
            raise ValueError(
                "the network's params are read-only, but training updates them in place: make them "
                "writeable, or train a copy.deepcopy of the network"
            )
        if self._read_at_its_end:
            if checkpoint is not None:
                self.save(checkpoint)
            self._read_at_its_end = False
            return self.history
        position, state = self._progress or (None, None)
        n, data = len(train), fingerprint(train, val)
        if position is None:
            seed = np.random.RandomState([self._seed, self._runs]).randint(2**31 - 1)
            position = Position(n_samples=n, data=data, seed=int(seed))
        position.check_data(n, data)
        self._network.note_feature_names(feature_names(X))
        save = None if checkpoint is None else functools.partial(self.save, checkpoint)
        waits = callback is not None or checkpoint is not None
        watch = Watch(self._keep, save, checkpoint_seconds, waits)
        if state is not None:
            state = {**state, "losses": self._history["step_loss"]}
        run = Fit(self._network, self._hyperparameters, train, val, position, state, watch)
        try:
            run.do(Reporter(progress, self.max_iter, describe), callback)
        finally:
            if run.is_over():
                if run.position.best_params is not None:
                    self._network.params[:] = run.position.best_params
                # Counted at its end: a run that is cut before its first step is begun again.
                self._progress, self._runs = None, self._runs + 1
                # Whoever is interrupted at the very end calls `fit` to go on, not to begin anew.
                self._read_at_its_end = True
            if checkpoint is not None:
                self.save(checkpoint)
        self._read_at_its_end = False
        return self._history

    def _keep(self, run):
        """Take over where a fit stands, all of it at once."""
        history, progress = run.history(), (run.position, run.state())
        n_iter = run.order.epochs_done()
        self._n_iter, self._best_epoch = n_iter, run.position.best_epoch
        self._history, self._progress = history, progress
