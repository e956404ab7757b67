"""Reading data for the command line: scikit-learn's digits, CIFAR-10's binary files, .npz files.

:func:`load_dataset` gives the training, validation and test rows, preprocessed and ready for
:meth:`fastnn.TwoLayerNet.train`; :func:`load_xy` gives rows as they are in a file. Nothing here
ever unpickles: a file of data cannot run code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastnn._arrays import check_rows, labelled_pair, read_arrays, rows_and_labels

CIFAR10_FOLDER = "cifar-10-batches-bin"
CIFAR10_TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR10_TEST_FILE = "test_batch.bin"
CIFAR10_IMAGE_SHAPE = (32, 32, 3)
CIFAR10_RECORD_BYTES = 1 + 32 * 32 * 3
CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2

# Rows that are converted at a time: 1,024 CIFAR-10 images take 25 MB in float64, where all of
# them would take 1.5 GB.
_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Dataset:
    """Preprocessed rows for training, validation and test, and how they were preprocessed.

    Attributes
    ----------
    kind : {"digits", "cifar10", "npz"}
        Where the data come from.
    name : str
        A short name, fit for a folder.
    X_train, X_val : ndarray of shape (n_samples, n_features)
        ``(X - mean) / scale`` for the rows X of the source.
    y_train, y_val : ndarray of shape (n_samples,), int64
        Class indices.
    X_test, y_test : ndarray or None
        The same for the test; None where the source has its own validation rows but no test rows.
    mean, scale : ndarray of shape (n_features,), float64
        The preprocessing, measured on the training rows alone.
    image_shape : tuple of int or None
        The shape of the image that a row holds, (height, width) or (height, width, channels).
    class_names : tuple of str or None
        A name for each class.
    """

    kind: str
    name: str
    X_train: np.ndarray
    y_train: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    X_test: np.ndarray | None
    y_test: np.ndarray | None
    mean: np.ndarray
    scale: np.ndarray
    image_shape: tuple[int, ...] | None = None
    class_names: tuple[str, ...] | None = None

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.X_train.shape[1]

    @property
    def n_classes(self) -> int:
        """Number of classes: that of the names, or one more than the largest label."""
        if self.class_names is not None:
            return len(self.class_names)
        labels = [y for y in (self.y_train, self.y_val, self.y_test) if y is not None]
        return 1 + max(int(y.max()) for y in labels)

    def raw_chunks(self, X: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Undo the preprocessing of `X`, some rows at a time.

        Yields
        ------
        rows : slice
            Which rows of `X` these are.
        chunk : ndarray
            ``X[rows] * scale + mean``: the rows as the source holds them, to rounding.
        """
        for rows in _chunks(len(X)):
            yield rows, (X[rows] * self.scale + self.mean).astype(X.dtype)


# ----------------------------------------------------------------------------------- what one calls


def load_dataset(
    source: str | Path, *, random_state: int | None = 0, dtype: npt.DTypeLike = np.float32
) -> Dataset:
    """Read data, split them into training, validation and test rows, and preprocess them.

    Parameters
    ----------
    source : str or Path
        One of

        - the word ``digits``: scikit-learn's 1,797 digits of 8x8 pixels (needs scikit-learn);
        - a folder with the binary version of CIFAR-10 (``data_batch_1.bin`` to
          ``data_batch_5.bin`` and ``test_batch.bin``), or the folder above it. The last 2 % of the
          training records, 1,000 of 50,000, are the validation rows;
        - a ``.npz`` file with the arrays ``X`` (n, ...) and ``y`` (n,), and optionally ``X_val``,
          ``y_val``, ``X_test`` and ``y_test``. Without validation rows a tenth of X is split off;
          with neither validation nor test rows, a fifth more for the test. Both keep the
          proportions of the classes.
    random_state : int or None
        Seed of the splits.
    dtype : dtype, default float32
        Of the X's in the result.

    Returns
    -------
    Dataset
        CIFAR-10 with the training rows' mean image subtracted, as CS231n does; the others
        standardised by the training rows: each column on its own, the pixels of images (rows of
        more than one dimension) with one scale for all; constant columns are only centred.

    Raises
    ------
    OSError
        If a file is missing or cannot be read.
    TypeError, ValueError
        If the files do not hold what they should, or `random_state` is no seed.
    ImportError
        If scikit-learn is needed and missing.
    """
    try:
        rng = np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"random_state is {random_state!r}, but a seed is an integer of at least 0: pass one, "
            "or None"
        ) from None
    if source == "digits":
        return _digits_dataset(rng, dtype)
    path = _existing(source)
    if path.is_dir():
        return _cifar10_dataset(path, dtype)
    if path.suffix == ".npz":
        return _npz_dataset(path, rng, dtype)
    raise ValueError(
        f"cannot train on {path}: needed the word digits, a folder with the binary version of "
        "CIFAR-10, or a .npz file with the arrays X and y"
    )


