"""Checks of data: rows, labels, targets and weights, as the kernels then read them by address."""

import math

import numpy as np

from ..jit import jit_disabled
from .arrays import REAL, column_of, to_array
from .feature_names import check_feature_names, labels_of
from .sparse import Sparse, checked_csr

#: Bytes from which on a kernel looks through an array. Of 100,000 x 20 numbers in the midst of a
#: prediction it takes 140 us in float32 and 350 in float64, NumPy 280 and 750 (Zen 4); to load it
#: takes 2 ms once.
LARGE = 4 << 20


def check_input(X, n_features, dtype, name="X", standardization=None, names=None):
    """Return X as check_X does; uint8 as it is, and a CSR matrix as a Sparse.

    The columns of a data frame must have the `names`, where these are known.
    """
    check_feature_names(X, names, name)
    if hasattr(X, "tocsr"):
        return _check_sparse(X, n_features, dtype, name, standardization)
    array = to_array(X, name)
    if array.dtype == np.uint8 and array.ndim == 2 and array.shape[1] == n_features and len(array):
        # Scaled row by row while it is read: no floating-point copy of images exists.
        return np.ascontiguousarray(array)
    return _check_dense(X, array, n_features, dtype, name, standardization)


def flat_rows(X, name="X"):
    """Return data of more than two dimensions, such as images, with one row a sample."""
    array = to_array(X, name)
    return array.reshape(len(array), -1) if array.ndim > 2 and len(array) else array


def check_X(X, n_features, dtype, name="X", standardization=None):
    """Return X as a C-contiguous array (n, n_features) of finite numbers of `dtype`."""
    return _check_dense(X, to_array(X, name), n_features, dtype, name, standardization)


def _check_dense(X, array, n_features, dtype, name, standardization):
    """Return what :func:`check_X` does of X as an array."""
    if array.dtype.kind not in REAL:
        raise TypeError(
            f"{name} has dtype {array.dtype}, but features are real numbers: convert it, for "
            f"example with numpy.asarray({name}, dtype=float)"
        )
    if array.ndim != 2:
        # By functions of NumPy's: lists and data frames have no such methods.
        remedy = f"pass numpy.reshape({name}, (len({name}), -1))"
        if array.ndim == 0:
            remedy = f"pass rows of {n_features} numbers"
        elif array.ndim == 1:
            # A row of a data frame of pandas keeps the names of its columns.
            row = f"{name}.to_frame().T" if labels_of(X) else f"numpy.reshape({name}, (1, -1))"
            remedy = f"for one sample pass {row}"
        raise ValueError(
            f"{name} has shape {array.shape}, but needed is (n_samples, {n_features}): {remedy}"
        )
    if array.shape[1] != n_features:
        raise ValueError(
            f"{name} has {array.shape[1]} columns, but the network has {n_features} inputs: "
            f"{_other_width(name, array.shape[1], n_features)}"
        )
    if len(array) == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}: pass at least one row")
    numbers = array
    if standardization is not None:
        numbers = standardization.apply(array, dtype)
    elif array.dtype is not dtype or not array.flags.c_contiguous:
        with np.errstate(over="ignore"):
            numbers = np.ascontiguousarray(array, dtype)
    if not all_finite(numbers):
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        place = f"{name} holds {array[row, column]} at row {row}, {column_of(X, column)}"
        raise ValueError(f"{place}, {_why_not_finite(array[row, column], numbers.dtype)}")
    return numbers


def _other_width(name, columns, n_features):
    """Return what to do with data of so many columns for a network of `n_features` inputs."""
    # No network has 0 inputs.
    other = f", or make a network with {columns} inputs" if columns else ""
    return f"pass {name} with {n_features} columns{other}"


def _why_not_finite(value, dtype):
    if np.isfinite(value):
        remedy = "scale that feature"
        if dtype == np.float32:
            remedy += ", or make the network with dtype=numpy.float64"
        return f"which is beyond the range of the network's {dtype}: {remedy}"
    return (
        f"but every feature must be finite in {dtype}: drop such rows, or fill in a number, such "
        "as the median of the column"
    )


