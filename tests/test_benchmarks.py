"""The benchmarks measure what they say: equal results, and asv finds and can run all of them."""

import inspect
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from asv_runner.discovery import disc_benchmarks

import benchmarks
import benchmarks.common
import benchmarks.deep
import benchmarks.estimators
import benchmarks.models
import benchmarks.optimizers
import benchmarks.solver
import benchmarks.sparse
import benchmarks.startup
import benchmarks.training
import course
from benchmarks.common import (
    DTYPES,
    IMPLS,
    NETWORKS,
    Batch,
    cores_at_hand,
    examples_of,
    network_of,
    ratio,
    warm,
)
from benchmarks.kernel_cases import KERNEL_CASES, kernel_of
from benchmarks.numba_cache import digest_of, kernel_folder
from peer_libraries import Problem

FOLDER = str(Path(benchmarks.__file__).parent)
WORKSPACES = ("workspace", "positions", "padded", "table")
#: What a method of a benchmark begins with.
METHODS = ("time_", "timeraw_", "track_", "peakmem_")
FOUND = {benchmark.name: benchmark for benchmark in disc_benchmarks(FOLDER)}


def assert_close(actual, expected):
    """Compare to rounding, relative to the largest element: sums cancel."""
    assert actual.dtype == expected.dtype
    if expected.dtype.kind == "f":
        tolerance = 200 * np.finfo(expected.dtype).eps
        largest = np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * largest)
    else:
        np.testing.assert_array_equal(actual, expected)


