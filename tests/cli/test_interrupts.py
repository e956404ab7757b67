"""Ctrl-C at any moment keeps what was learnt."""

import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from fastnn import Network, Trainer
from fastnn.cli import experiment, train
from fastnn.cli.settings import grid, settings_for
from fastnn.data import load_dataset


class InterruptedTrainer(Trainer):
    """A trainer that is interrupted, as by Ctrl-C, at its second epoch."""

    __slots__ = ()

    def fit(self, *args, **options):
        def interrupt(status):
            if status.epoch == 2:
                raise KeyboardInterrupt

        return super().fit(*args, **options, callback=interrupt)


def test_interrupted_training_is_saved(invoke, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "Trainer", InterruptedTrainer)
    monkeypatch.setattr(experiment, "warm_up", lambda dtype: None)
    result = invoke("train", "digits", "--out", "out", code=130)
    assert re.search(
        r"Interrupted after 126 of 2520 steps; what was learnt is saved", result.stderr
    )
    assert result.fact("Training accuracy") > 0.8
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert Network.load("out/model.safetensors").layer_sizes == (64, 200, 10)


def test_interrupt_while_the_model_is_measured_loses_nothing(invoke, blobs, tmp_path, monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "measure", interrupt)
    result = invoke("train", blobs, "--out", "out", code=130)
    assert "Wrote out/model.safetensors" in result.stdout.replace(os.sep, "/")
    assert result.error == "Interrupted."
    Network.load("out/model.safetensors")


def test_interrupt_elsewhere(invoke, monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "load_dataset", interrupt)
    assert invoke("train", "digits", code=130).error == "Interrupted."


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to a thread")
def test_sweep_stopped_while_running_keeps_the_best_so_far(blobs):
    """Consumed by hand: the main thread is interrupted once a run is under way."""
    problem = experiment.problem_of(load_dataset(blobs), "float32")
    endless = settings_for("npz", "classification", num_iters=5_000_000, hidden=4)
    combinations = grid(endless, learning_rate=[0.1, 0.2, 0.3])
    begun = threading.Event()

    def advance(epochs):
        if not begun.is_set():
            begun.set()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    outcomes = list(experiment.sweep(problem, combinations, 2, advance))
    assert 1 <= len(outcomes) <= 2  # the third had not begun
    assert all(outcome.interrupted for outcome in outcomes)
    best = max(outcomes, key=lambda outcome: outcome.rank)
    assert best.steps > 0
    assert np.isfinite(best.model.params).all()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a single process")
def test_ctrl_c_by_signal(tmp_path):
    """A real process, interrupted at once when its output folder shows that it has begun."""
    code = (
        "import os, signal, sys\n"
        "from fastnn import cli\n"
        "from fastnn._progress import TerminalBar\n"
        "update = TerminalBar.update\n"
        "def interrupt(self, done, text):\n"
        "    update(self, done, text)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "TerminalBar.update = interrupt\n"
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
