"""What others do at the end of an epoch: scikit-learn's callbacks, and plain functions."""

from ..checks.arguments import asks_to_stop
from ..engine.position import EpochStatus

try:
    import sklearn.callback as _callback
except ImportError:  # before 1.9
    _callback = None


class CallbackSupport(object if _callback is None else _callback.CallbackSupportMixin):  # type: ignore[misc]
    """What an estimator inherits to take scikit-learn's callbacks, where they exist."""


class Tasks:
    """The tasks of a fit, as scikit-learn's callbacks are told of them: the fit, and its epochs.

    Parameters
    ----------
    estimator : estimator
        One that takes scikit-learn's callbacks.
    X, y, sample_weight : array-like
        As the user passed them.
    epochs : int
        At most as many.
    """

    def __init__(self, estimator, X, y, sample_weight, epochs):
        self.estimator, self._epoch = estimator, None
        self._fit = estimator._init_callback_context(max_subtasks=epochs)
        self._told = {"estimator": estimator, "X": X, "y": y}
        if sample_weight is not None:
            self._told["metadata"] = {"sample_weight": sample_weight}
        self._fit.call_on_fit_task_begin(**self._told)

    def begin_epoch(self):
        """Tell of the begin of an epoch."""
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._told)

    def end_epoch(self):
        """Tell of the end of an epoch; return whether somebody wants to stop."""
        return self._epoch.call_on_fit_task_end(
            **self._told, reconstruction_attributes=self._parameters
        )

    def _parameters(self):
        """Return what makes of a copy of the estimator one that stays as it is here."""
        return {
            name: [part.copy() for part in getattr(self.estimator, name)]
            for name in ("coefs_", "intercepts_")
        }

    def end(self):
        """Tell of the end of the fit."""
        self._fit.call_on_fit_task_end(**self._told, reconstruction_attributes={})


class EpochWatch:
    """Has a user's function, and scikit-learn's callbacks, see the end of each epoch.

    Parameters
    ----------
    function : callable or None
        Gets an :class:`fastnn.EpochStatus`; a true answer ends the fit.
    tasks : Tasks or None
    """

    def __init__(self, function, tasks):
        self.function, self.tasks = function, tasks
        if tasks is not None:
            tasks.begin_epoch()

    def __call__(self, fit):
        """See to the end of an epoch of a :class:`.training.PerceptronFit`."""
        stops = False
        if self.function is not None:
            stops = asks_to_stop(self.function(status_of(fit)))
        if self.tasks is not None:
            stops = self.tasks.end_epoch() or stops
            if not stops and fit.ended < fit.order.epochs:
                self.tasks.begin_epoch()
        return stops


def status_of(fit):
    """Return where a :class:`.training.PerceptronFit` stands at the end of an epoch."""
    estimator, nan = fit.estimator, float("nan")
    scores = estimator.validation_scores_ if fit.early_stopping else None
    return EpochStatus(
        epoch=estimator.n_iter_,
        max_iter=fit.order.epochs,
        loss=float(estimator.loss_),
        val_loss=nan if fit.val_loss is None else float(fit.val_loss),
        val_score=float(scores[-1]) if scores else nan,
        learning_rate=float(fit.last_rate()),
        samples_per_second=fit.samples_per_second(),
    )
