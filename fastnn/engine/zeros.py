"""Dense data of which much is 0, and whether to skip that.

Of data that are mostly zeros, only the others are kept, as a sparse matrix has them, where that
pays. Of others the network's first product skips zeros as it finds them, without changing a bit of
the result.
"""

import numpy as np

from ..checks.sparse import Sparse
from ..jit import jit_disabled
from ..jobs import Source

#: The largest share of non-zeros at which zeros are skipped. A step of 784-100-10 on 200 rows takes
#: as long either way at about 0.4 (one core of a Zen 4, with 64- and 32-byte vectors, float32 and
#: float64), and at 0.25 a quarter less without them; a Zen 5, whose vectors are twice as fast,
#: takes 0.6 of the time at 0.19.
MOST_NON_ZEROS = 0.25
#: Units of the first hidden layer below which a product has too little to do for each non-zero, and
#: weights below which it has so for each row: with a fifth of non-zeros, steps on 200 rows of 784
#: inputs take 0.79 of the time with 16 units, but as long with 8; of 20 inputs or 40 as long with
#: 32 units, and of 40 with 100 units 0.81 (float32, Zen 4).
FEWEST_UNITS, LEAST_WEIGHTS = 16, 2048
#: Epochs, times such units, that pay for the conversion. It takes 1.2 ns an element, and a step
#: without zeros saves about 0.02 ns an element and unit.
LEAST_WORK = 256
#: Bytes of the largest data that are converted unasked, as numbers of the network's precision: the
#: copy may take half as much.
MOST_BYTES = 1 << 31
#: Non-zeros of bytes that are scaled at a time.
SCALED = 1 << 18
#: Elements that are looked at, in rows as far apart as they can be.
SAMPLE = 1 << 14
#: The largest share of non-zeros at which those of a batch's inputs are marked, so that the first
#: product may skip the rest, and how many elements are looked at to see. Fits of the digits, of
#: whose pixels 0.49 are not 0, take 8 to 9 % less time with 100 units (float32 and float64, Zen 4);
#: steps of 784-512-10 with half of the inputs 0 at random 9 to 12 %, of 784-100-10 3 to 5 %, at 0.7
#: 2 and 6 % more.
MOST_MARKED, GLANCE = 0.55, 1 << 11


def are_zeros(source, scaling):
    """Tell whether what is 0 in dense data is 0 for the network: bytes may be shifted."""
    return source.X.dtype != np.uint8 or (scaling is not None and not scaling.summand.any())


def may_skip(source, scaling=None):
    """Tell whether zeros of such data can be skipped; `scaling` is that of bytes."""
    if isinstance(source.X, Sparse) or jit_disabled():
        return False
    return are_zeros(source, scaling)


def has_zeros(source, scaling=None):
    """Tell whether dense data seem to have so many zeros that a product may skip them."""
    from ..kernels.marked import MOST

    if not are_zeros(source, scaling):
        return False
    X = source.X
    rows = max(GLANCE // max(X.shape[1], 1), 1)
    some = X[:: max(len(X) // rows, 1)]
    return bool(np.count_nonzero(some) <= min(MOST, MOST_MARKED) * some.size)


def mostly(source, units, epochs, itemsize=4):
    """Tell whether data are so much zeros that it pays to skip them.

    The same data always give the same answer, as the two ways differ by rounding.

    Parameters
    ----------
    source : Source
        Of data that have zeros to skip.
    units : int
        Of the first hidden layer.
    epochs : int or float
        How often each row is seen, on average.
    itemsize : int
        Bytes of a number that is kept.
    """
    X = source.X
    if units < FEWEST_UNITS or units * X.shape[1] < LEAST_WEIGHTS:
        return False
    if X.size * itemsize > MOST_BYTES or units * epochs < LEAST_WORK:
        return False
    rows = max(SAMPLE // max(X.shape[1], 1), 1)
    some = X[:: max(len(X) // rows, 1)]
    return bool(np.count_nonzero(some != 0) <= MOST_NON_ZEROS * some.size)


def skipped_if_mostly(train, val, units, epochs):
    """Return two sources without the zeros of dense data if the first are mostly zeros.

    Parameters
    ----------
    train, val : Source
        `val` may be None.
    units, epochs
        As of :func:`mostly`.
    """
    if may_skip(train) and mostly(train, units, epochs, train.X.itemsize):
        return without(train), without(val)
    return train, val


def without(source, scaling=None):
    """Return the source of the non-zeros of a dense one, those of bytes scaled."""
    if source is None or not may_skip(source, scaling):
        return source
    # Not before there is something to compress: to load a kernel takes longer than a short fit.
    from ..kernels import compress_rows, count_nonzeros

    X, y, weights = source
    are_bytes = X.dtype == np.uint8
    places = count_nonzeros(X)
    indptr = np.empty(len(X) + 1, np.int64)
    indices = np.empty(places + 1, np.int32)
    values = np.empty(places + 1, scaling.factor.dtype if are_bytes else X.dtype)
    compress_rows(X, indptr, indices, values)
    stop = indptr[-1]
    for first in range(0, stop if are_bytes else 0, SCALED):
        some = slice(first, min(first + SCALED, stop))
        values[some] *= scaling.factor[indices[some]]
    return Source(Sparse(X.shape, indptr, indices[:stop], values[:stop]), y, weights)
