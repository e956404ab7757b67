"""Checkpoints of a Solver: safetensors files, for models of any kind."""

import numpy as np

from ..files import course, formats
from ..files.container import DTYPES
from ..files.writing import check_target_path
from ..reference.cs231n.optim import UPDATE_RULES

_HISTORIES = ("loss_history", "train_acc_history", "val_acc_history")


def path_of(solver):
    """Return the path of a Solver's next checkpoint."""
    return f"{solver.checkpoint_name}_epoch_{solver.epoch}.safetensors"


def check(solver):
    """Check, before any work, that checkpoints can be written."""
    params = {name: np.asarray(array) for name, array in solver.model.params.items()}
    for name, array in params.items():
        if array.dtype not in DTYPES.values():
            raise TypeError(
                f"model.params[{name!r}] has dtype {array.dtype}, but a checkpoint holds "
                f"{', '.join(map(str, DTYPES.values()))}: convert it, or pass checkpoint_name=None"
            )
    size = sum(array.nbytes for array in params.values())
    check_target_path(path_of(solver), "checkpoint_name", size)


def save(solver):
    """Write a Solver's checkpoint."""
    rule, configs, arrays = UPDATE_RULES[solver.update_rule], {}, {}
    for name, config in solver.optim_configs.items():
        kept = {key: type(default)(config[key]) for key, default in rule.numbers.items()}
        configs[name] = kept
        arrays |= {f"optim_configs.{name}.{key}": config[key] for key in rule.memories}
    for kind, params in (("params", solver.model.params), ("best_params", solver.best_params)):
        arrays |= {f"{kind}.{name}": array for name, array in params.items()}
    arrays |= {name: np.array(getattr(solver, name), np.float64) for name in _HISTORIES}
    description = {
        "update_rule": solver.update_rule,
        "epoch": solver.epoch,
        "steps": len(solver.loss_history),
        "checks": len(solver.val_acc_history),
        "best_val_acc": float(solver.best_val_acc),
        "best": bool(solver.best_params),
        "optim_configs": configs,
    }
    formats.write(path_of(solver), course.SOLVER, description, arrays)


def restore(solver, path):
    """Give a Solver what a checkpoint holds."""
    with formats.reading(path, (course.SOLVER,), "Solver.train") as (description, arrays):
        pass
    if description["update_rule"] != solver.update_rule:
        raise ValueError(
            f"{path} is of a training by {description['update_rule']}, but this Solver has "
            f"update_rule={solver.update_rule!r}: make one with that rule"
        )
    shapes = {name: np.shape(array) for name, array in solver.model.params.items()}
    found = {name: array.shape for name, array in _named(arrays, "params").items()}
    if found != shapes:
        raise ValueError(
            f"{path} holds parameters of the shapes {found}, but the model's are {shapes}: make "
            "the model that it was written for"
        )
    params, best = (_named(arrays, kind, shapes) for kind in ("params", "best_params"))
    configs = description["optim_configs"]
    for name, config in configs.items():
        for memory in UPDATE_RULES[solver.update_rule].memories:
            config[memory] = arrays[f"optim_configs.{name}.{memory}"]
    solver.model.params, solver.best_params, solver.optim_configs = params, best, configs
    solver.epoch, solver.best_val_acc = description["epoch"], description["best_val_acc"]
    for name in _HISTORIES:
        setattr(solver, name, arrays[name].tolist())


def _named(arrays, kind, order=()):
    """Return the arrays of a kind by the names of parameters, in an order of these."""
    prefix = f"{kind}."
    found = {name[len(prefix) :]: arrays[name] for name in arrays if name.startswith(prefix)}
    return {name: found[name] for name in order or found if name in found}
