"""Arrays from .npz and .npy files, each checked: what was got, what is needed, what to do."""

from pathlib import Path

import numpy as np

LARGEST_LABEL = 2**31 - 2
ENCODE = "Encode the classes with np.unique(y, return_inverse=True)[1]"


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file by name, or the one of a .npy file as ``X``."""
    if not path.is_file():
        raise ValueError(f"{path} is no regular file: give a .npz or .npy file that NumPy wrote")
    try:
        # Given the path, np.load would leave a damaged file open.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"X": loaded}
            # A zip file may also hold what is no array: as bytes.
            return {name: each for name, each in loaded.items() if isinstance(each, np.ndarray)}
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
        if "Object arrays" in text or ("pickle" in text and "header" not in text.lower()):
            problem = (
                "it holds pickled Python objects, which are never loaded, or is no NumPy file: "
                "save plain numeric arrays with np.savez"
            )
        else:
            problem = f"it is damaged ({text.partition(chr(10))[0]}): write it again"
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
    if y.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} has dtype {y.dtype}: needed class indices, integers from 0 on. {ENCODE}"
        )
    if y.dtype.kind == "f":
        wrong = ~np.isfinite(y) | (y != np.floor(y)) | (y < 0)
    else:
        wrong = y < 0
    wrong |= y > LARGEST_LABEL
    if wrong.any():
        raise ValueError(
            f"{name} holds {y[wrong][0]} in row {np.argmax(wrong)}: needed class indices, integers "
            f"from 0 to {LARGEST_LABEL}. {ENCODE}"
        )
    return y.astype(np.int64)
