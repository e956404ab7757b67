"""The fit of a perceptron by Adam or SGD: scikit-learn's, epoch by epoch, on the compiled loop."""

import time
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import shuffle as shuffled_by_sklearn

from ..engine import zeros
from ..engine.draws import shuffled
from ..engine.driver import drive
from ..engine.run import certainly
from ..jobs import Job, Records, Settings, block_rows
from ..threads import limited
from . import solvers
from .data import scaled, source_of
from .installed import LIMITS_THE_SPLIT, TAKES_WEIGHTS, loss_factor, warn
from .order import PerceptronOrder
from .support import architecture_of

#: Rows of the validation set whose loss is computed at a time.
VALIDATION_ROWS = 256


class Validation(NamedTuple):
    """The rows to validate by, as scikit-learn's own methods take them."""

    X: Any
    y: Any  #: as users give it
    weights: Any
    targets: Any  #: as networks take it


def fit(estimator, X, y, weights, incremental, options):
    """Train an estimator as scikit-learn's ``_fit_stochastic`` does; the arguments are its own."""
    if weights is None:
        weights = options.weights
    with limited(options.n_threads):
        PerceptronFit(estimator, X, y, weights, incremental, options).run()


class PerceptronFit:
    """One fit of an estimator, whose attributes are those of scikit-learn's at each epoch's end."""

    def __init__(self, estimator, X, y, weights, incremental, options):
        self.estimator, self.options, self.incremental = estimator, options, incremental
        self.early_stopping = estimator.early_stopping
        self.solver = self._solver()
        if self.early_stopping and incremental and options.validation is None:
            more = ", unless validation_data is passed" if options.tells_more else ""
            raise ValueError(f"partial_fit does not support early_stopping=True{more}")
        (X, y, weights), self.validation = self._divided(X, y, weights)
        architecture = architecture_of(estimator)
        coefs, intercepts = estimator.coefs_, estimator.intercepts_
        for parts in (coefs, intercepts):
            # In the lists that they are in: other lists may hold the same arrays.
            parts[:] = [_writeable(part) for part in parts]
        head, dtype = architecture.head, coefs[0].dtype
        smoothing = options.label_smoothing if head == "logistic" else 0.0
        weights, unit = scaled(weights, dtype)
        train = source_of(X, y, weights, head, dtype, smoothing)
        #: Rows of an epoch, and those visited before; the steps of an epoch and of all.
        self.n, self.t = len(train), estimator.t_
        batch_size = self._batch_size()
        val = None
        if self.validation is not None and options.watches_loss:
            held = self.validation
            held_weights, _ = scaled(held.weights, dtype)
            val = source_of(held.X, held.targets, held_weights, head, dtype)
        n_val, self.val_weight = 0, 0.0
        if val is not None:
            n_val = len(val)
            self.val_weight = n_val if val.weights is None else float(val.weights.sum(dtype=float))
        epochs = 1 if incremental else int(estimator.max_iter)
        train, val = zeros.skipped_if_mostly(train, val, architecture.layer_sizes[1], epochs)
        last, block_size = self.n % batch_size, block_rows(n_val, VALIDATION_ROWS)
        self.factor = loss_factor(head, architecture.layer_sizes[-1])
        job = Job(
            architecture,
            list(zip(coefs, intercepts)),
            self._settings(smoothing),
            train,
            val,
            batch_sizes=(batch_size, last) if last else (batch_size,),
            block_size=block_size,
        )
        self.steps_per_epoch = -(-self.n // batch_size)
        self.total_steps = epochs * self.steps_per_epoch
        self.ended, self._told = 0, False
        self.records = Records.growing(self.total_steps, epochs)
        self.order = PerceptronOrder(
            *(train, batch_size, epochs, n_val, block_size, self.records),
            shuffle=self._shuffled if estimator.shuffle else None,
            # Each batch divides it by the sum of its weights.
            alpha=estimator.alpha / unit,
            rates=lambda steps, epochs: self.solver.rates(steps, epochs, self.ended, self),
            seed=self._seed(),
        )
        self.loop = self.solver.loop_of(job)
        #: Of what decides which parameters are restored; of the latest epoch.
        self.best, self.val_loss = np.inf, None
        self._begun = time.perf_counter()
        self._watch = None if options.watch is None else options.watch()

    # --------------------------------------------------------------------- what it begins with

    def _solver(self):
        estimator, options = self.estimator, self.options
        before = getattr(estimator, "_optimizer", None)
        if not self.incremental or before is None:
            estimator._optimizer = solvers.make(estimator)
            if options.keep_optimizer and estimator.warm_start and before is not None:
                solvers.take_over(estimator._optimizer, before)
        return solvers.Solver(estimator._optimizer, options.schedule, options.weight_decay)

    def _divided(self, X, y, weights):
        """Return the data to train on, and those to validate by or None, as scikit-learn does."""
        estimator, arrays = self.estimator, [X, y]
        if self.options.validation is not None:
            return (X, y, weights), self.options.validation(X)
        if not self.early_stopping:
            return (X, y, weights), None
        if weights is not None:
            arrays.append(weights)
        # Rows of several labels are not stratified.
        stratifies = is_classifier(estimator) and estimator.n_outputs_ == 1
        parts = train_test_split(
            *arrays,
            random_state=estimator._random_state,
            test_size=estimator.validation_fraction,
            stratify=strata(y) if stratifies else None,
        )
        train, val = parts[::2], parts[1::2]
        if val[0].shape[0] < 2 and LIMITS_THE_SPLIT:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' "
                "or the size of your dataset."
            )
        targets = val[1]
        y_val = (
            estimator._label_binarizer.inverse_transform(targets)
            if (is_classifier(estimator))
            else targets
        )
        held = Validation(val[0], y_val, val[2] if weights is not None else None, targets)
        return (*train, None)[:3], held

    def _batch_size(self):
        batch_size, n = self.estimator.batch_size, self.n
        if isinstance(batch_size, str):
            return min(200, n)
        if batch_size > n:
            warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped"
            )
        return int(np.clip(batch_size, 1, n))

    def _settings(self, smoothed):
        beta_1, beta_2 = self.solver.numbers
        return Settings(
            rule=self.solver.rule,
            penalty=self.estimator.alpha != 0,
            beta_1=beta_1,
            beta_2=beta_2,
            label_smoothing=0.0 if smoothed else self.options.label_smoothing,
            max_norm=self.options.clip_norm or 0.0,
            dropout=self.options.dropout,
            clipped=not smoothed,
            loss_factor=self.factor,
        )

    def _shuffled(self, order, times):
        """Return the orders of so many epochs, drawn as scikit-learn's ``shuffle`` draws them."""
        random = self.estimator._random_state
        if SHUFFLES_AS_KNOWN:
            return shuffled(order, random, times)
        orders = np.empty((times, len(order)), np.int64)
        for row in orders:
            row[:] = order = shuffled_by_sklearn(order, random_state=random)
        return orders

    def _seed(self):
        """Draw the seed of the dropout, if there is any."""
        if not self.options.dropout:
            return None
        return int(self.estimator._random_state.randint(np.iinfo(np.int32).max))

    # -------------------------------------------------------------------------------- the epochs

    def run(self):
        """Train; whatever ends it, the estimator has what was learnt by then."""
        estimator = self.estimator
        estimator.n_iter_ = 0
        self._look_ahead()
        stays = False
        try:
            try:
                for _ in drive(self.loop, self.order, self.records):
                    if self._end_epochs():
                        break
                stays = self.incremental
            except KeyboardInterrupt:
                if self.loop.finished():
                    # It may have come between the end of the work and the note of it.
                    self.order.done = self.order.asked
                self._end_epochs()
                warn("Training interrupted by user.")
        finally:
            stays = certainly(self._keep, stays)
        if not stays:
            self.loop.release()
        if self._restores():
            estimator.coefs_, estimator.intercepts_ = (
                estimator._best_coefs,
                estimator._best_intercepts,
            )

    def _keep(self, stays):
        """Leave the estimator its parameters and optimiser; return what Solver.keep returns."""
        self.loop.store()
        return self.solver.keep(self.loop, self.order.steps_done(), stays)

    def _restores(self):
        chosen = self.options.restore_best
        if self.incremental:
            return False
        return self.early_stopping if chosen == "auto" else chosen

    def _look_ahead(self):
        """Set the epoch that Python must see the end of: the first that may be the last."""
        estimator, look = self.estimator, 1
        if not self._waits():
            left = estimator.n_iter_no_change - estimator._no_improvement_count
            look = max(1, min(left + 1, self.order.epochs))
        self.order.look = min(self.ended + int(look), self.order.epochs)

    def _waits(self):
        """Tell whether the end of each epoch matters to somebody."""
        chosen = self.options.restore_best
        keeps = chosen is True
        return self.validation is not None or self.options.watch is not None or keeps

    def _end_epochs(self):
        """See to the end of the epochs that are done; return whether the training is at its end."""
        done, count = self.order.epochs_done(), self.steps_per_epoch
        losses = self.records.losses[self.ended * count : done * count].reshape(-1, count)
        with np.errstate(over="ignore", invalid="ignore"):
            losses = np.sum(losses * self.order.counts, axis=1) / self.n
        stops = any(self._end_epoch(loss) for loss in losses)
        self._look_ahead()
        return stops

    def _end_epoch(self, loss):
        """Do what scikit-learn does at the end of an epoch; return whether to stop."""
        estimator, epoch = self.estimator, self.ended
        self.ended += 1
        estimator.n_iter_ += 1
        estimator.loss_ = loss
        self.t += self.n
        estimator.t_ += self.n
        estimator.loss_curve_.append(loss)
        if self.order.n_val:
            self._note_validation_loss(epoch)
        if estimator.verbose:
            print(self._text())
        self._validate()
        estimator._optimizer.iteration_ends(estimator.t_)
        stops = self._is_over()
        if self._watch is not None and self._watch(self):
            return True
        if stops or self.incremental:
            return stops
        if estimator.n_iter_ == estimator.max_iter:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
            )
        return False

    def _note_validation_loss(self, epoch):
        self.val_loss = self.factor * self.records.val_losses[epoch] / self.val_weight
        if self.estimator.validation_loss_curve_ is None:
            self.estimator.validation_loss_curve_ = []
        self.estimator.validation_loss_curve_.append(self.val_loss)

    def _text(self):
        """Return what `verbose` prints."""
        estimator = self.estimator
        text = f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}"
        if not self.options.tells_more:
            return text
        if self.val_loss is not None:
            text += f", validation loss = {self.val_loss:.8f}"
        return text + f", {self.samples_per_second():,.0f} samples/s"

    def samples_per_second(self):
        """Return the pace since the fit was begun."""
        return self.ended * self.n / max(time.perf_counter() - self._begun, 1e-9)

    def last_rate(self):
        """Return the learning rate of the latest step, without the corrections of Adam."""
        return self.solver.learning_rate(self.ended * self.steps_per_epoch - 1, self)

    def _validate(self):
        """Score, keep the best parameters, and count the epochs without improvement."""
        estimator, held = self.estimator, self.validation
        stopping = self.early_stopping and held is not None
        if self._waits():
            self.loop.store()
        data = (held.X, held.y, held.weights) if stopping else (None,) * 3
        if not TAKES_WEIGHTS:
            data = data[:2]
        estimator._update_no_improvement_count(stopping, *data)
        if self.options.restore_best is True and not stopping:
            value = estimator.loss_ if self.val_loss is None else self.val_loss
            if value < self.best:
                self.best = value
                estimator._best_coefs = [part.copy() for part in estimator.coefs_]
                estimator._best_intercepts = [part.copy() for part in estimator.intercepts_]

    def _is_over(self):
        """Stop, or lower the learning rate, where nothing improves any more."""
        estimator = self.estimator
        if not estimator._no_improvement_count > estimator.n_iter_no_change:
            return False
        what = "Validation score" if self.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={estimator.tol:f} for "
            f"{estimator.n_iter_no_change} consecutive epochs."
        )
        if estimator._optimizer.trigger_stopping(message, estimator.verbose):
            return True
        estimator._no_improvement_count = 0
        return False


def strata(y):
    """Return what says by class how to split rows whose column of zeros and ones is y.

    scikit-learn makes a text of each row of two dimensions, in 2 us each, and sorts these: the same
    strata in the same order. Where it complains it lists such texts.
    """
    ones = np.count_nonzero(y)
    plain = y.dtype == bool and y.shape == (len(y), 1) and 1 not in (ones, len(y) - ones)
    return y.ravel() if plain else y


def _writeable(array):
    """Return an array, or a copy of it where it is read-only, as joblib maps large ones."""
    return array if array.flags.writeable else array.copy()


def _shuffles_as_known():
    """Tell whether scikit-learn draws an order as this file does."""
    known, theirs = np.arange(7), np.arange(7)
    for seed in (0, 1):
        # The second time, the order is not that of numbers any more.
        np.random.RandomState(seed).shuffle(known)
        theirs = shuffled_by_sklearn(theirs, random_state=np.random.RandomState(seed))
    return np.array_equal(theirs, known)


SHUFFLES_AS_KNOWN = _shuffles_as_known()
