"""Dropout: each activation is kept or zeroed by a hash of where it stands, so no state is shared.

A counter-based generator: the bits of row i, column j at a step depend on a key, i and j alone.
Any thread may therefore draw any row, and the pattern is the same for float32 and float64 and for
any width of the vectors.
"""

from typing import NamedTuple

from ._jit import kernel
from .llvm.functions import outlined
from .llvm.intrinsics import address_of, cast_like

#: The steps of two mixing functions: (shift right and xor, multiply) pairs, then a last shift. Both
#: are bijections whose every output bit depends on every input bit with near even odds: Stafford's
#: variant 13 of the finaliser in MurmurHash3 (as in SplitMix64), and Wellons' "lowbias32".
MIX_64 = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, None))
MIX_32 = ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None))
#: 2^64 and 2^32 divided by the golden ratio, odd: consecutive counters become far apart.
GOLDEN_64, GOLDEN_32 = 0x9E3779B97F4A7C15, 0x9E3779B9


def _mix(value, steps):
    for shift, factor in steps:
        value = value ^ value.shifted_down(shift)
        if factor is not None:
            value = value * factor
    return value


class DropoutRows(NamedTuple):
    """What :func:`dropout_rows` takes."""

    A: int  #: address of row 0 of the activations, modified
    derivatives: int  #: address of row 0 of their derivatives, modified too, or 0
    stride: int  #: bytes from one row to the next
    elements: int  #: elements of a row, whole vectors
    first: int  #: first row
    stop: int  #: first row that is left out
    key: int  #: of the pattern
    threshold: int  #: chance of a zero, times 2^32
    factor: float  #: on what is kept


@outlined(DropoutRows)
def dropout_rows(emit, f):
    """Zero elements of some rows by chance, and multiply the others by `factor`.

    ``A[i, j] <- 0`` where the hash of the key, i and j is below the threshold; the same is done to
    the derivatives. `elements` elements of each row first..stop are written.
    """
    bound = emit.splat(emit.truncated(f.threshold), emit.integers(4))
    scale = emit.splat(f.factor)

    def one_row(i):
        row_key = _mix(f.key + (i + 1) * GOLDEN_64, MIX_64)
        row_key = emit.splat(emit.truncated(row_key), emit.integers(4))

        def vector(j):
            bits = _mix(row_key + emit.numbered(j) * GOLDEN_32, MIX_32)
            dropped = bits.is_below_unsigned(bound)
            place = i * f.stride + j * emit.size

            def apply(base):
                emit.store(emit.where(dropped, 0.0, emit.load(base + place) * scale), base + place)

            apply(f.A)
            with emit.only_if(f.derivatives != 0):
                apply(f.derivatives)

        emit.steps(0, f.elements, emit.lanes, vector)

    emit.steps(f.first, f.stop, 1, one_row)
    emit.returns()


@kernel
def dropout(A, rate, key):
    """Zero each element of `A` with a chance of `rate`, in place; scale the others up.

    Kept activations are multiplied by ``1 / (1 - rate)``, so that their expectation stays [1]_.

    Parameters
    ----------
    A : ndarray of shape (n, H)
        C-contiguous, H a multiple of the lanes of a vector (16 will do); modified in place.
    rate : float
        In [0, 1).
    key : int
        Seed of the pattern: the same key gives the same one.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: A Simple Way to
       Prevent Neural Networks from Overfitting", JMLR 15, 2014.
    """
    n, H = A.shape
    if A.size == 0:
        return
    like = A[0, 0]
    threshold, factor = int(rate * 4294967296.0), cast_like(like, 1.0 / (1.0 - rate))
    rows = DropoutRows(address_of(A), 0, A.strides[0], H, 0, n, key, threshold, factor)
    dropout_rows(like, rows)
