"""The binary version of CIFAR-10: its files, as bytes."""

from pathlib import Path

import numpy as np

FOLDER = "cifar-10-batches-bin"
TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILE = "test_batch.bin"
IMAGE_SHAPE = (32, 32, 3)
RECORD_BYTES = 1 + 32 * 32 * 3
CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def find_folder(path: Path) -> Path:
    """Return the folder, `path` or the one of the usual name in it, that holds every file."""
    needed = (*TRAIN_FILES, TEST_FILE)
    folder = path / FOLDER if (path / FOLDER).is_dir() else path
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} is not a CIFAR-10 folder: looked for {', '.join(needed)}; "
            f"missing {'all of them' if len(missing) == len(needed) else ', '.join(missing)}. "
            "Unpack the binary version of CIFAR-10 (cifar-10-binary.tar.gz) there"
        )
    return folder


def read_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 images (n, 3072), each a flattened 32x32x3 array as in CS231n, and labels."""
    if not path.is_file():  # a pipe or a device may never end
        raise ValueError(f"{path} is no regular file: give a file of CIFAR-10's binary version")
    contents = np.fromfile(path, np.uint8)
    if contents.size == 0 or contents.size % RECORD_BYTES:
        raise ValueError(
            f"{path} has {contents.size} bytes, which is no whole number of CIFAR-10 records: "
            f"needed a multiple of {RECORD_BYTES} (1 label and 3072 pixels each). It was "
            "probably cut short: fetch it again"
        )
    records = contents.reshape(-1, RECORD_BYTES)
    y = records[:, 0].astype(np.int64)
    if y.max() >= len(CLASSES):
        raise ValueError(
            f"{path} holds the label {y.max()}, but CIFAR-10 has 10 classes (0..9): is it a file "
            "of another data set?"
        )
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return planes.transpose(0, 2, 3, 1).reshape(len(records), -1), y
