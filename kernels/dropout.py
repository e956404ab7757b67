"""Dropout: each activation is kept or zeroed by a hash of where it stands, so no state is shared.

A counter-based generator: the bits of row i, column j at a step depend on a key, i and j alone.
Any thread may therefore draw any row, and the pattern is the same for float32 and float64 and for
any width of the vectors.
"""

from llvmlite import ir

from ._jit import kernel
from .emitter import INT32, integer, outlined
from .machine import address_of, cast_like

#: The steps of two mixing functions: (shift right and xor, multiply) pairs, then a last shift. Both
#: are bijections whose every output bit depends on every input bit with near even odds: Stafford's
#: variant 13 of the finaliser in MurmurHash3 (as in SplitMix64), and Wellons' "lowbias32".
MIX_64 = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, None))
MIX_32 = ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None))
#: 2^64 and 2^32 divided by the golden ratio, odd: consecutive counters become far apart.
GOLDEN_64, GOLDEN_32 = 0x9E3779B97F4A7C15, 0x9E3779B9


def _mix(builder, value, steps, constant):
    for shift, factor in steps:
        value = builder.xor(value, builder.lshr(value, constant(shift)))
        if factor is not None:
            value = builder.mul(value, constant(factor))
    return value


def _dropout_rows(emit, A, D, stride, count, first, stop, key, threshold, factor):
    builder = emit.builder
    lanes = ir.VectorType(INT32, emit.lanes)
    bound = emit.splat(builder.trunc(threshold, INT32), lanes)
    scale, zero = emit.splat(factor), emit.constant(0.0)
    with_derivative = builder.icmp_signed("!=", D, integer(0))

    def wide(number):
        return ir.Constant(lanes, [number] * emit.lanes)

    def one_row(i, _, carried):
        counter = builder.add(key, builder.mul(builder.add(i, integer(1)), integer(GOLDEN_64)))
        row_key = builder.trunc(_mix(builder, counter, MIX_64, integer), INT32)
        row_key = emit.splat(row_key, lanes)
        lane = ir.Constant(lanes, list(range(emit.lanes)))
        offset = builder.mul(i, stride)

        def vector(j):
            column = builder.add(emit.splat(builder.trunc(j, INT32), lanes), lane)
            bits = builder.add(row_key, builder.mul(column, wide(GOLDEN_32)))
            kept = builder.icmp_unsigned(">=", _mix(builder, bits, MIX_32, wide), bound)
            place = emit.at(offset, (j, emit.size))

            def apply(base):
                there = emit.at(base, place)
                emit.store(builder.select(kept, builder.fmul(emit.load(there), scale), zero), there)

            apply(A)
            with builder.if_then(with_derivative):
                apply(D)

        emit.steps(integer(0), count, emit.lanes, vector)
        return carried

    emit.loop(first, stop, [], one_row)
    builder.ret_void()


#: ``dropout_rows(like, (A, D, stride, count, first, stop, key, threshold, factor))`` zeroes
#: elements of rows first..stop at A, each with a chance of ``threshold / 2^32``, and multiplies the
#: others by `factor`; the same is done to the derivatives at D, where D is not 0. Rows are `stride`
#: bytes apart, `count` (whole vectors) elements each are written.
dropout_rows = outlined("dropout_rows", 9, {8}, _dropout_rows)


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
    threshold = int(rate * 4294967296.0)
    places = (address_of(A), 0, A.strides[0], H, 0, n, key, threshold)
    dropout_rows(like, places + (cast_like(like, 1.0 / (1.0 - rate)),))
