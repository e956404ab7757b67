"""Data sets as they are in their sources, split, and what their columns are like."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastnn.data import cifar10
from fastnn.data.arrays import check_rows, checked_pair, read_arrays, rows_and_targets
from fastnn.data.columns import Columns, measure
from fastnn.data.targets import TASKS, check_classes, check_targets

#: Rows and what is to be predicted of them.
Pair = tuple[np.ndarray, np.ndarray]

VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows for training, validation and test, and how to standardise them.

    Attributes
    ----------
    kind : {"digits", "cifar10", "npz"}
        Where the data come from.
    name : str
        A short name, fit for a folder.
    task : {"classification", "regression"}
    X_train, X_val : ndarray of shape (n_samples, n_features)
        As the source holds them, in its dtype.
    y_train, y_val : ndarray
        Of a classification, class indices (n_samples,), int64; of a regression, numbers
        (n_samples, n_targets).
    X_test, y_test : ndarray or None
        The same for the test; None where the source has its own validation rows but no test rows.
    inputs : Columns
        Mean and scale of the columns of `X_train`.
    targets : Columns or None
        Mean and scale of the columns of `y_train`; None for a classification.
    image_shape : tuple of int or None
        The shape of the image that a row holds, (height, width) or (height, width, channels).
    class_names : tuple of str or None
        A name for each class.
    notes : tuple of str
        What is odd about the data, for the user.
    """

    kind: str
    name: str
    task: str
    X_train: np.ndarray
    y_train: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    X_test: np.ndarray | None
    y_test: np.ndarray | None
    inputs: Columns
    targets: Columns | None = None
    image_shape: tuple[int, ...] | None = None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.X_train.shape[1]

    @property
    def n_outputs(self) -> int:
        """Number of targets; or of classes: of the names, or one more than the largest label."""
        if self.task == "regression":
            return self.y_train.shape[1]
        if self.class_names is not None:
            return len(self.class_names)
        labels = [y for y in (self.y_train, self.y_val, self.y_test) if y is not None]
        # A softmax needs two outputs, also where there is one class only.
        return max(2, 1 + max(int(y.max()) for y in labels))


# ----------------------------------------------------------------------------------- what one calls


def load_dataset(
    source: str | Path, *, task: str | None = None, random_state: int | None = 0
) -> Dataset:
    """Read data, split them into training, validation and test rows, and measure their columns.

    Parameters
    ----------
    source : str or Path
        One of

        - the word ``digits``: scikit-learn's 1,797 digits of 8x8 pixels (needs scikit-learn);
        - a folder with the binary version of CIFAR-10 (``data_batch_1.bin`` to
          ``data_batch_5.bin`` and ``test_batch.bin``), or the folder above it. The last 2 % of the
          training records, 1,000 of 50,000, are the validation rows;
        - a ``.npz`` file with the arrays ``X`` (n, ...) and ``y`` (n,), or ``y`` (n, n_targets) for
          a regression, and optionally ``X_val``, ``y_val``, ``X_test`` and ``y_test``. Without
          validation rows a tenth of X is split off; with neither validation nor test rows, a fifth
          more for the test. Both keep the proportions of the classes.
    task : {"classification", "regression"} or None, default=None
        What y is; None for a classification, unless the labels look like numbers to predict, which
        is an error.
    random_state : int or None
        Seed of the splits.

    Returns
    -------
    Dataset
        Each column is to be standardised on its own, the pixels of images (rows of more than one
        dimension) with one scale for all; of CIFAR-10, only the mean image is subtracted, as CS231n
        does.

    Raises
    ------
    OSError
        If a file is missing or cannot be read.
    TypeError, ValueError
        If the files do not hold what they should, or `random_state` is no seed.
    ImportError
        If scikit-learn is needed and missing.
    """
    if task not in (None, *TASKS):
        raise ValueError(f"task is {task!r}, but it is one of {', '.join(TASKS)}, or None")
    try:
        rng = np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"random_state is {random_state!r}, but a seed is an integer of at least 0: pass one, "
            "or None"
        ) from None
    if source == "digits":
        return _digits_dataset(rng, task or TASKS[0])
    path = _existing(source)
    if path.is_dir():
        return _cifar10_dataset(path, task or TASKS[0])
    if path.suffix == ".npz":
        return _npz_dataset(path, rng, task)
    raise ValueError(
        f"cannot train on {path}: needed the word digits, a folder with the binary version of "
        "CIFAR-10, or a .npz file with the arrays X and y. Of a data frame: "
        f"np.savez({path.stem + '.npz'!r}, X=frame.to_numpy(float), y=y)"
    )


