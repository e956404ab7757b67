"""Files are written whole or not at all, where links lead, and as they were permitted."""

import errno
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from fastnn import Network, Trainer, TwoLayerNet
from fastnn.files import writing

posix = pytest.mark.skipif(os.name != "posix", reason="links, permissions and devices of POSIX")

NETWORK = Network((3, 4, 2), random_state=0)
SAVES = {
    "network": NETWORK.save,
    "two layers": TwoLayerNet(3, 4, 2, random_state=0).save,
    "trainer": Trainer(NETWORK).save,
    "write_whole": lambda path: writing.write_whole(path, b"content"),
}
#: What else refuses a path: before a training is begun.
CHECKS = {
    "check": lambda path: writing.check_target_path(path, "path"),
    "fit": lambda path: Trainer(NETWORK).fit(np.zeros((9, 3)), [0] * 9, checkpoint=path),
}


def refuse(code):
    """Return what fails as the system does, of the file that it is called for."""
    number = getattr(errno, code)

    def fail(*arguments, **_):
        named = [a for a in arguments if isinstance(a, (str, os.PathLike))][:1]
        raise OSError(number, os.strerror(number), *map(str, named))

    return fail


every_save = pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
every_use = pytest.mark.parametrize(
    "use", [*SAVES.values(), *CHECKS.values()], ids=[*SAVES, *CHECKS]
)


# ------------------------------------------------------------------------- links and permissions


@posix
@every_save
def test_a_link_is_followed(tmp_path, save):
    (tmp_path / "disk").mkdir()
    real, link, second = tmp_path / "disk" / "real", tmp_path / "link", tmp_path / "second"
    link.symlink_to("disk/real")  # relative, and to nothing yet
    second.symlink_to(link)
    for path in (link, second, str(second)):
        save(path)
        assert link.is_symlink()
        assert second.is_symlink()
        assert not real.is_symlink()
        content = real.read_bytes()
        assert content
        real.write_bytes(b"old")
        save(path)
        assert len(real.read_bytes()) == len(content)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["disk", "link", "real", "second"]


@posix
@every_save
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_an_existing_file_keeps_its_mode(tmp_path, save, mode):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    save(path)
    assert path.read_bytes() != b"old"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
def test_what_is_being_written_is_as_secret_as_the_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with writing.whole_file(path) as scratch:
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o600


@posix
@every_save
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path, save, umask):
    # What a kill has left had another.
    for left in (None, ".file.part"):
        if left is not None:
            (tmp_path / left).write_bytes(b"left")
            (tmp_path / left).chmod(0o600)
        before = os.umask(umask)
        try:
            save(tmp_path / "file")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask
        (tmp_path / "file").unlink()
    assert not list(tmp_path.iterdir())


@posix
def test_an_existing_file_keeps_its_owner_where_that_is_allowed(tmp_path, monkeypatch):
    path, asked = tmp_path / "file", []
    path.write_bytes(b"old")
    known = path.stat()
    monkeypatch.setattr("os.chown", lambda path, *ids: asked.append(ids))
    writing.write_whole(path, b"new")
    assert asked == [(-1, known.st_gid), (known.st_uid, -1)]
    monkeypatch.setattr("os.chown", refuse("EPERM"))
    writing.write_whole(path, b"newer")
    assert path.read_bytes() == b"newer"


# ------------------------------------------------------------------------------ what is refused


@every_use
def test_a_folder_is_refused(tmp_path, use):
    with pytest.raises(IsADirectoryError, match=r"is .*, a folder: pass the path of a file"):
        use(tmp_path)
    assert not list(tmp_path.iterdir())


@posix
@every_use
def test_a_device_is_refused(tmp_path, use):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for path in ("/dev/null", "/dev/full", tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(OSError, match=rf"is {path}, a device or a pipe.*: pass the path of a"):
            use(path)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "pipe"]


@every_use
def test_a_missing_folder_is_refused(tmp_path, use):
    (tmp_path / "file").write_text("no folder")
    for folder in ("nowhere", "file"):
        path = tmp_path / folder / "model"
        with pytest.raises(FileNotFoundError, match=rf"is {path}, but .* no folder {path.parent}:"):
            use(path)


