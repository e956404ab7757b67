"""Arrays from .npz and .npy files, each checked: what was got, what is needed, what to do."""

import zipfile
import zlib
from pathlib import Path

import numpy as np


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file by name, or the one of a .npy file as ``X``."""
    try:
        # Given the path, np.load would leave a damaged file open.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return {"X": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        # NumPy's own message suggests allow_pickle=True, which would let the file run code.
        if "pickle" in str(error) or "Object arrays" in str(error):
            problem = (
                "it holds pickled Python objects, which are never loaded, or is no NumPy file: "
                "save plain numeric arrays with np.savez"
            )
        else:
            problem = f"it is damaged ({error}): write it again"
        raise ValueError(f"cannot read {path}: {problem}") from error


def labelled_pair(
    arrays: dict[str, np.ndarray], X_name: str, y_name: str, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    X, y = rows_and_labels(arrays, X_name, y_name, path)
    assert y is not None
    return X, y


def rows_and_labels(
    arrays: dict[str, np.ndarray], X_name: str, y_name: str, path: Path, needs_labels: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return checked rows and labels of a .npz file; None for labels that may be missing."""
    needed = [X_name, y_name] if needs_labels else [X_name]
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise ValueError(
            f"{path} has no array {' and no array '.join(missing)}; it has "
            f"{', '.join(sorted(arrays)) or 'none at all'}. Write it with "
            f"np.savez(file, {', '.join(f'{name}={name}' for name in needed)})"
        )
    X = check_rows(arrays[X_name], f"{X_name} in {path}")
    if y_name not in arrays:
        return X, None
    y = check_labels(arrays[y_name], f"{y_name} in {path}")
    if len(X) != len(y):
        raise ValueError(
            f"{X_name} has {len(X)} rows, but {y_name} has {len(y)} labels in {path}: needed one "
            "label for each row"
        )
    return X, y


def check_rows(X: np.ndarray, name: str) -> np.ndarray:
    """Return `X` as (n_samples, n_features), after its checks."""
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} has dtype {X.dtype}: needed numbers, such as float32 or uint8")
    if X.ndim < 2 or X.size == 0:
        raise ValueError(
            f"{name} has shape {X.shape}: needed (n_samples, n_features) or "
            "(n_samples, height, width[, channels]), with at least one row"
        )
    if X.dtype.kind == "f" and (bad := X.size - np.count_nonzero(np.isfinite(X))):
        raise ValueError(
            f"{name} holds {bad} values that are NaN or infinite: needed finite numbers only. "
            "Remove those rows or fill them in"
        )
    return X.reshape(len(X), -1)


def check_labels(y: np.ndarray, name: str) -> np.ndarray:
    """Return `y` as int64 class indices, after its checks."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ValueError(
            f"{name} has shape {y.shape}: needed (n_samples,), one class index a row. Where it is "
            "one-hot, take y.argmax(axis=1)"
        )
    whole = y.dtype.kind in "biu" or (y.dtype.kind == "f" and np.array_equal(y, np.floor(y)))
    if not whole or (y.size and y.min() < 0):
        raise ValueError(
            f"{name} is no array of class indices (dtype {y.dtype}): needed integers from 0 on. "
            "Encode the classes with np.unique(y, return_inverse=True)[1]"
        )
    return y.astype(np.int64)
