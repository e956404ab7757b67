"""Whether all numbers of an array are finite, in one pass at the pace of memory."""

from typing import NamedTuple

from ._jit import kernel
from .llvm.functions import outlined
from .llvm.intrinsics import address_of

#: Vectors that are looked at together: what one of them adds does not wait for the others.
CHAINS = 4


class Elements(NamedTuple):
    """What :func:`total_of_zeros` takes."""

    X: int  #: address
    elements: int


@outlined(Elements, returns=float)
def total_of_zeros(emit, f):
    """Return the sum of ``0 x``: 0 where all are finite, for 0 times inf and 0 times NaN is NaN."""

    def add(load, store, carried):
        return [emit.fma(load(f.X), 0.0, carried[0])]

    sums = emit.vectors(f.elements, [emit.constant(0.0)] * CHAINS, add, CHAINS)
    emit.returns(emit.widened(emit.total(sum(sums[1:], sums[0]))))


@kernel
def all_finite(X):
    """Tell whether every element of `X` is finite.

    Parameters
    ----------
    X : ndarray of any shape but ()
        float32 or float64, C-contiguous; only read. One core of a Zen 5 reads 1.2 GB at 41 GB/s,
        where ``X.sum()`` of NumPy takes 18 to 21.

    Returns
    -------
    bool
    """
    return total_of_zeros(X.dtype.type(0), Elements(address_of(X), X.size)) == 0.0
