"""What update rules are told and remember of each parameter, for the compiled loop and back."""

from typing import NamedTuple

import numpy as np

from .. import optimizers
from ..checks.arguments import check_number, check_share, check_size
from ..reference.cs231n.optim import UPDATE_RULES

#: More steps than anyone takes; with those of a training they are still integers of 64 bits.
_MOST_STEPS = 2**62


def check_config(rule, config, name, shape=None):
    """Return a copy of a config of an update rule, in which all is known and a number.

    With the shape of the parameter that it is about, it may hold what the rule remembers of it.
    """
    known = UPDATE_RULES[rule]
    if not hasattr(config, "items"):
        raise TypeError(f"{name} is {config!r}, but it is a dict of {', '.join(known.numbers)}")
    for key, value in config.items():
        place = f"{name}[{key!r}]"
        if shape is not None and key in known.memories:
            if np.shape(value) != shape:
                raise ValueError(
                    f"{place} has shape {np.shape(value)}, but the parameter has {shape}: take it "
                    "out to begin with zeros"
                )
        elif key not in known.numbers:
            raise ValueError(
                f"{name} holds {key!r}, but {rule} knows {', '.join(known.numbers)}: take it out"
            )
        else:
            _check_number(key, value, place)
    return dict(config)


def _check_number(key, value, place):
    if key == "t":
        check_size(
            value, place, at_least=0, remedy="take it out to begin with 0", below=_MOST_STEPS
        )
    elif key in ("learning_rate", "epsilon"):
        number = check_number(value, place, "pass for example 1e-3")
        if key == "epsilon" and number == 0:
            raise ValueError(f"{place} is 0, but it must be above 0: pass for example 1e-8")
    else:
        check_share(value, place, "pass for example 0.9")


class Common(NamedTuple):
    """What the configs of all parameters say alike."""

    numbers: dict
    memories: list  #: of each memory of the rule, the arrays of all parameters; none before a step


def common_config(rule, configs):
    """Return what configs of all parameters say alike, or None where they differ.

    Parameters
    ----------
    rule : str
    configs : list of dict
        Of each parameter, in their order; checked.

    Returns
    -------
    Common or None
    """
    known = UPDATE_RULES[rule]
    filled = [known.numbers | config for config in configs]
    numbers = [{key: config[key] for key in known.numbers} for config in filled]
    held = [[key for key in known.memories if key in config] for config in filled]
    if any(one != numbers[0] for one in numbers) or any(one != held[0] for one in held):
        return None
    if 0 < len(held[0]) < len(known.memories):
        return None
    memories = [[config[key] for config in configs] for key in held[0]]
    return Common(numbers[0], memories)


def optimizer_of(rule, numbers):
    """Return the compiled loop's optimiser of an update rule."""
    rate, *rest = (value for key, value in numbers.items() if key != "t")
    if rule == "sgd":
        return optimizers.SGD(rate)
    if rule == "sgd_momentum":
        return optimizers.Momentum(rate, *rest)
    if rule == "rmsprop":
        return optimizers.RMSProp(rate, *rest)
    return optimizers.Adam(rate, *rest, corrected_root=True)


def write_back(rule, configs, shapes, numbers, memories):
    """Write into configs what a training has left.

    Parameters
    ----------
    rule : str
    configs : list of dict
    shapes : list of tuple
        Of each parameter.
    numbers : dict
        Those that have changed.
    memories : list of ndarray
        Of each memory of the rule, one flat array for all parameters.
    """
    known, start = UPDATE_RULES[rule], 0
    for config, shape in zip(configs, shapes):
        stop = start + int(np.prod(shape))
        for key, value in known.numbers.items():
            config.setdefault(key, value)
        config.update(numbers)
        for key, memory in zip(known.memories, memories):
            config[key] = memory[start:stop].reshape(shape)
        start = stop
