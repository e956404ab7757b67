"""Reading data: what comes out, how it is split and scaled, and what wrong files are told."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from fastnn.data import cifar10 as format_of_cifar10
from fastnn.data import load_dataset, load_xy


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def cifar10(tmp_path, rng):
    """A CIFAR-10 folder of 20 records a file, and its records (120, 3073) in the files' order."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    records = rng.integers(0, 256, (120, format_of_cifar10.RECORD_BYTES), dtype=np.uint8)
    records[:, 0] %= 10
    names = (*format_of_cifar10.TRAIN_FILES, format_of_cifar10.TEST_FILE)
    for i, name in enumerate(names):
        records[20 * i : 20 * i + 20].tofile(folder / name)
    return folder, records


def write_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


# ------------------------------------------------------------------------------------------ digits


def test_digits_are_split_in_proportion():
    dataset = load_dataset("digits", random_state=3)
    parts = [dataset.y_train, dataset.y_val, dataset.y_test]
    assert [len(part) for part in parts] == [1258, 180, 359]
    counts = np.array([np.bincount(part, minlength=10) for part in parts])
    np.testing.assert_array_equal(counts.sum(axis=0), np.bincount(load_xy("digits")[1]))
    expected = counts.sum(axis=0) * np.array([[0.7], [0.1], [0.2]])
    assert np.abs(counts - expected).max() < 2
    assert dataset.image_shape == (8, 8)
    assert dataset.n_outputs == 10


def test_digits_split_is_seeded():
    first, again, other = (load_dataset("digits", random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.X_test, again.X_test)
    assert not np.array_equal(first.X_test, other.X_test)


def test_digits_have_one_scale_for_all_pixels():
    dataset = load_dataset("digits")
    assert len(np.unique(dataset.inputs.scale)) == 1
    np.testing.assert_allclose(dataset.X_train.mean(axis=0), dataset.inputs.mean, atol=1e-12)
    assert np.mean((dataset.X_train - dataset.inputs.mean) ** 2) == pytest.approx(
        dataset.inputs.scale[0] ** 2
    )


# ---------------------------------------------------------------------------------------- CIFAR-10


@pytest.mark.parametrize("where", ["folder", "above"])
def test_cifar10(cifar10, where):
    folder, records = cifar10
    dataset = load_dataset(folder if where == "folder" else folder.parent)
    assert [len(y) for y in (dataset.y_train, dataset.y_val, dataset.y_test)] == [98, 2, 20]
    labels = np.concatenate([dataset.y_train, dataset.y_val, dataset.y_test])
    np.testing.assert_array_equal(labels, records[:, 0])

    # Row 5, pixel (2, 30) of each plane: the columns of X are (row, column, channel).
    pixels = [records[5, 1 + 1024 * channel + 32 * 2 + 30] for channel in range(3)]
    np.testing.assert_array_equal(dataset.X_train.reshape(-1, 32, 32, 3)[5, 2, 30], pixels)
    np.testing.assert_allclose(dataset.inputs.mean, dataset.X_train.mean(axis=0))
    assert (dataset.inputs.scale == 1).all()
    assert dataset.image_shape == (32, 32, 3)
    assert dataset.class_names[:2] == ("airplane", "automobile")
    assert dataset.n_outputs == 10
    assert {X.dtype for X in (dataset.X_train, dataset.X_val, dataset.X_test)} == {
        np.dtype(np.uint8)
    }


def test_load_xy_gives_the_test_batch_as_bytes(cifar10):
    folder, records = cifar10
    X, y = load_xy(folder)
    assert X.dtype == np.uint8
    np.testing.assert_array_equal(y, records[100:, 0])
    again, _ = load_xy(folder / "test_batch.bin")
    np.testing.assert_array_equal(X, again)
    np.testing.assert_array_equal(X[:, ::3], records[100:, 1:1025])  # the red plane


def test_cifar10_missing_files_are_named(cifar10):
    folder, _ = cifar10
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"test_batch.bin; missing data_batch_3.bin\. "):
        load_dataset(folder)


