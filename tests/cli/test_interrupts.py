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
from fastnn.cli.problem import problem_of
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
    problem = problem_of(load_dataset(blobs), "float32")
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


def test_interrupt_between_the_start_of_a_thread_and_its_note_loses_no_run(blobs, monkeypatch):
    begun = threading.Event()

    class InterruptedPool(experiment.ThreadPoolExecutor):
        """As an interrupt in the midst of Thread.start leaves it: shutdown joins no thread."""

        def submit(self, *args):
            super().submit(*args)
            begun.wait()
            self._threads.clear()
            raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "ThreadPoolExecutor", InterruptedPool)
    problem = problem_of(load_dataset(blobs), "float32")
    endless = settings_for("npz", "classification", num_iters=5_000_000, hidden=4)
    outcomes = list(experiment.sweep(problem, [endless], 2, lambda epochs: begun.set()))
    assert [outcome.interrupted for outcome in outcomes] == [True]


def train_in_a_process(folder, code):
    """Run a long ``fastnn train`` in which some code is called with each state of the bar."""
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from fastnn import cli\n"
        "from fastnn.engine.progress import TerminalBar\n"
        "from fastnn.cli import errors, experiment\n"
        "update = TerminalBar.update\n"
        "def act(self, done, text):\n"
        "    update(self, done, text)\n"
        f"    {code}\n"
        "TerminalBar.update = act\n"
        "experiment.KEEP_SECONDS = 0\n"
        "sys.argv = ['fastnn', 'train', 'digits', '--epochs', '5000', '--out', 'out']\n"
        "cli.main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a single process")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signal_that_asks_for_the_end(tmp_path, name):
    """A real process, interrupted at once when its bar shows that it has begun."""
    result = train_in_a_process(tmp_path, f"os.kill(os.getpid(), signal.{name})")
    assert result.returncode == 130, result.stderr
    assert "what was learnt is saved" in result.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["history.png", "model.safetensors", "weights.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a single process")
def test_interrupt_that_comes_twice_is_one(tmp_path):
    """As from the terminal, and once more from the program that has started the command."""
    interrupt = "os.kill(os.getpid(), signal.SIGINT)"
    code = f"TerminalBar.stop = lambda self: {interrupt}; errors.SAME_SECONDS = 1e9; {interrupt}"
    result = train_in_a_process(tmp_path, code)
    assert result.returncode == 130, result.stderr
    assert "what was learnt is saved" in result.stderr
    assert Network.load(tmp_path / "out" / "model.safetensors").layer_sizes == (64, 200, 10)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_kill_leaves_what_was_learnt(tmp_path):
    done = "done >= 20 and Path('out', 'unfinished.safetensors').is_file()"
    result = train_in_a_process(tmp_path, f"{done} and os.kill(os.getpid(), signal.SIGKILL)")
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["unfinished.safetensors"]
    model = Network.load(tmp_path / "out" / "unfinished.safetensors")
    dataset = load_dataset("digits")
    assert np.mean(model.predict(dataset.X_test) == dataset.y_test) > 0.9


def test_keeping_what_was_learnt_changes_no_bit(blobs, monkeypatch):
    monkeypatch.setattr(experiment, "KEEP_SECONDS", 0)
    problem = problem_of(load_dataset(blobs), "float32")
    settings = settings_for("npz", "classification", num_iters=45)
    expected, kept = experiment.run(problem, settings), []
    actual = experiment.run(problem, settings, keep=kept.append)
    np.testing.assert_array_equal(actual.model.params, expected.model.params)
    np.testing.assert_equal(dict(actual.history), dict(expected.history))
    assert len(kept) >= 2


def test_unfinished_model_is_removed_at_the_end(invoke, blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "KEEP_SECONDS", 0)
    seen, save = [], Network.save
    monkeypatch.setattr(
        Network, "save", lambda net, path: (seen.append(path.name), save(net, path))
    )
    invoke("train", blobs, "--out", "out")
    assert {"unfinished.safetensors", "model.safetensors"} == set(seen)
    assert seen[-1] == "model.safetensors"
    assert not (tmp_path / "out" / "unfinished.safetensors").exists()
    seen.clear()
    invoke("train", blobs, "--out", "out", "--learning-rate", 1e12, code=1)
    assert not (tmp_path / "out" / "unfinished.safetensors").exists()
