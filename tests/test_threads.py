"""How many threads a call takes."""

import os
import threading

import pytest

from fastnn import get_num_threads, set_num_threads, threads
from fastnn.threads import FLOPS_PER_THREAD, available_cores, cpu_quota, limited, threads_for

VARIABLES = "FASTNN_NUM_THREADS", "OMP_NUM_THREADS"


@pytest.fixture(autouse=True)
def default_threads(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_quota_at_first", lambda: None)
    set_num_threads(None)
    yield
    set_num_threads(None)


def test_set_and_get():
    for n in (1, 3, 64):
        set_num_threads(n)
        assert get_num_threads() == n


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_default_is_the_affinity_of_the_process():
    cores = os.sched_getaffinity(0)
    assert get_num_threads() == len(cores)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert get_num_threads() == 1
    finally:
        os.sched_setaffinity(0, cores)
    assert get_num_threads() == len(cores)


def test_what_comes_before_what(monkeypatch):
    cores = available_cores()
    assert get_num_threads() == cores
    monkeypatch.setattr(threads, "_quota_at_first", lambda: cores + 1)
    assert get_num_threads() == cores
    monkeypatch.setattr(threads, "_quota_at_first", lambda: 1)
    assert get_num_threads() == 1
    assert available_cores() == cores
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert get_num_threads() == 7
    monkeypatch.setenv("FASTNN_NUM_THREADS", "5")
    assert get_num_threads() == 5
    set_num_threads(3)
    assert get_num_threads() == 3
    set_num_threads(None)
    assert get_num_threads() == 5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("4", 4),
        (" 4 ", 4),
        ("4,2", 4),
        ("6, 3 ,1", 6),
        *((wrong, None) for wrong in ("", " ", "0", "-1", "two", "1.5", "4,", "4,x", ",4", "1_0")),
    ],
)
def test_openmp_s_variable(monkeypatch, value, expected):
    monkeypatch.setattr(threads, "available_cores", lambda: 99)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert get_num_threads() == (expected or 99)


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "4,2", "1_0"])
def test_a_wrong_variable_of_its_own_is_an_error(monkeypatch, value):
    monkeypatch.setenv("FASTNN_NUM_THREADS", value)
    match = f"FASTNN_NUM_THREADS is '{value}', but .* integer of at least 1: set the environment"
    with pytest.raises(ValueError, match=match):
        get_num_threads()
    set_num_threads(2)
    assert get_num_threads() == 2


def test_an_empty_variable_says_nothing(monkeypatch):
    monkeypatch.setenv("FASTNN_NUM_THREADS", "")
    assert get_num_threads() == available_cores()


