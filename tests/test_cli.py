"""The command line on real, small runs: what it prints, writes and returns."""

import os
import re
import signal
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("sklearn")

from click.testing import CliRunner

from fastnn import TwoLayerNet, _console, _experiment, _options, benchmark, cli, get_num_threads
from fastnn.data import CIFAR10_RECORD_BYTES, CIFAR10_TEST_FILE, CIFAR10_TRAIN_FILES, load_dataset
from fastnn.kernels.peak import flops_per_repetition

PNG = b"\x89PNG"


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run the command in an empty folder; check the exit code and give click's result."""
    monkeypatch.chdir(tmp_path)

    def run(*args, code=0):
        threads = get_num_threads()
        result = CliRunner().invoke(cli.cli, [str(arg) for arg in args])
        if "--threads" not in args:
            assert get_num_threads() == threads
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def restore_threads(monkeypatch):
    monkeypatch.setattr("fastnn.threads._num_threads", None)


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
    for name in (*CIFAR10_TRAIN_FILES, CIFAR10_TEST_FILE):
        records = rng.integers(0, 30, (20, CIFAR10_RECORD_BYTES), dtype=np.uint8)
        records[:, 0] = np.arange(20) % 10
        records[:, 1:] += 20 * records[:, :1]
        records.tofile(folder / name)
    return folder


def fact(output, name):
    """Return a number of the table that `fastnn train` prints."""
    return float(re.search(rf"{name}\s+([\d.]+)", output)[1])


def error_of(result):
    """Return the error line, which is the last."""
    return result.stderr.splitlines()[-1]


# ------------------------------------------------------------------------------------------- train


@pytest.mark.parametrize("seed", [0, 1])
def test_train_digits_without_options(invoke, tmp_path, seed):
    output = invoke("train", "digits", "--seed", seed).stdout
    assert fact(output, "Test accuracy") >= 0.96
    assert fact(output, "Training accuracy") == 1
    for name in ("Validation accuracy", "Steps", "Time", "Samples a second", "Threads"):
        assert fact(output, name) > 0
    assert "GFLOP/s" in output
    folder = tmp_path / "fastnn-digits"
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.png",
        "model.safetensors",
        "weights.png",
    ]
    assert (folder / "history.png").read_bytes().startswith(PNG)
    assert (folder / "weights.png").read_bytes().startswith(PNG)
    assert f"Wrote {folder.name}/model.safetensors" in output.replace(os.sep, "/")


def test_model_takes_the_data_as_they_are_in_the_file(invoke, blobs):
    with np.load(blobs) as arrays:
        X, y = arrays["X"], arrays["y"]
    output = invoke("train", blobs, "--out", "out", "--hidden", 20).stdout
    net = TwoLayerNet.load("out/model.safetensors")
    assert net.params["W1"].dtype == np.float32
    assert net.params["W1"].shape == (3, 20)
    assert np.mean(net.predict(X.astype(np.float32)) == y) >= 0.97
    result = invoke("predict", "out/model.safetensors", blobs)
    shares = {"Training": 105, "Validation": 15, "Test": 30}
    right = sum(fact(output, f"{name} accuracy") * count for name, count in shares.items())
    assert re.search(r"\((\d+) of 150 rows\)", result.stderr)[1] == str(round(right))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_folding_changes_no_score(dtype):
    rng = np.random.default_rng(0)
    X, mean, scale = rng.normal(size=(9, 4)), rng.normal(size=4), rng.uniform(0.1, 10, 4)
    net = TwoLayerNet(4, 6, 3, std=1, dtype=dtype, random_state=0)
    expected = net.loss(X.astype(dtype))
    W1 = net.params["W1"]
    _experiment.fold_preprocessing(net, mean, scale)
    assert net.params["W1"] is W1
    actual = net.loss((X * scale + mean).astype(dtype))
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=200 * np.finfo(dtype).eps)


def test_train_repeats_the_class(invoke, blobs):
    """The options reach the class: the same weights, but for the folding."""
    invoke(
        *("train", blobs, "--out", "out", "--hidden", 5, "--num-iters", 37, "--batch-size", 10),
        *("--learning-rate", 0.3, "--reg", 0.01, "--decay", 0.8, "--std", 0.5),
        *("--dtype", "float64", "--seed", 4),
    )

    dataset = load_dataset(blobs, random_state=4, dtype=np.float64)
    net = TwoLayerNet(3, 5, 3, std=0.5, random_state=4)
    net.train(
        *(dataset.X_train, dataset.y_train, dataset.X_val, dataset.y_val),
        learning_rate=0.3,
        learning_rate_decay=0.8,
        reg=0.01,
        num_iters=37,
        batch_size=10,
    )
    _experiment.fold_preprocessing(net, dataset.mean, dataset.scale)
    written = TwoLayerNet.load("out/model.safetensors")
    for name, parameter in net.params.items():
        np.testing.assert_array_equal(written.params[name], parameter)


