"""Output that nobody reads, that does not fit anywhere or that cannot be spelt loses nothing."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fastnn import Network

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX's files and signals")

TRAIN = ("train", "blobs.npz", "--out", "out", "--epochs", "1")
SWEEP = ("sweep", "blobs.npz", "--out", "out", "--epochs", "1", "--reg", "0", "0.1")
FILES = ["history.png", "model.safetensors"]


@pytest.fixture
def closed_pipe():
    """The writing end of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def full_disk():
    with open("/dev/full", "w") as file:  # noqa: PTH123
        yield file


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("words", [TRAIN, SWEEP], ids=["train", "sweep"])
def test_closed_pipe_is_no_error(execute, blobs, tmp_path, closed_pipe, words):
    assert execute(*words, stdout=closed_pipe).stderr == ""
    assert files_in(tmp_path / "out") == FILES


@pytest.mark.parametrize("words", [["--help"], ["predict", "model.safetensors", "X.npy"]])
def test_closed_pipe_is_no_error_of_other_commands(execute, model, tmp_path, closed_pipe, words):
    np.save(tmp_path / "X.npy", np.zeros((100_000, 3)))
    assert execute(*words, stdout=closed_pipe).stderr == ""


def test_reader_that_takes_a_line(tmp_path, model):
    np.save(tmp_path / "X.npy", np.zeros((100_000, 3)))
    command = f"{sys.executable} -m fastnn predict model.safetensors X.npy | head -1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout in ("0\n", "1\n")
    assert result.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")  # noqa: PTH110
@pytest.mark.parametrize("words", [TRAIN, SWEEP], ids=["train", "sweep"])
def test_full_disk_behind_stdout(execute, blobs, tmp_path, full_disk, words):
    *results, error = execute(*words, code=1, stdout=full_disk).stderr.splitlines()
    assert error == "Error: stdout did not take all of the output: No space left on device"
    # What was learnt is written, and what was to be read of it went to stderr instead.
    assert files_in(tmp_path / "out") == FILES
    assert any("accuracy" in line for line in results)
    assert "Wrote out/model.safetensors" in results


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")  # noqa: PTH110
def test_many_predictions_do_not_flood_stderr(execute, model, tmp_path, full_disk):
    np.save(tmp_path / "X.npy", np.zeros((100_000, 3)))
    result = execute("predict", "model.safetensors", "X.npy", code=1, stdout=full_disk)
    assert result.stderr == (
        "Error: stdout did not take all of the output: No space left on device\n"
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")  # noqa: PTH110
def test_bench_measures_nothing_that_nobody_would_see(execute, full_disk):
    execute("bench", "--seconds", "3600", code=1, stdout=full_disk)


def test_no_streams_at_all(execute, blobs, tmp_path):
    execute(*TRAIN, preexec_fn=lambda: (os.close(1), os.close(2)), stdout=None, stderr=None)
    assert files_in(tmp_path / "out") == FILES
    Network.load(tmp_path / "out" / "model.safetensors")


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}],
    ids=["PYTHONIOENCODING", "LC_ALL"],
)
def test_name_that_the_encoding_lacks(execute, blobs, tmp_path, environment):
    shutil.copy(blobs, tmp_path / "tröpfchen.npz")
    result = execute("train", "tröpfchen.npz", "--epochs", "1", environment=environment)
    assert result.stdout.isascii()
    assert files_in(tmp_path / "fastnn-tröpfchen") == FILES


def test_name_that_looks_like_a_style(invoke, blobs, tmp_path):
    (tmp_path / "red[").mkdir()
    shutil.copy(blobs, tmp_path / "red[" / "blue]:smile:.npz")
    result = invoke("train", "red[/blue]:smile:.npz", "--epochs", 1)
    assert "fastnn train red[/blue]:smile:.npz" in result.stdout


@pytest.mark.parametrize("words", [TRAIN, SWEEP, ["bench"]], ids=["train", "sweep", "bench"])
def test_forty_columns(invoke, blobs, monkeypatch, words):
    from fastnn import benchmark

    toy = benchmark.Network(4, 10, 3, 5, num_train=5)
    row = benchmark.Comparison(toy, np.dtype("float32"), 1, 1.2e-3, 3.4e-4, 100.0)
    monkeypatch.setattr(benchmark, "NETWORKS", (toy,))
    monkeypatch.setattr(benchmark, "compare", lambda *arguments: row)
    monkeypatch.setenv("COLUMNS", "40")
    output = invoke(*words).stdout
    lines = ("Wrote", "NumPy 2", "1/", "2/")  # of text, which the terminal wraps
    table = [line for line in output.splitlines() if not line.startswith(lines)]
    assert max(map(len, table)) <= 40
    assert "…" not in output
    whole = {
        "train": ["Validation accuracy  ", "Peak of one core  ", " GFLOP/s"],
        "sweep": ["Hidden 100  Learning rate 0.1  Reg 0.1", "Validation accuracy 1.0000"],
        "bench": ["Network 4-10-3  Batch 5", "NumPy 1,200  fastnn 340  Ratio 3.53"],
    }
    for text in whole[words[0]]:
        assert text in output
