"""Arrays from .npz and .npy files, each checked: what was got, what is needed, what to do."""

from pathlib import Path

import numpy as np

from fastnn.data.targets import NUMBER, check_finite, check_targets


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file by name, or the one of a .npy file as ``X``."""
    name = "X"
    if not path.is_file():
        raise ValueError(f"{path} is no regular file: give a .npz or .npy file that NumPy wrote")
    try:
        # Given the path, np.load would leave a damaged file open.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"X": loaded}
            arrays = {}
            for name in loaded.files:
                array = loaded[name]
                # A zip file may also hold what is no array: as bytes.
                if isinstance(array, np.ndarray):
                    arrays[name] = array
            return arrays
    except MemoryError as error:
        problem = (
            f"it says that it holds more than fits into memory ({error}): it is damaged, or too "
            "large for this machine, then give a part of its rows"
        )
        raise ValueError(f"cannot read {path}: {problem}") from error
    except Exception as error:  # a damaged file raises anything
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # NumPy's own message suggests allow_pickle=True, which would let the file run code.
        text = str(error)
        if "Object arrays" in text:  # as the header of the array says: nothing was unpickled
            raise ValueError(_of_objects(name, path)) from error
        if "pickle" in text and "header" not in text.lower():
            problem = "it is no NumPy file: save arrays of numbers with np.savez"
        else:
            problem = f"it is damaged ({text.partition(chr(10))[0]}): write it again"
        raise ValueError(f"cannot read {path}: {problem}") from error


def _of_objects(name: str, path: Path) -> str:
    """Return what is to be said of an array of objects."""
    source = "data frames give whose columns are of several types"
    remedy = f"save {name}.to_numpy(float), after encoding columns of text"
    if name.startswith("y"):
        source, remedy = "text gives", NUMBER.format(name)
    return (
        f"{name} in {path} is an array of Python objects, as {source}, and objects are never "
        f"loaded: {remedy}"
    )


def checked_pair(
    arrays: dict[str, np.ndarray], X_name: str, y_name: str, path: Path, task: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return checked rows and targets of a .npz file."""
    X, y = rows_and_targets(arrays, X_name, y_name, path, task)
    if y is None:
        raise ValueError(_missing(arrays, (X_name, y_name), path))
    return X, y


def rows_and_targets(
    arrays: dict[str, np.ndarray], X_name: str, y_name: str, path: Path, task: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return checked rows of a .npz file, and targets where there are any."""
    if X_name not in arrays:
        raise ValueError(_missing(arrays, (X_name, y_name), path))
    X = check_rows(arrays[X_name], f"{X_name} in {path}")
    if y_name not in arrays:
        return X, None
    y = check_targets(arrays[y_name], f"{y_name} in {path}", task)
    if len(X) != len(y):
        raise ValueError(
            f"{X_name} has {len(X)} rows, but {y_name} has {len(y)} in {path}: needed one target "
            "for each row"
        )
    return X, y


def _missing(arrays: dict[str, np.ndarray], needed: tuple[str, ...], path: Path) -> str:
    missing = [name for name in needed if name not in arrays]
    return (
        f"{path} has no array {' and no array '.join(missing)}; it has "
        f"{', '.join(sorted(arrays)) or 'none at all'}. Write it with "
        f"np.savez(file, {', '.join(f'{name}={name}' for name in needed)})"
    )


def check_rows(X: np.ndarray, name: str) -> np.ndarray:
    """Return `X` as (n_samples, n_features), after its checks."""
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} has dtype {X.dtype}: needed numbers, such as float32 or uint8")
    if X.ndim < 2 or X.size == 0:
        raise ValueError(
            f"{name} has shape {X.shape}: needed (n_samples, n_features) or "
            "(n_samples, height, width[, channels]), with at least one row"
        )
    if X.dtype.kind == "f":
        check_finite(X, name, "Drop those rows, or fill in the median of the column")
    return X.reshape(len(X), -1)
