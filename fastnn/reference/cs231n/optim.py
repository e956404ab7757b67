"""The course's update rules: ``rule(w, dw, config)`` returns the next w, and the next config.

The config is a dict of numbers, whose defaults are filled in, and of what the rule remembers of
``w``, zeros before the first step.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


def sgd(w, dw, config=None):
    """Step down the gradient: ``w <- w - learning_rate dw``, in place."""
    config = _filled("sgd", w, config)
    w -= config["learning_rate"] * dw
    return w, config


def sgd_momentum(w, dw, config=None):
    """Step with momentum: ``v <- momentum v - learning_rate dw``, ``w <- w + v``."""
    config = _filled("sgd_momentum", w, config)
    velocity = config["momentum"] * config["velocity"] - config["learning_rate"] * dw
    config["velocity"] = velocity
    return w + velocity, config


def rmsprop(w, dw, config=None):
    """Step by RMSProp: ``c <- d c + (1 - d) dw^2``, ``w <- w - lr dw / (sqrt(c) + epsilon)``.

    d is the ``decay_rate``, lr the ``learning_rate``.
    """
    config = _filled("rmsprop", w, config)
    decay = config["decay_rate"]
    cache = decay * config["cache"] + (1 - decay) * dw * dw
    config["cache"] = cache
    return w - config["learning_rate"] * dw / (np.sqrt(cache) + config["epsilon"]), config


def adam(w, dw, config=None):
    """Step by Adam: both moments are corrected first, epsilon is added to the corrected root.

    The number of the step, ``t``, is raised before it is used.
    """
    config = _filled("adam", w, config)
    beta1, beta2 = config["beta1"], config["beta2"]
    config["t"] += 1
    config["m"] = beta1 * config["m"] + (1 - beta1) * dw
    config["v"] = beta2 * config["v"] + (1 - beta2) * dw * dw
    m = config["m"] / (1 - beta1 ** config["t"])
    v = config["v"] / (1 - beta2 ** config["t"])
    return w - config["learning_rate"] * m / (np.sqrt(v) + config["epsilon"]), config


class Rule(NamedTuple):
    """An update rule, and what its config holds."""

    step: Callable
    numbers: dict  #: with their defaults
    memories: tuple = ()  #: names of the arrays that it remembers, each of the shape of w


#: By the names that a Solver takes.
UPDATE_RULES = {
    "sgd": Rule(sgd, {"learning_rate": 1e-2}),
    "sgd_momentum": Rule(sgd_momentum, {"learning_rate": 1e-2, "momentum": 0.9}, ("velocity",)),
    "rmsprop": Rule(
        rmsprop, {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8}, ("cache",)
    ),
    "adam": Rule(
        adam,
        {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "t": 0},
        ("m", "v"),
    ),
}


def _filled(name, w, config):
    """Return the config with the defaults of what it does not say."""
    config = {} if config is None else config
    for key, value in UPDATE_RULES[name].numbers.items():
        config.setdefault(key, value)
    for key in UPDATE_RULES[name].memories:
        if key not in config:
            config[key] = np.zeros_like(w)
    return config
