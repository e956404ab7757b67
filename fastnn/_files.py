"""Files that are whole at any moment, and the models and checkpoints in them."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Goes up when older versions of fastnn could not read the files any more.
VERSION = "1"


def write_whole(path, data):
    """Write bytes to a file beside `path`, and move it there when it is complete.

    A kill at any moment leaves the previous file or the new one, whole. A kill while it is being
    written also leaves the scratch file, ``.<name>.part``, which the next write takes over.
    """
    path = Path(path)
    with _scratch_of(path) as file:
        scratch = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows moves no open file
            scratch.replace(path)
        except BaseException:
            if fcntl is None:
                file.close()
            scratch.unlink(missing_ok=True)
            raise


def _scratch_of(path):
    """Open the scratch file of `path`, empty, and lock it: writers to one path take turns."""
    if fcntl is None:
        # Without locks, each process has a scratch file of its own.
        return path.with_name(f".{path.name}.{os.getpid()}.part").open("wb")
    scratch = path.with_name(f".{path.name}.part")
    while True:
        file = scratch.open("ab")  # "wb" would empty what another one is writing
        try:
            # Some network file systems have no locks. A kill gives the lock up, as closing does.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever had the lock has moved or removed the file, unless it was killed.
            if _lies_at(file, scratch):
                file.truncate(0)
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _lies_at(file, path):
    """Tell whether an open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def check_target_path(path, name):
    """Return `path` as a Path where a file can be written: its folder is there."""
    try:
        target = Path(path)
    except TypeError:
        raise TypeError(
            f"{name} is {path!r}, but it is the path of a file: pass a str or a Path"
        ) from None
    if target.is_dir():
        raise IsADirectoryError(f"{name} is {target}, a folder: pass the path of a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{name} is {target}, but there is no folder {target.parent}: make it first"
        )
    return target


def save(path, format_name, description, arrays):
    """Write named arrays and a description, of what JSON can hold, as a safetensors file."""
    from safetensors.numpy import save as to_bytes

    metadata = {"format": format_name, "version": VERSION, "description": json.dumps(description)}
    # Not ascontiguousarray, which gives a single number a dimension.
    data = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write_whole(path, to_bytes(data, metadata))


def read(path, made_by):
    """Read the metadata and the arrays of a safetensors file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    remedy = f"pass one written by {made_by}"
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is no file: {remedy}")
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, arrays
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error}): {remedy}") from None


def load(path, format_names, made_by):
    """Read what :func:`save` wrote: the description and the arrays.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no safetensors file, or of none of the formats, or of a later version.
    """
    metadata, arrays = read(path, made_by)
    remedy = f"pass one written by {made_by}"
    if metadata.get("format") not in format_names:
        raise ValueError(
            f"{path} has the format {metadata.get('format')!r}, but needed is "
            f"{' or '.join(format_names)}: {remedy}"
        )
    if metadata.get("version") != VERSION:
        raise ValueError(
            f"{path} is of version {metadata.get('version')!r} of its format, but this fastnn "
            f"reads version {VERSION!r}: read it with the fastnn that wrote it"
        )
    try:
        description = json.loads(metadata["description"])
        if not isinstance(description, dict):
            raise ValueError(f"it is a {type(description).__name__}")
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} has no description of its arrays ({error}): {remedy}") from None
    return description, arrays