# ----------------------------------------------------------------------------------- equal results


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", KERNEL_CASES)
def test_kernel_computes_what_its_twin_does(name, network, dtype):
    case = KERNEL_CASES[name]
    arguments = {impl: case.build(network, dtype) for impl in IMPLS}
    returned = {impl: kernel_of(impl, case.kernel)(*arguments[impl]) for impl in IMPLS}

    if returned["numpy"] is None:
        assert returned["fastnn"] is None
    else:
        assert returned["fastnn"] == pytest.approx(returned["numpy"], rel=1e-5)
    names = inspect.signature(kernel_of("numpy", case.kernel)).parameters
    for argument, actual, expected in zip(names, arguments["fastnn"], arguments["numpy"]):
        if isinstance(expected, np.ndarray) and argument not in WORKSPACES:
            assert_close(actual, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", NETWORKS)
def test_training_computes_what_its_twin_does(network, dtype):
    n = NETWORKS[network].n
    X, y = examples_of(network, dtype, 3 * n)
    nets = {impl: network_of(impl, network, dtype) for impl in IMPLS}
    losses = {}
    for impl, net in nets.items():
        np.random.seed(1)
        history = net.train(X, y, X[:n], y[:n], num_iters=10, batch_size=n)
        losses[impl] = np.array(history["loss_history"])
    np.testing.assert_allclose(losses["fastnn"], losses["numpy"], rtol=1e-4)
    for name, expected in nets["numpy"].params.items():
        assert_close(nets["fastnn"].params[name], expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", NETWORKS)
def test_prediction_computes_what_its_twin_does(network, dtype):
    X, _ = examples_of(network, dtype, 500)
    scores = network_of("numpy", network, dtype).loss(X)
    chosen = network_of("fastnn", network, dtype).predict(X)
    # Near ties may fall either way in float32.
    tie = 1e-5 * np.abs(scores).max()
    assert np.all(scores[np.arange(len(X)), chosen] >= scores.max(axis=1) - tie)


@pytest.mark.parametrize("rule", benchmarks.solver.UPDATE_RULES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", benchmarks.solver.PROBLEMS)
def test_the_solver_computes_what_its_twin_does(network, dtype, rule):
    problem = benchmarks.solver.PROBLEMS[network]
    problem = problem._replace(rows=min(problem.rows, 400), epochs=2)
    assert course.compared(problem, dtype, rule) < course.TOLERANCES[dtype]


def problems():
    yield from benchmarks.deep.PROBLEMS.values()
    for optimizer in benchmarks.optimizers.OPTIMIZERS:
        yield Problem((784, 256, 128, 10), "relu", "softmax", optimizer, 128)


@pytest.mark.parametrize("problem", list(problems()), ids=str)
def test_a_trainer_computes_what_its_twin_does(problem):
    steps = min(problem.steps_per_epoch, 5)
    losses = {"fastnn": benchmarks.models.fit(problem, 1).history["step_loss"]}
    with benchmarks.models.by_the_twin():
        losses["numpy"] = benchmarks.models.fit(problem, 1).history["step_loss"]
    np.testing.assert_allclose(losses["fastnn"][:steps], losses["numpy"][:steps], rtol=1e-4)
    assert not (losses["fastnn"] == losses["numpy"]).all()  # two computations, not one


@pytest.mark.parametrize("name", benchmarks.sparse.DATA)
def test_every_way_of_sparse_training_computes_the_same(name):
    data = benchmarks.sparse.DATA[name]
    X = benchmarks.sparse.numbers_of(data.columns, data.density)
    assert np.count_nonzero(X) / X.size == pytest.approx(data.density, rel=0.05)
    losses = []
    for way in benchmarks.sparse.WAYS:
        trainer, rows, y = benchmarks.sparse.fitted(way, data, 1)
        losses.append(trainer.fit(rows, y)["step_loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    np.testing.assert_allclose(losses[2], losses[0], rtol=1e-4)


@pytest.mark.parametrize("name", ["rounds", "epochs", "rows"])
def test_nothing_to_measure_of_the_course_is_refused(name, capsys):
    with pytest.raises(SystemExit):
        course.main([f"--{name}", "0"])
    assert f"--{name}: 0 is not at least 1" in capsys.readouterr().err


def test_the_table_of_the_course_is_printed(capsys, monkeypatch):
    toy = benchmarks.solver.PROBLEMS["4-10-3"]._replace(epochs=100)
    monkeypatch.setitem(benchmarks.solver.PROBLEMS, "4-10-3", toy)
    arguments = ["--rows", "400", "--epochs", "1", "--rounds", "1", "--rules", "adam"]
    course.main([*arguments, "--networks", "4-10-3", "3072-100-10"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("One thread; NumPy computes on ")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[3:]]
    assert [row[:4] for row in cells] == [
        [network, batch, dtype, "adam"]
        for network, batch in (("4-10-3", "5"), ("3072-100-10", "100"))
        for dtype in DTYPES
    ]
    for row in cells:
        layers, twin, ours, by_layers, by_twin, limit = (
            float(cell.replace(",", "")) for cell in row[4:]
        )
        assert layers / ours == pytest.approx(by_layers, rel=0.01)
        assert twin / ours == pytest.approx(by_twin, rel=0.01)
        assert by_layers < limit


# --------------------------------------------------------------------------------- collected, run


def classes_of_benchmarks():
    modules = (module for name, module in sys.modules.items() if name.startswith("benchmarks."))
    return {
        f"{module.__name__.removeprefix('benchmarks.')}.{name}"
        for module in modules
        for name, member in vars(module).items()
        if inspect.isclass(member)
        and member.__module__ == module.__name__
        and not name.startswith("_")
        and any(name.startswith(METHODS) for name in dir(member))
    }


def test_every_benchmark_class_is_collected():
    collected = {name.rpartition(".")[0] for name in FOUND}
    assert collected == classes_of_benchmarks()
    assert {f"kernels.{name}" for name in KERNEL_CASES} <= collected


def test_every_benchmark_has_a_name_and_says_what_it_is():
    names = {name: benchmark.pretty_name for name, benchmark in FOUND.items()}
    assert all(names.values())
    assert len(set(names.values())) == len(names), "two have the same name"
    for benchmark in FOUND.values():
        assert benchmark.type != "track" or benchmark.unit != "unit"
        assert len(benchmark.version) < 9, "the digest of its code: results would not outlive it"
        assert '"""' in benchmark.code or "fastnn.kernels." in benchmark.code


def test_every_kernel_of_the_table_has_time_and_ratio():
    for name in KERNEL_CASES:
        assert {f"kernels.{name}.time_call", f"kernels.{name}.track_ratio"} <= set(FOUND)


def smallest_parameters():
    """Yield each benchmark with the first value of every parameter, for all implementations."""
    for name, benchmark in FOUND.items():
        values = benchmark._params
        for index, choice in enumerate(itertools.product(*values)):
            free = {
                parameter: value == options[0]
                for parameter, value, options in zip(benchmark.param_names, choice, values)
            }
            if all(first for parameter, first in free.items() if parameter != "impl"):
                yield pytest.param(name, index, id=f"{name}-{'-'.join(map(str, choice))}")


@pytest.mark.parametrize(("name", "index"), list(smallest_parameters()))
def test_every_benchmark_runs_once(name, index, monkeypatch):
    monkeypatch.setattr(benchmarks.common, "PAUSE", 0)  # quick: no test looks at the times
    monkeypatch.setattr(benchmarks.startup, "ROUNDS", 1)
    monkeypatch.setattr(benchmarks.training, "steps_of", lambda network, impl: 100)
    toy = benchmarks.solver.PROBLEMS["4-10-3"]._replace(epochs=100)
    monkeypatch.setitem(benchmarks.solver.PROBLEMS, "4-10-3", toy)
    monkeypatch.setattr(benchmarks.estimators, "GRID", {"alpha": [1e-4]})
    benchmark = FOUND[name]
    assert benchmark.check(FOLDER)
    benchmark.set_param_idx(index)
    if benchmark.do_setup():
        missing = set(benchmark._current_params) & set(benchmarks.models.LIBRARIES)
        assert missing or (name.startswith("scaling.Thread") and cores_at_hand() == 1)
        pytest.skip("a library, or a core, is missing")
    try:
        result = benchmark.func(*benchmark._current_params)
        if benchmark.type == "track":
            assert np.isfinite(result)
            assert result > 0
        elif "timeraw" in name:
            subprocess.run([sys.executable, "-c", result], check=True)
    finally:
        benchmark.do_teardown()


# -------------------------------------------------------------------------------------- the helpers


def test_digest_changes_with_a_name_and_with_a_line(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    digests = [digest_of(tmp_path)]
    (tmp_path / "a.py").write_text("x = 2\n")
    digests.append(digest_of(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    digests.append(digest_of(tmp_path))
    assert len(set(digests)) == 3

    (tmp_path / "notes.txt").write_text("no kernel")
    assert digest_of(tmp_path) == digests[-1]


def test_kernel_folder_is_that_of_the_imported_package():
    import fastnn.kernels

    assert kernel_folder().samefile(Path(fastnn.kernels.__file__).parent)


def test_batch_counts_calls_and_steps(monkeypatch):
    calls = []
    ticks = itertools.count(step=6.0)
    monkeypatch.setattr("benchmarks.common.now", lambda: next(ticks))
    batch = Batch(lambda: calls.append(1), 3, steps=2)
    assert batch.seconds() == 1.0
    assert len(calls) == 3
    assert -batch.clock() + batch.clock() == 1.0


def test_warm_batch_has_as_many_calls_as_the_time_allows(monkeypatch):
    ticks = itertools.count(step=0.002)
    monkeypatch.setattr("benchmarks.common.now", lambda: next(ticks))
    assert warm(lambda: None, seconds=0.0101).count == 5
    assert warm(lambda: None, seconds=0.0).count == 1


def test_the_processors_time_is_that_of_one_thread(monkeypatch):
    monkeypatch.setattr("benchmarks.common.time.process_time", lambda: 1.0)
    monkeypatch.setattr("benchmarks.common.time.perf_counter", lambda: 2.0)
    for threads, expected in ((1, 1.0), (2, 2.0)):
        monkeypatch.setattr("fastnn.get_num_threads", lambda threads=threads: threads)
        assert benchmarks.common.now() == expected


def test_ratio_is_of_the_quickest_runs_that_are_timed(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    class Fake:
        def __init__(self, *times):
            self.times = iter(times)

        def seconds(self):
            return next(self.times)

    assert ratio(Fake(4.0, 5.0), Fake(3.0, 1.0), rounds=2) == 0.25
    # Of several threads, the first run of each turn wakes the cores, and does not count.
    numpy, fastnn = Fake(1.0, 4.0, 1.0, 5.0), Fake(0.1, 3.0, 0.1, 1.0)
    assert ratio(numpy, fastnn, rounds=2, threads=2) == 0.25
