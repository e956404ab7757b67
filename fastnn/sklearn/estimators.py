"""MLPClassifier and MLPRegressor: scikit-learn's, on the engine, and what users asked for."""

import inspect
from numbers import Real
from typing import ClassVar

import numpy as np
from sklearn import neural_network
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target

from . import installed
from .certainty import (
    are_columns,
    are_labels,
    binarizer_of,
    certain_accuracy,
    certain_r2,
    certain_rows,
    classes_of,
    first_rows,
    floats,
    indicators_of,
    is_certain_number,
    is_of_classes,
    is_of_columns,
    kind_of_labels,
    note_columns,
    values_of,
)
from .outputs import OutputsBinarizer, is_of_outputs, lists_of_classes
from .perceptron import CONSTRAINTS, PARAMETERS, Perceptron, initializer, with_keywords

#: The parameters of a classifier that a regressor does not have.
OF_CLASSES = {"class_weight": None, "label_smoothing": 0.0}

_VALIDATION = {"validation_data": None}


class MLPClassifier(Perceptron, neural_network.MLPClassifier):
    """scikit-learn's ``MLPClassifier`` on fastnn's engine: the same seeds, the same numbers.

    All parameters, attributes and methods of the installed scikit-learn's class are there, and mean
    what they mean there [1]_. Those below come on top, and their defaults change nothing.

    Parameters
    ----------
    activation : str or list of str, default="relu"
        Besides scikit-learn's: "leaky_relu", "silu", "gelu", "selu", "mish"; or one name for each
        hidden layer.
    solver : str, default="adam"
        Besides scikit-learn's: "adamw", whose weights decay by themselves [2]_.
    learning_rate : str or schedule, default="constant"
        Besides scikit-learn's, for "sgd" only: "cosine" and "one_cycle", or a schedule of
        :mod:`fastnn.schedules`, such as ``StepDecay()``; for all solvers but "lbfgs".
    class_weight : dict, list of dict, "balanced" or None, default=None
        Weights of the classes; each row weighs as much, besides its `sample_weight`. "balanced":
        inversely proportional to their frequencies.
    label_smoothing : float, default=0.0
        In [0, 1): the share of a target that is spread evenly over all classes.
    dropout : float, default=0.0
        In [0, 1): the chance of a hidden unit to be left out of a step.
    clip_norm : float or None, default=None
        The largest norm of the whole gradient of a step; a longer one is scaled down.
    weight_decay : float, default=0.01
        Of "adamw": each step multiplies the weights by ``1 - learning_rate * weight_decay``.
    scoring : str, callable or None, default=None
        What early stopping goes by: a scorer of scikit-learn's, or its name; "loss" for the
        negative loss on the validation set; None for the accuracy.
    restore_best : bool or "auto", default="auto"
        Whether the parameters of the best epoch are restored: by the score where training stops
        early, else by the loss, on `validation_data` if there is any. "auto" where training stops
        early.
    keep_optimizer : bool, default=False
        With ``warm_start=True``, go on with what the optimiser remembers; a new rate or other
        parameters of it count from then on, and another solver begins anew.
    callback : callable or None, default=None
        Called with an :class:`fastnn.EpochStatus` at the end of each epoch; a true answer ends the
        fit. Where scikit-learn has callbacks (from 1.9 on), ``set_callbacks`` takes them.
    n_threads : int or None, default=None
        Most threads of a call; None for :func:`fastnn.get_num_threads`. The numbers do not depend
        on it.

    Attributes
    ----------
    validation_loss_curve_ : list of float or None
        The loss on the validation set after each epoch; None where there is none.

    Raises
    ------
    ValueError
        For parameters and data out of their range, or that do not go together.

    References
    ----------
    .. [1] https://scikit-learn.org/stable/modules/neural_networks_supervised.html
    .. [2] Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    Examples
    --------
    >>> from fastnn import MLPClassifier  # was: from sklearn.neural_network import MLPClassifier
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = MLPClassifier(random_state=0, max_iter=300).fit(X[:1500] / 16, y[:1500])
    >>> bool(clf.score(X[1500:] / 16, y[1500:]) > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **neural_network.MLPClassifier._parameter_constraints,
        **CONSTRAINTS,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }

    __init__ = initializer(neural_network.MLPClassifier, {**OF_CLASSES, **PARAMETERS})

    @with_keywords(neural_network.MLPClassifier.fit, _VALIDATION)
    def fit(self, X, y, *args, validation_data=None, **kwargs):
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            Where the installed scikit-learn takes weights (from 1.7 on).
        validation_data : tuple of array-like or None, default=None
            ``(X_val, y_val)`` or ``(X_val, y_val, sample_weight_val)``: early stopping goes by it,
            and nothing is split off; `validation_loss_curve_` is that of it. `class_weight` does
            not weigh it.

        Returns
        -------
        self : MLPClassifier
        """
        return self._call(super().fit, X, y, args, kwargs, validation_data)

    @available_if(lambda self: self._check_solver())
    @with_keywords(neural_network.MLPClassifier.partial_fit, _VALIDATION)
    def partial_fit(self, X, y, *args, validation_data=None, **kwargs):
        """Train for one epoch on some rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            Where the installed scikit-learn takes weights (from 1.7 on).
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come: needed at the first call, unless `y` is an indicator of
            several labels, whose columns say it. Of several outputs of classes, a list.
        validation_data : tuple of array-like or None, default=None
            As `fit` takes it. With ``early_stopping=True``, `validation_scores_` and the best score
            are kept up to date, and it is up to you to stop.

        Returns
        -------
        self : MLPClassifier
        """
        known = getattr(self, "classes_", None)
        if type(known) is np.ndarray and np.array_equal(known, kwargs.get("classes")):
            # As most callers do at each call: scikit-learn looks at them for longer.
            del kwargs["classes"]
        told = "classes" not in kwargs and not args and are_columns(self, y)
        if getattr(y, "ndim", 2) != 1 and not told:
            args, kwargs = self._told_by_columns(y, args, kwargs)
        return self._call(super().partial_fit, X, y, args, kwargs, validation_data)

    def _told_by_columns(self, y, args, kwargs):
        """Return the arguments behind y, with what several columns of it say of the classes."""
        names = inspect.signature(neural_network.MLPClassifier.partial_fit).parameters
        given = dict(zip(list(names)[3:], args)) | kwargs
        has_labels = not is_of_outputs(y) and type_of_target(y).startswith("multilabel")
        # A first batch of outputs may hold nothing but zeros and ones.
        listed = has_labels and lists_of_classes(given.get("classes")) is not None
        if self._has_outputs() or is_of_outputs(y) or (listed and not hasattr(self, "classes_")):
            self._note_outputs(given.pop("classes", None))
        elif has_labels:
            # Predictions are indicators, in which the classes have no names but their columns.
            self._columns_as_classes(given, y.shape[1] if hasattr(y, "shape") else len(y[0]))
        return (), given

    def _columns_as_classes(self, given, columns):
        """Have the columns of an indicator as the classes."""
        classes = given.get("classes")
        if classes is not None and len(np.unique(np.asarray(classes))) != columns:
            raise ValueError(
                f"classes holds {len(np.unique(np.asarray(classes)))} labels, but y has {columns} "
                "columns: leave classes out, as the columns of an indicator are its classes"
            )
        if classes is not None or not hasattr(self, "classes_"):
            given["classes"] = np.arange(columns)

    def _note_outputs(self, classes):
        """Note the classes of several outputs, at the first call."""
        if hasattr(self, "classes_"):
            return
        classes = lists_of_classes(classes)
        if classes is None:
            raise ValueError(
                "y has several outputs of classes, so that classes must be a list of the classes "
                "of each at the first call of partial_fit"
            )
        self._validate_params()
        self._label_binarizer, self.classes_ = OutputsBinarizer(classes), classes

    def _has_outputs(self):
        """Tell whether this was fitted to several outputs of classes."""
        return isinstance(getattr(self, "_label_binarizer", None), OutputsBinarizer)

    def _validate_input(self, X, y, incremental, reset):
        keeps = hasattr(self, "classes_") and (self.warm_start or incremental)
        if (keeps and self._has_outputs()) or (not keeps and is_of_outputs(y)):
            X, y = installed.validated_pair(self, X, y, reset)
            if not keeps:
                self._label_binarizer = OutputsBinarizer.of_targets(y)
                self.classes_ = self._label_binarizer.classes_
            return X, self._label_binarizer.transform(y)
        rows = None if reset else certain_rows(self, X)
        if rows is not None:
            indicators = indicators_of(self, values_of(y), rows.shape[0])
            if indicators is not None:
                return floats(rows), indicators
        if keeps or getattr(y, "ndim", None) != 1:
            return super()._validate_input(X, y, incremental, reset)
        rows, labels = first_rows(X) if reset else None, values_of(y)
        if rows is not None and kind_of_labels(labels, rows.numbers.shape[0]) != "others":
            note_columns(self, rows)
            X, y = rows.numbers, labels
        else:
            X, y = installed.validated_pair(self, X, y, reset)
        self._label_binarizer = binarizer_of(y) or LabelBinarizer().fit(y)
        self.classes_ = self._label_binarizer.classes_
        indicators = indicators_of(self, y, len(y))
        if indicators is None:
            indicators = self._label_binarizer.transform(y).astype(bool)
        return X, indicators

    def _predict(self, X, check_input=True):
        if is_of_columns(self):
            return (self._forward_pass_fast(X, check_input=check_input) > 0.5).astype(int)
        if not is_of_classes(self) or len(self.classes_) < 2:
            return super()._predict(X, check_input=check_input)
        return classes_of(self, self._forward_pass_fast(X, check_input=check_input))

    def predict_proba(self, X):
        """Compute the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or a list of them
            In the order of ``classes_``; a list where there are several outputs of classes.
        """
        if not self._has_outputs():
            return super().predict_proba(X)
        return self._label_binarizer.probabilities(self._forward_pass_fast(X))

    def predict_log_proba(self, X):
        """Compute the logarithms of the probabilities, see :meth:`predict_proba`."""
        if not self._has_outputs():
            return super().predict_log_proba(X)
        with np.errstate(divide="ignore"):
            return [np.log(part) for part in self.predict_proba(X)]

    def score(self, X, y, sample_weight=None):
        """Compute the accuracy; of several outputs or labels, a row is right if all of it is."""
        if self._has_outputs():
            return self._label_binarizer.accuracy(y, self.predict(X), sample_weight)
        rows = certain_rows(self, X) if sample_weight is None else None
        if rows is not None and are_labels(self, labels := values_of(y), rows.shape[0]):
            return certain_accuracy(self.predict(X) == labels)
        return super().score(X, y, sample_weight=sample_weight)

    def _score(self, X, y, sample_weight=None):
        if self.scoring is None and are_labels(self, y, X.shape[0]):
            # accuracy_score checks its arguments for twice as long as an epoch of small data takes.
            right = self._predict(X, check_input=False) == y
            accuracy = certain_accuracy(right, sample_weight)
            if accuracy is not None:
                return accuracy
        if self.scoring is not None or not self._has_outputs():
            return super()._score(X, y, sample_weight=sample_weight)
        columns = self._forward_pass_fast(X, check_input=False)
        if not np.isfinite(columns).all():
            return np.nan
        predicted = self._label_binarizer.inverse_transform(columns)
        return self._label_binarizer.accuracy(y, predicted, sample_weight)

    def _row_weights(self, y, sample_weight, incremental):
        if self.class_weight is None:
            return sample_weight
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all rows at once, but partial_fit sees some: pass "
                "a dict, as compute_class_weight of sklearn.utils.class_weight makes it"
            )
        weights = compute_sample_weight(self.class_weight, column_or_1d(y) if _is_column(y) else y)
        return weights if sample_weight is None else weights * np.asarray(sample_weight)


