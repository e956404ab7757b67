"""The command itself: help, versions, errors."""

import os
import re
import subprocess
import sys

import pytest

from fastnn.cli import console


def test_version_and_help(invoke):
    assert re.match(r"fastnn, version \d+\.\d+", invoke("--version").stdout)
    text = " ".join(invoke("train", "--help").stdout.split())
    assert "200 for digits, 100 for CIFAR-10 and .npz" in text
    assert "0.2 for digits, 0.001 for CIFAR-10, 0.1 for .npz" in text
    assert "1/sqrt(inputs) for digits and .npz" in text


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
        f'fastnn: the command line needs {missing}, which is missing: pip install "fastnn[cli]"'
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
    "word": (["sweep", "digits", "--reg", "0.1", "x"], 2, "unexpected extra argument (x)"),
    "no value": (["sweep", "digits", "--reg", "--hidden", "5"], 2, "'--hidden' is not a valid"),
}


@pytest.mark.parametrize(("words", "code", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_are_one_line(invoke, tmp_path, words, code, message):
    (tmp_path / "notes.csv").write_text("1,2\n")
    result = invoke(*words, code=code)
    assert result.error.startswith("Error: ")
    assert message in result.error
    assert result.stdout == ""
