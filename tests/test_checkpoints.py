"""Checkpoints: a training that is cut, by whatever and wherever, ends with the same bits."""

import json
import os
import random as python_random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from scipy.sparse import csr_matrix

from fastnn import Network, Trainer, optimizers, schedules
from fastnn.engine.loop import CompiledLoop

#: Kills of the kill test; FASTNN_TEST_KILLS=50 asks for more.
KILLS = int(os.environ.get("FASTNN_TEST_KILLS", "5"))


def problem(n=90, kind="dense"):
    random = np.random.RandomState(0)
    X = random.randn(n, 12).astype(np.float32)
    y = (X @ random.randn(12, 3)).argmax(axis=1)
    if kind == "uint8":
        X = (40 * X + 128).clip(0, 255).astype(np.uint8)
    elif kind == "csr":
        X = csr_matrix(np.where(X > 0.5, X, 0))
    return X, y


def network(kind="dense"):
    read = {"input_mean": 128, "input_scale": 40} if kind == "uint8" else {"input_scale": 1.5}
    return Network((12, 17, 9, 3), "tanh", random_state=0, **read)


RUNS = {
    "sgd": {"optimizer": "sgd", "alpha": 0.01},
    "momentum": {"optimizer": "momentum", "schedule": "one_cycle"},
    "nesterov": {"optimizer": "nesterov", "schedule": "invscaling", "replacement": True},
    "adam": {"schedule": "cosine"},
    "adamw": {"optimizer": "adamw", "schedule": "step", "shuffle": False},
    "dropout": {"dropout": 0.3},
    "early stopping": {"early_stopping": True, "tol": 0.05, "n_iter_no_change": 3},
    "best score": {"early_stopping": True, "monitor": "score", "max_iter": 5},
    "adaptive": {"schedule": schedules.Adaptive(n_iter_no_change=1, tol=0.05), "alpha": 0.01},
    "clipping": {"optimizer": "momentum", "max_norm": 0.3, "label_smoothing": 0.1},
    "class weights": {"class_weight": {0: 2.0, 2: 0.25}},
    "balanced": {"class_weight": "balanced", "optimizer": optimizers.Adam(np.float32(0.01))},
    "validation": {"validation": True},
    "weights": {"weights": True, "validation": True},
    "bytes": {"kind": "uint8"},
    "csr": {"kind": "csr", "optimizer": "sgd"},
    "zeros": {"skip_zeros": True},
}


def prepare(run):
    """Return a trainer, and what to pass to its `fit`."""
    options = {"batch_size": 8, "max_iter": 8, "random_state": 5, **RUNS[run]}
    kind = options.pop("kind", "dense")
    X, y = problem(kind=kind)
    data = {"X": X, "y": y}
    if options.pop("validation", False):
        data |= {"X_val": X[:41], "y_val": y[:41]}
    if options.pop("weights", False):
        data["sample_weight"] = np.random.RandomState(1).rand(len(y))
        data["sample_weight_val"] = np.random.RandomState(2).rand(41)
    return Trainer(network(kind), **options), data


def outcome(trainer):
    """Return all that a training leaves, as bytes."""
    history = {name: array.tobytes() for name, array in trainer.history.items()}
    params = trainer.network.params.tobytes()
    return params, history, trainer.n_iter_, trainer.best_epoch_


def contents(path):
    """Return all that a file holds; its own bytes vary with the order of its entries."""
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return {name: array.tobytes() for name, array in arrays.items()}, file.metadata()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a function: a run's outcome without any cut, and its files at the ends of epochs."""
    known = {}

    def train(run):
        if run not in known:
            folder = tmp_path_factory.mktemp("whole")
            trainer, data = prepare(run)
            trainer.fit(**data, callback=lambda s: trainer.save(folder / str(s.epoch)))
            known[run] = outcome(trainer), folder
        return known[run]

    return train