def test_train_cifar10(invoke, cifar10, tmp_path):
    output = invoke("train", cifar10, "--num-iters", 30, "--learning-rate", 1e-3).stdout
    assert "Steps" in output
    assert (tmp_path / "fastnn-cifar10" / "weights.png").read_bytes().startswith(PNG)
    result = invoke("predict", "fastnn-cifar10/model.safetensors", cifar10)
    classes = [int(line) for line in result.stdout.split()]
    assert len(classes) == 20
    right = sum(predicted == i % 10 for i, predicted in enumerate(classes))
    assert result.stderr.strip() == f"Accuracy {right / 20:.4f} ({right} of 20 rows)"
    assert fact(output, "Test accuracy") == right / 20


def test_rows_that_are_no_images_leave_no_picture_of_weights(invoke, blobs, tmp_path):
    invoke("train", blobs, "--epochs", 1)
    names = sorted(path.name for path in (tmp_path / "fastnn-blobs").iterdir())
    assert names == ["history.png", "model.safetensors"]


def test_threads_option(invoke, blobs, restore_threads):
    invoke("train", blobs, "--epochs", 1, "--threads", 1)
    assert get_num_threads() == 1


def test_diverged_training_is_an_error_and_shows_its_losses(invoke, tmp_path):
    result = invoke("train", "digits", "--learning-rate", 1e6, "--out", "out", code=1)
    assert re.match(
        r"Error: training diverged: the loss is not finite from step \d+ on", error_of(result)
    )
    assert "Lower --learning-rate, which was 1e+06" in error_of(result)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["history.png"]


