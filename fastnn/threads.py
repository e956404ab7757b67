"""How many threads a call may use."""

import operator
import os

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


def get_num_threads():
    """Return the largest number of threads that a call uses.

    Returns
    -------
    int
        What :func:`set_num_threads` set, else the number of cores in the CPU affinity of this
        process at the time of the call.
    """
    return available_cores() if _num_threads is None else _num_threads


def set_num_threads(n):
    """Set the largest number of threads that a call uses, for the whole process.

    Results do not depend on it: they are the same bits for any number. Networks too small to gain
    from more use one thread whatever is set.

    Parameters
    ----------
    n : int or None
        At least 1; more than there are cores is allowed. None restores the default.

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
                "one a core"
            ) from None
        if n < 1:
            raise ValueError(
                f"n is {n}, but at least one thread is needed: pass 1 or more, or None for one a "
                "core"
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
