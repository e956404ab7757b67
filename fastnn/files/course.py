"""What the files of the course's classes hold, see :mod:`.formats`."""

import itertools

import numpy as np

from ..reference.cs231n.optim import UPDATE_RULES
from .container import Format
from .json_values import either, fields, flag, integer, number, one_of, refuse, sizes

FLOAT64 = np.dtype("f8")
TWO_LAYER_NET_FORMAT = "fastnn.TwoLayerNet"
COURSE_TWO_LAYER_NET = "fastnn.cs231n.TwoLayerNet"
FULLY_CONNECTED_NET = "fastnn.cs231n.FullyConnectedNet"
SOLVER = "fastnn.cs231n.Solver"


def _configs(value, name):
    """Check the numbers of an update rule for each parameter."""
    if not isinstance(value, dict):
        refuse(name, value, "a dict")
    for parameter, config in value.items():
        if not isinstance(config, dict):
            refuse(f"{name}.{parameter}", config, "a dict")
        for key, of_rule in config.items():
            number(of_rule, f"{name}.{parameter}.{key}")


_TWO_LAYER_NET = {"reg_factor": number}
_COURSE_TWO_LAYER_NET = {**_TWO_LAYER_NET, "reg": either(number, None), "guessed": flag}
_FULLY_CONNECTED_NET = {
    "layer_sizes": sizes,
    "dtype": one_of("float32", "float64"),
    "reg": number,
    "dropout_keep_ratio": either(number, None),
    "seed": either(integer(below=2**32), None),
}
_SOLVER = {
    "update_rule": one_of(*UPDATE_RULES),
    **dict.fromkeys(("epoch", "steps", "checks"), integer()),
    "best_val_acc": number,
    "best": flag,
    "optim_configs": _configs,
}


def _two_layer_net_layout(checks):
    def layout(description, declared):
        fields(description, checks)
        dtype, shape = declared.get("W1", (FLOAT64, ()))
        D, H = shape if len(shape) == 2 else (1, 1)
        C = (*declared.get("b2", (dtype, ()))[1], 1)[0]
        needed = {"W1": (D, H), "b1": (H,), "W2": (H, C), "b2": (C,)}
        if not (D and H and C and dtype.kind == "f"):
            raise ValueError(f"W1 is of {dtype}, and the sizes are {D}, {H} and {C}")
        return {name: (dtype, shape) for name, shape in needed.items()}

    return layout


def _fully_connected_net_layout(description, declared):
    fields(description, _FULLY_CONNECTED_NET)
    dtype, needed = np.dtype(description["dtype"]), {}
    for i, (K, N) in enumerate(itertools.pairwise(description["layer_sizes"]), 1):
        needed |= {f"W{i}": (dtype, (K, N)), f"b{i}": (dtype, (N,))}
    return needed


def _solver_layout(description, declared):
    fields(description, _SOLVER)
    configs, rule = description["optim_configs"], UPDATE_RULES[description["update_rule"]]
    checks = FLOAT64, (description["checks"],)
    needed = {
        "loss_history": (FLOAT64, (description["steps"],)),
        **dict.fromkeys(("train_acc_history", "val_acc_history"), checks),
    }
    for name, config in configs.items():
        fields(config, dict.fromkeys(rule.numbers, number), f"optim_configs.{name}.")
        # Of any shape and dtype: the model need not be one of fastnn.
        known = declared.get(f"params.{name}", (FLOAT64, ()))
        needed[f"params.{name}"] = known
        if description["best"]:
            needed[f"best_params.{name}"] = known
        needed |= {f"optim_configs.{name}.{memory}": known for memory in rule.memories}
    return needed


def _check_solver(description, arrays):
    for name in ("train_acc_history", "val_acc_history"):
        if not ((arrays[name] >= 0) & (arrays[name] <= 1)).all():
            raise ValueError(f"{name} holds what is no share")
    highest = description["best_val_acc"]
    if not 0 <= highest <= 1:
        raise ValueError(f"best_val_acc is {highest}, which is no share")


FORMATS = {
    TWO_LAYER_NET_FORMAT: Format(_two_layer_net_layout(_TWO_LAYER_NET)),
    COURSE_TWO_LAYER_NET: Format(_two_layer_net_layout(_COURSE_TWO_LAYER_NET)),
    FULLY_CONNECTED_NET: Format(_fully_connected_net_layout),
    SOLVER: Format(_solver_layout, _check_solver),
}