@pytest.mark.parametrize("run", RUNS)
def test_any_epoch_s_checkpoint_continues_to_the_same_bits(whole, tmp_path, run):
    expected, folder = whole(run)
    files = sorted(folder.iterdir())
    assert len(files) == expected[2]
    for file in files:
        trainer, (_, data) = Trainer.resume(file), prepare(run)
        assert trainer.n_iter_ == int(file.name)
        np.random.seed(0)
        trainer.fit(**data, callback=lambda s, t=trainer: t.save(tmp_path / str(s.epoch)))
        assert outcome(trainer) == expected
        # The optimiser's memory too, at each later epoch, and nothing else is in a file.
        for other in tmp_path.iterdir():
            assert int(other.name) > int(file.name)
            assert contents(other) == contents(folder / other.name)
            other.unlink()


@pytest.mark.parametrize("run", RUNS)
def test_a_checkpoint_after_ctrl_c_continues_to_the_same_bits(whole, tmp_path, monkeypatch, run):
    # Ctrl-C each time that the compiled side is back; each time, the file alone goes on.
    expected, _ = whole(run)
    trainer, data = prepare(run)
    path, cuts, work = tmp_path / "checkpoint", [], CompiledLoop.run

    def interrupted(loop, items, records):
        work(loop, items, records)
        raise KeyboardInterrupt

    monkeypatch.setattr(CompiledLoop, "run", interrupted)
    for _ in range(100):
        try:
            trainer.fit(**data, checkpoint=path)
            break
        except KeyboardInterrupt:
            steps = len(trainer.history["step_loss"])
            cuts.append(steps)
            trainer = Trainer.resume(path)
            assert len(trainer.history["step_loss"]) == steps
    assert outcome(trainer) == expected
    per_epoch = len(expected[1]["step_loss"]) // 8 // expected[2]
    assert any(steps % per_epoch for steps in cuts)
    assert any(steps % per_epoch == 0 for steps in cuts)


def test_the_end_is_read_as_the_end(tmp_path):
    trainer, data = prepare("early stopping")
    path = tmp_path / "checkpoint"
    trainer.fit(**data, checkpoint=path)
    expected = outcome(trainer)
    again = Trainer.resume(path)
    assert outcome(again) == expected
    # The same program, started again: nothing is left to do.
    again.fit(**data, checkpoint=path, callback=lambda status: 1 / 0)
    assert outcome(again) == expected
    # From here on both train anew, and in the same way.
    for one in (trainer, again):
        one.fit(**data)
    assert outcome(again) == outcome(trainer) != expected


@pytest.mark.parametrize("run", ["best score", "adam"])
def test_a_kill_between_the_last_epoch_and_the_end(whole, run):
    # The files of the last epoch hold a run that only has to restore its best parameters.
    expected, folder = whole(run)
    trainer, (_, data) = Trainer.resume(folder / str(expected[2])), prepare(run)
    trainer.fit(**data, callback=lambda status: 1 / 0)
    assert outcome(trainer) == expected


def test_a_callback_s_stop_is_kept(tmp_path, monkeypatch):
    trainer, data = prepare("adam")
    path = tmp_path / "checkpoint"
    saved, save = [], Trainer.save

    def kept(self, path):
        save(self, path)
        saved.append(path.read_bytes())

    monkeypatch.setattr(Trainer, "save", kept)
    trainer.fit(**data, checkpoint=path, callback=lambda status: status.epoch == 3)
    assert len(saved) == 4
    for content in saved[2:]:
        path.write_bytes(content)
        resumed = Trainer.resume(path)
        resumed.fit(**data)
        assert outcome(resumed) == outcome(trainer)


def test_a_trainer_that_has_not_begun(tmp_path):
    trainer, data = prepare("dropout")
    trainer.save(tmp_path / "checkpoint")
    resumed = Trainer.resume(tmp_path / "checkpoint")
    for one in (trainer, resumed):
        one.fit(**data)
    assert outcome(resumed) == outcome(trainer)


def test_resuming_draws_nothing_from_the_global_generator(tmp_path):
    trainer, _ = prepare("adam")
    trainer.save(tmp_path / "checkpoint")
    np.random.seed(0)
    Trainer.resume(tmp_path / "checkpoint")
    drawn = np.random.rand()
    np.random.seed(0)
    assert np.random.rand() == drawn


