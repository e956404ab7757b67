"""Files that are whole at any moment, and the models and checkpoints in them."""

import json
import os
import secrets
from pathlib import Path

import numpy as np

#: Goes up when older versions of fastnn could not read the files any more.
VERSION = "1"


def write_whole(path, data):
    """Write bytes to a file beside `path`, and move it there when it is complete.

    A kill at any moment leaves the previous file or the new one, whole; a kill while it is being
    written also leaves the scratch file, ``.<name>.<digits>.part``.
    """
    path = Path(path)
    # A name of its own: two processes that write to one path do not mix their bytes.
    scratch = path.parent / f".{path.name}.{secrets.token_hex(8)}.part"
    try:
        with scratch.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


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
    data = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_whole(path, to_bytes(data, metadata))


def load(path, format_names, made_by):
    """Read what :func:`save` wrote: the description and the arrays.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no safetensors file, or of none of the formats, or of a later version.
    """
    from safetensors import SafetensorError, safe_open

    remedy = f"pass one written by {made_by}"
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is no file: {remedy}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error}): {remedy}") from None
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
