"""The hyper-parameters of a training run: defaults that suit the data, and their combinations."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters of one training run."""

    hidden: int
    epochs: int
    batch_size: int
    learning_rate: float
    reg: float
    decay: float = 0.95
    std: float | str | None = None
    max_norm: float | None = None
    num_iters: int | None = None
    dtype: str = "float32"
    seed: int = 0

    def rows_per_step(self, n_train: int) -> int:
        """Return the rows of a batch: no more than there are."""
        return min(self.batch_size, n_train)

    def steps_per_epoch(self, n_train: int) -> int:
        """Return the number of steps that count as a pass over the training rows."""
        return -(-n_train // self.rows_per_step(n_train))

    def steps(self, n_train: int) -> int:
        """Return the number of steps: `num_iters`, or else that of `epochs` epochs."""
        if self.num_iters is not None:
            return self.num_iters
        return self.epochs * self.steps_per_epoch(n_train)

    def whole_epochs(self, n_train: int) -> tuple[int, int]:
        """Return the number of whole epochs, and that of the steps that are left."""
        return divmod(self.steps(n_train), self.steps_per_epoch(n_train))

    def epochs_begun(self, n_train: int) -> int:
        """Return the number of epochs, of which the last may be cut short."""
        whole, rest = self.whole_epochs(n_train)
        return whole + (rest > 0)

    def init(self, n_features: int) -> float | str:
        """Return `std`, or else 1/sqrt(n_features), which keeps the hidden layer near unit size."""
        return 1 / math.sqrt(n_features) if self.std is None else self.std


# Measured over the seeds 0 to 9: digits 0.972 to 0.986 on the test rows. CIFAR-10 with the
# learning rate, the regularisation and the initial weights of the post on CS231n's network. The
# gradient of the squared error has no bound, as that of the cross-entropy has: without a limit on
# its norm, images and data of 1,000 columns diverged at this learning rate.
PRESETS = {
    "digits": Settings(hidden=200, epochs=40, batch_size=20, learning_rate=0.2, reg=1e-3),
    "cifar10": Settings(
        hidden=100, epochs=10, batch_size=200, learning_rate=1e-3, reg=0.4, std=1e-4
    ),
    "npz": Settings(hidden=100, epochs=40, batch_size=20, learning_rate=0.1, reg=1e-3),
    "regression": Settings(
        hidden=100, epochs=40, batch_size=20, learning_rate=0.1, reg=1e-3, std="glorot", max_norm=1
    ),
}


def settings_for(kind: str, task: str, **given: Any) -> Settings:
    """Return the preset of a kind of data and a task, with the values `given` that are not None."""
    preset = PRESETS["regression" if task == "regression" else kind]
    return replace(preset, **{k: v for k, v in given.items() if v is not None})


def grid(settings: Settings, **values: Sequence[Any]) -> list[Settings]:
    """Return `settings` with every combination of the values; an empty list keeps its own."""
    varied = {name: each for name, each in values.items() if each}
    return [
        replace(settings, **dict(zip(varied, combination, strict=True)))
        for combination in itertools.product(*varied.values())
    ]
