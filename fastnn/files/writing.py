"""Files that are whole at any moment: written aside, and moved into place."""

import contextlib
import errno
import hashlib
import os
import stat
import threading
import weakref
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: What to do where the system refuses a file.
_REMEDIES = {
    errno.ENOSPC: "free some space, or pass a path on another disk",
    errno.EDQUOT: "free some space, or pass a path on another disk",
    errno.EFBIG: "pass a path on another disk, which takes larger files",
    errno.EACCES: "let this user write the file and its folder, or pass another path",
    errno.EPERM: "let this user write the file and its folder, or pass another path",
    errno.EROFS: "pass a path on a disk that is not read-only",
    errno.ENAMETOOLONG: "pass a shorter path",
    errno.ELOOP: "pass a path whose links lead to a file",
}
#: Bytes of a file's name, at most, on the usual file systems.
_LONGEST_NAME = 255
#: Of each thread, the path of the scratch file that it opened last, and a reference to that. It
#: calls nothing where the file goes: Ctrl-C in there would be ignored.
_opened = threading.local()


def write_whole(path, data):
    """Write bytes to a file, whole or not at all, see :func:`whole_file`."""
    with whole_file(path) as scratch:
        scratch.write_bytes(data)


@contextlib.contextmanager
def whole_file(path, name="path"):
    """Give the path of a scratch file; what is written there becomes the file at `path`, whole.

    The scratch file lies beside `path`, ends as it does and is there already: open it for writing.
    A kill at any moment leaves the previous file or the new one. A kill while it is being written
    also leaves the scratch file, ``.<stem>.part<suffix>``, which the next write removes. An
    exception in the block leaves the previous file, and is raised.

    A link at `path` stays, and the file that it leads to is replaced. The new file has the
    permissions, and where that is allowed the owner, of the one it replaces, and those of any new
    file else.

    Parameters
    ----------
    path : str or Path
    name : str
        What the caller calls `path`, for messages.

    Yields
    ------
    Path

    Raises
    ------
    TypeError, ValueError
        If `path` is no path.
    OSError
        If `path` is a folder or a device, or its folder is missing; or, under the name `path`,
        where the system does not let it be written.
    """
    target = _target(path, name)
    with _naming(path, name, target), _scratch_of(target) as file:
        scratch = Path(file.name)
        try:
            yield scratch
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows moves no open file
            scratch.replace(target)
        except BaseException:
            _remove(file)
            raise


def check_target_path(path, name, size=1):
    """Return `path` as a Path where a file can be written, which is tried.

    Permission bits tell too little: they do not hold for root, and know of no read-only disk, full
    disk or quota.

    Parameters
    ----------
    path : str or Path
    name : str
        What the caller calls `path`, for messages.
    size : int, default=1
        Bytes that will be written at least.

    Returns
    -------
    Path

    Raises
    ------
    TypeError, ValueError, OSError
        As :func:`whole_file` does.
    """
    target = _target(path, name)
    with _naming(path, name, target), _scratch_of(target) as file:
        try:
            file.write(b"\0")
            file.flush()
            os.fsync(file.fileno())
            _allocate(file, size)
        finally:
            _remove(file)
    return Path(path)


def check_path(path, name):
    """Return `path` as a Path."""
    try:
        known = Path(path)
    except TypeError:
        raise TypeError(
            f"{name} is {path!r}, but it is the path of a file: pass a str or a Path"
        ) from None
    if "\0" in str(known):
        raise ValueError(f"{name} is {str(known)!r}, but no path holds a NUL: pass one without")
    return known


