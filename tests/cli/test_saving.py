"""Files of the command: checked before any work is done for them, and whole at any moment."""

import errno
import os
import sys
import tempfile
import types

import numpy as np
import pytest

from fastnn import Network, TwoLayerNet
from fastnn.cli import experiment, saving, sweep, train

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links and devices of POSIX")


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def no_training(monkeypatch):
    """Any training fails the test."""

    def run(*arguments, **options):
        raise AssertionError("it was trained before --out was checked")

    monkeypatch.setattr(experiment, "run", run)


# ------------------------------------------------------------------------------------ before work


@POSIX
@pytest.mark.parametrize("command", ["train", "sweep"])
@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("notes.txt/sub", "notes.txt/sub, but there is no folder and none can be made (Not a dir"),
        ("/dev/null/sub", "/dev/null/sub, but there is no folder and none can be made (Not a dir"),
        ("nowhere", "--out is nowhere, but there is no folder and none can be made (File exists)"),
        ("taken", "taken/model.safetensors, a folder"),
        ("device", "--out is device/history.png, a device or a pipe, which a file would replace"),
    ],
)
def test_folder_that_cannot_be_written_is_found_before_the_training(
    invoke, blobs, tmp_path, no_training, command, out, message
):
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "nowhere").symlink_to("no/such/folder")
    (tmp_path / "taken" / "model.safetensors").mkdir(parents=True)
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "history.png").symlink_to("/dev/null")
    assert message in invoke(command, blobs, "--out", out, code=1).error


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="nothing takes space beforehand")
@pytest.mark.parametrize("command", ["train", "sweep"])
def test_full_disk_is_found_before_the_training(invoke, blobs, monkeypatch, no_training, command):
    monkeypatch.setattr(os, "posix_fallocate", full_disk)
    assert invoke(command, blobs, "--out", "out", code=1).error == (
        "Error: out/model.safetensors: No space left on device, so that --out was not written: "
        "free some space, or pass a path on another disk"
    )


@POSIX
@pytest.mark.parametrize("command", ["predict", "plot"])
def test_file_that_cannot_be_written_is_found_before_the_work(
    invoke, model, tmp_path, monkeypatch, command
):
    np.save(tmp_path / "X.npy", np.zeros((2, 3)))
    (tmp_path / "device.csv").symlink_to("/dev/null")
    monkeypatch.setattr(TwoLayerNet, "predict", full_disk)
    monkeypatch.setattr(saving, "save_figure", full_disk)
    words = {"predict": ["X.npy"], "plot": ["--image-shape", "1", "1", "3"]}[command]
    for out, message in (
        ("device.csv", "--out is device.csv, a device or a pipe, which a file would replace"),
        ("no/p.csv", "there is no folder no: make it first"),
    ):
        assert message in invoke(command, model[1], *words, "--out", out, code=1).error


@POSIX
def test_what_is_read_is_not_replaced(invoke, model, tmp_path):
    np.save(tmp_path / "X.npy", np.zeros((2, 3)))
    (tmp_path / "link.npy").symlink_to("X.npy")
    before = model[1].read_bytes()
    for out in ("X.npy", "link.npy", "../" + tmp_path.name + "/X.npy"):
        message = invoke("predict", model[1], "X.npy", "--out", out, code=1).error
        assert "which is read from, and would be lost: give another file" in message
    invoke("plot", model[1], "--image-shape", 1, 1, 3, "--out", model[1], code=1)
    assert model[1].read_bytes() == before
    assert np.load(tmp_path / "X.npy").shape == (2, 3)


def test_sweep_leaves_the_model_of_train(invoke, blobs, tmp_path):
    invoke("train", blobs, "--epochs", 1)
    path = tmp_path / "fastnn-blobs" / "model.safetensors"
    before = path.read_bytes()
    output = invoke("sweep", blobs, "--epochs", 1, "--hidden", 2, 3).stdout
    assert path.read_bytes() == before
    assert (tmp_path / "fastnn-blobs-sweep" / "model.safetensors").is_file()
    assert "Wrote fastnn-blobs-sweep" in output


# -------------------------------------------------------------------------------------- after work


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_everything_is_saved_before_anything_is_printed(
    invoke, blobs, tmp_path, monkeypatch, command
):
    seen = []
    written = tmp_path / "out" / "model.safetensors"
    module = {"train": train, "sweep": sweep}[command]
    for name in ("print_facts", "print_table", "say"):
        monkeypatch.setattr(
            module.console, name, lambda *arguments, **options: seen.append(written.is_file())
        )
    invoke(command, blobs, "--epochs", 1, "--out", "out")
    assert len(seen) >= 3
    assert all(seen)


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_model_that_cannot_be_saved_finds_a_refuge(invoke, blobs, tmp_path, monkeypatch, command):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    save = Network.save

    def fail(net, path):
        if path.parent.name == "out":
            full_disk()
        save(net, path)

    monkeypatch.setattr(Network, "save", fail)
    result = invoke(command, blobs, "--epochs", 1, "--out", "out", code=1)
    (refuge,) = (tmp_path / "tmp").glob("fastnn-*/model.safetensors")
    assert result.error == f"Error: No space left on device. The model is in {refuge}"
    Network.load(refuge)
    assert "accuracy" in result.stdout


def test_results_are_printed_where_a_plot_fails(invoke, blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "plot_history", full_disk)
    result = invoke("train", blobs, "--epochs", 1, "--out", "out", code=1)
    assert result.error.startswith("Error: No space left on device")
    assert result.fact("Test accuracy") > 0
    assert "Wrote out" in result.stdout


def test_sweep_keeps_what_came_before_an_error(
    invoke, blobs, tmp_path, monkeypatch, restore_threads
):
    run = experiment.run

    def fail(problem, settings, *arguments, **options):
        if settings.hidden == 5:
            raise MemoryError("Unable to allocate 1. TiB")
        return run(problem, settings, *arguments, **options)

    monkeypatch.setattr(experiment, "run", fail)
    words = ("--hidden", 4, 5, "--epochs", 1, "--threads", 1, "--out", "out")
    result = invoke("sweep", blobs, *words, code=1)
    assert "not enough memory: Unable to allocate 1. TiB" in result.error
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert "Final loss" in result.stdout


def test_failed_picture_leaves_the_old_one(tmp_path):
    path = tmp_path / "history.png"
    path.write_text("old")

    def fail(file, format):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        saving.save_figure(types.SimpleNamespace(savefig=fail), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
