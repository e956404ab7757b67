"""Estimators of fastnn's as scikit-learn's own: plain ones, which need no fastnn."""

import copy
import inspect
import logging

from sklearn import neural_network
from sklearn.base import is_classifier

from . import installed

logger = logging.getLogger("fastnn.sklearn")


def to_sklearn(estimator):
    """Return the perceptron of scikit-learn's that predicts as one of fastnn's does."""
    kind = neural_network.MLPClassifier if is_classifier(estimator) else neural_network.MLPRegressor
    allowed = installed.TABLES["DERIVATIVES"]
    if not isinstance(estimator.activation, str) or estimator.activation not in allowed:
        raise ValueError(
            f"activation is {estimator.activation!r}, which scikit-learn does not have: only "
            f"networks of {', '.join(allowed)} can be converted"
        )
    if isinstance(getattr(estimator, "classes_", None), list):
        raise ValueError(
            "the classifier has several outputs of classes, which scikit-learn's has not: convert "
            "one that has a single output, or several labels"
        )
    state, own = copy.deepcopy(vars(estimator)), inspect.signature(type(estimator)).parameters
    parameters = {name: state.pop(name) for name in inspect.signature(kind).parameters}
    extra = {name: state.pop(name) for name in list(state) if name in own}
    changed = [name for name, value in extra.items() if value != own[name].default]
    if parameters["solver"] == "adamw":
        parameters["solver"] = "adam"
        changed.append("solver")
    if not isinstance(parameters["learning_rate"], str) or (
        parameters["learning_rate"] in ("cosine", "one_cycle")
    ):
        parameters["learning_rate"] = "constant"
        changed.append("learning_rate")
    if changed:
        logger.warning(
            "scikit-learn has no such %s: the converted %s predicts the same, but would train "
            "without it",
            ", ".join(changed),
            kind.__name__,
        )
    converted = kind(**parameters)
    state.pop("validation_loss_curve_", None)
    optimizer = state.get("_optimizer")
    if getattr(optimizer, "lr_schedule", "constant") not in ("constant", "invscaling", "adaptive"):
        optimizer.lr_schedule = "constant"
    vars(converted).update(state)
    return converted
