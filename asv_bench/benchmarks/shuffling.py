"""The order of the rows of an epoch: RandomState's own shuffle, and the kernel that draws as it."""

from functools import lru_cache

import numpy as np

import fastnn.kernels

from .common import IMPLS, Comparison, described, ratio, warm, without_impl

#: A fold of the digits, and all of MNIST.
ROWS = [1_200, 60_000]


@lru_cache(maxsize=2)
def shuffle_of(impl, rows):
    """Return a shuffle of so many rows, as a batch."""
    random, order = np.random.RandomState(0), np.arange(rows)
    if impl == "numpy":
        return warm(lambda: random.shuffle(order))
    if not hasattr(fastnn.kernels, "shuffle"):
        raise NotImplementedError("this commit has no kernel shuffle")  # asv skips it
    from fastnn.engine.shuffling import bitgen_of

    bitgen, out = bitgen_of(random._bit_generator), np.empty((1, rows), np.int64)
    # The generator belongs to the call: it must live as long.
    return warm(lambda random=random: fastnn.kernels.shuffle(order, bitgen, out))


@without_impl
class Shuffle(Comparison):
    """Rows in another order, by the draws of a RandomState."""

    params = (IMPLS, ROWS)
    param_names = ("impl", "rows")

    def batch(self, impl, rows):
        return shuffle_of(impl, rows)

    @described("shuffle: time of a call")
    def time_call(self, impl, rows):
        """Seconds a shuffle."""
        self.chosen.run()

    @described("shuffle: time of a call over NumPy's", unit="fastnn / numpy")
    def track_ratio(self, rows):
        """Fastnn's time over NumPy's, measured in turns."""
        return ratio(*self.both)
