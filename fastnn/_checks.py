"""Every check of what users pass, before any kernel sees it: what, got, needed, remedy."""

import math
import operator

import numpy as np

from .engine import Sparse


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


def check_choice(value, name, choices):
    """Return `value` if it is one of the names."""
    if not isinstance(value, str) or value not in choices:
        raise (ValueError if isinstance(value, str) else TypeError)(
            f"{name} is {value!r}, but it is one of {', '.join(choices)}"
        )
    return value


def check_share(value, name, remedy):
    """Return `value` as a float in [0, 1)."""
    number = check_number(value, name, remedy)
    if number >= 1:
        raise ValueError(f"{name} is {number}, but it must be below 1: {remedy}")
    return number


def check_numbers(values, name, size):
    """Return finite float64 numbers, one for each of `size` features, from one or as many."""
    try:
        array = np.asarray(values, float)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} is {values!r}, but it is a number or an array of numbers"
        ) from None
    if array.shape not in ((), (size,)):
        raise ValueError(
            f"{name} has shape {array.shape}, but needed is one number, or shape ({size},)"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return array.copy()


def check_input(X, n_features, dtype, name="X"):
    """Return X as check_X does; uint8 as it is, and a CSR matrix as a Sparse."""
    if type(X) is np.ndarray and X.dtype != np.uint8:
        return check_X(X, n_features, dtype, name)
    if hasattr(X, "tocsr"):
        return _check_csr(X, n_features, dtype, name)
    array = np.asarray(X)
    if array.dtype != np.uint8:
        return check_X(array, n_features, dtype, name)
    if array.ndim == 2 and array.shape[1] == n_features and len(array):
        return np.ascontiguousarray(array)
    return check_X(array, n_features, dtype, name)  # says what is wrong with the shape


def _check_csr(X, n_features, dtype, name):
    if X.ndim != 2 or X.shape[1] != n_features:
        raise ValueError(
            f"{name} has shape {X.shape}, but the network has {n_features} inputs: pass {name} "
            f"with {n_features} columns, or make a network with {X.shape[-1]} inputs"
        )
    if X.shape[0] == 0:
        raise ValueError(f"{name} is empty, shape {X.shape}: pass at least one row")
    if X.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {X.dtype}, but features are real numbers: convert it")
    matrix = X.tocsr()
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    with np.errstate(over="ignore"):
        data = np.ascontiguousarray(matrix.data, dtype)
    if not _all_finite(data):
        raise ValueError(
            f"{name} holds {data[~np.isfinite(data)][0]}, but every feature must be finite in "
            f"{data.dtype}: drop such rows or fill them in"
        )
    indptr, indices = np.ascontiguousarray(matrix.indptr, np.int64), matrix.indices
    inside = len(indices) == 0 or (indices.min() >= 0 and indices.max() < n_features)
    whole = indptr[0] == 0 and indptr[-1] <= len(indices) and (np.diff(indptr) >= 0).all()
    if not (inside and whole and len(indptr) == X.shape[0] + 1 and len(data) == len(indices)):
        raise ValueError(f"{name} is a broken CSR matrix: check it with {name}.check_format()")
    # Only now: a wide index that is out of range could become another one.
    return Sparse(X.shape, indptr, np.ascontiguousarray(indices, np.int32), data)


def check_target(y, head, n_samples, n_outputs, dtype, name="y", X_name="X"):
    """Return labels for the softmax, else targets (n_samples, n_outputs) of `dtype`."""
    if head == "softmax":
        return check_y(y, n_samples, n_outputs, name, X_name)
    array = np.asarray(y)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}, but targets are real numbers: convert it")
    if array.ndim == 1 and n_outputs == 1:
        array = array[:, None]
    if array.shape != (n_samples, n_outputs):
        raise ValueError(
            f"{name} has shape {np.shape(y)}, but needed is ({n_samples}, {n_outputs}): one row "
            f"for each of {X_name}, one column for each output of the network"
        )
    with np.errstate(over="ignore"):
        targets = np.ascontiguousarray(array, dtype)
    if not _all_finite(targets):
        raise ValueError(f"{name} holds numbers that are not finite in {targets.dtype}: drop them")
    lowest, highest = targets.min(), targets.max()
    if head == "logistic" and (lowest < 0 or highest > 1):
        raise ValueError(
            f"{name} holds {lowest if lowest < 0 else highest}, but targets of the logistic head "
            "are in [0, 1]: pass 0 and 1, or probabilities"
        )
    if head == "exponential" and lowest < 0:
        raise ValueError(
            f"{name} holds {lowest}, but targets of the exponential head are counts or rates of at "
            "least 0: use head='identity' for numbers of any sign"
        )
    return targets


def check_weights(sample_weight, n_samples, dtype, name="sample_weight"):
    """Return weights (n_samples,) of `dtype`, at least 0 and not all 0, or None for None."""
    if sample_weight is None:
        return None
    array = np.asarray(sample_weight)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}, but weights are real numbers: convert it")
    if array.shape != (n_samples,):
        raise ValueError(
            f"{name} has shape {array.shape}, but needed is ({n_samples},): one weight a row"
        )
    with np.errstate(over="ignore"):
        weights = np.ascontiguousarray(array, dtype)
    if not _all_finite(weights) or weights.min() < 0 or not weights.any():
        raise ValueError(
            f"{name} must be finite, not negative, and not all 0: look at {name}.min()"
        )
    return weights


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
            f"{name} with {n_features} columns, or make a network with {array.shape[1]} inputs"
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
            remedy = f"make a network with {int(highest) + 1} outputs, or {remedy}"
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


def check_function(value, name, alternatives, argument):
    """Return `value` if it can be called or is one of the `alternatives`."""
    if callable(value) or any(value is alternative for alternative in alternatives):
        return value
    others = ", ".join(str(alternative) for alternative in alternatives)
    raise TypeError(
        f"{name} is {value!r}, but it is {others} or a function: pass a function that takes "
        f"{argument}"
    )