def test_folder_without_batches(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"looked for data_batch_1.*missing all of them"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("size", [0, 3072, 20 * 3073 - 1])
def test_truncated_cifar10_file(cifar10, size):
    folder, _ = cifar10
    path = folder / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=rf"data_batch_2.bin has {size} bytes.*multiple of 3073"):
        load_dataset(folder)


def test_label_that_cifar10_does_not_have(cifar10):
    folder, records = cifar10
    records[0, 0] = 11
    records[:20].tofile(folder / "data_batch_1.bin")
    with pytest.raises(ValueError, match="holds the label 11, but CIFAR-10 has 10 classes"):
        load_dataset(folder)


# --------------------------------------------------------------------------------------- .npz, .npy


def test_npz_is_split_and_measured(tmp_path, rng):
    X = rng.normal([5, -3, 0], [1, 100, 1e-3], (200, 3))
    y = rng.integers(0, 4, 200)
    dataset = load_dataset(write_npz(tmp_path / "a.npz", X=X, y=y))
    assert [len(y) for y in (dataset.y_train, dataset.y_val, dataset.y_test)] == [140, 20, 40]
    np.testing.assert_allclose(dataset.inputs.mean, dataset.X_train.mean(axis=0))
    np.testing.assert_allclose(dataset.inputs.scale, dataset.X_train.std(axis=0))
    # Every row is in exactly one part, beside its own label.
    raw = np.concatenate([dataset.X_train, dataset.X_val, dataset.X_test])
    labels = np.concatenate([dataset.y_train, dataset.y_val, dataset.y_test])
    order, original = np.argsort(raw[:, 0]), np.argsort(X[:, 0])
    np.testing.assert_array_equal(raw[order], X[original])
    np.testing.assert_array_equal(labels[order], y[original])
    assert dataset.name == "a"
    assert dataset.image_shape is None


def test_bytes_stay_bytes_unless_other_parts_are_none(tmp_path, rng):
    X, y = rng.integers(0, 256, (20, 4, 5), dtype=np.uint8), np.arange(20) % 2
    images = load_dataset(write_npz(tmp_path / "a.npz", X=X, y=y))
    flags = load_dataset(write_npz(tmp_path / "b.npz", X=X[:, 0], y=y))
    for dataset in (images, flags):
        parts = (dataset.X_train, dataset.X_val, dataset.X_test)
        assert {part.dtype for part in parts} == {np.dtype(np.uint8)}
    given = {"X_val": X[:7] + 0.5, "y_val": y[:7]}
    mixed = load_dataset(write_npz(tmp_path / "c.npz", X=X, y=y, **given))
    assert (mixed.X_train.dtype, mixed.X_val.dtype) == (np.float64, np.float64)
    np.testing.assert_array_equal(mixed.X_train.sum(), X.sum(dtype=float))


def test_regression_keeps_numbers(tmp_path, rng):
    X, y = rng.normal(size=(30, 3)), 5e5 + rng.normal(size=(30, 2))
    dataset = load_dataset(write_npz(tmp_path / "a.npz", X=X, y=y), task="regression")
    assert (dataset.task, dataset.n_outputs, dataset.class_names) == ("regression", 2, None)
    rows = np.concatenate([dataset.y_train, dataset.y_val, dataset.y_test])
    np.testing.assert_array_equal(np.sort(rows[:, 0]), np.sort(y[:, 0]))
    np.testing.assert_allclose(dataset.targets.mean, dataset.y_train.mean(axis=0))
    np.testing.assert_allclose(dataset.targets.scale, dataset.y_train.std(axis=0))

    path = write_npz(tmp_path / "b.npz", X=X, y=y[:, 0].astype("f4"))
    dataset = load_dataset(path, task="regression")
    assert (dataset.y_val.shape, dataset.y_val.dtype) == ((3, 1), np.float32)
    _, numbers = load_xy(path, task="regression")
    np.testing.assert_array_equal(numbers, y[:, :1].astype("f4"))


