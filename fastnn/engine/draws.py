"""What NumPy's RandomState draws, in a quarter to two thirds of its time."""

import ctypes

import numpy as np

from ..jit import jit_disabled

#: Numbers of a kind that NumPy draws in a process before that kernel is loaded, which takes 2 to
#: 3 ms; from then on some 5 ns a number are won.
FIRST_DRAWS = 1 << 18
#: Most values that the kernels tell apart; beyond them NumPy draws 64 bits for each.
MOST_VALUES = 1 << 32

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

#: How many numbers of each kind NumPy has drawn.
_drawn = {"randint": 0, "shuffle": 0}


def integers(random, high, size):
    """Return ``random.randint(0, high, size)``.

    Parameters
    ----------
    random : RandomState or numpy.random
        One of a derived class, or a function of the user's in its place, draws by itself.
    high : int
        At least 1.
    size : int

    Returns
    -------
    ndarray of shape (size,)
        int64.
    """
    random = getattr(random.randint, "__self__", random)
    if not _kernel_pays("randint", random, high, size):
        return np.ascontiguousarray(random.randint(0, high, size), np.int64)
    from ..kernels import randint

    out, generator = np.empty(size, np.int64), random._bit_generator
    with generator.lock:
        randint(high, bitgen_of(generator), out)
    return out


def shuffled(order, random, times=1):
    """Return an order of rows shuffled by ``random.shuffle``, that again, and so on.

    Parameters
    ----------
    order : ndarray of shape (n,)
        int64.
    random : RandomState
        One of a derived class shuffles by itself.
    times : int, default=1

    Returns
    -------
    ndarray of shape (times, n)
    """
    orders = np.empty((times, len(order)), np.int64)
    if not _kernel_pays("shuffle", random, len(order), orders.size):
        for row in orders:
            row[:] = order
            random.shuffle(row)
            order = row
        return orders
    from ..kernels import shuffle

    # One call for all of them: each has the interpreter go on with another thread.
    generator = random._bit_generator
    with generator.lock:
        shuffle(order, bitgen_of(generator), orders)
    return orders


def _kernel_pays(kind, random, values, count):
    """Tell whether the kernel is to draw so many numbers, of so many values; if not, NumPy does."""
    if (
        type(random) is np.random.RandomState
        and _drawn[kind] >= FIRST_DRAWS
        and values <= MOST_VALUES
        and not jit_disabled()
    ):
        return True
    _drawn[kind] += count
    return False


def bitgen_of(generator):
    """Return the address of the ``bitgen_t`` of a NumPy bit generator, good as long as that is."""
    return _pointer(generator.capsule, b"BitGenerator")