def load_xy(
    source: str | Path, *, task: str = "classification"
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read rows, and their targets where there are any, as they are in the source.

    Parameters
    ----------
    source : str or Path
        The word ``digits`` (all 1,797), a folder with the binary version of CIFAR-10 (its test
        batch), one of its ``.bin`` files, a ``.npz`` file with ``X`` and optionally ``y``, or a
        ``.npy`` file with X alone.
    task : {"classification", "regression"}, default="classification"
        What y is.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        In the dtype of the source.
    y : ndarray or None
        Class indices (n_samples,), int64, or numbers (n_samples, n_targets).

    Raises
    ------
    OSError
        If a file is missing or cannot be read.
    ValueError
        If the file does not hold what it should, or `task` is none of the two.
    ImportError
        If scikit-learn is needed and missing.
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}, but it is one of {', '.join(TASKS)}")
    if source == "digits":
        return _read_digits(task)
    path = _existing(source)
    if path.is_dir():
        path = cifar10.find_folder(path) / cifar10.TEST_FILE
    if path.suffix == ".bin":
        X, y = cifar10.read_file(path)
        return X, check_targets(y, f"y in {path}", task)
    if path.suffix == ".npy":
        return check_rows(read_arrays(path)["X"], f"X in {path}"), None
    if path.suffix == ".npz":
        return rows_and_targets(read_arrays(path), "X", "y", path, task)
    raise ValueError(
        f"cannot read {path}: needed the word digits, a folder with the binary version of "
        "CIFAR-10, or a .bin, .npz or .npy file"
    )


# --------------------------------------------------------------------------------- the three kinds


def _read_digits(task: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "the digits come with scikit-learn, which is missing: "
            "python -m pip install scikit-learn"
        ) from error
    X, y = load_digits(return_X_y=True)
    return X, check_targets(y, "y", task)


def _digits_dataset(rng: np.random.Generator, task: str) -> Dataset:
    X, y = _read_digits(task)
    train, val, test = _split(y, task, rng, [VALIDATION_FRACTION, TEST_FRACTION])
    return Dataset(
        *("digits", "digits", task),
        *(X[train], y[train], X[val], y[val], X[test], y[test]),
        inputs=measure(X[train], is_image=True),
        targets=_measure_targets(y[train], task, "y"),
        image_shape=(8, 8),
        class_names=tuple("0123456789"),
    )


