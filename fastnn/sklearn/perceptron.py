"""What fastnn's perceptrons have beyond scikit-learn's, of both kinds."""

import copy
import functools
import inspect
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import check_scoring
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils._set_output import _wrap_data_with_container
from sklearn.utils.validation import check_is_fitted

from .. import schedules
from ..checks.arguments import check_names
from ..checks.arrays import is_frame, to_array
from ..reference.activations import ACTIVATIONS
from . import conversion, installed, kept, prediction
from .callbacks import CallbackSupport, EpochWatch, Tasks
from .certainty import plain_parameters
from .hooks import METHODS
from .options import Options
from .validation import check_validation

#: The solvers that take steps.
STEPPING = ("sgd", "adam", "adamw")
#: Schedules beyond scikit-learn's, by what `learning_rate` calls them.
SCHEDULES = {"cosine": schedules.Cosine(), "one_cycle": schedules.OneCycle()}


class _AnySchedule(HasMethods):
    """What scikit-learn checks a parameter by, of a kind that it knows: a schedule of fastnn's."""

    def __init__(self):
        super().__init__("factors")

    def is_satisfied_by(self, val):
        """Tell whether a value is one."""
        return isinstance(val, schedules.Constant)

    def __str__(self):
        return "a schedule of fastnn.schedules, such as StepDecay(every=10)"


#: Parameters that scikit-learn has found in order; the folds of a search have the same ones.
#: Without these checks, a fit of 150 flowers in 20 epochs takes 863 instead of 999 us (Zen 4).
_IN_ORDER: set = set()
MOST_IN_ORDER = 1000

#: The parameters beyond scikit-learn's, with their defaults.
PARAMETERS = {
    "dropout": 0.0,
    "clip_norm": None,
    "weight_decay": 0.01,
    "scoring": None,
    "restore_best": "auto",
    "keep_optimizer": False,
    "callback": None,
    "n_threads": None,
}
#: What they, and those that allow more than scikit-learn's, may be.
CONSTRAINTS = {
    "activation": [StrOptions(set(ACTIVATIONS)), list, tuple],
    "solver": [StrOptions({"lbfgs", *STEPPING})],
    "learning_rate": [
        StrOptions({"constant", "invscaling", "adaptive", *SCHEDULES}),
        _AnySchedule(),
    ],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "scoring": [str, callable, None],
    "restore_best": [StrOptions({"auto"}), "boolean"],
    "keep_optimizer": ["boolean"],
    "callback": [callable, None],
    "n_threads": [Interval(Integral, 1, None, closed="left"), None],
}


def with_keywords(method, keywords):
    """Give a function the signature of another one and keywords with their defaults."""

    def decorate(function):
        theirs = inspect.signature(method).parameters.values()
        kind = inspect.Parameter.KEYWORD_ONLY
        extra = [inspect.Parameter(name, kind, default=value) for name, value in keywords.items()]
        function.__signature__ = inspect.Signature([*theirs, *extra])
        return function

    return decorate


def initializer(theirs, keywords):
    """Return an ``__init__`` with the parameters of scikit-learn's class, and further keywords."""

    @with_keywords(theirs.__init__, keywords)
    @functools.wraps(theirs.__init__, assigned=("__name__", "__qualname__"), updated=())
    def __init__(self, *args, **kwargs):
        own = {name: kwargs.pop(name, default) for name, default in keywords.items()}
        theirs.__init__(self, *args, **kwargs)
        for name, value in own.items():
            setattr(self, name, value)

    return __init__


def _note_columns(error, X):
    """Add to an error about a data frame which of its columns are no numbers."""
    if is_frame(X) and hasattr(error, "add_note"):  # from Python 3.11 on
        try:
            to_array(X, "X")
        except TypeError as reason:
            error.add_note(str(reason))


class Asked(NamedTuple):
    """What a call of a fit asks for, while it lasts."""

    validation_data: Any = None
    solver: str = "adam"
    random_state: Any = None
    weights: Any = None
    tasks: Any = None