def load_xy(source: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Read rows, and their labels where there are any, as they are in the source.

    Parameters
    ----------
    source : str or Path
        The word ``digits`` (all 1,797), a folder with the binary version of CIFAR-10 (its test
        batch), one of its ``.bin`` files, a ``.npz`` file with ``X`` and optionally ``y``, or a
        ``.npy`` file with X alone.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        In the data type of the source.
    y : ndarray of shape (n_samples,), int64, or None
        Class indices.
    """
    if source == "digits":
        return _read_digits()
    path = _existing(source)
    if path.is_dir():
        return _read_cifar10_file(_cifar10_folder(path) / CIFAR10_TEST_FILE)
    if path.suffix == ".bin":
        return _read_cifar10_file(path)
    if path.suffix == ".npy":
        return check_rows(read_arrays(path)["X"], f"X in {path}"), None
    if path.suffix == ".npz":
        arrays = read_arrays(path)
        return rows_and_labels(arrays, "X", "y", path, needs_labels=False)
    raise ValueError(
        f"cannot read {path}: needed the word digits, a folder with the binary version of "
        "CIFAR-10, or a .bin, .npz or .npy file"
    )


# ------------------------------------------------------------------------------------------ digits


def _read_digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            'the digits come with scikit-learn, which is missing: pip install "fastnn[sklearn]"'
        ) from error
    X, y = load_digits(return_X_y=True)
    return X, y.astype(np.int64)


def _digits_dataset(rng: np.random.Generator, dtype: npt.DTypeLike) -> Dataset:
    X, y = _read_digits()
    train, val, test = _split(y, rng, [VALIDATION_FRACTION, TEST_FRACTION])
    mean, scale = _standardisation(X[train], is_image=True)
    return Dataset(
        kind="digits",
        name="digits",
        X_train=_preprocess(X[train], mean, scale, dtype),
        y_train=y[train],
        X_val=_preprocess(X[val], mean, scale, dtype),
        y_val=y[val],
        X_test=_preprocess(X[test], mean, scale, dtype),
        y_test=y[test],
        mean=mean,
        scale=scale,
        image_shape=(8, 8),
        class_names=tuple("0123456789"),
    )


# ---------------------------------------------------------------------------------------- CIFAR-10


def _cifar10_folder(path: Path) -> Path:
    """Return the folder, `path` or the one of the usual name in it, that holds every file."""
    needed = (*CIFAR10_TRAIN_FILES, CIFAR10_TEST_FILE)
    folder = path / CIFAR10_FOLDER if (path / CIFAR10_FOLDER).is_dir() else path
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} is not a CIFAR-10 folder: looked for {', '.join(needed)}; "
            f"missing {'all of them' if len(missing) == len(needed) else ', '.join(missing)}. "
            "Unpack the binary version of CIFAR-10 (cifar-10-binary.tar.gz) there"
        )
    return folder


def _read_cifar10_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 images (n, 3072), each a flattened 32x32x3 array as in CS231n, and labels."""
    if not path.is_file():  # a pipe or a device may never end
        raise ValueError(f"{path} is no regular file: give a file of CIFAR-10's binary version")
    contents = np.fromfile(path, np.uint8)
    if contents.size == 0 or contents.size % CIFAR10_RECORD_BYTES:
        raise ValueError(
            f"{path} has {contents.size} bytes, which is no whole number of CIFAR-10 records: "
            f"needed a multiple of {CIFAR10_RECORD_BYTES} (1 label and 3072 pixels each). It was "
            "probably cut short: fetch it again"
        )
    records = contents.reshape(-1, CIFAR10_RECORD_BYTES)
    y = records[:, 0].astype(np.int64)
    if y.max() >= len(CIFAR10_CLASSES):
        raise ValueError(
            f"{path} holds the label {y.max()}, but CIFAR-10 has 10 classes (0..9): is it a file "
            "of another data set?"
        )
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return planes.transpose(0, 2, 3, 1).reshape(len(records), -1), y


def _cifar10_dataset(path: Path, dtype: npt.DTypeLike) -> Dataset:
    folder = _cifar10_folder(path)
    batches = [_read_cifar10_file(folder / name) for name in CIFAR10_TRAIN_FILES]
    X = np.concatenate([X for X, _ in batches])
    y = np.concatenate([y for _, y in batches])
    X_test, y_test = _read_cifar10_file(folder / CIFAR10_TEST_FILE)
    n_train = len(X) - max(len(X) // 50, 1)
    mean = X[:n_train].mean(axis=0, dtype=np.float64)
    scale = np.ones_like(mean)
    return Dataset(
        kind="cifar10",
        name="cifar10",
        X_train=_preprocess(X[:n_train], mean, scale, dtype),
        y_train=y[:n_train],
        X_val=_preprocess(X[n_train:], mean, scale, dtype),
        y_val=y[n_train:],
        X_test=_preprocess(X_test, mean, scale, dtype),
        y_test=y_test,
        mean=mean,
        scale=scale,
        image_shape=CIFAR10_IMAGE_SHAPE,
        class_names=CIFAR10_CLASSES,
    )


# ------------------------------------------------------------------------------------- NumPy files


def _npz_dataset(path: Path, rng: np.random.Generator, dtype: npt.DTypeLike) -> Dataset:
    arrays = read_arrays(path)
    X, y = labelled_pair(arrays, "X", "y", path)
    given = {
        split: labelled_pair(arrays, f"X_{split}", f"y_{split}", path)
        for split in ("val", "test")
        if f"X_{split}" in arrays or f"y_{split}" in arrays
    }
    for split, (X_split, _) in given.items():
        if X_split.shape[1] != X.shape[1]:
            raise ValueError(
                f"X_{split} in {path} has {X_split.shape[1]} features a row, but X has "
                f"{X.shape[1]}: needed the same features in the same order"
            )
    # Who brings validation rows has decided what to train on: then nothing is taken from X.
    fractions = {} if "val" in given else {"val": VALIDATION_FRACTION}
    if not given:
        fractions["test"] = TEST_FRACTION
    if len(X) <= len(fractions):
        raise ValueError(
            f"X in {path} has {len(X)} rows, too few to split validation rows off: add rows, or "
            "give X_val and y_val"
        )
    train, *held_out = _split(y, rng, list(fractions.values()))
    for split, rows in zip(fractions, held_out, strict=True):
        given[split] = X[rows], y[rows]

    image_shape = arrays["X"].shape[1:] if arrays["X"].ndim > 2 else None
    mean, scale = _standardisation(X[train], is_image=image_shape is not None)
    X_val, y_val = given["val"]
    X_test, y_test = given.get("test", (None, None))
    return Dataset(
        kind="npz",
        name=path.stem,
        X_train=_preprocess(X[train], mean, scale, dtype),
        y_train=y[train],
        X_val=_preprocess(X_val, mean, scale, dtype),
        y_val=y_val,
        X_test=None if X_test is None else _preprocess(X_test, mean, scale, dtype),
        y_test=y_test,
        mean=mean,
        scale=scale,
        image_shape=image_shape,
    )


# ------------------------------------------------------------------------ splits and preprocessing


def _existing(source: str | Path) -> Path:
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file or folder {path}: give one that exists, or the word digits"
        )
    return path


def _split(y: np.ndarray, rng: np.random.Generator, fractions: list[float]) -> list[np.ndarray]:
    """Split rows at random: return the training rows, then those held out for each fraction.

    Systematic sampling: in an order shuffled within the classes and sorted by class, take rows at
    equal distances. Every part then has each class in proportion, to less than one row, however
    rare the class; and each part has at least one row.
    """
    rest = rng.permutation(len(y))
    rest = rest[np.argsort(y[rest], kind="stable")]
    held_out = []
    for fraction in fractions:
        count = max(round(fraction * len(y)), 1)
        places = ((np.arange(count) + rng.random()) * (len(rest) / count)).astype(np.intp)
        held_out.append(rest[places])
        rest = np.delete(rest, places)
    return [rest, *held_out]


def _standardisation(X: np.ndarray, is_image: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation of each column, 1 where it is constant.

    The pixels of an image share a unit, and get one scale for all: their root mean square
    deviation. A scale for each would blow up the pixels at the edge that are nearly always 0; on
    the digits this costs half a point of test accuracy (0.977 instead of 0.981, ten seeds).
    """
    mean = X.mean(axis=0, dtype=np.float64)
    scale = X.std(axis=0, dtype=np.float64)
    if is_image:
        scale[:] = np.sqrt(np.mean(scale * scale))
    # The mean of equal numbers may be off by a rounding, which must not pass for a deviation.
    scale[scale <= 8 * np.finfo(np.float64).eps * np.abs(mean)] = 1
    return mean, scale


def _preprocess(
    X: np.ndarray, mean: np.ndarray, scale: np.ndarray, dtype: npt.DTypeLike
) -> np.ndarray:
    """Return ``(X - mean) / scale``, computed in float64 and rounded once."""
    out = np.empty(X.shape, dtype)
    for rows in _chunks(len(X)):
        out[rows] = (X[rows] - mean) / scale
    return out


def _chunks(length: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, length, _CHUNK))
