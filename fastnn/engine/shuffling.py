"""Rows in another order: that of NumPy's RandomState, in a third of the time."""

import ctypes

import numpy as np

from ..jit import jit_disabled

#: Rows that NumPy shuffles in a process before the kernel is loaded, which takes 2 to 3 ms; from
#: then on 6 ns a row are won.
FIRST_ROWS = 1 << 18
#: Most rows that the kernel tells apart; beyond them NumPy draws 64 bits for each.
MOST_ROWS = 1 << 32

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


class _Seen:
    """How many rows have been shuffled by NumPy."""

    rows = 0


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
    if (
        type(random) is not np.random.RandomState
        or _Seen.rows < FIRST_ROWS
        or len(order) > MOST_ROWS
        or jit_disabled()
    ):
        _Seen.rows += orders.size
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


def bitgen_of(generator):
    """Return the address of the ``bitgen_t`` of a NumPy bit generator, good as long as that is."""
    return _pointer(generator.capsule, b"BitGenerator")
