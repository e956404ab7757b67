"""Ctrl-C at any moment keeps what was learnt."""

import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from fastnn import TwoLayerNet
from fastnn.cli import experiment, train
from fastnn.data import load_dataset


class InterruptedNet(TwoLayerNet):
    """A network whose training is interrupted, as by Ctrl-C, at its second epoch."""

    def train(self, *args, callback, **options):
        def interrupt(reached):
            callback(reached)
            if len(epochs) == 1:
                raise KeyboardInterrupt
            epochs.append(reached)

        epochs = []
        return super().train(*args, callback=interrupt, **options)


def test_interrupted_training_is_saved(invoke, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "TwoLayerNet", InterruptedNet)
    monkeypatch.setattr(experiment, "warm_up", lambda dtype: None)
    result = invoke("train", "digits", "--out", "out", code=130)
    assert re.search(
        r"Interrupted after 6\d of 2480 steps; what was learnt is saved", result.stderr
    )
    assert result.fact("Training accuracy") > 0.8
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert TwoLayerNet.load("out/model.safetensors").params["W1"].shape == (64, 200)


def test_interrupt_elsewhere(invoke, monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "load_dataset", interrupt)
    assert invoke("train", "digits", code=130).error == "Interrupted."


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to a thread")
def test_sweep_stopped_while_running_keeps_the_best_so_far(blobs):
    """Consumed by hand: the main thread is interrupted once a run is under way."""
    dataset = load_dataset(blobs)
    endless = experiment.settings_for("npz", num_iters=5_000_000, hidden=4)
    combinations = experiment.grid(endless, learning_rate=[0.1, 0.2, 0.3])
    begun = threading.Event()

    def advance(steps):
        if not begun.is_set():
            begun.set()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    outcomes = list(experiment.sweep(dataset, combinations, 2, advance))
    assert 1 <= len(outcomes) <= 2  # the third had not begun
    assert all(outcome.interrupted for outcome in outcomes)
    best = max(outcomes, key=experiment.rank)
    assert best.steps > 0
    assert all(np.isfinite(parameter).all() for parameter in best.net.params.values())


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a single process")
def test_ctrl_c_by_signal(tmp_path):
    """A real process, interrupted at once when its output folder shows that it has begun."""
    code = (
        "import os, signal, sys\n"
        "from fastnn import cli\n"
        "from fastnn.cli import console\n"
        "update = console.TrainingBar.update\n"
        "def interrupt(self, reached):\n"
        "    update(self, reached)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "console.TrainingBar.update = interrupt\n"
        "sys.argv = ['fastnn', 'train', 'digits', '--epochs', '5000', '--out', 'out']\n"
        "cli.main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 130, result.stderr
    assert "what was learnt is saved" in result.stderr
    assert (tmp_path / "out" / "model.safetensors").is_file()
