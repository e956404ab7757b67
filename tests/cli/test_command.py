"""The command itself: help, versions, errors."""

import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from fastnn import cli
from fastnn.cli import console, train


def test_version_and_help(invoke):
    assert re.match(r"fastnn, version \d+\.\d+", invoke("--version").stdout)
    text = " ".join(invoke("train", "--help").stdout.split())
    assert "200 for digits, 100 for CIFAR-10, .npz and regression" in text
    assert "0.2 for digits, 0.001 for CIFAR-10, 0.1 for .npz and regression" in text
    assert "1/sqrt(inputs) for digits and .npz, 0.0001 for CIFAR-10, glorot for regress" in text


def test_python_m(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "fastnn", "train", "missing.npz"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: there is no file or folder missing.npz")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.96, "100"),
        (999.4, "999"),
        (999.6, "1.00 k"),
        (2.5e6, "2.50 M"),
        (1e13, "10000 G"),
    ],
)
def test_quantity(value, text):
    assert console.quantity(value) == text


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_missing_console_libraries(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import fastnn.cli"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.strip() == (
        f"fastnn: the command line needs {missing}, which is missing: "
        "python -m pip install click rich"
    )


ERRORS = {
    "no data": (["train", "nowhere.npz"], 1, "no file or folder nowhere.npz"),
    "no batches": (["train", "."], 1, "is not a CIFAR-10 folder: looked for data_batch_1.bin"),
    "no units": (["train", "digits", "--hidden", "0"], 2, "'--hidden': 0 is not in the range"),
    "nan": (["train", "digits", "--reg", "nan"], 2, "'--reg': nan is not a finite number"),
    "both": (["train", "digits", "--epochs", "1", "--num-iters", "1"], 2, "give one of them"),
    "no model": (["predict", "nothing", "digits"], 1, "nothing is no file"),
    "csv": (["train", "notes.csv"], 1, "cannot train on notes.csv: needed the word digits"),
    "file as folder": (["train", "digits", "--out", "notes.csv"], 2, "is a file"),
    "units": (["train", "digits", "--hidden", "100000000000"], 2, "not in the range 1<=x<=21474"),
    "steps": (["train", "digits", "--num-iters", "999999999999999"], 2, "not in the range 1<=x<="),
    "epochs": (["train", "digits", "--epochs", "1" + 9 * "0"], 1, "most of it for --epochs, which"),
    "memory": (["train", "digits", "--hidden", "2147483647"], 1, "for --hidden 2147483647, but"),
    "sweep": (["sweep", "digits", "--hidden", "5", "2147483647"], 1, "for --hidden 2147483647, b"),
    "seconds": (["bench", "--seconds", "nan"], 2, "'--seconds': nan is not a finite number"),
    "for ever": (["bench", "--seconds", "inf"], 2, "'--seconds': inf is not in the range"),
    "no time": (["bench", "--seconds", "5e-324"], 2, "'--seconds': 5e-324 is not in the range"),
    "rate": (["train", "digits", "--learning-rate", "inf"], 2, "inf is not a finite number"),
    "std": (["train", "digits", "--std", "1e30"], 1, "from step 0 on, and no model was written. "),
    "beyond": (["train", "digits", "--std", "1e31"], 2, "'--std': 1e+31 is not in the range"),
    "task": (["train", "digits", "--task", "rank"], 2, "'rank' is not one of 'classification', 'r"),
    "word": (["sweep", "digits", "--reg", "0.1", "x"], 2, "unexpected extra argument (x)"),
    "no value": (["sweep", "digits", "--reg", "--hidden", "5"], 2, "'--hidden' is not a valid"),
}


@pytest.mark.parametrize(("words", "code", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_are_one_line(invoke, tmp_path, words, code, message):
    (tmp_path / "notes.csv").write_text("1,2\n")
    result = invoke(*words, code=code)
    assert result.error.startswith("Error: ")
    assert message in result.error
    assert "accuracy" not in result.stdout


@pytest.mark.parametrize("kind", [RuntimeError, EOFError, AssertionError, KeyError, RecursionError])
def test_what_nobody_expected_is_one_line_too(invoke, monkeypatch, kind):
    def fail(*arguments, **options):
        raise kind("what\nwhere")

    monkeypatch.setattr(train, "load_dataset", fail)
    result = invoke("train", "digits", code=1)
    text = str(kind("what\nwhere")).replace("\n", " ")
    assert result.stderr == (
        f"Error: {kind.__name__}: {text}. This is not meant to happen: fastnn --traceback COMMAND "
        "... shows where it does\n"
    )
    command = CliRunner().invoke(cli.cli, ["--traceback", "train", "digits"])
    assert command.stderr.startswith("Traceback (most recent call last):")
    assert "in fail" in command.stderr
    assert command.stderr.endswith(result.stderr)
    assert command.exit_code == 1


def test_traceback_of_an_error_that_was_expected(invoke):
    command = CliRunner().invoke(cli.cli, ["--traceback", "train", "nowhere.npz"])
    assert "in _existing" in command.stderr


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [(KeyboardInterrupt, 130, "Interrupted."), (EOFError, 1, "Error: EOFError. This is not meant")],
)
def test_nothing_is_aborted(monkeypatch, kind, code, message):
    """Before a command has begun, too: click says no more than Aborted then."""

    def fail(*arguments, **options):
        raise kind

    monkeypatch.setattr(type(cli.cli), "make_context", fail)
    result = CliRunner().invoke(cli.cli, ["train", "digits"])
    assert result.stderr.strip().startswith(message)
    assert result.exit_code == code