@posix
@every_use
def test_a_link_into_a_missing_folder_is_refused(tmp_path, use):
    link, folder = tmp_path / "link", tmp_path / "nowhere"
    link.symlink_to(folder / "model")
    with pytest.raises(FileNotFoundError, match=rf"is {link}, but there is no folder {folder}: ma"):
        use(link)


@posix
@every_use
def test_links_in_a_circle_are_refused(tmp_path, use):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="links lead to a file") as caught:
        use(tmp_path / "a")
    assert caught.value.filename == str(tmp_path / "a")


@every_use
def test_what_is_no_path_is_refused(use):
    with pytest.raises(TypeError, match="is 3, but it is the path of a file: pass a str or a Path"):
        use(3)
    with pytest.raises(ValueError, match="no path holds a NUL"):
        use("a\0b")


@every_use
def test_a_name_that_is_too_long_is_refused(tmp_path, use):
    path = tmp_path / ("n" * 300)
    with pytest.raises(OSError, match="pass a shorter path") as caught:
        use(path)
    assert caught.value.filename == str(path)


@every_save
@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "n" * 100 + "." + "s" * 154])
def test_the_longest_names(tmp_path, save, name):
    save(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@posix
@every_use
@pytest.mark.parametrize(
    ("code", "step", "remedy"),
    [
        ("ENOSPC", "os.fsync", "free some space, or pass a path on another disk"),
        ("EDQUOT", "os.fsync", "free some space, or pass a path on another disk"),
        ("ENOSPC", "pathlib.Path.open", "free some space, or pass a path on another disk"),
        ("EACCES", "pathlib.Path.open", "let this user write the file and its folder, or pass"),
        ("EACCES", "os.open", "let this user write the file and its folder, or pass"),
        ("EROFS", "pathlib.Path.open", "pass a path on a disk that is not read-only"),
        ("EIO", "os.fsync", "look after the disk, or pass another path"),
    ],
)
def test_the_system_s_errors_name_the_path_and_a_remedy(
    tmp_path, monkeypatch, use, code, step, remedy
):
    path = tmp_path / "file.safetensors"
    path.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(path)
    for given in (path, link, str(path)):
        with monkeypatch.context() as patch:
            patch.setattr(step, refuse(code))
            with pytest.raises(OSError, match=remedy) as caught:
                use(given)
        error = caught.value
        assert error.errno == getattr(errno, code)
        assert type(error) is type(OSError(error.errno, ""))
        assert error.filename == str(given)
        assert ".part" not in str(error)
        assert path.read_bytes() == b"old"
        assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, "link"]