def _check_sparse(X, n_features, dtype, name, standardization):
    if X.ndim != 2:
        remedy = f"pass {name}.reshape({name}.shape[0], -1)"
        if X.ndim == 1:
            remedy = f"for one sample pass {name}.reshape(1, -1)"
        raise ValueError(
            f"{name} has shape {X.shape}, but needed is (n_samples, {n_features}): {remedy}"
        )
    if X.shape[1] != n_features:
        raise ValueError(
            f"{name} has shape {X.shape}, but the network has {n_features} inputs: "
            f"{_other_width(name, X.shape[1], n_features)}"
        )
    if X.shape[0] == 0:
        raise ValueError(f"{name} is empty, shape {X.shape}: pass at least one row")
    indptr, indices, stored = checked_csr(X, name)
    with np.errstate(over="ignore"):
        if standardization is None:
            data = np.ascontiguousarray(stored, dtype)
        elif standardization.mean.any():
            raise ValueError(
                f"{name} is sparse, but the network subtracts input_mean from its inputs, after "
                f"which none would be 0: make the network with input_mean=0, or pass "
                f"{name}.toarray()"
            )
        else:
            data = (stored / standardization.scale[indices]).astype(dtype)
    if not all_finite(data):
        value = stored[~np.isfinite(data)][0]
        raise ValueError(f"{name} holds {value}, {_why_not_finite(value, data.dtype)}")
    return Sparse(X.shape, indptr, indices, data)


def all_finite(array):
    """Tell whether every number of an array is finite."""
    floats = array.dtype.char in "fd" and array.dtype.isnative
    whole = array.flags.c_contiguous and array.flags.aligned
    if floats and whole and array.nbytes >= LARGE and not jit_disabled():
        # For less of it, to load a kernel would take longer than is won.
        from ..kernels import all_finite as compiled

        return compiled(array)
    # A sum is finite only if every element is; it may overflow where they are large. Not by BLAS:
    # its threads would go on spinning for milliseconds, on the cores that train.
    if array.size > 4096:
        with np.errstate(over="ignore", invalid="ignore"):
            if math.isfinite(array.sum()):
                return True
    return np.count_nonzero(np.isfinite(array)) == array.size


def check_target(y, head, n_samples, n_outputs, dtype, name="y", X_name="X"):
    """Return labels for the softmax, else targets (n_samples, n_outputs) of `dtype`."""
    if head == "softmax":
        return check_y(y, n_samples, n_outputs, name, X_name)
    array = to_array(y, name)
    if array.dtype.kind not in REAL:
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
    if not all_finite(targets):
        row, column = np.argwhere(~np.isfinite(targets))[0]
        value = array[row, column]
        reason = "but every target must be finite: drop such rows"
        if np.isfinite(value):
            reason = f"which is beyond the range of the network's {targets.dtype}: scale the target"
        raise ValueError(f"{name} holds {value} at row {row}, {reason}")
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


def within_range(weights, dtype):
    """Return weights in `dtype`, and what they have been divided by.

    Where nothing but their shares of the sum counts, their size must not: a sum beyond all numbers,
    or a quotient by one that is next to 0, would leave no gradient. Where their exponent is in the
    outer half of those that the dtype has, they are divided by a power of two: that rounds nothing.

    Parameters
    ----------
    weights : ndarray of shape (n_samples,)
    dtype : dtype

    Returns
    -------
    ndarray of shape (n_samples,)
        C-contiguous.
    float
    """
    largest = max(weights.max(initial=0), -weights.min(initial=0))
    exponent = int(np.frexp(largest)[1]) if np.isfinite(largest) else 0
    if abs(exponent) > np.finfo(dtype).maxexp // 2:
        return np.ascontiguousarray(np.ldexp(weights, -exponent), dtype), 2.0**exponent
    return np.ascontiguousarray(weights, dtype), 1.0


