"""The command line on real, small runs: how to call it, and what it is given."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("sklearn")

from click.testing import CliRunner

from fastnn import TwoLayerNet, cli, get_num_threads, set_num_threads
from fastnn.data import cifar10 as format_of_cifar10


class Result:
    """What a command printed."""

    def __init__(self, stdout, stderr):
        self.stdout, self.stderr = stdout, stderr

    @property
    def error(self):
        """The error line, which is the last."""
        return self.stderr.splitlines()[-1]

    def fact(self, name):
        """Return a number of the table that `fastnn train` prints."""
        text = re.search(rf"{re.escape(name)} +([-+\d.,e]+)", self.stdout)[1]
        return float(text.replace(",", ""))


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run the command in an empty folder; check the exit code and give the Result."""
    monkeypatch.chdir(tmp_path)

    def run(*args, code=0):
        threads = get_num_threads()
        result = CliRunner().invoke(cli.cli, [str(arg) for arg in args])
        if "--threads" not in args:
            assert get_num_threads() == threads
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return Result(result.stdout, result.stderr)

    return run


@pytest.fixture
def execute(tmp_path):
    """Run the command in a process of its own, in an empty folder; give its CompletedProcess."""

    def run(*args, code=0, environment=(), **options):
        result = subprocess.run(
            [sys.executable, "-m", "fastnn", *map(str, args)],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                **dict(environment),
            },
            text=True,
            check=False,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        assert result.returncode == code, (result.stdout, result.stderr)
        assert "Traceback" not in (result.stderr or "")
        return result

    return run


@pytest.fixture
def restore_threads():
    set_num_threads(None)
    yield
    set_num_threads(None)


@pytest.fixture
def blobs(tmp_path):
    """A .npz file of three classes that are easily told apart, and badly scaled columns."""
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    centres = np.array([[0, 1000, 5], [1, 3000, 5], [2, 1000, 5]])
    X = centres[y] + rng.normal(size=(150, 3)) * [0.1, 100, 0]
    path = tmp_path / "blobs.npz"
    np.savez(path, X=X, y=y)
    return path


@pytest.fixture
def cifar10(tmp_path):
    """A folder with CIFAR-10's file names, whose classes differ in brightness."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "cifar"
    folder.mkdir()
    for name in (*format_of_cifar10.TRAIN_FILES, format_of_cifar10.TEST_FILE):
        records = rng.integers(0, 30, (20, format_of_cifar10.RECORD_BYTES), dtype=np.uint8)
        records[:, 0] = np.arange(20) % 10
        records[:, 1:] += 20 * records[:, :1]
        records.tofile(folder / name)
    return folder


@pytest.fixture
def model(tmp_path):
    net = TwoLayerNet(3, 4, 2, std=1, random_state=3)
    net.save(tmp_path / "model.safetensors")
    return net, tmp_path / "model.safetensors"
