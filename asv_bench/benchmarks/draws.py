"""Rows by chance: what RandomState draws itself, and the kernels that draw as it."""

from functools import lru_cache

import numpy as np

import fastnn.kernels

from .common import IMPLS, Comparison, described, ratio, warm, without_impl

#: The order of an epoch, and rows with replacement, as many.
KINDS = ["shuffle", "randint"]
#: A fold of the digits, and all of MNIST.
ROWS = [1_200, 60_000]


@lru_cache(maxsize=2)
def draws_of(impl, kind, rows):
    """Return a draw of so many rows, as a batch."""
    random, order = np.random.RandomState(0), np.arange(rows)
    if impl == "numpy":
        if kind == "shuffle":
            return warm(lambda: random.shuffle(order))
        return warm(lambda: random.randint(0, rows, rows))
    if not hasattr(fastnn.kernels, kind):
        raise NotImplementedError(f"this commit has no kernel {kind}")  # asv skips it
    from fastnn.engine.draws import bitgen_of

    kernel = getattr(fastnn.kernels, kind)
    bitgen, out = bitgen_of(random._bit_generator), np.empty((1, rows), np.int64)
    arguments = (order, bitgen, out) if kind == "shuffle" else (rows, bitgen, out[0])
    # The generator belongs to the call: it must live as long.
    return warm(lambda random=random: kernel(*arguments))


@without_impl
class Draws(Comparison):
    """Rows in another order, and rows with replacement, by the draws of a RandomState."""

    params = (IMPLS, KINDS, ROWS)
    param_names = ("impl", "kind", "rows")

    def batch(self, impl, kind, rows):
        return draws_of(impl, kind, rows)

    @described("draws of RandomState: time of a call")
    def time_call(self, impl, kind, rows):
        """Seconds a call."""
        self.chosen.run()

    @described("draws of RandomState: time of a call over NumPy's", unit="fastnn / numpy")
    def track_ratio(self, kind, rows):
        """Fastnn's time over NumPy's, measured in turns."""
        return ratio(*self.both)
