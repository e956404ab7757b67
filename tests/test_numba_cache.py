"""The machine code on disk: damaged, missing or in nobody's reach, it costs a compilation only."""

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import threading

import numba
import pytest
from numba.core.registry import cpu_target

from fastnn.kernels import _cache, _jit

SOURCE = """
def twice(x):
    return x + x
"""

WRITING = ["pathlib.Path.write_bytes", "pathlib.Path.replace"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "module.py").write_text(SOURCE)
    return tmp_path / "cache"


@pytest.fixture
def kernel(tmp_path, folder):
    """Return a function: the kernel as a new process would have it."""

    def new():
        names = {"__name__": "builtins"}  # numba imports the module of what it loads
        exec(compile(SOURCE, str(tmp_path / "module.py"), "exec"), names)
        return _jit.kernel(names["twice"])

    return new


def files_of(folder, suffix=".nb?"):
    return sorted(folder.rglob(f"*{suffix}"))


def is_loaded(kernel, argument=21):
    """Call a kernel; tell whether its machine code came from the cache."""
    assert kernel(argument) == argument + argument
    hits, misses = (sum(getattr(kernel.stats, f"cache_{n}").values()) for n in ("hits", "misses"))
    assert hits + misses == 1
    return hits == 1


class Harmful:
    """Unpickled, it does what nobody asked for."""

    def __reduce__(self):
        return eval, ("1 / 0",)


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "one byte less": lambda content: content[:-1],
    "one byte more": lambda content: content + b"\0",
    "garbage": lambda content: bytes(range(256)) * 8,
    "zeros": lambda content: bytes(len(content)),
    "a flipped bit": lambda content: (
        content[: len(content) // 2]
        + bytes([content[len(content) // 2] ^ 1])
        + content[len(content) // 2 + 1 :]
    ),
    "another object": lambda content: pickle.dumps({"some": "thing"}),
    "another version": lambda content: pickle.dumps("0.1") + content,
    "a call": lambda content: pickle.dumps(Harmful()),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_damaged_file_is_replaced(folder, kernel, suffix, damage):
    assert not is_loaded(kernel())
    assert is_loaded(kernel())
    (file,) = files_of(folder, suffix)
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert not is_loaded(kernel())
    assert is_loaded(kernel())
    assert len(files_of(folder)) == 2


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_every_flipped_bit_of_a_file_is_noticed(folder, kernel, suffix):
    is_loaded(kernel())
    (file,) = files_of(folder, suffix)
    content = file.read_bytes()
    for place in range(0, len(content), 1 + len(content) // 60):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        assert not is_loaded(kernel()), place
        file.write_bytes(content)


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_missing_file_is_written_again(folder, kernel, suffix):
    is_loaded(kernel())
    files_of(folder, suffix)[0].unlink()
    assert not is_loaded(kernel())
    assert is_loaded(kernel())


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_folder_in_the_place_of_a_file(folder, kernel, suffix):
    is_loaded(kernel())
    (file,) = files_of(folder, suffix)
    file.unlink()
    file.mkdir()
    for _ in range(2):
        assert not is_loaded(kernel())


def test_a_change_of_any_source_is_noticed(folder, kernel, tmp_path, monkeypatch):
    sources = tmp_path / "sources"
    (sources / "inner").mkdir(parents=True)
    monkeypatch.setattr(_cache, "SOURCES", sources)
    part = sources / "inner" / "part.py"

    def begin(content):
        # Of the same date, as in wheels that are built to the same bytes.
        part.write_text(content)
        os.utime(part, (0, 0))
        _cache._sources.cache_clear()
        return is_loaded(kernel())

    assert not begin("x = 1")
    assert begin("x = 1")
    assert not begin("x = 2")
    assert begin("x = 2")
    part.rename(sources / "part.py")
    _cache._sources.cache_clear()
    assert not is_loaded(kernel())


def test_machine_code_for_other_arguments_is_not_run(folder, kernel):
    # Two processes that compile at the same time may give one name to two files.
    is_loaded(kernel(), 21)
    is_loaded(kernel(), 1.5)
    first, second = files_of(folder, ".nbc")
    shutil.copy(second, first)
    assert not is_loaded(kernel(), 21)
    assert is_loaded(kernel(), 21)
    assert is_loaded(kernel(), 1.5)


def test_files_of_numba_itself_are_replaced(folder, kernel):
    # It gives them the same names, and no checksum.
    numbas = numba.njit(cache=True)(kernel().py_func)
    assert numbas(21) == 42
    assert len(files_of(folder)) == 2
    assert not is_loaded(kernel())
    assert is_loaded(kernel())


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO"])
@pytest.mark.parametrize(
    "step", ["pathlib.Path.write_bytes", "pathlib.Path.replace", "os.makedirs"]
)
def test_a_cache_that_cannot_be_written(folder, kernel, monkeypatch, step, code):
    def fail(*_, **__):
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number))

    known = kernel()
    with monkeypatch.context() as patch:
        patch.setattr(step, fail)
        assert not is_loaded(known)
    assert files_of(folder, "") == [p for p in files_of(folder, "") if p.is_dir()]
    assert not is_loaded(kernel())
    assert is_loaded(kernel())


def test_a_folder_that_vanishes(folder, kernel):
    known = kernel()
    shutil.rmtree(folder)
    assert not is_loaded(known)
    assert is_loaded(kernel())
    known = kernel()
    shutil.rmtree(folder)
    folder.write_text("no folder")
    assert not is_loaded(known)


@pytest.mark.parametrize(
    "step", ["pathlib.Path.write_bytes", "pathlib.Path.replace", "pickle.loads"]
)
def test_ctrl_c_is_ctrl_c_and_leaves_no_half_file(folder, kernel, monkeypatch, step):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    if step == "pickle.loads":
        is_loaded(kernel())
    known = kernel()
    before = files_of(folder, "")
    with monkeypatch.context() as patch:
        patch.setattr(step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            known(21)
    assert files_of(folder, "") == before
    assert known(21) == 42
    kernel()(21)
    assert is_loaded(kernel())


@pytest.mark.parametrize("callback", ["_object_cache_notify", "_object_cache_getbuffer"])
def test_ctrl_c_in_a_callback_of_llvm_is_not_lost(folder, kernel, monkeypatch, callback):
    engine = cpu_target.target_context.codegen()._engine._ee
    original, moments = getattr(engine, callback), []

    def called(*arguments):
        moments.append(callback)
        signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    for known in (kernel(), kernel()):
        with monkeypatch.context() as patch:
            patch.setattr(engine, callback, called)
            with pytest.raises(KeyboardInterrupt):
                known(21)
        assert moments
        assert known(21) == 42
        kernel()(21)
        assert is_loaded(kernel())
        if callback == "_object_cache_notify":
            break  # what is loaded is not notified


def test_ctrl_c_goes_to_the_handler_at_hand(folder, kernel, monkeypatch):
    is_loaded(kernel())
    engine, came = cpu_target.target_context.codegen()._engine._ee, []
    original = engine._object_cache_getbuffer

    def called(*arguments):
        signal.raise_signal(signal.SIGINT)
        assert not came
        return original(*arguments)

    monkeypatch.setattr(engine, "_object_cache_getbuffer", called)
    before = signal.signal(signal.SIGINT, lambda *arguments: came.append(arguments))
    try:
        assert is_loaded(kernel())
        assert len(came) == 1
        signal.raise_signal(signal.SIGINT)
        assert len(came) == 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_many_threads_and_one_cache(folder, kernel):
    kernels, wrong = [kernel() for _ in range(8)], []

    def call(number):
        numbers = number, number + 0.5
        wrong.extend(x for x in numbers if kernels[number](x) != x + x)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert is_loaded(kernel(), 21)
    assert is_loaded(kernel(), 1.5)


TRAINING = """
    import numpy as np
    from fastnn import Network, Trainer
    from fastnn.kernels.loop.train import train

    X, y = np.random.RandomState(0).randn(20, 4), np.arange(20) % 3
    net = Network((4, 5, 3), random_state=0)
    Trainer(net, max_iter=2, random_state=0).fit(X, y)
    print(sum(train.stats.cache_hits.values()), net.params.tobytes().hex())
"""


def test_a_training_on_a_damaged_cache(tmp_path):
    def run():
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(TRAINING)],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    shutil.copytree(os.environ["NUMBA_CACHE_DIR"], tmp_path, dirs_exist_ok=True)
    _, expected = run()
    assert run() == ["1", expected]
    for number, file in enumerate(files_of(tmp_path)):
        content = file.read_bytes()
        file.write_bytes(content[: (0, len(content) // 2)[number % 2]])
    assert run() == ["0", expected]
    assert run() == ["1", expected]