def test_digits_are_numbers_and_images_of_things_are_not(cifar10):
    dataset = load_dataset("digits", task="regression")
    assert (dataset.y_train.shape, dataset.n_outputs) == ((1258, 1), 1)
    with pytest.raises(ValueError, match="ten classes, which are no numbers to predict: leave out"):
        load_dataset(cifar10[0], task="regression")
    assert load_xy(cifar10[0], task="regression")[1].shape == (20, 1)


BAD_NUMBERS = {
    "constant": ({"y": np.full(4, 0.1)}, r"y in .* is 0.1 in every row that is trained on, to the"),
    "one of two": ({"y": np.eye(4)[:, [0, 0]] * [0, 1]}, r"target 0 of y in .* is 0.0 in every r"),
    "float32": (
        {"y": (1e9 + np.arange(4)).astype("f4")},
        "to the precision of float32, so that there is nothing to predict: take it out, or save",
    ),
    "text": ({"y": np.array(["a", "b", "c", "d"])}, "has dtype <U1: needed numbers"),
    "NaN": (
        {"y": np.array([1, np.nan, 2, np.inf])},
        "holds 2 values that are NaN or infinite, the first at row 1: ",
    ),
    "largest": ({"y": np.array([1, -1.7e308, 2, 3])}, r"holds -1.7e\+308: needed numbers of at"),
    "cube": ({"y": np.zeros((4, 1, 1))}, r"shape \(4, 1, 1\): needed \(n_samples,\), or"),
    "none": ({"y": np.zeros((4, 0))}, r"shape \(4, 0\): needed"),
    "y_val": (
        {"y": np.eye(4), "X_val": np.zeros((2, 2)), "y_val": np.zeros(2)},
        "y_val in .* has 1 targets a row, but y has 4: needed the same targets",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD_NUMBERS.values(), ids=BAD_NUMBERS)
def test_bad_npz_of_a_regression(tmp_path, changes, message):
    path = write_npz(tmp_path / "bad.npz", **(GOOD | changes))
    with pytest.raises(ValueError, match=message):
        load_dataset(path, task="regression")


def test_task_that_is_none():
    with pytest.raises(ValueError, match="task is 'ranking', but it is one of classification, reg"):
        load_dataset("digits", task="ranking")
    for task in ("ranking", None):
        with pytest.raises(
            ValueError, match=rf"task is {task!r}, but it is one of .*, regression$"
        ):
            load_xy("digits", task=task)


def test_npz_parts_that_are_given_stay(tmp_path, rng):
    X, y = rng.normal(size=(30, 2)), np.arange(30) % 3
    given = {"X_val": X[:7], "y_val": y[:7]}
    dataset = load_dataset(write_npz(tmp_path / "a.npz", X=X, y=y, **given))
    assert len(dataset.y_train) == 30
    np.testing.assert_array_equal(dataset.y_val, y[:7])
    assert dataset.X_test is None
    assert dataset.y_test is None

    given = {"X_test": X[:5], "y_test": y[:5]}
    dataset = load_dataset(write_npz(tmp_path / "b.npz", X=X, y=y, **given))
    assert [len(y) for y in (dataset.y_train, dataset.y_val, dataset.y_test)] == [27, 3, 5]


def test_npz_images_are_flattened(tmp_path, rng):
    X = rng.integers(0, 256, (20, 4, 5, 3), dtype=np.uint8)
    y = (np.arange(20) % 2).astype(float)[:, np.newaxis]
    path = write_npz(tmp_path / "a.npz", X=X, y=y)
    dataset = load_dataset(path)
    assert dataset.image_shape == (4, 5, 3)
    assert dataset.n_features == 60
    raw, labels = load_xy(path)
    np.testing.assert_array_equal(raw, X.reshape(20, 60))
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, y[:, 0])


