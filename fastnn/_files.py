"""Files that are whole at any moment, and the models and checkpoints in them."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np


def write_whole(path, data):
    """Write bytes to a file beside `path`, and move it there when it is complete.

    A kill at any moment leaves the previous file or the new one, whole.
    """
    path = Path(path)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(scratch).chmod(0o666 & ~umask)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def save(path, format_name, description, arrays):
    """Write named arrays and a description, of what JSON can hold, as a safetensors file."""
    from safetensors.numpy import save as to_bytes

    metadata = {"format": format_name, "version": "1", "description": json.dumps(description)}
    data = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_whole(path, to_bytes(data, metadata))


def load(path, format_names, made_by):
    """Read what :func:`save` wrote: the description and the arrays.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no safetensors file, or of none of the formats.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is no file: pass one written by {made_by}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a safetensors file ({error}): pass one written by {made_by}"
        ) from None
    if metadata.get("format") not in format_names:
        raise ValueError(
            f"{path} has the format {metadata.get('format')!r}, but needed is "
            f"{' or '.join(format_names)}: pass one written by {made_by}"
        )
    return json.loads(metadata["description"]), arrays
