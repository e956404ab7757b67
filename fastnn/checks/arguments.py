"""Checks of single arguments: numbers, names, flags, functions, generators."""

import contextlib
import math
import numbers
import operator
from collections.abc import Sequence

import numpy as np

from .arrays import column_of


def check_size(value, name, at_least=1, remedy="pass one", below=None):
    """Return `value` as an int of at least `at_least`, and below `below` where that is given."""
    try:
        size = operator.index(value)
    except TypeError:
        if isinstance(value, (str, numbers.Real)):
            with contextlib.suppress(OverflowError, ValueError):
                int(value)
                remedy = f"pass int({name})"
        raise TypeError(
            f"{name} is {value!r} of type {type(value).__name__}, but it is an integer of at least "
            f"{at_least}: {remedy}"
        ) from None
    if size < at_least:
        raise ValueError(f"{name} is {size}, but it must be at least {at_least}")
    if below is not None and size >= below:
        raise ValueError(f"{name} is {size}, but it must be below {below}: {remedy}")
    return size


def check_layer_sizes(layer_sizes):
    """Return the sizes of at least two layers, a tuple."""
    try:
        sizes = tuple(layer_sizes)
    except TypeError:
        raise TypeError(
            f"layer_sizes is {layer_sizes!r}, but it is a sequence of integers: pass for example "
            "(784, 100, 10)"
        ) from None
    if len(sizes) < 2:
        raise ValueError(
            f"layer_sizes is {sizes}, but a network has inputs and outputs at least: pass for "
            "example (784, 100, 10)"
        )
    return tuple(check_size(size, f"layer_sizes[{i}]") for i, size in enumerate(sizes))


def check_number(value, name, remedy):
    """Return `value` as a finite float that is not negative."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}, but it is a number: {remedy}") from None
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{name} is {number}, but it must be finite and not negative: {remedy}")
    return number


def check_deviation(value, name, dtype):
    """Return the standard deviation of normal numbers that fit into a dtype."""
    deviation = check_number(value, name, "pass a small positive number such as 1e-2")
    if deviation > float(np.finfo(dtype).max) / 100:
        raise ValueError(
            f"{name} is {deviation}, but weights of that size are beyond {dtype}: pass a small "
            "positive number such as 1e-2"
        )
    return deviation


def check_init(init, dtype):
    """Return how parameters are drawn: a name, or a standard deviation."""
    if isinstance(init, str):
        return check_choice(init, "init", ("glorot", "he"), " or a standard deviation")
    return check_deviation(init, "init", dtype)


def check_dtype(dtype):
    """Return float32 or float64 as a NumPy dtype."""
    try:
        known = np.dtype(dtype)
    except TypeError:
        known = None
    # A dtype compares equal to None, where None stands for float64.
    if known is None or dtype is None or known not in (np.dtype("f4"), np.dtype("f8")):
        raise TypeError(
            f"dtype is {dtype!r}, but a network computes in float32 (faster) or float64 (more "
            "exact): pass dtype=numpy.float32 or numpy.float64"
        )
    return known


def check_choice(value, name, choices, others=""):
    """Return `value` if it is one of the names; `others` says what it may be besides."""
    if not isinstance(value, str) or value not in choices:
        raise (ValueError if isinstance(value, str) else TypeError)(
            f"{name} is {value!r}, but it is one of {', '.join(choices)}{others}"
        )
    return value


def check_names(value, name, choices, count, of_what):
    """Return `value` if it is one of the names, or a tuple of one of them for each."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return check_choice(value, name, choices)
    if len(value) != count:
        raise ValueError(
            f"{name} holds {len(value)} name{'s' * (len(value) != 1)}, but the network has {count} "
            f"{of_what}{'s' * (count != 1)}: pass one name for each, or a single name for all"
        )
    return tuple(check_choice(each, f"{name}[{i}]", choices) for i, each in enumerate(value))


def check_share(value, name, remedy):
    """Return `value` as a float in [0, 1)."""
    number = check_number(value, name, remedy)
    if number >= 1:
        raise ValueError(f"{name} is {number}, but it must be below 1: {remedy}")
    return number


