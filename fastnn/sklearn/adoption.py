"""Estimators of scikit-learn's own as fastnn's."""

import copy
import inspect

from sklearn.base import is_classifier

from ..checks.perceptrons import type_of, unwrapped
from .estimators import MLPClassifier, MLPRegressor
from .installed import BASE


def from_sklearn(estimator):
    """Return a perceptron of fastnn's that is a copy of one of scikit-learn's, fitted or not.

    Parameters
    ----------
    estimator : sklearn.neural_network.MLPClassifier or MLPRegressor

    Returns
    -------
    MLPClassifier or MLPRegressor
        With copies of its parameters and of all that it has learnt, its optimiser included.

    Raises
    ------
    TypeError
        If it is no perceptron.

    Examples
    --------
    >>> import sklearn.neural_network
    >>> from fastnn.sklearn import from_sklearn
    >>> from_sklearn(sklearn.neural_network.MLPClassifier(alpha=0.1))
    MLPClassifier(alpha=0.1)
    """
    if isinstance(estimator, type) or not isinstance(estimator, BASE):
        raise TypeError(
            f"estimator is {type_of(estimator)}, but only perceptrons can be converted: "
            f"{unwrapped(estimator, 'pass an MLPClassifier or an MLPRegressor')}"
        )
    kind = MLPClassifier if is_classifier(estimator) else MLPRegressor
    names = inspect.signature(kind).parameters
    parameters = {k: v for k, v in estimator.get_params(deep=False).items() if k in names}
    converted = kind(**copy.deepcopy(parameters))
    vars(converted).update(copy.deepcopy(vars(estimator)))
    return converted
