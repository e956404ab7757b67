"""From a data set to what networks are trained on, and from a trained network to a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import Network
from fastnn.checks.data import check_input
from fastnn.checks.standardization import Standardization
from fastnn.data import Dataset


@dataclass(frozen=True, eq=False)
class Problem:
    """A dataset as the networks of a dtype are trained on it, which all runs of a sweep share.

    Attributes
    ----------
    dataset : Dataset
    X, X_val : ndarray
        Standardised, in the dtype of the networks. Bytes are as they are: the networks standardise
        them row by row while they read them, which takes a fourth or an eighth of the memory.
    y, y_val : ndarray
        Class indices, or targets that are standardised as well.
    scaling : dict
        What the networks do with X and X_val, as arguments of :class:`fastnn.Network`.
    """

    dataset: Dataset
    X: np.ndarray
    y: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    scaling: Mapping[str, Any]


def problem_of(dataset: Dataset, dtype: str) -> Problem:
    """Return what networks of a dtype are trained on.

    Raises
    ------
    ValueError
        For numbers that are beyond the range of the dtype, standardised as they are.
    """
    mean, scale, _ = dataset.inputs
    rows, scaling = [dataset.X_train, dataset.X_val], {"input_mean": mean, "input_scale": scale}
    if dataset.X_train.dtype != np.uint8:
        known = np.dtype(dtype), Standardization(mean, scale)
        rows = [
            check_input(X, dataset.n_features, known[0], name, known[1])
            for X, name in zip(rows, ("X", "X_val"))
        ]
        scaling = {}
    targets = [dataset.y_train, dataset.y_val]
    if dataset.targets is not None:
        standardization = Standardization(dataset.targets.mean, dataset.targets.scale)
        targets = [standardization.apply(y, np.dtype(dtype)) for y in targets]
        for name, y, source in zip(("y", "y_val"), targets, (dataset.y_train, dataset.y_val)):
            if not np.isfinite(y).all():
                raise ValueError(
                    f"{name} holds {source[~np.isfinite(y)][0]}, which is beyond the range of "
                    f"{dtype}, standardised by the training rows: divide the targets by something"
                )
    return Problem(dataset, rows[0], targets[0], rows[1], targets[1], scaling)


def model_of(net: Network, dataset: Dataset) -> Network:
    """Return the model of a trained network: rows and targets are as the source holds them.

    The standardisation of the rows becomes the model's own. That of the targets goes into the last
    layer, whose outputs are the predictions of a regression; the model is of float64 then, since
    float32 rounds what is predicted to seven digits, of which a large offset may leave none: around
    1e9 its numbers lie 64 apart.
    """
    dtype = net.dtype if dataset.targets is None else np.float64
    mean, scale, _ = dataset.inputs
    model = Network(
        *(net.layer_sizes, net.activation, net.head),
        dtype=dtype,
        init=net.init,
        random_state=0,
        input_mean=mean,
        input_scale=scale,
    )
    model.params = net.params
    if dataset.targets is not None:
        model.coefs_[-1] *= dataset.targets.scale
        model.intercepts_[-1] *= dataset.targets.scale
        model.intercepts_[-1] += dataset.targets.mean
    return model
