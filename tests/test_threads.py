"""How many threads a call takes."""

import os

import pytest

from fastnn import get_num_threads, set_num_threads
from fastnn.threads import FLOPS_PER_THREAD, threads_for


@pytest.fixture(autouse=True)
def default_threads():
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