def _cifar10_dataset(path: Path, task: str) -> Dataset:
    folder = cifar10.find_folder(path)
    if task == "regression":
        raise ValueError(
            f"{folder} holds images of ten classes, which are no numbers to predict: leave out "
            "--task regression"
        )
    batches = [cifar10.read_file(folder / name) for name in cifar10.TRAIN_FILES]
    X = np.concatenate([X for X, _ in batches])
    y = np.concatenate([y for _, y in batches])
    X_test, y_test = cifar10.read_file(folder / cifar10.TEST_FILE)
    n_train = len(X) - max(len(X) // 50, 1)
    mean = X[:n_train].mean(axis=0, dtype=np.float64)
    return Dataset(
        *("cifar10", "cifar10", task),
        *(X[:n_train], y[:n_train], X[n_train:], y[n_train:]),
        *(X_test, y_test),
        inputs=Columns(mean, np.ones_like(mean), np.zeros(len(mean), bool)),
        image_shape=cifar10.IMAGE_SHAPE,
        class_names=cifar10.CLASSES,
    )


def _npz_dataset(path: Path, rng: np.random.Generator, task: str | None) -> Dataset:
    arrays, sure = read_arrays(path), task is not None
    task = task or TASKS[0]
    pairs = {"": checked_pair(arrays, "X", "y", path, task)}
    for split in ("val", "test"):
        if f"X_{split}" in arrays or f"y_{split}" in arrays:
            pairs[split] = checked_pair(arrays, f"X_{split}", f"y_{split}", path, task)
            _check_alike(pairs[""], pairs[split], split, path)
    _make_alike(pairs)
    notes = []
    if task == "classification":
        labels = np.concatenate([y for _, y in pairs.values()])
        notes = check_classes(labels, f"y in {path}", sure=sure)
    X, y = pairs.pop("")
    # Who brings validation rows has decided what to train on: then nothing is taken from X.
    fractions = {} if "val" in pairs else {"val": VALIDATION_FRACTION}
    if not pairs:
        fractions["test"] = TEST_FRACTION
    if len(X) <= len(fractions):
        raise ValueError(
            f"X in {path} has {len(X)} rows, too few to split validation rows off: add rows, or "
            "give X_val and y_val"
        )
    train, *held_out = _split(y, task, rng, list(fractions.values()))
    pairs |= {split: (X[rows], y[rows]) for split, rows in zip(fractions, held_out, strict=True)}
    X, y, (X_val, y_val) = X[train], y[train], pairs["val"]
    X_test, y_test = pairs.get("test", (None, None))
    image_shape = arrays["X"].shape[1:] if arrays["X"].ndim > 2 else None
    return Dataset(
        *("npz", path.stem, task, X, y, X_val, y_val, X_test, y_test),
        inputs=measure(X, is_image=image_shape is not None),
        targets=_measure_targets(y, task, f"y in {path}"),
        image_shape=image_shape,
        notes=tuple(notes),
    )


# ---------------------------------------------------------------------------------------- the parts


def _existing(source: str | Path) -> Path:
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file or folder {path}: give one that exists, or the word digits"
        )
    return path


def _check_alike(train: Pair, other: Pair, split: str, path: Path) -> None:
    """Raise a ValueError where a part has other columns than the training rows."""
    for name, ours, theirs, what in zip(
        ("X", "y"), train, other, ("features", "targets"), strict=True
    ):
        if ours.shape[1:] != theirs.shape[1:]:
            raise ValueError(
                f"{name}_{split} in {path} has {theirs.shape[1]} {what} a row, but {name} has "
                f"{ours.shape[1]}: needed the same {what} in the same order"
            )


def _make_alike(pairs: dict[str, Pair]) -> None:
    """Convert bytes where some X's are bytes and others are not: a network reads either."""
    dtype = np.result_type(*(X.dtype for X, _ in pairs.values()))
    for split, (X, y) in pairs.items():
        if X.dtype == np.uint8:
            pairs[split] = X.astype(dtype, copy=False), y


def _measure_targets(y: np.ndarray, task: str, name: str) -> Columns | None:
    """Return mean and scale of the targets of a regression; refuse those that do not vary."""
    if task == "classification":
        return None
    columns = measure(y)
    if columns.constant.any():
        target = int(np.argmax(columns.constant))
        which = name if y.shape[1] == 1 else f"target {target} of {name}"
        remedy = "take it out"
        if np.ptp(y[:, target]) > 0 or y.dtype.itemsize < 8:
            remedy += ", or save it in a dtype that tells its values apart"
        raise ValueError(
            f"{which} is {y[0, target]} in every row that is trained on, to the precision of "
            f"{y.dtype}, so that there is nothing to predict: {remedy}"
        )
    return columns


def _split(
    y: np.ndarray, task: str, rng: np.random.Generator, fractions: list[float]
) -> list[np.ndarray]:
    """Split rows at random: return the training rows, then those held out for each fraction.

    Systematic sampling: in an order shuffled within the classes and sorted by class, take rows at
    equal distances. Every part then has each class in proportion, to less than one row, however
    rare the class; and each part has at least one row. The rows of a regression are of one class.
    """
    rest = rng.permutation(len(y))
    if task == "classification":
        rest = rest[np.argsort(y[rest], kind="stable")]
    held_out = []
    for fraction in fractions:
        count = max(round(fraction * len(y)), 1)
        places = ((np.arange(count) + rng.random()) * (len(rest) / count)).astype(np.intp)
        held_out.append(rest[places])
        rest = np.delete(rest, places)
    return [rest, *held_out]