def check_weights(sample_weight, n_samples, dtype, name="sample_weight"):
    """Return weights (n_samples,) of `dtype`, at least 0 and not all 0, or None for None.

    Only their shares of the sum count, so they come back :func:`within_range`.
    """
    if sample_weight is None:
        return None
    array = to_array(sample_weight, name)
    if array.dtype.kind not in REAL:
        raise TypeError(f"{name} has dtype {array.dtype}, but weights are real numbers: convert it")
    if array.shape != (n_samples,):
        raise ValueError(
            f"{name} has shape {array.shape}, but needed is ({n_samples},): one weight a row"
        )
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    with np.errstate(over="ignore"):
        weights, _ = within_range(array, dtype)
    if not all_finite(weights) or weights.min() < 0 or not weights.any():
        raise ValueError(
            f"{name} must be finite in {weights.dtype}, not negative, and not all 0: look at "
            f"numpy.min({name}) and numpy.max({name})"
        )
    return weights


def check_y(y, n_samples, n_classes, name="y", X_name="X"):
    """Return y as an int64 array (n_samples,) of labels in 0..n_classes-1: a private copy.

    Kernels use labels as indices, so no later change of the user's array may reach them.
    """
    array = np.array(to_array(y, name))
    if array.ndim != 1:
        remedy = "pass one label a row"
        if array.size == n_samples:
            remedy = f"pass numpy.ravel({name})"
        if array.ndim == 2 and array.shape[1] == n_classes > 1:
            remedy = f"if these are one-hot rows, pass numpy.argmax({name}, axis=1)"
        raise ValueError(f"{name} has shape {array.shape}, but needed is ({n_samples},): {remedy}")
    if len(array) != n_samples:
        raise ValueError(
            f"{name} has {len(array)} labels, but {X_name} has {n_samples} rows: pass one label a "
            "row"
        )
    numbered = f"number the classes, for example with {_encoding(y, name)}"
    if array.dtype.kind not in REAL:
        raise TypeError(
            f"{name} has dtype {getattr(y, 'dtype', array.dtype)}, but labels are integers "
            f"0..{n_classes - 1}: {numbered}"
        )
    if array.dtype.kind == "f":
        integral = np.isfinite(array) & (array == np.floor(array))
        if not integral.all():
            remedy = f"{numbered}; for numbers to predict, make a Network with head='identity'"
            if np.isnan(array[~integral][0]):
                remedy = f"drop the rows of {X_name} and {name} that have none"
            raise ValueError(
                f"{name} holds the label {array[~integral][0]}, but labels are integers "
                f"0..{n_classes - 1}: {remedy}"
            )
    lowest, highest = array.min(), array.max()
    if lowest < 0 or highest >= n_classes:
        raise ValueError(
            f"{name} holds the label {lowest if lowest < 0 else highest}, but the network has "
            f"{n_classes} classes (0..{n_classes - 1}): "
            f"{_relabelled(y, array, n_classes, name, X_name)}"
        )
    return array.astype(np.int64, copy=False)


def _encoding(y, name):
    """Return what numbers the classes of y."""
    if hasattr(y, "iloc"):
        return f"{name}, names = pandas.factorize({name})"
    return f"names, {name} = numpy.unique({name}, return_inverse=True)"


def _relabelled(y, labels, n_classes, name, X_name):
    """Return what to do with y, integers of which some are no labels of a network."""
    lowest, highest = labels.min(), labels.max()
    relabel = f"relabel {name}, for example with {_encoding(y, name)}"
    if lowest == -1 and (labels == 0).any():
        return (
            "if -1 is pandas.factorize's code of a missing label, drop those rows of "
            f"{X_name} and {name}, else {relabel}"
        )
    if lowest == 1 and highest == n_classes:
        less = f"{name} - 1" if hasattr(y, "__sub__") else f"numpy.subtract({name}, 1)"
        return f"labels run from 1 to {n_classes}: pass {less}"
    if 0 <= lowest and highest < max(10 * n_classes, 100):
        return f"make a network with {int(highest) + 1} outputs, or relabel {name}"
    if len(labels) >= 20 and len(np.unique(labels)) > len(labels) // 2:
        # As good as every row has a label of its own.
        return f"{relabel}. If {name} holds numbers to predict, make a network with head='identity'"
    return relabel