class MLPRegressor(Perceptron, neural_network.MLPRegressor):
    """scikit-learn's ``MLPRegressor`` on fastnn's engine: the same seeds, the same numbers.

    All parameters, attributes and methods of the installed scikit-learn's class are there, and mean
    what they mean there. Those that come on top are those of :class:`MLPClassifier`, but for
    `class_weight` and `label_smoothing`; `scoring` is by default the coefficient of determination.

    Examples
    --------
    >>> from fastnn import MLPRegressor  # was: from sklearn.neural_network import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(200, 10, random_state=0)
    >>> reg = MLPRegressor(solver="lbfgs", max_iter=1000, random_state=0).fit(X, y / 100)
    >>> bool(reg.score(X, y / 100) > 0.99)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **neural_network.MLPRegressor._parameter_constraints,
        **CONSTRAINTS,
    }

    __init__ = initializer(neural_network.MLPRegressor, PARAMETERS)

    @with_keywords(neural_network.MLPRegressor.fit, _VALIDATION)
    def fit(self, X, y, *args, validation_data=None, **kwargs):
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            Where the installed scikit-learn takes weights (from 1.7 on).
        validation_data : tuple of array-like or None, default=None
            ``(X_val, y_val)`` or ``(X_val, y_val, sample_weight_val)``: early stopping goes by it,
            and nothing is split off; `validation_loss_curve_` is that of it.

        Returns
        -------
        self : MLPRegressor
        """
        return self._call(super().fit, X, y, args, kwargs, validation_data)

    @available_if(lambda self: self._check_solver())
    @with_keywords(neural_network.MLPRegressor.partial_fit, _VALIDATION)
    def partial_fit(self, X, y, *args, validation_data=None, **kwargs):
        """Train for one epoch on some rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            Where the installed scikit-learn takes weights (from 1.7 on).
        validation_data : tuple of array-like or None, default=None
            As `fit` takes it. With ``early_stopping=True``, `validation_scores_` and the best score
            are kept up to date, and it is up to you to stop.

        Returns
        -------
        self : MLPRegressor
        """
        return self._call(super().partial_fit, X, y, args, kwargs, validation_data)

    def _validate_input(self, X, y, incremental, reset):
        numbers = values_of(y)
        if reset:
            first = first_rows(X)
            if first is not None and is_certain_number(numbers, first.numbers.shape[0]):
                note_columns(self, first)
                return first.numbers, numbers
        else:
            rows = certain_rows(self, X)
            if rows is not None and is_certain_number(numbers, rows.shape[0]):
                return floats(rows), numbers
        return super()._validate_input(X, y, incremental, reset)

    def score(self, X, y, sample_weight=None):
        """Compute the coefficient of determination; of several outputs, the mean of theirs."""
        rows = certain_rows(self, X) if sample_weight is None else None
        if rows is not None and is_certain_number(numbers := values_of(y), rows.shape[0]):
            score = certain_r2(numbers, self.predict(X))
            if score is not None:
                return score
        return super().score(X, y, sample_weight=sample_weight)

    def _score(self, X, y, sample_weight=None):
        if self.scoring is None:
            score = certain_r2(y, self._predict(X, check_input=False), sample_weight)
            if score is not None:
                return score
        return super()._score(X, y, sample_weight=sample_weight)


def _is_column(y):
    """Tell whether targets are a matrix of a single column."""
    return getattr(y, "ndim", 1) == 2 and y.shape[1] == 1
