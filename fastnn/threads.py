"""How many threads a call may use."""

import functools
import math
import operator
import os
from pathlib import Path, PurePosixPath

#: A thread is worth its meetings (about a microsecond each) from this many flops a step on.
FLOPS_PER_THREAD = 1_000_000

_num_threads: int | None = None


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

        - what :func:`set_num_threads` set;
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
    if _num_threads is not None:
        return _num_threads
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


def _positive(text):
    """Return the positive integer that a text says, or None."""
    text = text.strip()
    # Not all that int takes: "1_0" is ten to it.
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None


def set_num_threads(n):
    """Set the largest number of threads that a call uses, for the whole process.

    Results do not depend on it: they are the same bits for any number. Networks too small to gain
    from more use one thread whatever is set.

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
    global _num_threads
    if n is not None:
        try:
            n = operator.index(n)
        except TypeError:
            raise TypeError(
                f"n is {n!r}, but a number of threads is an integer: pass 1 or more, or None for "
                "the default"
            ) from None
        if n < 1:
            raise ValueError(
                f"n is {n}, but at least one thread is needed: pass 1 or more, or None for the "
                "default"
            )
    _num_threads = n


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