@every_save
def test_a_move_that_fails_leaves_the_old_file(tmp_path, monkeypatch, save):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", refuse("EPERM"))
        with pytest.raises(PermissionError, match="let this user write") as caught:
            save(path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_trained_where_nothing_could_be_saved(tmp_path, monkeypatch):
    trainer = Trainer(NETWORK, max_iter=1)
    before = NETWORK.params.copy()
    monkeypatch.setattr("os.fsync", refuse("ENOSPC"))
    with pytest.raises(OSError, match="No space left on device, so that checkpoint was not writ"):
        trainer.fit(np.zeros((9, 3)), [0] * 9, checkpoint=tmp_path / "file")
    assert (NETWORK.params == before).all()
    assert trainer.n_iter_ == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot say")
def test_a_disk_with_too_little_space_is_noticed_at_the_start(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("os.posix_fallocate", lambda *a: asked.append(a[1:]) or refuse("ENOSPC")())
    trainer = Trainer(NETWORK, max_iter=1)
    with pytest.raises(OSError, match="No space left on device, so that checkpoint was not writ"):
        trainer.fit(np.zeros((9, 3)), [0] * 9, checkpoint=tmp_path / "file")
    assert asked == [(0, NETWORK.params.nbytes)]
    assert not list(tmp_path.iterdir())
    # Not every file system can say.
    monkeypatch.setattr("os.posix_fallocate", refuse("EOPNOTSUPP"))
    assert writing.check_target_path(tmp_path / "file", "path", size=2**60)


def test_the_check_leaves_no_trace(tmp_path):
    path = tmp_path / "file"
    assert writing.check_target_path(str(path), "path") == path
    assert not list(tmp_path.iterdir())
    path.write_bytes(b"old")
    before = path.stat()
    assert writing.check_target_path(path, "path") == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------------- written by a library


def test_a_library_writes_the_scratch_file(tmp_path):
    path = tmp_path / "array.npy"
    with writing.whole_file(path) as scratch:
        assert scratch.parent == tmp_path
        assert scratch.suffix == ".npy"  # some libraries append it where it is missing
        np.save(scratch, np.arange(5))
        assert not path.exists()
    assert (np.load(path) == np.arange(5)).all()
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(error):
        with writing.whole_file(path) as scratch:
            scratch.write_bytes(b"half")
            raise error

    for error in (KeyboardInterrupt(), ZeroDivisionError(), FileNotFoundError(2, "no", "/other")):
        with pytest.raises(type(error)) as caught:
            write(error)
        assert caught.value is error
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="free some space") as caught:
        write(OSError(errno.ENOSPC, "no space"))
    assert caught.value.filename == str(path)


@pytest.mark.skipif(writing.fcntl is None, reason="no locks here")
def test_ctrl_c_between_two_blocks_is_not_waited_for(tmp_path, monkeypatch):
    path, flock = tmp_path / "file", writing.fcntl.flock

    def at_once(file, operation):
        try:
            flock(file, operation | writing.fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.fail("it waits for itself")

    monkeypatch.setattr(writing.fcntl, "flock", at_once)
    # As Ctrl-C leaves it behind the first of them, and a notebook that keeps the traceback.
    left = writing.whole_file(path)
    left.__enter__()
    writing.write_whole(path, b"all of it")
    with writing.whole_file(path) as scratch:
        scratch.write_bytes(b"more of it")
        left.gen.close()
    assert path.read_bytes() == b"more of it"
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------------ whole at every moment


@pytest.mark.skipif(writing.fcntl is None, reason="no locks here")
def test_what_a_kill_left_is_overwritten(tmp_path):
    path = tmp_path / "file"
    # Of a longer write.
    (tmp_path / ".file.part").write_bytes(bytes(1 << 20))
    writing.write_whole(path, b"all of it")
    assert path.read_bytes() == b"all of it"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_to_one_path_do_not_mix_their_bytes(tmp_path):
    path, mixed = tmp_path / "file", []
    writing.write_whole(path, b"0")

    def write(letter):
        for i in range(30):
            writing.write_whole(path, letter * (1 + 5000 * (i % 7)))

    def read():
        while any(writer.is_alive() for writer in writers):
            found = path.read_bytes()
            if len(set(found)) != 1:
                mixed.append(found)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    threads = [*writers, threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not mixed
    assert list(tmp_path.iterdir()) == [path]


def test_files_where_nothing_can_be_locked(tmp_path, monkeypatch):
    # As on Windows: each process has a scratch file of its own.
    monkeypatch.setattr(writing, "fcntl", None)
    path = tmp_path / "file"
    for content in (b"one", b"two"):
        writing.write_whole(path, content)
        assert path.read_bytes() == content
    monkeypatch.setattr("os.fsync", refuse("ENOSPC"))
    with pytest.raises(OSError, match="No space"):
        writing.write_whole(path, b"three")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(writing.fcntl is None, reason="no locks here")
def test_files_on_a_disk_without_locks(tmp_path, monkeypatch):
    # As on some network file systems: each writer has a scratch file of its own.
    path = tmp_path / "file"
    monkeypatch.setattr("fcntl.flock", refuse("ENOLCK"))
    with writing.whole_file(path) as mine:
        mine.write_bytes(b"mine")
        writing.write_whole(path.with_name("other"), b"other")
        (tmp_path / ".file.part").write_bytes(b"of somebody")
        assert mine.name != ".file.part"
    assert path.read_bytes() == b"mine"
    writing.write_whole(path, b"again")
    assert path.read_bytes() == b"again"
    assert (tmp_path / ".file.part").read_bytes() == b"of somebody"