class HiddenLayers:
    """What gives the activations of a hidden layer.

    scikit-learn would make a data frame of what its mix-in's own class transforms, with the names
    of the last layer: here each layer has its own.
    """

    def transform(self, X, layer=-1):
        """Compute the activations of a hidden layer.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        layer : int, default=-1
            0 for the first hidden layer, -1 for the last.

        Returns
        -------
        ndarray or data frame of shape (n_samples, n_units)
            What ``set_output`` has asked for.

        Raises
        ------
        TypeError, ValueError
            If there is no such layer.
        """
        check_is_fitted(self)
        hidden = len(self.coefs_) - 1
        if not isinstance(layer, Integral) or isinstance(layer, bool):
            raise TypeError(
                f"layer is {layer!r}, but it is the number of a hidden layer: pass 0 for the "
                "first, or -1 for the last"
            )
        if not hidden:
            raise ValueError("the network has no hidden layers: fit it with some, or use predict")
        if not -hidden <= layer < hidden:
            raise ValueError(
                f"layer is {layer}, but the network has {hidden} hidden layers: pass 0 for the "
                f"first, up to {hidden - 1}, or -1 for the last"
            )
        layer %= hidden
        # Whose last hidden layer it is, which says how many columns there are, and their names.
        below = copy.copy(self)
        below.coefs_ = self.coefs_[: layer + 2]
        return _wrap_data_with_container("transform", prediction.hidden(self, X, layer), X, below)