def test_model_is_saved_without_matplotlib(invoke, blobs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = invoke("train", blobs, "--epochs", 1, "--out", "out")
    assert 'No plots: plots need matplotlib, which is missing: pip install "fastnn[plot]"' in (
        result.stderr
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.safetensors"]


def test_missing_scikit_learn(invoke, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert 'pip install "fastnn[sklearn]"' in error_of(invoke("train", "digits", code=1))


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
    "nan": (["train", "digits", "--reg", "nan"], 1, "reg is nan, but it must be finite"),
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
    assert error_of(result).startswith("Error: ")
    assert message in error_of(result)
    assert result.stdout == ""


# --------------------------------------------------------------------------------------- interrupts


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
    monkeypatch.setattr(_experiment, "TwoLayerNet", InterruptedNet)
    monkeypatch.setattr(_experiment, "warm_up", lambda dtype: None)
    result = invoke("train", "digits", "--out", "out", code=130)
    assert re.search(
        r"Interrupted after 6\d of 2480 steps; what was learnt is saved", result.stderr
    )
    assert fact(result.stdout, "Training accuracy") > 0.8
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert TwoLayerNet.load("out/model.safetensors").params["W1"].shape == (64, 200)


def test_interrupt_elsewhere(invoke, monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load_dataset", interrupt)
    assert error_of(invoke("train", "digits", code=130)) == "Interrupted."


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to a thread")
def test_sweep_stopped_while_running_keeps_the_best_so_far(blobs):
    """Consumed by hand: the main thread is interrupted once a run is under way."""
    dataset = load_dataset(blobs)
    endless = _experiment.settings_for("npz", num_iters=5_000_000, hidden=4)
    combinations = _experiment.grid(endless, learning_rate=[0.1, 0.2, 0.3])
    begun = threading.Event()

    def advance(steps):
        if not begun.is_set():
            begun.set()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    outcomes = list(_experiment.sweep(dataset, combinations, 2, advance))
    assert 1 <= len(outcomes) <= 2  # the third had not begun
    assert all(outcome.interrupted for outcome in outcomes)
    best = max(outcomes, key=_experiment.rank)
    assert best.steps > 0
    assert all(np.isfinite(parameter).all() for parameter in best.net.params.values())


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a single process")
def test_ctrl_c_by_signal(tmp_path):
    """A real process, interrupted at once when its output folder shows that it has begun."""
    code = (
        "import os, signal, sys\n"
        "from fastnn import _console, cli\n"
        "update = _console.TrainingBar.update\n"
        "def interrupt(self, reached):\n"
        "    update(self, reached)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "_console.TrainingBar.update = interrupt\n"
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


def test_failed_picture_leaves_the_old_one(tmp_path):
    path = tmp_path / "history.png"
    path.write_text("old")

    def fail(temporary, format):
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _experiment.save_figure(types.SimpleNamespace(savefig=fail), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# ----------------------------------------------------------------------------------------- predict


@pytest.fixture
def model(tmp_path):
    net = TwoLayerNet(3, 4, 2, std=1, random_state=3)
    net.save(tmp_path / "model.safetensors")
    return net, tmp_path / "model.safetensors"


def test_predict_writes_one_class_a_line(invoke, model, tmp_path):
    net, path = model
    X = np.random.default_rng(0).normal(size=(40, 3))
    np.save(tmp_path / "X.npy", X)
    expected = net.predict(X)
    assert set(expected) == {0, 1}

    result = invoke("predict", path, "X.npy")
    assert result.stdout == "".join(f"{label}\n" for label in expected)
    assert result.stderr == ""
    for name in ("p.csv", "p.txt"):
        result = invoke("predict", path, "X.npy", "--out", name)
        assert result.stdout == ""
        np.testing.assert_array_equal(np.loadtxt(tmp_path / name, dtype=int), expected)
    invoke("predict", path, "X.npy", "--out", "p.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), expected)


def test_predict_tells_the_accuracy_where_labels_are(invoke, model, tmp_path):
    net, path = model
    X = np.random.default_rng(0).integers(-9, 9, (4, 3))
    y = net.predict(X.astype(float))
    y[0] = 1 - y[0]
    np.savez(tmp_path / "a.npz", X=X, y=y)
    result = invoke("predict", path, "a.npz")
    assert len(result.stdout.splitlines()) == 4
    assert result.stderr == "Accuracy 0.7500 (3 of 4 rows)\n"


def test_predict_errors(invoke, model):
    _, path = model
    message = error_of(invoke("predict", path, "digits", code=1))
    assert "64 columns" in message
    assert "3 inputs" in message
    message = error_of(invoke("predict", path, "digits", "--out", "p.png", code=2))
    assert "ends in .csv, .txt or .npy" in message


# ------------------------------------------------------------------------------------------- sweep


def test_sweep_trains_all_combinations_and_keeps_the_best(invoke, tmp_path):
    result = invoke(
        *("sweep", "digits", "--learning-rate", 1e6, 0.2, "--reg", 0, 0.001, 1e-2),
        *("--epochs", 3, "--hidden", 30, "--out", "out"),
    )
    lines = re.findall(r"^\d/6  .*", result.stdout, re.M)
    assert [line[:5] for line in lines] == [f"{i}/6  " for i in range(1, 7)]
    pairs = {re.search(r"learning rate (\S+)  reg (\S+)", line).groups() for line in lines}
    assert pairs == {(rate, reg) for rate in ("1e+06", "0.2") for reg in ("0", "0.001", "0.01")}
    assert sum("diverged" in line for line in lines) == 3
    accuracies = [float(re.search(r"validation (\S+)", x)[1]) for x in lines if "diverged" not in x]

    table = result.stdout[result.stdout.index("Final loss") :]
    in_table = [float(value) for value in re.findall(r"(0\.\d{4}|1\.0000) *$", table, re.M)]
    assert in_table[:3] == sorted(accuracies, reverse=True)
    test_accuracy = float(re.search(r"Test accuracy of the best: (\S+)", result.stdout)[1])
    assert test_accuracy > 0.85
    assert len(list((tmp_path / "out").iterdir())) == 3
    dataset = load_dataset("digits")
    best = TwoLayerNet.load("out/model.safetensors")
    assert _experiment.accuracy(best, dataset, "val") == pytest.approx(max(accuracies), abs=1e-4)
    assert _experiment.accuracy(best, dataset, "test") == pytest.approx(test_accuracy, abs=1e-4)


def test_sweep_gives_what_training_alone_gives(blobs):
    """Side by side, on one kernel thread each, and in any order: the same bits."""
    dataset = load_dataset(blobs)
    settings = _experiment.settings_for("npz", epochs=2, hidden=6)
    combinations = _experiment.grid(settings, learning_rate=[0.1, 0.3], reg=[0.0, 0.1])
    alone = {each: _experiment.run(dataset, each) for each in combinations}
    for outcome in _experiment.sweep(dataset, combinations, workers=4):
        for name, parameter in outcome.net.params.items():
            np.testing.assert_array_equal(
                parameter, alone[outcome.settings].net.params[name], strict=True
            )


def test_sweep_in_which_all_diverge(invoke, tmp_path):
    result = invoke("sweep", "digits", "--learning-rate", 1e6, 1e7, "--out", "out", code=1)
    assert error_of(result).startswith("Error: all 2 runs diverged, and no model was written")
    assert list((tmp_path / "out").iterdir()) == []


def test_diverged_is_never_best():
    nets = [TwoLayerNet(2, 2, 2, random_state=0) for _ in range(2)]
    settings = _experiment.PRESETS["npz"]
    history = {"loss_history": [1.0], "train_acc_history": [], "val_acc_history": []}
    bad = _experiment.Outcome(nets[0], settings, history | {"loss_history": [np.nan]}, 1.0, False)
    good = _experiment.Outcome(nets[1], settings, history, 1.0, False, {"val": 0.0})
    assert max([bad, good], key=_experiment.rank) is good
    assert bad.diverged_at == 0
    assert good.diverged_at is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("D --reg 1 2 --out o", "D --reg 1 --reg 2 --out o"),
        ("--reg 1e-3 -2 D", "--reg 1e-3 --reg -2 D"),
        ("--reg=1 2 3 D", "--reg=1 --reg 2 --reg 3 D"),
        ("--reg 1 --reg 2 3", "--reg 1 --reg 2 --reg 3"),
        ("--reg 1 --hidden 5 6", "--reg 1 --hidden 5 --hidden 6"),
        ("--epochs 3 4", "--epochs 3 4"),
        ("--reg", "--reg"),
    ],
)
def test_options_with_many_values(words, expected):
    actual = _options._repeat_options(words.split(), {"--reg", "--hidden"})
    assert " ".join(actual) == expected


# ----------------------------------------------------------------------------------- plot and bench


def test_plot_guesses_the_shape_of_images(invoke, tmp_path):
    TwoLayerNet(64, 5, 10, random_state=0).save(tmp_path / "grey.safetensors")
    invoke("plot", "grey.safetensors")
    assert (tmp_path / "weights.png").read_bytes().startswith(PNG)
    TwoLayerNet(24, 5, 10, random_state=0).save(tmp_path / "colour.safetensors")
    invoke("plot", "colour.safetensors", "--image-shape", 2, 4, 3, "--out", "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(PNG)

    message = error_of(invoke("plot", "colour.safetensors", code=2))
    assert "24 inputs, which make no square image: give --image-shape" in message
    message = error_of(invoke("plot", "colour.safetensors", "--image-shape", 8, 8, code=1))
    assert "image_shape (8, 8) has 64 numbers, but the network has 24 inputs" in message


def test_bench(invoke, monkeypatch):
    toy = benchmark.Network(4, 10, 3, 5, num_train=5)
    monkeypatch.setattr(benchmark, "NETWORKS", (toy,))
    output = invoke("bench", "--seconds", 0.05).stdout
    assert re.search(r"Peak of one core, float32: [\d.]+ GFLOP/s", output)
    assert f"NumPy {np.__version__}, BLAS: {benchmark.blas_kernels()}\n" in output
    rows = [line.split() for line in output.splitlines() if "4-10-3" in line]
    assert [row[:4] for row in rows] == [
        ["4-10-3", "5", dtype, "1"] for dtype in ("float32", "float64")
    ]
    numpy_time, fastnn_time, ratio = (float(value) for value in rows[0][4:7])
    assert ratio == pytest.approx(numpy_time / fastnn_time, rel=0.1)


def test_bench_names_the_kernels_of_blas(monkeypatch):
    import threadpoolctl

    openblas = {"user_api": "blas", "internal_api": "openblas", "version": "0.3"}
    libraries = [{"user_api": "openmp"}, openblas | {"architecture": "Haswell"}]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: libraries)
    assert benchmark.blas_kernels() == "openblas 0.3 Haswell"
    libraries[:] = [openblas | {"version": None}]
    assert benchmark.blas_kernels() == "openblas"
    libraries.clear()
    assert benchmark.blas_kernels() == "unknown"
    monkeypatch.setattr(benchmark, "has_threadpoolctl", lambda: False)
    assert benchmark.blas_kernels() == "unknown"


def test_bench_arithmetic():
    network = benchmark.Network(3072, 50, 10, 200)
    assert network.flops == 2 * 200 * (2 * 3072 * 50 + 3 * 50 * 10)
    assert str(network) == "3072-50-10"
    measured = benchmark.Comparison(network, np.dtype("float32"), 2, 4e-3, 1e-3, 100.0)
    assert measured.ratio == 4
    assert measured.share_of_peak == pytest.approx(network.flops / 1e-3 / 200e9)
    assert benchmark.threads_used(network, 2) == 2
    assert benchmark.threads_used(benchmark.NETWORKS[0], 2) == 1
    assert benchmark.peak_gflops("float64", seconds=0.01) > 0.01
    assert flops_per_repetition(np.float32) == 2 * flops_per_repetition(np.float64)


# -------------------------------------------------------------------------------------- the command


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
    assert _console.quantity(value) == text