def _target(path, name):
    """Return where to write: links followed, a file or nothing there, and its folder."""
    given = check_path(path, name)
    target = Path(os.path.realpath(given))
    with _naming(path, name, target):
        try:
            mode = target.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            if not target.parent.is_dir():
                folder = target.parent if given.is_symlink() else given.parent
                raise FileNotFoundError(
                    f"{name} is {given}, but there is no folder {folder}: make it first"
                ) from None
            return target
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(f"{name} is {given}, a folder: pass the path of a file")
        if not stat.S_ISREG(mode):
            raise OSError(
                f"{name} is {given}, a device or a pipe, which a file would replace: pass the path "
                "of a file"
            )
        # A read-only file could be replaced all the same, against the will of who made it so.
        os.close(os.open(target, os.O_WRONLY))
    return target


@contextlib.contextmanager
def _naming(path, name, target):
    """Let what the system says of a file at `target`, or beside it, name `path` and a remedy."""
    try:
        yield
    except OSError as error:
        named = error.filename
        # Of another file, as what writes into a scratch file may have opened.
        other = isinstance(named, str) and Path(named).parent != target.parent
        if error.errno is None or other:
            raise
        remedy = _REMEDIES.get(error.errno, "look after the disk, or pass another path")
        reason = f"{os.strerror(error.errno)}, so that {name} was not written: {remedy}"
        raise OSError(error.errno, reason, os.fspath(path)) from None


def _scratch_of(target):
    """Open the scratch file of `target`, new, and lock it: writers to one path take turns."""
    shared = target.with_name(_scratch_name(target, "part"))
    file = _shared_scratch(shared) if fcntl is not None else None
    if file is None:
        # Without locks, each writer has a scratch file of its own.
        own = _scratch_name(target, f"{os.getpid()}-{threading.get_ident()}.part")
        file = target.with_name(own).open("wb")
    try:
        _keep_mode(target, Path(file.name))
    except BaseException:
        _remove(file)
        raise
    return file


def _scratch_name(target, mark):
    name = f".{target.stem}.{mark}{target.suffix}"
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    return f".{hashlib.blake2b(os.fsencode(target.name), digest_size=16).hexdigest()}.{mark}"


def _shared_scratch(scratch):
    """Make a file and lock it; return None where the file system has no locks."""
    # Ctrl-C between two blocks leaves a file open, and locked, for as long as somebody looks at the
    # traceback: this thread is not to wait for itself.
    path, left = getattr(_opened, "latest", (None, None))
    if path == scratch and (file := left()) is not None:
        file.close()
    while True:
        try:
            file, made = scratch.open("xb"), True
        except FileExistsError:
            # Of another writer, who is waited for, or left by a kill, which gave up its lock.
            try:
                file, made = scratch.open("ab"), False
            except FileNotFoundError:
                continue
        locked = False
        try:
            _opened.latest = scratch, weakref.ref(file)
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
                locked = True
            # Whoever had the lock has moved or removed the file, unless it was killed.
            there = locked and _lies_at(file, scratch)
            if there and made:
                return file
            if there or (made and not locked):
                scratch.unlink(missing_ok=True)
        except BaseException:
            file.close()
            raise
        file.close()
        if not locked:
            return None


def _allocate(file, size):
    """Take the space of a file, where the system can."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):  # cannot say
            raise


def _lies_at(file, path):
    """Tell whether an open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _keep_mode(target, scratch):
    """Give a scratch file the owner and the permissions of the file that it will replace."""
    try:
        known = target.stat()
    except FileNotFoundError:
        return
    # Before anything is written: a secret is one in the scratch file too. Where the system refuses
    # it (only root gives files away, and some disks know no permissions), it stays as made.
    for user, group in ((-1, known.st_gid), (known.st_uid, -1)) if hasattr(os, "chown") else ():
        with contextlib.suppress(OSError):
            os.chown(scratch, user, group)
    with contextlib.suppress(OSError):
        scratch.chmod(known.st_mode & 0o777)


def _remove(file):
    """Remove a scratch file, whatever the disk says."""
    with contextlib.suppress(OSError):
        if fcntl is None:
            file.close()
        elif file.closed:  # taken away, see _shared_scratch: what is there is another one
            return
        Path(file.name).unlink()
