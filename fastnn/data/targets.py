"""What is to be predicted: class indices or numbers, each checked for what it probably is."""

import numpy as np

TASKS = ("classification", "regression")

LARGEST_LABEL = 2**31 - 2
#: A network that predicts it has larger numbers in it, which float64 must hold.
LARGEST_NUMBER = 1e304
#: So many classes may have one row each: toy data do.
FEW_CLASSES = 20
#: So many classes may be mostly absent: they cost little.
MANY_CLASSES = 100
#: Classes that a note names.
LISTED = 5

#: Of the targets by their name.
NUMBER = "number the classes with names, {0} = np.unique({0}, return_inverse=True)"
ENCODE = NUMBER.format("y")
REGRESSION = "train with --task regression"


def check_targets(y: np.ndarray, name: str, task: str) -> np.ndarray:
    """Return class indices (n_samples,), int64, or numbers (n_samples, n_targets)."""
    if y.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} has dtype {y.dtype}: needed numbers. Where they are names of classes, {ENCODE}"
        )
    return _check_labels(y, name) if task == "classification" else _check_numbers(y, name)


def _check_labels(y: np.ndarray, name: str) -> np.ndarray:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ValueError(
            f"{name} has shape {y.shape}: needed (n_samples,), one class index a row. Where it is "
            f"one-hot, take y.argmax(axis=1); where it holds numbers to predict, {REGRESSION}"
        )
    if y.dtype.kind == "f":
        fractions = np.isfinite(y) & (y != np.floor(y))
        if fractions.any():
            raise ValueError(
                f"{name} holds {y[fractions][0]} in row {np.argmax(fractions)}, which is no class "
                f"index, and looks like a number to predict: {REGRESSION}. Where it stands for a "
                f"class, {ENCODE}"
            )
    wrong = ~((y >= 0) & (y <= LARGEST_LABEL))
    if wrong.any():
        missing = ""
        if np.isnan(y[wrong]).any():  # np.unique would make it a class
            missing = "Drop the rows without a label. "
        elif (y == 0).any() and (y[wrong] == -1).all():
            missing = "Where it is pandas.factorize's code of a missing label, drop those rows. "
        raise ValueError(
            f"{name} holds {y[wrong][0]} in row {np.argmax(wrong)}: needed class indices, integers "
            f"from 0 to {LARGEST_LABEL}. {missing}Where they are classes, {ENCODE}; where they are "
            f"numbers to predict, {REGRESSION}"
        )
    return y.astype(np.int64)


def _check_numbers(y: np.ndarray, name: str) -> np.ndarray:
    numbers = y[:, np.newaxis] if y.ndim == 1 else y
    if numbers.ndim != 2 or numbers.shape[1] == 0:
        raise ValueError(
            f"{name} has shape {y.shape}: needed (n_samples,), or (n_samples, n_targets) for "
            "several numbers a row"
        )
    check_finite(numbers, name, "Drop those rows")
    if (beyond := np.abs(numbers, dtype=np.float64) > LARGEST_NUMBER).any():
        raise ValueError(
            f"{name} holds {numbers[beyond][0]}: needed numbers of at most {LARGEST_NUMBER:g}. "
            "Divide them by something"
        )
    return numbers


def check_finite(X: np.ndarray, name: str, remedy: str) -> None:
    """Refuse rows of numbers that are not all finite; say where the first of these is."""
    if np.isfinite(X).all():
        return
    wrong = np.argwhere(~np.isfinite(X.reshape(len(X), -1)))
    row, column = wrong[0]
    what = "1 value that is" if len(wrong) == 1 else f"{len(wrong):,} values that are"
    place = f"at row {row}" + (f", column {column}" if X[0].size > 1 else "")
    raise ValueError(
        f"{name} holds {what} NaN or infinite, {'' if len(wrong) == 1 else 'the first '}{place}: "
        f"needed finite numbers only. {remedy}"
    )


def check_classes(y: np.ndarray, name: str, *, sure: bool = False) -> list[str]:
    """Refuse labels that are probably none; return notes on what is odd about others.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int64
        At least 0.
    name : str
    sure : bool, default=False
        Whether somebody has said that they are classes. Otherwise labels of which most stand in
        one row only pass for numbers to predict: nobody could learn such classes.
    """
    classes = np.unique(y)
    largest, known = int(classes[-1]), len(classes)
    count = largest + 1
    if not sure and count > FEW_CLASSES and 2 * known > len(y):
        raise ValueError(
            f"{name} holds {known:,} different labels of up to {largest:,} in {len(y):,} rows, "
            f"which looks like numbers to predict: {REGRESSION}, or --task classification where "
            "they are classes all the same"
        )
    if count > max(10 * known, MANY_CLASSES):
        raise ValueError(
            f"{name} holds {known:,} different labels, but the largest is {largest}, which would "
            f"make {count:,} classes: {ENCODE}; where it holds numbers to predict, {REGRESSION}"
        )
    if known == 1:
        return [f"{name} holds one class only, {largest}: there is nothing to tell apart"]
    missing = np.setdiff1d(np.arange(count), classes)
    if len(missing) == 0:
        return []
    if len(missing) == 1:
        note = f"class {missing[0]} does not occur in {name} (classes 0 to {largest})"
        if missing[0] == 0:
            note += ". If your labels start at 1, number them from 0: y - 1"
        return [note]
    listed = ", ".join(map(str, missing[:LISTED])) + (", ..." if len(missing) > LISTED else "")
    return [f"{len(missing):,} of the classes 0 to {largest} do not occur in {name}: {listed}"]
