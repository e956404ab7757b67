"""How many threads a call may use."""

import contextlib
import functools
import math
import operator
import os
import sys
import threading
from contextvars import ContextVar
from pathlib import Path, PurePosixPath

#: A thread is worth its meetings, and what travels between two, from this many flops a step on.
FLOPS_PER_THREAD = 1_000_000

#: What was set in this context: two threads of a program, or two tasks, may differ.
_num_threads: ContextVar[int | None] = ContextVar("fastnn_num_threads", default=None)
#: What the main thread has set last. It holds where a context has nothing of its own: a new thread
#: begins with an empty context, and so does each cell of some notebooks.
_default: int | None = None


def available_cores():
    """Return how many cores this process may run on, its CPU affinity respected.

    Returns
    -------
    int
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(root="/"):
    """Return how many cores' time the control groups of this process let it use (Linux).

    A container of half of a core sees all cores, and is stopped for the rest of each tenth of a
    second when its time is used up: threads beyond the quota only use it up sooner.

    Parameters
    ----------
    root : str or Path, default="/"
        Where ``proc`` and ``sys`` lie.

    Returns
    -------
    int or None
        The smallest quota of the group and of those that it is in, rounded up, at least 1; None
        where there is none.
    """
    root = Path(root)
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        if line.count(":") < 2:
            continue
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 2 has one hierarchy for all controllers; beside version 1 it lies in `unified`.
        names = ("cpu", controllers) if controllers else ("", "unified")
        # In a container, the folders above its own group are not there, and its own is at the top;
        # a group outside of what it may see begins with "..".
        inside = PurePosixPath("" if ".." in place else place.lstrip("/"))
        for name in names:
            folder = root / "sys/fs/cgroup" / name
            quotas += [_quota_of(folder / group) for group in (inside, *inside.parents)]
    known = [quota for quota in quotas if quota is not None]
    return max(math.ceil(min(known)), 1) if known else None


def _quota_of(group):
    """Return the quota of one group in cores, or None."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{n}_us").read_text() for n in ("quota", "period"))
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number
        return None
    return cores if cores > 0 else None


@functools.lru_cache(maxsize=1)
def _quota_at_first():
    """Return the quota, read once: a prediction of a few rows takes less time than the files."""
    return cpu_quota()


def get_num_threads():
    """Return the largest number of threads that a call uses.

    Returns
    -------
    int
        The first of these that there is:

        - what :func:`set_num_threads` set in this context;
        - 1 inside of a parallel region of joblib, which uses the cores already;
        - what :func:`set_num_threads` set in the main thread;
        - the environment variable ``FASTNN_NUM_THREADS``;
        - the environment variable ``OMP_NUM_THREADS``, of a list its first number, unless OpenMP
          would not understand it;
        - the number of cores in the CPU affinity of this process, or the CPU quota of its control
          group (of a container, for example) if that is less.

        The variables and the affinity are read at each call, the quota once, at the first that
        needs it.

    Raises
    ------
    ValueError
        If ``FASTNN_NUM_THREADS`` is no integer of at least 1.
    """
    own_choice = _num_threads.get()
    if own_choice is not None:
        return own_choice
    if _is_nested():
        return 1
    if _default is not None:
        return _default
    own = os.environ.get("FASTNN_NUM_THREADS", "").strip()
    if own:
        threads = _positive(own)
        if threads is None:
            raise ValueError(
                f"FASTNN_NUM_THREADS is {own!r}, but a number of threads is an integer of at least "
                "1: set the environment variable to one, or unset it"
            )
        return threads
    shared = [_positive(each) for each in os.environ.get("OMP_NUM_THREADS", "").split(",")]
    if None not in shared:
        return shared[0]
    cores, quota = available_cores(), _quota_at_first()
    return cores if quota is None else min(cores, quota)


def _is_nested():
    """Tell whether this code runs as a task of joblib, beside others."""
    parallel = sys.modules.get("joblib.parallel")
    if parallel is None:
        return False
    backend, _ = parallel.get_active_backend()
    return (getattr(backend, "nesting_level", None) or 0) > 0


def _positive(text):
    """Return the positive integer that a text says, or None."""
    text = text.strip()
    # Not all that int takes: "1_0" is ten to it.
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None


def set_num_threads(n):
    """Set the largest number of threads that a call uses, in this context.

    A context is a thread, or a task of ``asyncio``. What the main thread sets holds for all of them
    that have set nothing themselves, but for the tasks of joblib.

    Results do not depend on it: they are the same bits for any number. Networks too small to gain
    from more use one thread whatever is set, and a training finds out how many pay.

    Parameters
    ----------
    n : int or None
        At least 1; more than there are cores is allowed. None restores the default, see
        :func:`get_num_threads`.

    Raises
    ------
    TypeError
        If `n` is no integer.
    ValueError
        If `n` is below 1.
    """
    global _default
    n = check_threads(n, "n")
    _num_threads.set(n)
    if threading.current_thread() is threading.main_thread():
        _default = n


@contextlib.contextmanager
def limited(n):
    """Limit the threads of this context inside of a ``with``; None leaves them as they are."""
    if n is None:
        yield
        return
    token = _num_threads.set(n)
    try:
        yield
    finally:
        _num_threads.reset(token)


def check_threads(n, name):
    """Return a number of threads, None for the default."""
    if n is not None:
        try:
            n = operator.index(n)
        except TypeError:
            raise TypeError(
                f"{name} is {n!r}, but a number of threads is an integer: pass 1 or more, or None "
                "for the default"
            ) from None
        if n < 1:
            raise ValueError(
                f"{name} is {n}, but at least one thread is needed: pass 1 or more, or None for "
                "the default"
            )
    return n


def threads_for(flops):
    """Return how many threads to use for a step, or a call, of so many flops.

    Parameters
    ----------
    flops : float

    Returns
    -------
    int
    """
    return max(1, min(get_num_threads(), int(flops // FLOPS_PER_THREAD)))