UNIFIED = "0::/a/b"
V1 = "4:memory:/m\n3:cpu,cpuacct:/a/b\n2:cpuset:/x\n1:name=systemd:/\n0::/"


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        # version 2: microseconds in each period
        (UNIFIED, {"a/b/cpu.max": "200000 100000"}, 2),
        (UNIFIED, {"a/b/cpu.max": "50000 100000"}, 1),
        (UNIFIED, {"a/b/cpu.max": "150000 100000"}, 2),
        (UNIFIED, {"a/b/cpu.max": "max 100000"}, None),
        (UNIFIED, {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        (UNIFIED, {"a/b/cpu.max": "400000 100000", "a/cpu.max": "300000 100000"}, 3),
        (UNIFIED, {"a/b/cpu.max": "200000 100000", "a/cpu.max": "300000 100000"}, 2),
        (UNIFIED, {"cpu.max": "300000 100000"}, 3),
        (UNIFIED, {"unified/a/cpu.max": "300000 100000"}, 3),
        ("0::/", {"cpu.max": "300000 100000"}, 3),
        ("0::/../../other", {"cpu.max": "300000 100000"}, 3),
        # version 1
        (V1, {"cpu/a/b/cpu.cfs_quota_us": "250000", "cpu/a/b/cpu.cfs_period_us": "100000"}, 3),
        (V1, {"cpu/a/b/cpu.cfs_quota_us": "-1", "cpu/a/b/cpu.cfs_period_us": "100000"}, None),
        (V1, {"cpu/cpu.cfs_quota_us": "90000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 2),
        (
            V1,
            {
                "cpu,cpuacct/a/cpu.cfs_quota_us": "400000",
                "cpu,cpuacct/a/cpu.cfs_period_us": "100000",
            },
            4,
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "100000"}, None),
        # nonsense
        (UNIFIED, {"a/b/cpu.max": ""}, None),
        (UNIFIED, {"a/b/cpu.max": "100000 0"}, None),
        (UNIFIED, {"a/b/cpu.max": "-5 100000"}, None),
        (UNIFIED, {"a/b/cpu.max": "many"}, None),
        ("nonsense", {"cpu.max": "300000 100000"}, None),
        ("", {"cpu.max": "300000 100000"}, None),
        (None, {"cpu.max": "300000 100000"}, None),
    ],
)
def test_the_quota_of_the_control_group(tmp_path, cgroup, files, expected):
    if cgroup is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(cgroup + "\n")
    for name, content in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert cpu_quota(tmp_path) == expected


def test_the_quota_is_read_once(monkeypatch):
    monkeypatch.undo()
    read = []
    monkeypatch.setattr(threads, "cpu_quota", lambda: read.append(1))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    threads._quota_at_first.cache_clear()
    for _ in range(3):
        assert get_num_threads() == available_cores()
    assert len(read) == 1
    threads._quota_at_first.cache_clear()


def in_a_thread(function):
    """Return what a function returns in a thread of its own."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_two_threads_of_a_program_may_differ():
    def set_and_get():
        before = get_num_threads()
        set_num_threads(5)
        return before, get_num_threads()

    set_num_threads(3)
    # What the main thread has set holds where nothing else was.
    assert in_a_thread(set_and_get) == (3, 5)
    assert get_num_threads() == 3
    assert in_a_thread(get_num_threads) == 3


def test_a_limit_ends_with_its_block():
    set_num_threads(3)
    with limited(2):
        assert get_num_threads() == 2
        with limited(None):
            assert get_num_threads() == 2
        assert in_a_thread(get_num_threads) == 3
    assert get_num_threads() == 3


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_task_of_joblib_takes_one_thread(monkeypatch, backend):
    joblib = pytest.importorskip("joblib")
    set_num_threads(None)
    monkeypatch.setenv("FASTNN_NUM_THREADS", "7")
    assert get_num_threads() == 7
    tasks = [joblib.delayed(get_num_threads)() for _ in range(3)]
    assert joblib.Parallel(2, backend=backend)(tasks) == [1, 1, 1]
    # One after the other in this thread: nothing else uses the cores.
    assert joblib.Parallel(1, backend=backend)(tasks) == [7, 7, 7]
    set_num_threads(4)
    if backend == "threading":
        assert joblib.Parallel(2, backend=backend)(tasks) == [1, 1, 1]
    assert get_num_threads() == 4


def test_what_a_task_of_joblib_sets_itself_counts():
    joblib = pytest.importorskip("joblib")

    def task(n):
        set_num_threads(n)
        return get_num_threads()

    tasks = [joblib.delayed(task)(n) for n in (2, 3)]
    assert joblib.Parallel(2, backend="threading")(tasks) == [2, 3]


def test_small_work_takes_one_thread():
    set_num_threads(8)
    assert threads_for(0) == 1
    assert threads_for(FLOPS_PER_THREAD - 1) == 1
    assert threads_for(3 * FLOPS_PER_THREAD) == 3
    assert threads_for(1e12) == 8


@pytest.mark.parametrize(
    ("n", "error", "match"),
    [
        (0, ValueError, "n is 0, but at least one thread is needed: pass 1 or more"),
        (-2, ValueError, "n is -2"),
        (1.0, TypeError, "n is 1.0, but a number of threads is an integer"),
        ("two", TypeError, "n is 'two'"),
    ],
)
def test_errors_leave_the_setting(n, error, match):
    set_num_threads(3)
    with pytest.raises(error, match=match):
        set_num_threads(n)
    assert get_num_threads() == 3
