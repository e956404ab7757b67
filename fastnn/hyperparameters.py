"""How a Trainer trains: every number and choice of it, checked once, in one frozen description."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from . import optimizers, schedules
from .checks.arguments import (
    check_choice,
    check_class_weight,
    check_flag,
    check_number,
    check_share,
    check_size,
    is_flag,
)
from .jobs import Settings


@dataclass(frozen=True)
class Hyperparameters:
    """The hyper-parameters of a :class:`fastnn.Trainer`, which explains them."""

    optimizer: Any = "adam"
    batch_size: int = 200
    max_iter: int = 100
    schedule: Any = "constant"
    alpha: float = 0.0
    max_norm: float | None = None
    dropout: float = 0.0
    label_smoothing: float = 0.0
    class_weight: Any = None
    shuffle: bool = True
    replacement: bool = False
    early_stopping: bool = False
    monitor: str = "loss"
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    skip_zeros: Any = "auto"

    def __post_init__(self) -> None:
        checked = {
            "optimizer": optimizers.check_optimizer(self.optimizer),
            "batch_size": check_size(
                self.batch_size,
                "batch_size",
                remedy="pass for example min(200, len(X)), which is scikit-learn's 'auto'",
            ),
            "max_iter": check_size(self.max_iter, "max_iter", at_least=0),
            "schedule": schedules.check_schedule(self.schedule),
            "alpha": check_number(self.alpha, "alpha", "pass 0 for no penalty"),
            "dropout": check_share(self.dropout, "dropout", "pass 0 for none"),
            "label_smoothing": check_share(
                self.label_smoothing, "label_smoothing", "pass 0 for none"
            ),
            "class_weight": check_class_weight(self.class_weight),
            "monitor": check_choice(self.monitor, "monitor", ("loss", "score")),
            "validation_fraction": check_share(
                self.validation_fraction, "validation_fraction", "pass for example 0.1"
            ),
            "n_iter_no_change": check_size(self.n_iter_no_change, "n_iter_no_change"),
            "tol": check_number(self.tol, "tol", "pass 0 for any improvement"),
        }
        for name in ("shuffle", "replacement", "early_stopping"):
            checked[name] = check_flag(getattr(self, name), name)
        checked["skip_zeros"] = _check_skip_zeros(self.skip_zeros)
        if self.max_norm is not None:
            checked["max_norm"] = check_number(self.max_norm, "max_norm", "pass None for no limit")
            if checked["max_norm"] == 0:
                raise ValueError("max_norm is 0, but then nothing moves: pass None for no limit")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def check_head(self, head: str) -> None:
        """Refuse what needs classes for a head that has none."""
        for name in ("label_smoothing", "class_weight"):
            if getattr(self, name) and head != "softmax":
                raise ValueError(
                    f"{name} needs classes, but the network's head is {head!r}: pass it for "
                    "head='softmax' only"
                )

    def check_dtype(self, dtype: Any) -> None:
        """Refuse an epsilon that counts as 0 in the dtype of the parameters."""
        if not hasattr(self.optimizer, "epsilon"):
            return
        _, _, first = self.optimizer.rates(np.ones(1), np.zeros(1))
        if np.min(first) < np.finfo(dtype).tiny:
            raise ValueError(
                f"epsilon is {self.optimizer.epsilon}, but numbers as small count as 0 in {dtype}, "
                "and a weight whose gradient is 0 would become NaN: pass for example 1e-8"
            )

    def settings(self) -> Settings:
        """Return what of it no step changes, as a loop takes it."""
        beta_1, beta_2 = self.optimizer.numbers()
        return Settings(
            rule=self.optimizer.name,
            penalty=self.alpha != 0,
            beta_1=beta_1,
            beta_2=beta_2,
            label_smoothing=self.label_smoothing,
            max_norm=self.max_norm or 0.0,
            dropout=self.dropout,
        )

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it, for a checkpoint."""
        values = dict(vars(self))
        for name in ("optimizer", "schedule"):
            values[name] = [type(values[name]).__name__, asdict(values[name])]
        return values

    @classmethod
    def from_json(cls, description: dict[str, Any]) -> "Hyperparameters":
        """Return what :meth:`to_json` described."""
        values = dict(description)
        for name, module in (("optimizer", optimizers), ("schedule", schedules)):
            kind, numbers = values[name]
            values[name] = getattr(module, kind)(**numbers)
        if isinstance(values["class_weight"], dict):  # whose keys JSON makes texts
            values["class_weight"] = {int(k): v for k, v in values["class_weight"].items()}
        return cls(**values)


def _check_skip_zeros(value: Any) -> str | bool:
    """Return "auto" or a bool."""
    is_text = isinstance(value, str)
    if not is_flag(value) and not (is_text and value == "auto"):
        raise (ValueError if is_text else TypeError)(
            f"skip_zeros is {value!r}, but it is 'auto', True or False"
        )
    return "auto" if is_text else bool(value)
