"""From whatever users have (lists, data frames, series, masked arrays) to plain NumPy arrays."""

from collections.abc import Iterable, Mapping

import numpy as np

from .perceptrons import type_of

#: Kinds of dtypes that are real numbers: floats, integers, unsigned integers, booleans.
REAL = "fiub"
#: Names of columns that an error lists.
LISTED = 5


def to_array(values, name):
    """Return `values` as an array; it shares memory with them where it can.

    Data frames become one array of numbers, as scikit-learn takes them: booleans are 0 and 1, and
    a missing value is NaN. An array of objects becomes float64 if all are numbers.

    Parameters
    ----------
    values : array-like, data frame or series of pandas or polars
    name : str
        What errors call it.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        For a sparse matrix, for what makes no array, and for columns and objects that are no
        numbers.
    ValueError
        For ragged lists, and for masked arrays of which elements are masked.
    """
    if type(values) is np.ndarray and values.dtype.kind in REAL:
        return values
    if hasattr(values, "tocsr"):
        raise TypeError(
            f"{name} is a sparse matrix, but a dense array is needed here: pass {name}.toarray(); "
            "fastnn.Network takes sparse X as it is"
        )
    if isinstance(values, np.ma.MaskedArray):
        _refuse_masked(values, name)
    if is_frame(values):
        return _from_frame(values, name)
    if hasattr(values, "to_numpy") and hasattr(values, "dtype"):
        return _from_series(values, name)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name} makes no array ({error}): pass rows of equal lengths, all numbers"
        ) from None
    if array.ndim == 0 and array.dtype.kind not in REAL:
        raise TypeError(
            f"{name} is {'None' if values is None else type_of(values)}, but needed is an array of "
            f"numbers: {_array_of(values, name)}"
        )
    return _from_objects(array, name) if array.dtype == object else array


def _array_of(values, name):
    """Return how to make an array of what NumPy takes for a single object."""
    if isinstance(values, Mapping):
        return f"pass one of its values, or pandas.DataFrame({name}) if they are columns"
    if isinstance(values, (set, frozenset)):
        return "pass an array or a list, as a set has no order"
    if isinstance(values, Iterable) and not isinstance(values, (str, bytes, type)):
        return f"pass list({name})"
    return "pass an array, a list or a data frame"


def is_frame(values):
    """Tell whether values are a data frame of pandas or polars."""
    kind = type(values)  # the values' own answer takes pandas as long as a row takes a network
    return hasattr(kind, "dtypes") and hasattr(kind, "columns")


def listed(names):
    """Return names as a text, of which only the first are said."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def column_of(values, i):
    """Return what to call column i of a data frame, or element i of a series of columns."""
    names = values.columns if is_frame(values) else ()
    if hasattr(values, "iloc") and getattr(values, "ndim", 2) == 1:
        names = values.index
    name = names[i] if i < len(names) else None
    return f"column {i} ({name!r})" if isinstance(name, str) else f"column {i}"


def _refuse_masked(values, name):
    count = int(np.ma.count_masked(values))
    if count:
        raise ValueError(
            f"{name} is a masked array of which {count} elements are masked, but every element is "
            f"used: fill them with {name}.filled(value), or drop their rows"
        )


def _from_frame(frame, name):
    """Return a data frame as an array (rows, columns); name the columns that are no numbers."""
    is_pandas = hasattr(frame, "iloc")
    kinds = set(frame.dtypes) if is_pandas else ()
    if len(kinds) == 1 and all(isinstance(kind, np.dtype) and kind.kind in REAL for kind in kinds):
        return frame.to_numpy()  # the block that they are, instead of column by column
    names = list(frame.columns)
    if is_pandas:  # whose names of columns may stand more than once
        columns = [frame.iloc[:, i] for i in range(len(names))]
    else:
        columns = [frame[column] for column in names]
    parts = [_numbers(column) for column in columns]
    wrong = [
        f"{label!r} ({column.dtype})"
        for label, column, part in zip(names, columns, parts)
        if part is None
    ]
    if wrong:
        raise TypeError(
            f"{name} has columns that are no numbers: {listed(wrong)}. Drop them, or encode "
            "them, for example with sklearn.preprocessing.OneHotEncoder"
        )
    if not parts:
        return np.zeros((len(frame), 0))
    return np.stack(parts, axis=1)


def _from_series(series, name):
    part = _numbers(series)
    if part is None:
        # Labels that are text, or dates: who asked for numbers says what to do.
        part = np.asarray(series)
    return part


def _numbers(column):
    """Return a column of a data frame as an array of numbers, or None if it is none."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind in REAL:
            return np.asarray(column)
        return None if dtype.kind in "mM" else _numbers_of_objects(np.asarray(column))
    kind = getattr(dtype, "kind", None)
    if kind is None:  # polars
        if not (dtype.is_numeric() or str(dtype) == "Boolean"):
            return None
        part = np.asarray(column)
    elif kind in REAL and not hasattr(column.array, "sp_values"):
        # pandas: nullable and Arrow columns, whose missing values np.asarray keeps as objects.
        part = column.to_numpy(dtype=np.float64, na_value=np.nan) if column.hasnans else None
        part = column.to_numpy() if part is None else part
    else:  # categories of numbers, sparse columns
        part = np.asarray(column) if kind not in "mM" else None
    if part is None or part.dtype.kind in REAL:
        return part
    return _numbers_of_objects(part)


def _numbers_of_objects(array):
    """Return an array of numbers and Nones as float64, or None if it holds anything else."""
    if array.dtype != object or any(isinstance(value, (str, bytes)) for value in array.flat):
        return None
    try:
        # pandas.NA is what equals nothing, not even itself, and has no truth value.
        flat = [np.nan if value is None else value for value in array.flat]
        return np.array(flat, np.float64).reshape(array.shape)
    except (TypeError, ValueError):
        return None


def _from_objects(array, name):
    """Return an array of objects as float64; say which of them is no number."""
    part = _numbers_of_objects(array)
    if part is not None:
        return part
    for place, value in np.ndenumerate(array):
        if _numbers_of_objects(np.array([value, None], object)) is None:
            where, remedy = ", ".join(map(str, place)), "drop or replace such elements"
            if array.ndim > 1:
                remedy = (
                    "drop or encode such columns, for example with "
                    "sklearn.preprocessing.OneHotEncoder"
                )
            raise TypeError(
                f"{name} holds {value!r} at [{where}], but all of it must be numbers: {remedy}"
            )
    raise TypeError(f"{name} holds objects that are no numbers: convert them")