def check_numbers(values, name, size):
    """Return finite float64 numbers, one for each of `size` features, from one or as many."""
    try:
        if values is None:  # of which NumPy would make a NaN
            raise TypeError
        array = np.asarray(values, float)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} is {values!r}, but it is a number or an array of numbers"
        ) from None
    if array.shape not in ((), (size,)):
        remedy = f": pass numpy.ravel({name})" if array.shape in ((1, size), (size, 1)) else ""
        raise ValueError(
            f"{name} has shape {array.shape}, but needed is one number, or shape ({size},){remedy}"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} holds {place_of(~np.isfinite(array), array, values)}, but it must be finite: "
            "pass numbers, of columns without missing values"
        )
    return np.broadcast_to(array, (size,)).copy()


def place_of(wrong, array, values):
    """Return the first wrong number of an array, with its column where there are several.

    Columns are called as the `values` do of which the array was made.
    """
    if array.ndim == 0:
        return f"{array}"
    i = int(np.argmax(wrong))
    return f"{array[i]} in {column_of(values, i)}"


def is_flag(value):
    """Tell whether `value` is true or false: Python's, NumPy's, or an array of no dimensions.

    Anything has a truth value, and that of "no" is true: so only booleans count.
    """
    if isinstance(value, (bool, np.bool_)):
        return True
    return getattr(value, "ndim", None) == 0 and "bool" in str(getattr(value, "dtype", ""))


def check_flag(value, name):
    """Return `value` as a bool if it is one, see :func:`is_flag`."""
    if not is_flag(value):
        raise TypeError(f"{name} is {value!r}, but it is True or False")
    return bool(value)


def asks_to_stop(answer):
    """Tell whether what a callback returned is true, and not merely some object."""
    return is_flag(answer) and bool(answer)


def check_class_weight(class_weight):
    """Return None, "balanced", or a dict of ints and floats."""
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return class_weight
    if not isinstance(class_weight, dict):
        raise (ValueError if isinstance(class_weight, str) else TypeError)(
            f"class_weight is {class_weight!r}, but it is a dict from classes to weights, "
            "'balanced' or None"
        )
    factors = {}
    for label, weight in class_weight.items():
        try:
            known = operator.index(label)
        except TypeError:
            raise TypeError(
                f"class_weight holds the class {label!r}, but classes are integers from 0 on: "
                "number them, as those of y"
            ) from None
        factors[known] = check_number(
            weight, f"class_weight[{known}]", "pass 1 for a class of ordinary weight"
        )
    return factors


def check_random_state(random_state):
    """Return an object with ``randn`` and ``randint``: NumPy's global generator for None."""
    if random_state is None:
        return np.random
    if isinstance(random_state, np.random.RandomState):
        return random_state
    try:
        seed = operator.index(random_state)
    except TypeError:
        raise TypeError(
            f"random_state is {random_state!r}, but it is None (NumPy's global generator), an "
            "integer seed or a numpy.random.RandomState: pass one of them"
        ) from None
    if not 0 <= seed < 2**32:
        raise ValueError(
            f"random_state is {seed}, but a seed is in 0..{2**32 - 1}: pass for example "
            f"random_state={seed % 2**32}"
        )
    return np.random.RandomState(seed)


def check_function(value, name, alternatives, argument):
    """Return `value` if it can be called; a flag or None as Python's own if it may be one."""
    if callable(value) or (value is None and None in alternatives):
        return value
    if is_flag(value) and bool(value) in alternatives:
        return bool(value)
    others = ", ".join(str(alternative) for alternative in alternatives)
    raise TypeError(
        f"{name} is {value!r}, but it is {others} or a function: pass a function that takes "
        f"{argument}"
    )


@contextlib.contextmanager
def room_for(what, n_bytes, remedy):
    """Turn NumPy's errors for arrays that cannot be had into one that says what is too large.

    Raises
    ------
    MemoryError
    """
    try:
        yield
    except (MemoryError, OverflowError, ValueError) as error:
        # NumPy has two ValueErrors of its own for sizes beyond all addresses.
        known = ("Maximum allowed dimension", "array is too big")
        if isinstance(error, ValueError) and not str(error).startswith(known):
            raise
        raise MemoryError(
            f"{what} would take {n_bytes / 2**30:,.1f} GiB of memory, which is not to be had: "
            f"{remedy}"
        ) from None
