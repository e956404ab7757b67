"""Where a fit of a Trainer stands, for itself, for its user and for its checkpoint."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

EPOCH_FIELDS = ("loss", "val_loss", "val_score", "learning_rate")
#: Of the records, what a run goes on with besides the history: perhaps of half a validation set.
RECORDED = ("val_losses", "val_correct")


class EpochStatus(NamedTuple):
    """Where a training stands at the end of an epoch.

    Attributes
    ----------
    epoch, max_iter : int
        Epochs done, and to do.
    loss : float
        Mean loss of the latest epoch's rows, each as of its step, the penalty included. Before the
        first epoch ends: of the latest step.
    val_loss : float
        Mean loss on the validation set, without penalty; NaN where there is none.
    val_score : float
        On the validation set: accuracy of a classifier (a row with several outputs is right if all
        are); for the identity head R^2, of all outputs together; for the exponential head the share
        of the Poisson deviance explained. NaN where there is no such set, and where the targets of
        a regression do not vary.
    learning_rate : float
        Of the epoch's last step.
    samples_per_second : float
        Since the start of this call.
    """

    epoch: int
    max_iter: int
    loss: float
    val_loss: float
    val_score: float
    learning_rate: float
    samples_per_second: float


def describe(status):
    """Return what the progress bar says."""
    text = f"loss {status.loss:.4f}  "
    if not math.isnan(status.val_loss):
        text += f"val {status.val_loss:.4f}  score {status.val_score:.3f}  "
    return text + f"{status.samples_per_second:,.0f} samples/s"


@dataclass(frozen=True)
class Position:
    """Where a fit stands, but for what the compiled loop remembers.

    It is replaced as a whole, by one assignment: Ctrl-C finds the old one or the new one.
    """

    n_samples: int
    data: int  #: fingerprint
    seed: int
    steps_per_epoch: int = 0
    items_per_epoch: int = 0  #: steps, and blocks of the validation set
    skip_zeros: bool | None = None
    done: int = 0  #: items of the order
    ended: int = 0  #: epochs whose end has been seen to
    stopped: bool = False  #: before the last epoch
    factor: float = 1.0  #: adaptive schedule: on the learning rate
    lowest: float = math.inf  #: adaptive schedule: loss so far
    epochs_at_rate: int = 0  #: adaptive schedule: epochs without an improvement at this rate
    best: float = math.inf  #: early stopping: what is monitored; scores count negative
    best_epoch: int = 0
    epochs_without_improvement: int = 0  #: early stopping
    best_params: Any = None

    def check_data(self, n_samples, data):
        """Check that `fit` got the data that the training was begun with."""
        if (self.n_samples, self.data) == (n_samples, data):
            return
        got = "other data of as many rows"
        if n_samples != self.n_samples:
            got = f"{n_samples} rows of data"
        raise ValueError(
            f"fit got {got}, but it goes on with a training that was begun with {self.n_samples} "
            "rows: pass the same X, y, weights and validation set, or make a new Trainer for other "
            "data"
        )

    def to_json(self):
        """Return all but the parameters."""
        fields = (field.name for field in dataclasses.fields(self))
        return {name: getattr(self, name) for name in fields if name != "best_params"}
