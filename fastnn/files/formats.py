"""What the files of networks and trainings hold, in one place: it is checked when they are read.

Each format is a :class:`Format` in :data:`FORMATS`, of a description and of arrays:

======================= ===========================================================================
fastnn.Network          the fields of `NETWORK`, and perhaps `NAMES`; the arrays `NETWORK_ARRAYS`
fastnn.Trainer          those too, and the fields of `TRAINER`; ``history.*``, and of a training
                        that is not at its end ``state.*`` and perhaps ``best_params``
fastnn.TwoLayerNet      and those of fastnn.cs231n: see :mod:`.course`
======================= ===========================================================================

Types, dtypes, shapes and what the parts say of each other are checked here; that a number suits its
option (a dropout is below 1) by the constructors, when they get it from the file.

Whatever :meth:`fastnn.Trainer.save` writes is read. So parameters, histories and an optimiser's
memory may be NaN or infinite: a training that diverges leaves them so, and its file is read with a
warning. What no training leaves is refused: numbers of epochs and steps that do not fit together, a
best epoch without its parameters, a memory of another optimiser.
"""

import contextlib
import itertools
import warnings

import numpy as np

from .. import optimizers, schedules
from ..engine.position import EPOCH_FIELDS, RECORDED, Position
from ..hyperparameters import Hyperparameters
from . import container, course
from .container import Format
from .json_values import (
    checks_of,
    described,
    either,
    fields,
    flag,
    integer,
    limit,
    number,
    one_of,
    sizes,
    text,
    text_or_texts,
    texts,
    weights_of_classes,
)

NETWORK_FORMAT, TRAINER_FORMAT = "fastnn.Network", "fastnn.Trainer"

FLOAT64 = np.dtype("f8")

# ------------------------------------------------------------------------------ the descriptions

NETWORK = {
    "layer_sizes": sizes,
    "dtype": one_of("float32", "float64"),
    "init": either(number, "glorot", "he"),
    "activation": text_or_texts,
    "head": text,
}
NETWORK_ARRAYS = ("params", "input_mean", "input_scale")
#: In the files of networks that know the names of their inputs.
NAMES = {"feature_names": texts}
#: The arguments of Trainer, without the network and the seed.
ARGUMENTS = {
    "optimizer": described(optimizers.OPTIMIZERS, optional=("corrected_root",)),
    "schedule": described(schedules.SCHEDULES),
    "batch_size": integer(at_least=1),
    "max_iter": integer(),
    "class_weight": either(weights_of_classes, None, "balanced"),
    "max_norm": either(number, None),
    "monitor": text,
    "n_iter_no_change": integer(at_least=1),
    "skip_zeros": either(flag, "auto"),
    **dict.fromkeys(("alpha", "dropout", "label_smoothing", "validation_fraction", "tol"), number),
    **dict.fromkeys(("shuffle", "replacement", "early_stopping"), flag),
}
POSITION = {
    **checks_of(Position, float_check=limit, without=("best_params",)),
    **dict.fromkeys(("n_samples", "steps_per_epoch", "items_per_epoch"), integer(at_least=1)),
}
TRAINER = {
    **NETWORK,
    "trainer": lambda value, name: fields(value, ARGUMENTS, f"{name}."),
    "seed": integer(below=2**31),
    "runs": integer(below=2**31),
    "n_iter": integer(),
    "best_epoch": integer(),
    "position": either(lambda value, name: fields(value, POSITION, f"{name}."), None),
}

# ------------------------------------------------------------------------------------ the arrays


def _network_layout(description, declared):
    fields(description, {**NETWORK, **NAMES}, optional=NAMES)
    return _network_arrays(description, declared)


def _network_arrays(description, declared):
    layers, names = description["layer_sizes"], description.get("feature_names")
    if names is not None:
        _need(
            len(names) == layers[0],
            f"feature_names holds {len(names)} names, but the network has {layers[0]} inputs",
        )
    count = sum(K * N + N for K, N in itertools.pairwise(layers))
    needed = {"params": (np.dtype(description["dtype"]), (count,))}
    needed |= dict.fromkeys(("input_mean", "input_scale"), (FLOAT64, (layers[0],)))
    return needed