class Perceptron(CallbackSupport, HiddenLayers, ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """The part of an estimator that both kinds share; it stands before scikit-learn's class."""

    _asked = Asked()
    _loss_grad_lbfgs = METHODS["_loss_grad_lbfgs"]
    _forward_pass_fast = METHODS["_forward_pass_fast"]

    # ------------------------------------------------------------------------------------ fits

    def _call(self, fit, X, y, args, kwargs, validation_data):
        """Call a fit of scikit-learn's, with a validation set for the engine."""
        self._asked = Asked(validation_data)
        try:
            return fit(X, y, *args, **kwargs)
        except (TypeError, ValueError) as error:
            _note_columns(error, X)
            raise
        finally:
            del self._asked

    def _fit(self, X, y, *args, sample_weight=None, incremental=False, **kwargs):
        asked = self._asked
        self._check_options(incremental, asked.validation_data)
        weights, tasks = self._row_weights(y, sample_weight, incremental), None
        if getattr(self, "_skl_callbacks", None):
            epochs = 0 if self.solver == "lbfgs" else 1 if incremental else self.max_iter
            tasks = Tasks(self, X, y, sample_weight, epochs)
        self._asked = Asked(asked.validation_data, self.solver, self.random_state, weights, tasks)
        if installed.TAKES_WEIGHTS:
            kwargs["sample_weight"] = weights
        try:
            if self.solver == "adamw":
                # scikit-learn asks for the names that it knows.
                self.solver = "adam"
            if incremental:
                self.random_state = kept.seeded(self)
            super()._fit(X, y, *args, incremental=incremental, **kwargs)
        finally:
            self.solver, self.random_state = self._asked.solver, self._asked.random_state
            self._asked = asked
        if incremental:
            kept.keep_random(self)
        if tasks is not None:
            tasks.end()
        return self

    def _validate_params(self):
        """Check the parameters as scikit-learn does, but for those that it has found in order."""
        parameters = plain_parameters(self)
        if parameters is not None and parameters in _IN_ORDER:
            return
        super()._validate_params()
        if len(_IN_ORDER) >= MOST_IN_ORDER:
            _IN_ORDER.clear()
        if parameters is not None:
            _IN_ORDER.add(parameters)

    def _fit_stochastic(self, *args, **kwargs):
        self.solver, self.random_state = self._asked.solver, self._asked.random_state
        METHODS["_fit_stochastic"](self, *args, **kwargs)

    _fit_stochastic.fastnn = True  # type: ignore[attr-defined]

    def _check_options(self, incremental, validation_data):
        """Refuse what does not go together."""
        layers = np.size(self.hidden_layer_sizes)
        check_names(self.activation, "activation", ACTIVATIONS, layers, "hidden layer")
        if self.solver == "lbfgs":
            steps = [name for name in ("dropout", "clip_norm") if getattr(self, name)]
            steps += ["validation_data"] * (validation_data is not None)
            if steps:
                raise ValueError(
                    f"{steps[0]} needs a solver that takes steps, but solver is 'lbfgs': pass "
                    f"solver='adam', 'adamw' or 'sgd', or leave {steps[0]} out"
                )
        if self.scoring is not None and not self.early_stopping:
            raise ValueError(
                f"scoring={self.scoring!r} says what early stopping goes by, but there is none: "
                "pass early_stopping=True, or leave scoring out"
            )
        schedule = self.learning_rate
        if isinstance(schedule, schedules.Adaptive):
            raise ValueError(
                "learning_rate is an Adaptive of fastnn.schedules: pass 'adaptive', which "
                "n_iter_no_change and tol describe"
            )
        if incremental and (schedule in SCHEDULES or not isinstance(schedule, str)):
            raise ValueError(
                f"learning_rate={schedule!r} needs to know how long the training is, but "
                "partial_fit does not: pass 'constant', 'invscaling' or 'adaptive', or call fit"
            )

    def _row_weights(self, y, sample_weight, incremental):
        """Return the weights of the rows."""
        return sample_weight

    def _initialize(self, y, layer_units, dtype):
        super()._initialize(y, layer_units, dtype)
        self.validation_loss_curve_ = None

    def __getstate__(self):
        # A copy that is made in a callback has nothing of the call that is under way.
        return {name: value for name, value in super().__getstate__().items() if name != "_asked"}

    def _check_solver(self):
        return self.solver in STEPPING or super()._check_solver()

    def _needs_engine(self):
        """Return the names of what is asked for that only the engine knows."""
        theirs, asked = installed.BASE._parameter_constraints, self._asked
        needs = ["solver"] * (asked.solver == "adamw")
        for name in ("activation", "learning_rate"):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in theirs[name][0].options:
                needs.append(name)
        for name in (*PARAMETERS, "label_smoothing"):
            default = PARAMETERS.get(name, 0.0)
            if (
                name not in ("n_threads", "weight_decay")
                and getattr(self, name, default) != default
            ):
                needs.append(name)
        if asked.weights is not None and not installed.TAKES_WEIGHTS:
            needs.append("class_weight")
        if asked.validation_data is not None:
            needs.append("validation_data")
        if asked.tasks is not None:
            needs.append("set_callbacks")
        return needs

    def _fit_options(self):
        """Return the options of a fit, as the engine's hooks ask for them."""
        asked = self._asked
        schedule = self.learning_rate
        if isinstance(schedule, str):
            schedule = SCHEDULES.get(schedule)
        watch = None
        if self.callback is not None or asked.tasks is not None:
            watch = functools.partial(EpochWatch, self.callback, asked.tasks)
        check = None
        if asked.validation_data is not None:
            check = functools.partial(check_validation, self, asked.validation_data)
        return Options(
            dropout=self.dropout,
            clip_norm=self.clip_norm,
            label_smoothing=getattr(self, "label_smoothing", 0.0),
            weight_decay=self.weight_decay if asked.solver == "adamw" else None,
            schedule=schedule,
            weights=None if installed.TAKES_WEIGHTS else asked.weights,
            validation=check,
            watches_loss=True,
            restore_best=self.restore_best,
            keep_optimizer=self.keep_optimizer,
            n_threads=self.n_threads,
            watch=watch,
            tells_more=True,
        )

    # ----------------------------------------------------------------------------------- scores

    def _score(self, X, y, sample_weight=None):
        """Return what early stopping goes by, on rows that scikit-learn has checked."""
        weights = {"sample_weight": sample_weight} if installed.TAKES_WEIGHTS else {}
        if self.scoring is None:
            return super()._score(X, y, **weights)
        if self.scoring == "loss":
            return -self.validation_loss_curve_[-1]
        scorer = check_scoring(self, scoring=self.scoring)
        if not np.isfinite(self._forward_pass_fast(X, check_input=False)).all():
            return np.nan
        scored = copy.copy(self)
        # The rows have no names any more; without this, scikit-learn would warn of that.
        scored.__dict__.pop("feature_names_in_", None)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return float(scorer(scored, X, y, **weights))

    # -------------------------------------------------------------------------------- predictions

    def predict(self, X):
        """Predict the class, or the target, of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        # scikit-learn looks through all attributes for the sign of a fit that this one is.
        if hasattr(self, "out_activation_"):
            return self._predict(X)
        return super().predict(X)

    def to_sklearn(self):
        """Return a copy that is scikit-learn's own, and needs no fastnn.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            It predicts the same. Parameters of a training that scikit-learn does not have are left
            out, which the logger ``fastnn.sklearn`` tells.

        Raises
        ------
        ValueError
            If scikit-learn cannot compute the network.
        """
        return conversion.to_sklearn(self)

    @property
    def _n_features_out(self):
        return self.coefs_[-1].shape[0]
