"""Numba's cache of machine code, of which nothing is believed and without which everything runs.

A process that is killed, a full disk, a quota or a flipped bit may damage any file of it, and a
folder may vanish or refuse to be written. Then a kernel is compiled, and the file replaced where
that is possible: numba by itself raises whatever reading the file has raised, for ever.
"""

import contextlib
import functools
import hashlib
import io
import uuid
from pathlib import Path

from numba.core.caching import FunctionCache, IndexDataCacheFile

from . import _interrupts

#: Bytes of the digest at the end of each file: against accidents, not attackers. It comes before
#: everything, since damaged machine code would be run, and a damaged pickle may call any function.
#: To check the 0.8 MB of the training loop takes a millisecond.
DIGEST_BYTES = 16
#: Where all that a kernel of this package is made of lies.
SOURCES = Path(__file__).parent


def cache_of(function):
    """Return the cache of a function's machine code, or None where there is no place for one."""
    try:
        return _KernelCache(function)
    except RuntimeError as error:
        # A read-only install by a user without a home, or code that is in no file.
        if "cannot cache" not in str(error):
            raise
        return None


class _KernelCache(FunctionCache):
    """Numba's cache of one function, which raises nothing but a KeyboardInterrupt."""

    def __init__(self, function):
        super().__init__(function)
        # Numba looks at the date of the kernel's own file alone, but a kernel is made of others
        # too: of parts, of emitted functions, of the order of an operation's fields.
        stamp = self._impl.locator.get_source_stamp(), _sources(SOURCES)
        self._cache_file = _CheckedFiles(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig, target_context):
        # A kernel that is loaded by half would be run.
        with _interrupts.deferred():
            try:
                # By itself, numba first learns all that it can compile, imports SciPy for its BLAS
                # and compiles its runtime: half of a start, of which machine code needs nothing.
                return self._load_overload(sig, target_context)
            except Exception:
                # Whole files may still name what another version of some module had.
                return None

    def save_overload(self, sig, data):
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)

    def flush(self):
        with contextlib.suppress(OSError):
            super().flush()


class _CheckedFiles(IndexDataCacheFile):
    """Numba's files of one function, with a digest behind each, and its key with each content.

    The key, since two processes that compile at the same time may give one name to two files, and
    the index of one then stands beside the machine code of the other.
    """

    def save(self, key, data):
        super().save(key, (key, data))

    def load(self, key):
        stored_key, data = super().load(key) or (None, None)
        return data if stored_key == key else None

    def _load_index(self):
        with contextlib.suppress(Exception):
            if _is_whole(self._index_path):
                return super()._load_index()
        return {}

    def _load_data(self, name):
        if not _is_whole(self._data_path(name)):
            raise OSError(f"{name} is damaged")  # means to numba that it is not there
        return super()._load_data(name)

    @contextlib.contextmanager
    def _open_for_write(self, filepath):
        content = io.BytesIO()
        yield content
        data = content.getvalue()
        scratch = Path(f"{filepath}.tmp.{uuid.uuid4().hex[:16]}")
        try:
            scratch.write_bytes(data + _digest(data))
            scratch.replace(filepath)
        except BaseException:
            # Ctrl-C too.
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise


@functools.cache
def _sources(folder):
    """Return a digest of all Python files in a folder, with their names."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(content)}\n".encode() + content)
    return digest.digest()


def _digest(data):
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _is_whole(path):
    """Tell whether a file can be read and ends with the digest of all that stands before it."""
    try:
        content = Path(path).read_bytes()
    except OSError:
        return False
    return _digest(memoryview(content)[:-DIGEST_BYTES]) == content[-DIGEST_BYTES:]
