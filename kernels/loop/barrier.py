"""Where all threads meet: the same compiled function runs once on each core.

The threads are ordinary ones of Python, without the GIL. Numba's ``prange`` is not used: it
compiles slowly, and its threading layers abort when two Python threads enter or die after a fork.
"""

import sys

from numba import types

from .._jit import kernel, part
from ..llvm.intrinsics import address_of, atomic_add, atomic_load

#: Turns of the waiting loop before the processor is offered to another thread: about 20 us, a few
#: times what the phases of a step differ by. Yielding at once costs a system call at each barrier.
SPINS = 2000

#: Times that it is offered before the thread sleeps: one that only yields keeps its core busy, and
#: the system does not move the thread for which it waits there. Beside another program on one of
#: two cores, steps took 0.8 to 1 of the time so (Zen 5), and the tests of threads 0.4.
YIELDS = 1000
#: Microseconds of a sleep.
NAP = 20

#: Where in the barrier (int64) the flag lies that calls a run off: a cache line behind the count.
ABORT = 8
#: And the flag that says that thread 0 has done all of it.
FINISHED = 9

if sys.platform == "win32":

    @kernel
    def offer_processor():
        """Spin on: there is no sched_yield to call."""

    @kernel
    def sleep(microseconds):
        """Spin on."""

else:
    offer_processor = types.ExternalFunction("sched_yield", types.int32())
    sleep = types.ExternalFunction("usleep", types.int32(types.uint32))


@part
def wait(barrier, threads, meetings):
    """Wait until all threads have come here; return the number of meetings so far.

    Each thread counts its meetings itself: after the k-th, the shared count is k times the number
    of threads, so that nothing is ever reset. Returns -1 where the meeting was called off (see
    :data:`ABORT`), which can only happen at the first one.
    """
    meetings += 1
    if threads > 1:
        address = address_of(barrier)
        atomic_add(address, 1)
        turns = 0
        while atomic_load(address) < meetings * threads:
            turns += 1
            if turns > SPINS:
                if meetings == 1 and atomic_load(address + 8 * ABORT) != 0:
                    meetings = -1
                    break
                if turns > SPINS + YIELDS:
                    sleep(types.uint32(NAP))
                else:
                    offer_processor()
    return meetings
