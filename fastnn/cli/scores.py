"""How good a model is: the accuracy of a classifier; R^2 and RMSE where it predicts numbers."""

import math
from dataclasses import dataclass

import numpy as np

from fastnn import Network, TwoLayerNet
from fastnn.data.columns import measure

#: Targets whose error is told.
LISTED = 5


@dataclass(frozen=True)
class Score:
    """What a model reaches on some rows.

    Attributes
    ----------
    name : {"accuracy", "R^2"}
    value : float
        NaN where no target varies, so that there is no R^2.
    errors : tuple of float
        The root mean square error of each target, in its unit; empty for a classifier.
    rows, right : int
        How many there are, and how many of them a classifier is right about.
    """

    name: str
    value: float
    errors: tuple[float, ...] = ()
    rows: int = 0
    right: int = 0

    @property
    def rank(self) -> float:
        """The higher, the better, on the same rows."""
        return -sum(self.errors) if math.isnan(self.value) else self.value

    @property
    def text(self) -> str:
        """The value in four decimals."""
        return "undefined" if math.isnan(self.value) else f"{self.value:.4f}"

    def facts(self) -> list[tuple[str, str]]:
        """Return names and values."""
        facts = [(self.name, self.text)]
        if self.errors:
            listed = [f"{error:.4g}" for error in self.errors[:LISTED]]
            more = ["..."] if len(self.errors) > LISTED else []
            facts.append(("RMSE", ", ".join(listed + more)))
        return facts


def task_of(model: Network | TwoLayerNet) -> str:
    """Return what the targets of a model are."""
    if isinstance(model, TwoLayerNet) or model.head == "softmax":
        return "classification"
    return "regression"


def score(model: Network | TwoLayerNet, predicted: np.ndarray, y: np.ndarray) -> Score:
    """Return how well the predictions of a model meet the targets.

    Parameters
    ----------
    model : Network or TwoLayerNet
    predicted : ndarray
        What its `predict` returned.
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Class indices where :func:`task_of` says so, else numbers.
    """
    if task_of(model) == "classification":
        hits = predicted == y
    else:
        predicted = predicted.reshape(len(predicted), -1)
        if predicted.shape != y.shape:
            raise ValueError(
                f"y has {y.shape[1]} targets a row, but the model predicts {predicted.shape[1]}: "
                "needed the targets that it was trained on"
            )
        if isinstance(model, Network) and model.head == "logistic":
            hits = (predicted == y).all(axis=1)
        else:
            return _fit(predicted, y)
    right = int(np.count_nonzero(hits))
    return Score("accuracy", right / len(hits), rows=len(hits), right=right)


def _fit(predicted: np.ndarray, y: np.ndarray) -> Score:
    """Return R^2, the mean over the targets that vary, and the error of each target."""
    errors = root_mean_square(y - predicted)
    columns = measure(y)
    with np.errstate(over="ignore"):
        shares = 1 - (errors / columns.scale) ** 2
    varying = shares[~columns.constant]
    value = float(varying.mean()) if len(varying) else math.nan
    return Score("R^2", value, tuple(errors.tolist()), rows=len(y))


def root_mean_square(differences: np.ndarray) -> np.ndarray:
    """Return the root mean square of each column; no magnitude overflows or vanishes."""
    largest = np.abs(differences).max(axis=0)
    unit = np.where(largest > 0, largest, 1)
    return unit * np.sqrt(np.mean((differences / unit) ** 2, axis=0))
