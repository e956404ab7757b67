"""The files that the command writes: whether they can be, before any work, and writing them."""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import Network, TwoLayerNet
from fastnn.cli.errors import describe
from fastnn.cli.experiment import Outcome
from fastnn.data import Dataset
from fastnn.files import writing
from fastnn.files.course import TWO_LAYER_NET_FORMAT
from fastnn.plotting import is_image_shape, plot_history, plot_weights

MODEL, HISTORY, WEIGHTS = "model.safetensors", "history.png", "weights.png"
#: What a training has learnt so far; a kill leaves it behind.
UNFINISHED = "unfinished.safetensors"

# ------------------------------------------------------------------------------- before the work


def prepare_folder(folder: Path) -> None:
    """Make the folder of a training, and raise an OSError where its files cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"--out is {folder}, but there is no folder and none can be made "
            f"({error.strerror}): give another one"
        ) from None
    for name in (MODEL, HISTORY, WEIGHTS, UNFINISHED):
        check_file(folder / name)


def check_file(path: Path, *sources: str | Path) -> None:
    """Raise an OSError where a file cannot be written.

    Parameters
    ----------
    path : Path
        What is to be written.
    *sources : str or Path
        What the command reads: it must not be replaced.
    """
    writing.check_target_path(path, "--out")
    for source in sources:
        with contextlib.suppress(FileNotFoundError):
            if path.samefile(source):
                raise OSError(
                    f"--out is {path}, which is read from, and would be lost: give another file"
                )


# -------------------------------------------------------------------------------- what is there


def load_model(path: Path) -> Network | TwoLayerNet:
    """Read a model of either kind."""
    from safetensors import SafetensorError, safe_open

    kind = None
    with contextlib.suppress(OSError, SafetensorError), safe_open(path, framework="numpy") as file:
        kind = (file.metadata() or {}).get("format")
    # A Network says of everything else what is wrong with it.
    return (TwoLayerNet if kind == TWO_LAYER_NET_FORMAT else Network).load(path)


# -------------------------------------------------------------------------------- after the work


def save_model(model: Network, folder: Path) -> Path:
    """Write a model; where that fails, into a folder for temporary files, so that none is lost.

    Raises
    ------
    OSError
        If it was not written where it should be. The message says where it is instead.
    """
    try:
        model.save(folder / MODEL)
    except OSError as error:
        message = describe(error)
        with contextlib.suppress(OSError):
            refuge = Path(tempfile.mkdtemp(prefix="fastnn-"), MODEL)
            model.save(refuge)
            message += f". The model is in {refuge}"
        raise OSError(message) from error
    return folder / MODEL


def save_unfinished(model: Network, folder: Path) -> None:
    """Write what a training has learnt so far, if that can be done."""
    with contextlib.suppress(OSError):
        model.save(folder / UNFINISHED)


def save_outcome(outcome: Outcome, dataset: Dataset, folder: Path) -> Iterator[Path]:
    """Write the model and the plots into `folder`; yield each file when it is there.

    A run that diverged leaves no model, only the plot of its losses. The model comes first, so
    that it is there even where matplotlib, which the plots need, is missing (ImportError).
    """
    converged = outcome.diverged_at is None
    if converged:
        yield save_model(outcome.model, folder)
    (folder / UNFINISHED).unlink(missing_ok=True)
    score = "R^2" if dataset.task == "regression" else "accuracy"
    yield save_figure(plot_history(outcome.history, score=score), folder / HISTORY)
    if converged and dataset.image_shape is not None and is_image_shape(dataset.image_shape):
        yield save_figure(plot_weights(outcome.model, dataset.image_shape), folder / WEIGHTS)


def save_figure(figure: Any, path: Path) -> Path:
    """Write a matplotlib figure as PNG, whole or not at all."""
    contents = io.BytesIO()
    figure.savefig(contents, format="png")
    writing.write_whole(path, contents.getvalue())
    return path


def save_predictions(predicted: np.ndarray, path: Path) -> None:
    """Write predictions as a .npy file, else as text."""
    contents = io.BytesIO()
    if path.suffix == ".npy":
        np.save(contents, predicted)
    else:
        contents.write(f"{as_text(predicted)}\n".encode())
    writing.write_whole(path, contents.getvalue())


def as_text(predicted: np.ndarray) -> str:
    """Return predictions as CSV, a line for each row, in as many digits as tell numbers apart.

    Examples
    --------
    >>> print(as_text(np.array([[0.1, 2.0], [1e9, 1 / 3]], np.float32)))
    0.1,2.0
    1e+09,0.33333334
    """
    rows = predicted.reshape(len(predicted), -1)
    return "\n".join(",".join(map(str, row)) for row in rows)
