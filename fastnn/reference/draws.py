"""What RandomState draws, one draw after the other: the twins of kernels.draws."""

import ctypes


class Bitgen(ctypes.Structure):
    """NumPy's ``bitgen_t`` [1]_, the C interface to a bit generator, as far as is read of it.

    References
    ----------
    .. [1] https://numpy.org/doc/stable/reference/random/c-api.html
    """

    _fields_ = (
        ("state", ctypes.c_void_p),
        ("next_uint64", ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)),
        ("next_uint32", ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)),
    )


def randint(high, bitgen, out):
    """Write integers below `high` into `out`: draws of as few bits as do, without larger ones."""
    generator = Bitgen.from_address(bitgen)
    mask = (1 << (high - 1).bit_length()) - 1
    for place in range(len(out)):
        drawn = high
        while drawn >= high:
            # None is drawn where there is nothing to choose.
            drawn = generator.next_uint32(generator.state) & mask if mask else 0
        out[place] = drawn


def shuffle(order, bitgen, out):
    """Write `order`, shuffled, into the first row of `out`, and into each other the one before it.

    It is the shuffle of Fisher and Yates [1]_: each place from the last on swaps with one up to it.
    A draw is as many bits as the place has, and is made again while it is larger.

    References
    ----------
    .. [1] Knuth, The Art of Computer Programming, volume 2, algorithm P.
    """
    generator = Bitgen.from_address(bitgen)
    for row in out:
        row[:] = order
        for place in range(len(row) - 1, 0, -1):
            mask = (1 << place.bit_length()) - 1
            drawn = generator.next_uint32(generator.state) & mask
            while drawn > place:
                drawn = generator.next_uint32(generator.state) & mask
            row[[place, drawn]] = row[[drawn, place]]
        order = row
