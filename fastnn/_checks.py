"""Every check of what users pass, before any kernel sees it: what, got, needed, remedy."""

import math
import operator

import numpy as np


def check_size(value, name, at_least=1):
    """Return `value` as an int of at least `at_least`."""
    try:
        size = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} is {value!r} of type {type(value).__name__}, but it is an integer of at least "
            f"{at_least}: pass int({name})"
        ) from None
    if size < at_least:
        raise ValueError(f"{name} is {size}, but it must be at least {at_least}")
    return size


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


def check_X(X, n_features, dtype, name="X"):
    """Return X as a C-contiguous array (n, n_features) of finite numbers of `dtype`."""
    array = np.asarray(X)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} has dtype {array.dtype}, but features are real numbers: convert it, for "
            f"example with numpy.asarray({name}, dtype=float)"
        )
    if array.ndim != 2:
        remedy = f"reshape it with {name}.reshape(len({name}), -1)"
        if array.ndim == 1:
            remedy = f"for one sample pass {name}.reshape(1, -1)"
        raise ValueError(
            f"{name} has shape {array.shape}, but needed is (n_samples, {n_features}): {remedy}"
        )
    if array.shape[1] != n_features:
        raise ValueError(
            f"{name} has {array.shape[1]} columns, but the network has {n_features} inputs: pass "
            f"{name} with {n_features} columns, or make the network with "
            f"input_size={array.shape[1]}"
        )
    if len(array) == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}: pass at least one row")
    if array.dtype is not dtype or not array.flags.c_contiguous:
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, dtype)
    if not _all_finite(array):
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(
            f"{name} holds {array[row, column]} at row {row}, column {column}, but every feature "
            f"must be finite in {array.dtype}: drop such rows or fill them in, for example with "
            f"numpy.nan_to_num({name})"
        )
    return array


def _all_finite(array):
    # A sum is finite only if every element is; it may overflow where they are large. Not by BLAS:
    # its threads would go on spinning for milliseconds, on the cores that train.
    if array.size > 4096:
        with np.errstate(over="ignore", invalid="ignore"):
            if math.isfinite(array.sum()):
                return True
    return np.count_nonzero(np.isfinite(array)) == array.size


def check_y(y, n_samples, n_classes, name="y", X_name="X"):
    """Return y as a contiguous int64 array (n_samples,) of labels in 0..n_classes-1."""
    array = np.asarray(y)
    if array.ndim != 1:
        remedy = f"pass {name}.ravel()" if array.size == n_samples else "pass one label a row"
        if array.ndim == 2 and array.shape[1] == n_classes > 1:
            remedy = f"if these are one-hot rows, pass {name}.argmax(axis=1)"
        raise ValueError(f"{name} has shape {array.shape}, but needed is ({n_samples},): {remedy}")
    if len(array) != n_samples:
        raise ValueError(
            f"{name} has {len(array)} labels, but {X_name} has {n_samples} rows: pass one label a "
            "row"
        )
    if array.dtype.kind not in "iubf":
        raise TypeError(
            f"{name} has dtype {array.dtype}, but labels are integers 0..{n_classes - 1}: number "
            f"the classes, for example with numpy.unique({name}, return_inverse=True)[1]"
        )
    if array.dtype.kind == "f":
        integral = np.isfinite(array) & (array == np.floor(array))
        if not integral.all():
            raise ValueError(
                f"{name} holds the label {array[~integral][0]}, but labels are integers "
                f"0..{n_classes - 1}: number the classes, for example with "
                f"numpy.unique({name}, return_inverse=True)[1]"
            )
    lowest, highest = array.min(), array.max()
    if lowest < 0 or highest >= n_classes:
        wrong = lowest if lowest < 0 else highest
        remedy = f"relabel {name}"
        if lowest >= 0:
            remedy = f"pass output_size={int(highest) + 1}, or {remedy}"
        raise ValueError(
            f"{name} holds the label {wrong}, but the network has {n_classes} classes "
            f"(0..{n_classes - 1}): {remedy}"
        )
    return np.ascontiguousarray(array, np.int64)


def check_random_state(random_state):
    """Return an object with ``randn`` and ``randint``: NumPy's global generator for None."""
    if random_state is None:
        return np.random
    if isinstance(random_state, np.random.RandomState):
        return random_state
    try:
        return np.random.RandomState(operator.index(random_state))
    except TypeError:
        raise TypeError(
            f"random_state is {random_state!r}, but it is None (NumPy's global generator), an "
            "integer seed or a numpy.random.RandomState: pass one of them"
        ) from None


def check_function(value, name, alternatives):
    """Return `value` if it can be called or is one of the `alternatives`."""
    if callable(value) or any(value is alternative for alternative in alternatives):
        return value
    others = ", ".join(str(alternative) for alternative in alternatives)
    raise TypeError(
        f"{name} is {value!r}, but it is {others} or a function: pass a function that takes a "
        "TrainingProgress"
    )
