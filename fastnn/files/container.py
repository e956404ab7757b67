"""Named arrays with a description in one safetensors file, believed only after it is checked.

The file's metadata are four texts: ``format`` and ``version`` say how to read the rest,
``description`` is a JSON object, and ``digest`` covers all of it: both texts, the description and
each array's name, dtype, shape and bytes. It finds accidents, a flipped bit on a disk or an
editor's slip; whoever wants to forge a file can compute it too, so that what a description says is
checked besides, by :mod:`fastnn.files.formats`.
"""

import contextlib
import hashlib
import json
from typing import Any, NamedTuple

import numpy as np

from .writing import check_path, write_whole

#: Goes up when this fastnn could not read older files any more.
VERSION = "2"
#: Names of the dtypes in the file.
DTYPES = {"F32": np.dtype("f4"), "F64": np.dtype("f8"), "I64": np.dtype("i8")}


class Format(NamedTuple):
    """What a kind of file holds, see :func:`reading`."""

    layout: Any
    check: Any = lambda description, arrays: None


def write(path, format_name, description, arrays):
    """Write named arrays and a description, of what JSON can hold, whole or not at all."""
    from safetensors.numpy import save

    metadata = {"format": format_name, "version": VERSION, "description": json.dumps(description)}
    # Not ascontiguousarray, which gives a single number a dimension.
    data = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write_whole(path, save(data, metadata | {"digest": _digest(metadata, data)}))


@contextlib.contextmanager
def reading(path, formats, made_by):
    """Read a file, and check all of it; give its description and arrays.

    What the block raises of a wrong value or type becomes the ValueError of a file that is damaged.

    Parameters
    ----------
    path : str or Path
    formats : dict
        From the names of the formats that will do to what describes each: ``layout(description,
        declared)`` checks a description and returns the dtype and shape of each array, and
        ``check(description, arrays)`` what the two say of each other. `declared` holds what the
        file says of its arrays: their dtypes and shapes, which exist only if it says the truth.
    made_by : str
        What writes such files, for messages.

    Yields
    ------
    description : dict
    arrays : dict of ndarray

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is of another format or version, or anything in it cannot be.
    """
    path, remedy = check_path(path, "path"), f"pass one written by {made_by}"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file: {remedy}")
    path.open("rb").close()  # names the path where it may not be read
    with _open(path, remedy) as file:
        metadata = file.metadata() or {}
        _check_kind(metadata, formats, path, remedy)
        with _damaged(path, made_by):
            found = _read(file, metadata, formats[metadata["format"]])
    with _damaged(path, made_by):
        yield found


def _open(path, remedy):
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error}): {remedy}") from None


@contextlib.contextmanager
def _damaged(path, made_by):
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged, or was not written by {made_by} ({error}): pass an intact copy"
        ) from None


def _check_kind(metadata, formats, path, remedy):
    if metadata.get("format") not in formats:
        raise ValueError(
            f"{path} has the format {metadata.get('format')!r:.40}, but needed is "
            f"{' or '.join(formats)}: {remedy}"
        )
    if metadata.get("version") != VERSION:
        raise ValueError(
            f"{path} is of version {metadata.get('version')!r:.40} of its format, but this fastnn "
            f"reads version {VERSION!r}: read it with the fastnn that wrote it"
        )


def _read(file, metadata, described):
    """Return the description and the arrays of an open file, in which all fits together."""
    missing = {"description", "digest"} - set(metadata)
    if missing:
        raise ValueError(f"it has no {' and no '.join(sorted(missing))}")
    try:
        description = json.loads(metadata["description"])
    except RecursionError:
        raise ValueError("its description is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"its description is no JSON: {error}") from None
    if not isinstance(description, dict):
        raise ValueError(f"its description is a {type(description).__name__}")
    declared = {}
    for name in file.keys():  # noqa: SIM118
        part = file.get_slice(name)
        kind, shape = part.get_dtype(), tuple(part.get_shape())
        if kind not in DTYPES:
            raise ValueError(f"{name} is of the type {kind}, but needed is {' or '.join(DTYPES)}")
        declared[name] = DTYPES[kind], shape
    # Before anything is read, or made: the sizes of a description may be beyond all memory.
    needed = described.layout(description, declared)
    _check_layout(declared, needed)
    arrays = {name: file.get_tensor(name) for name in declared}
    if metadata["digest"] != _digest(metadata, arrays):
        raise ValueError("its checksum does not fit what it holds")
    described.check(description, arrays)
    return description, arrays


def _check_layout(declared, needed):
    for name in [*needed, *declared]:
        if name not in declared:
            raise ValueError(f"it has no {name}")
        if name not in needed:
            raise ValueError(f"{name} does not belong into it")
        for what, got, wanted in zip(("dtype", "shape"), declared[name], needed[name]):
            if got != wanted:
                raise ValueError(f"{name} has {what} {got}, but needed is {wanted}")


def _digest(metadata, arrays):
    """Return the digest of all that a file says."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ("format", "version", "description"):
        digest.update(f"{name} {len(metadata[name])} {metadata[name]}".encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.data)
    return digest.hexdigest()