def test_load_xy_without_labels(tmp_path, rng):
    X = rng.normal(size=(6, 2))
    np.save(tmp_path / "a.npy", X)
    for path in (tmp_path / "a.npy", write_npz(tmp_path / "a.npz", X=X)):
        rows, labels = load_xy(path)
        np.testing.assert_array_equal(rows, X)
        assert labels is None


def test_missing_path():
    with pytest.raises(FileNotFoundError, match=r"no file or folder nowhere\.npz"):
        load_dataset("nowhere.npz")


def test_unknown_kind_of_file(tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n")
    with pytest.raises(ValueError, match=r"cannot train on .*a.csv: needed the word digits"):
        load_dataset(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"cannot read .*a.csv: needed"):
        load_xy(tmp_path / "a.csv")


GOOD = {"X": np.zeros((4, 2)), "y": np.zeros(4, int)}
BAD_FILES = {
    "no X": ({"X": None, "images": np.zeros((4, 2))}, "no array X; it has images, y"),
    "no y": ({"y": None}, "no array y; it has X"),
    "nothing": ({"X": None, "y": None}, "no array X and no array y; it has none at all"),
    "no y_val": ({"X_val": np.zeros((2, 2))}, "no array y_val"),
    "lengths": ({"y": np.zeros(5, int)}, "X has 4 rows, but y has 5 in"),
    "features": (
        {"X_val": np.zeros((2, 3)), "y_val": np.zeros(2, int)},
        "X_val in .* has 3 features a row, but X has 2",
    ),
    "text": ({"X": np.full((4, 2), "a")}, "X in .* has dtype <U1: needed numbers"),
    "flat": ({"X": np.zeros(4)}, r"X in .* has shape \(4,\): needed \(n_samples, n_features\)"),
    "empty": ({"X": np.zeros((0, 2)), "y": np.zeros(0, int)}, r"shape \(0, 2\)"),
    "nan": (
        {"X": np.full((4, 2), np.nan)},
        "X in .* holds 8 values that are NaN or infinite, the first at row 0, column 0: needed fi",
    ),
    "one nan": (
        {"X": np.where(np.eye(4)[:, :2] * [[0], [1], [1], [1]], np.inf, 0)},
        "X in .* holds 1 value that is NaN or infinite, at row 1, column 1: needed finite numbers",
    ),
    "names": ({"y": np.array(["a", "b", "c", "d"])}, "has dtype <U1: .* number the classes with"),
    "fractions": (
        {"y": np.array([0, 1, 0.5, 1])},
        "holds 0.5 in row 2, .* train with --task",
    ),
    "negative": ({"y": np.array([0, -1, 0, 1])}, "holds -1 in row 1: needed class indices"),
    "NaN": ({"y": np.array([0, 1, 1, np.nan])}, "holds nan in row 3: needed class indices"),
    "infinite": ({"y": np.array([np.inf, 1, 1, 0])}, "holds inf in row 0: needed class indices"),
    "huge": ({"y": np.array([0, 1e300, 1, 0])}, r"holds 1e\+300 in row 1: needed class indices"),
    "unsigned": (
        {"y": np.array([0, 1, 2**64 - 1, 0], np.uint64)},
        "holds 18446744073709551615 in row 2: needed class indices, integers from 0 to 2147483646",
    ),
    "one-hot": ({"y": np.eye(4)}, r"has shape \(4, 4\).*argmax"),
    "too few": ({"X": np.zeros((2, 2)), "y": np.zeros(2, int)}, "2 rows, too few to split"),
    "objects": (
        {"X": np.array([[{}], [1]], object)},
        r"X in .*bad\.npz is an array of Python objects, as data frames give whose columns are of "
        r"several types, and objects are never loaded: save X\.to_numpy\(float\), after encoding ",
    ),
    "objects of text": (
        {"y": np.array(["a", "b", "a", "b"], object)},
        r"y in .*bad\.npz is an array of Python objects, as text gives, and objects are never "
        r"loaded: number the classes with names, y = np\.unique\(y, return_inverse=True\)",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_npz(tmp_path, changes, message):
    arrays = {name: array for name, array in (GOOD | changes).items() if array is not None}
    with pytest.raises(ValueError, match=message):
        load_dataset(write_npz(tmp_path / "bad.npz", **arrays))


@pytest.mark.parametrize("keep", [0, 10, -30])
def test_damaged_npz(tmp_path, keep):
    path = write_npz(tmp_path / "a.npz", **GOOD)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"cannot read .*a.npz: it is damaged"):
        load_dataset(path)


def header(shape):
    """Return the beginning of a .npy file that says it holds an array of such a shape."""
    file = io.BytesIO()
    description = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, description)
    return file.getvalue() + bytes(64)


@pytest.mark.parametrize("kind", ["npy", "npz"])
@pytest.mark.parametrize("shape", [(10**15,), (2**70,), (2**62, 2**62), (10**9, 10**9), (-5, 4)])
def test_header_that_lies(tmp_path, kind, shape):
    path = tmp_path / f"a.{kind}"
    if kind == "npy":
        path.write_bytes(header(shape))
    else:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("X.npy", header(shape))
    with pytest.raises(ValueError, match=rf"cannot read .*a.{kind}: it .*damaged"):
        load_xy(path)


@pytest.mark.parametrize(
    "text", [b"{'descr': ((((((((((", b"{'descr': '<f8', 'shape': (3,), ", b"1"]
)
def test_header_that_is_no_header(tmp_path, text):
    length = len(text).to_bytes(2, "little")
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + length + text)
    with pytest.raises(ValueError, match=r"cannot read .*a.npy: it is damaged"):
        load_xy(tmp_path / "a.npy")