def _trainer_layout(description, declared):
    fields(description, {**TRAINER, **NAMES}, optional=NAMES)
    needed = _network_arrays(description, declared)
    steps = (*declared.get("history.step_loss", (FLOAT64, ()))[1], 0)[0]
    epochs, position = description["n_iter"], description["position"]
    needed["history.step_loss"] = FLOAT64, (steps,)
    needed |= {f"history.{name}": (FLOAT64, (epochs,)) for name in EPOCH_FIELDS}
    max_iter, best_epoch = description["trainer"]["max_iter"], description["best_epoch"]
    _need(best_epoch <= epochs, f"best_epoch is {best_epoch}, but n_iter is {epochs}")
    if position is None:
        whole = steps == 0 if epochs == 0 else steps > 0 and steps % epochs == 0
        _need(whole, f"it holds the losses of {steps} steps in {epochs} epochs, which are no whole")
        _need(description["runs"] or not epochs, f"n_iter is {epochs}, but no run was ended")
        return needed
    _check_position(position, description, steps)
    recorded = min(epochs + 1, max_iter)
    needed["state.rates"] = FLOAT64, (steps,)
    needed |= {f"state.{name}": (FLOAT64, (recorded,)) for name in RECORDED}
    optional = ["memory_1", "memory_2"]
    for name in optional[_memories(description) :]:
        # The twin remembers more than the optimiser needs.
        if f"state.{name}" in declared:
            needed[f"state.{name}"] = needed["params"]
    needed |= {f"state.{name}": needed["params"] for name in optional[: _memories(description)]}
    if "state.sums" in declared:
        # Of the compiled loop alone; how many depends on the processor.
        needed["state.sums"] = FLOAT64, (*declared["state.sums"][1], 0)[:1]
    if best_epoch:
        needed["best_params"] = needed["params"]
    return needed


def _need(holds, otherwise):
    if not holds:
        raise ValueError(otherwise)


def _memories(description):
    """Return how many numbers the optimiser remembers of each parameter."""
    from ..kernels.rules import RULES

    return RULES[Hyperparameters.from_json(description["trainer"]).optimizer.name].memories


def _check_position(position, description, steps):
    """Check that the numbers of a training that is not at its end fit together."""
    done, ended = position["done"], position["ended"]
    per_epoch, steps_per_epoch = position["items_per_epoch"], position["steps_per_epoch"]
    epochs, place = divmod(done, per_epoch)
    total = description["trainer"]["max_iter"] * per_epoch
    needed = epochs * steps_per_epoch + min(place, steps_per_epoch)
    _need(
        steps_per_epoch <= min(per_epoch, position["n_samples"]),
        f"position.steps_per_epoch is {steps_per_epoch}, of {position['n_samples']} rows and "
        f"{per_epoch} items",
    )
    _need(done <= total, f"position.done is {done}, but the training has {total} items")
    _need(
        (epochs, needed) == (description["n_iter"], steps),
        f"position.done is {done}, after {epochs} epochs and {needed} steps, but it holds "
        f"{description['n_iter']} epochs and {steps} steps",
    )
    for name, most in (
        ("ended", epochs),
        ("best_epoch", ended),
        ("epochs_without_improvement", ended),
        ("epochs_at_rate", ended),
        ("seed", 2**31 - 1),
    ):
        _need(position[name] <= most, f"position.{name} is {position[name]}, but at most is {most}")
    _need(
        position["best_epoch"] == description["best_epoch"],
        f"position.best_epoch is {position['best_epoch']}, but best_epoch "
        f"{description['best_epoch']}",
    )
    _need(
        0 <= position["factor"] <= 1, f"position.factor is {position['factor']}, outside of [0, 1]"
    )


def _check_trainer(description, arrays):
    for name in ("history.learning_rate", "state.rates", "state.val_correct"):
        _need(not (arrays.get(name, 0) < np.int64(0)).any(), f"{name} holds what is below 0")


FORMATS = {
    NETWORK_FORMAT: Format(_network_layout),
    TRAINER_FORMAT: Format(_trainer_layout, _check_trainer),
    **course.FORMATS,
}

# --------------------------------------------------------------------------- writing and reading

write = container.write


@contextlib.contextmanager
def reading(path, formats, made_by):
    """Read a file of one of some formats, see :func:`fastnn.container.reading`.

    Warns
    -----
    RuntimeWarning
        If its parameters are not all finite.
    """
    with container.reading(path, {name: FORMATS[name] for name in formats}, made_by) as found:
        yield found
    parameters = [array for name, array in found[1].items() if _is_parameter(name)]
    if not all(np.isfinite(array).all() for array in parameters):
        warnings.warn(
            f"{path} holds parameters that are not finite, as a training leaves them that has "
            "diverged: train again, with a lower learning rate",
            RuntimeWarning,
            stacklevel=5,  # past contextlib's frame and two of the class, to who reads the file
        )


def _is_parameter(name):
    return name == "params" or name.startswith("params.") or name[1:].isdecimal()