def test_all_options_are_restored(tmp_path):
    options = {
        "optimizer": optimizers.AdamW(0.5, 0.25, 0.125, 0.5, 0.0625),
        "batch_size": 3,
        "max_iter": 5,
        "schedule": schedules.OneCycle(0.5, 0.25, 0.125),
        "alpha": 0.1,
        "max_norm": 2.0,
        "dropout": 0.3,
        "label_smoothing": 0.2,
        "class_weight": {0: 1.5, 2: 0.0},
        "shuffle": False,
        "replacement": True,
        "early_stopping": True,
        "monitor": "score",
        "validation_fraction": 0.3,
        "n_iter_no_change": 4,
        "tol": 0.5,
        "skip_zeros": False,
    }
    trainer = Trainer(network(), **options, random_state=0)
    trainer.save(tmp_path / "checkpoint")
    resumed = Trainer.resume(tmp_path / "checkpoint")
    assert {name: getattr(resumed, name) for name in options} == options


def test_how_often_checkpoints_are_written(tmp_path, monkeypatch):
    for seconds, expected in ((0, 9), (1e9, 1)):
        trainer, data = prepare("adam")
        written = []
        monkeypatch.setattr(
            Trainer, "save", lambda self, path, written=written: written.append(path)
        )
        trainer.fit(**data, checkpoint=tmp_path / "file", checkpoint_seconds=seconds)
        assert len(written) == expected


def test_a_network_is_read_from_a_checkpoint(whole):
    _, folder = whole("early stopping")
    file = folder / "2"
    trainer, net = Trainer.resume(file), Network.load(file)
    assert repr(net) == repr(trainer.network)
    assert net.params.tobytes() == trainer.network.params.tobytes()
    assert (net.input_scale == 1.5).all()


def test_the_twin_goes_on_with_a_checkpoint(whole, tmp_path):
    # And the other way round: with NUMBA_DISABLE_JIT=1 a debugger can walk on from a checkpoint.
    _, folder = whole("clipping")
    program = """
        import sys
        sys.path.insert(0, "tests")
        from test_checkpoints import Trainer, prepare
        trainer, (_, data) = Trainer.resume(sys.argv[1]), prepare("clipping")
        path = sys.argv[2]
        trainer.fit(**data, callback=lambda s: trainer.save(path) if s.epoch == 6 else None)
        print(trainer.history["step_loss"].tolist())
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), folder / "3", tmp_path / "twin"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    expected = np.frombuffer(whole("clipping")[0][1]["step_loss"])
    np.testing.assert_allclose(json.loads(run.stdout), expected, rtol=1e-4)
    trainer, (_, data) = Trainer.resume(tmp_path / "twin"), prepare("clipping")
    history = trainer.fit(**data)
    np.testing.assert_allclose(history["step_loss"], expected, rtol=1e-4)


# --------------------------------------------------------------------------------------- errors


def test_other_data(whole):
    _, folder = whole("adam")
    trainer, (_, data) = Trainer.resume(folder / "2"), prepare("adam")
    X, y = data["X"], data["y"]
    others = [(X[:-1], y[:-1]), (X[::-1], y), (X, y[::-1]), (X, y, X, y), (csr_matrix(X), y)]
    for other in others:
        with pytest.raises(ValueError, match=r"begun with 90 rows: pass the same X, y, weights"):
            trainer.fit(*other)
    trainer.fit(X.astype(np.float64), y.tolist())
    assert outcome(trainer) == whole("adam")[0]


def test_other_batches(whole):
    trainer, (_, data) = Trainer.resume(whole("adam")[1] / "2"), prepare("adam")
    object.__setattr__(trainer._hyperparameters, "batch_size", 9)
    with pytest.raises(ValueError, match=r"begun with other batches or another validation set: re"):
        trainer.fit(**data)
    object.__setattr__(trainer._hyperparameters, "batch_size", 8)
    trainer.fit(**data)
    assert outcome(trainer) == whole("adam")[0]


# ---------------------------------------------------------------------- whole at every moment


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_file_and_the_training(whole, tmp_path, monkeypatch, step):
    expected, _ = whole("dropout")
    trainer, data = prepare("dropout")
    path, kept = tmp_path / "checkpoint", []

    def fail(*_):
        raise OSError("no space left on device")

    def callback(status):
        if status.epoch == 3:
            kept.append(path.read_bytes())
            target = "os.fsync" if step == "fsync" else "pathlib.Path.replace"
            monkeypatch.setattr(target, fail)

    with pytest.raises(OSError, match="no space left"):
        trainer.fit(**data, checkpoint=path, callback=callback)
    monkeypatch.undo()
    assert [path.read_bytes()] == kept
    assert list(tmp_path.iterdir()) == [path]
    resumed = Trainer.resume(path)
    assert (resumed.n_iter_, trainer.n_iter_) == (2, 3)
    for one in (resumed, trainer):
        one.fit(**data, checkpoint=path)
        assert outcome(one) == expected
    assert list(tmp_path.iterdir()) == [path]


CHILD = """
    import sys
    from pathlib import Path
    import numpy as np
    from fastnn import Network, Trainer

    def train(path, max_iter, report):
        random = np.random.RandomState(0)
        X = random.randn(70, 12).astype(np.float32)
        y = (X @ random.randn(12, 3)).argmax(axis=1)
        if path is not None and path.exists():
            trainer = Trainer.resume(path)
        else:
            net = Network((12, 17, 9, 3), "gelu", random_state=0)
            trainer = Trainer(
                *(net, "adam"), batch_size=8, max_iter=max_iter, schedule="cosine", dropout=0.2,
                early_stopping=True, n_iter_no_change=max_iter, random_state=0,
            )
        trainer.fit(
            *(X, y),
            sample_weight=random.rand(70),
            callback=lambda status: report(status.epoch),
            checkpoint=path,
        )
        return trainer