def test_what_is_no_array_in_a_zip_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("X", "text")
        file.writestr("y.npy", "text")
    with pytest.raises(ValueError, match="no array X and no array y; it has none at all"):
        load_dataset(tmp_path / "a.npz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.bin"])
def test_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match="is no regular file"):
        load_xy(tmp_path / name)


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), ("a", TypeError), (0.5, TypeError)])
def test_seed_that_is_none(seed, error):
    with pytest.raises(error, match=r"random_state is .*, but a seed is an integer of at least 0"):
        load_dataset("digits", random_state=seed)


def test_path_that_cannot_be():
    with pytest.raises(FileNotFoundError, match="there is no file or folder"):
        load_dataset("a\0b.npz")


@pytest.mark.parametrize("text", ["not an array", "1,2,3"])
def test_text_is_never_unpickled(tmp_path, text):
    (tmp_path / "a.npz").write_text(text)
    with pytest.raises(ValueError, match="it is no NumPy file: save arrays of num") as caught:
        load_xy(tmp_path / "a.npz")
    assert "allow_pickle" not in str(caught.value)


def test_pickles_are_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object))
    with pytest.raises(ValueError, match=r"X in .*a\.npy is .* never loaded") as caught:
        load_xy(tmp_path / "a.npy")
    assert "allow_pickle" not in str(caught.value)
    with (tmp_path / "b.npz").open("wb") as file:
        pickle.dump({"X": 1}, file)
    with pytest.raises(ValueError, match="it is no NumPy file: save arrays of num") as caught:
        load_dataset(tmp_path / "b.npz")
    assert "allow_pickle" not in str(caught.value)


def test_a_table_of_text_is_told_how_to_become_a_file_of_arrays(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(
        ValueError, match=r"Of a data frame: np\.savez\('table\.npz', X=frame\.to_n"
    ):
        load_dataset(path)
