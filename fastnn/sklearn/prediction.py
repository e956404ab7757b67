"""Predictions of a perceptron: scikit-learn's, on the engine."""

import numpy as np

from ..engine.inference import predict_outputs
from ..jobs import Architecture
from ..threads import limited
from . import installed
from .certainty import certain_rows
from .data import rows_of
from .support import architecture_of, why_not_rows


def outputs(estimator, X, check_input=True):
    """Return what scikit-learn's ``_forward_pass_fast`` does, or leave it to that to complain."""
    if check_input:
        X = _checked(estimator, X)
    if why_not_rows(estimator, X):
        return NotImplemented
    architecture, layers, X = _as_computed(estimator, X)
    with limited(getattr(estimator, "n_threads", None)):
        return predict_outputs(architecture, layers, X, architecture.head)


def hidden(estimator, X, layer):
    """Return the activations of a hidden layer, (n, units)."""
    X = _checked(estimator, X)
    reason = why_not_rows(estimator, X)
    if reason:
        raise ValueError(f"{reason}: fit the estimator again")
    architecture, layers, X = _as_computed(estimator, X)
    name, layers = architecture.activations[layer], layers[: layer + 1]
    below = Architecture(
        architecture.layer_sizes[: layer + 2], architecture.activations[:layer], "identity"
    )
    with limited(getattr(estimator, "n_threads", None)):
        Z = predict_outputs(below, layers, X, "identity")
    # With numba, which predictions of few rows need not wait for.
    from ..kernels import activation
    from ..kernels.activation import ACTIVATIONS

    Z = np.ascontiguousarray(Z)
    activation(Z, ACTIVATIONS[name], Z[:0])
    return Z


def _checked(estimator, X):
    """Return rows as scikit-learn checks what is to be predicted; raise what it raises."""
    rows = certain_rows(estimator, X)
    return installed.validated(estimator, X) if rows is None else rows


def _as_computed(estimator, X):
    """Return the architecture, the layers and the rows, of the dtype of scikit-learn's products."""
    layers = list(zip(estimator.coefs_, estimator.intercepts_))
    dtype = np.result_type(X.dtype, layers[0][0])
    if dtype != layers[0][0].dtype:
        layers = [(W.astype(dtype), b.astype(dtype)) for W, b in layers]
    return architecture_of(estimator), layers, rows_of(X, dtype)
