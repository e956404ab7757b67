"""What NumPy's ``RandomState`` draws, without a branch that depends on a draw."""

import numpy as np

from ._jit import kernel
from .llvm.intrinsics import call_uint32, read_integer

#: Where NumPy's ``bitgen_t``, its C interface to a generator, holds the address of the generator's
#: state, and that of the function which draws 32 bits from it.
STATE, NEXT_UINT32 = 0, 16


@kernel
def randint(high, bitgen, out):
    """Write what ``RandomState.randint(0, high)`` draws, again and again, into `out`.

    A draw has as many bits as ``high - 1``, and is made again while it is larger. NumPy branches on
    that; here the next draw takes its place. One
    core of a Zen 5 takes 1.8 to 3.3 ns a number, and NumPy 2.8 to 13.

    Parameters
    ----------
    high : int
        In 1..2**32.
    bitgen : int
        Address of the ``bitgen_t`` of a NumPy bit generator, to which its ``capsule`` leads; the
        caller holds its ``lock``.
    out : ndarray of shape (n,)
        int64; written.
    """
    state, function = read_integer(bitgen + STATE), read_integer(bitgen + NEXT_UINT32)
    last, mask, place = np.int64(high - 1), np.int64(0), 0
    while mask < last:
        mask = 2 * mask + 1
    # NumPy draws nothing where there is nothing to choose.
    while mask == 0 and place < len(out):
        out[place] = 0
        place += 1
    while place < len(out):
        drawn = np.int64(call_uint32(function, state)) & mask
        out[place] = drawn
        place += np.int64(drawn <= last)


@kernel
def shuffle(order, bitgen, out):
    """Write `order`, shuffled again and again as ``RandomState.shuffle`` does, into rows of `out`.

    From the last place on, each swaps with one up to it. That is drawn, with as many bits as the
    place's own number has, and drawn again while it is larger. NumPy branches on that, at random;
    here a draw that is too large swaps the place with itself. One core of a Zen 5 takes 3.2 to
    3.4 ns an element, and NumPy 8.1 to 9.3.

    Parameters
    ----------
    order : ndarray of shape (n,)
        int64; n at most 2**32.
    bitgen : int
        Address of the ``bitgen_t`` of a NumPy bit generator, to which its ``capsule`` leads; the
        caller holds its ``lock``.
    out : ndarray of shape (m, n)
        int64; row 0 becomes `order` in another order, and each other row the one before it.
    """
    state, function = read_integer(bitgen + STATE), read_integer(bitgen + NEXT_UINT32)
    for row in range(len(out)):
        rows = out[row]
        before = order if row == 0 else out[row - 1]
        for place in range(len(rows)):
            rows[place] = before[place]
        place = len(rows) - 1
        while place > 0:
            mask = np.int64(1)
            while mask < place:
                mask = 2 * mask + 1
            while place > mask >> 1:
                drawn = np.int64(call_uint32(function, state)) & mask
                fits = drawn <= place
                other = drawn if fits else place
                rows[other], rows[place] = rows[place], rows[other]
                place -= np.int64(fits)