"""
MAIN = """
train(Path(sys.argv[1]), int(sys.argv[2]), lambda epoch: print(epoch, flush=True))
print("end", flush=True)
"""


def test_kills_at_random_moments(tmp_path):
    path, max_iter, random = tmp_path / "checkpoint", 30 * KILLS, python_random.Random(KILLS)
    names = {}
    exec(textwrap.dedent(CHILD), names)
    expected = names["train"](None, max_iter, lambda epoch: None)
    program = textwrap.dedent(CHILD) + MAIN
    kills, ended, last, moments = 0, False, 0, []
    while not ended:
        child = subprocess.Popen(
            [sys.executable, "-c", program, path, str(max_iter)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            for number in range(random.randint(1, 5) if kills < KILLS else max_iter + 1):
                line = child.stdout.readline().strip()
                if line == "end" or not line:
                    ended = line == "end"
                    break
                epoch = int(line)
                # Exactly on from the last checkpoint: from the last epoch seen, or the one before
                # where it was killed before its end was written.
                assert epoch == last + 1 if number else last <= epoch + 1
                last = epoch
                if path.exists():
                    assert Trainer.resume(path).n_iter_ >= epoch - 1
            else:
                # Epochs take about a millisecond: somewhere within the next few.
                stop = time.perf_counter() + random.uniform(0, 0.005)
                while time.perf_counter() < stop:
                    pass
        finally:
            child.kill()
            child.stdout.close()
            code = child.wait(60)
        if not ended:
            assert code != 0
            kills += 1
            moments.append(last)
        # What a kill leaves of an unfinished file is taken over by the next one.
        assert {file.name for file in tmp_path.iterdir()} <= {path.name, f".{path.name}.part"}
        if path.exists():
            reached = Trainer.resume(path).n_iter_
            assert reached >= last - 1
            assert Network.load(path).params.size == expected.network.params.size
            last = reached
    assert kills == KILLS
    assert list(tmp_path.iterdir()) == [path]
    assert moments == sorted(moments)
    assert outcome(Trainer.resume(path)) == outcome(expected)
