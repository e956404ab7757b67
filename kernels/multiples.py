"""Rows that are multiples of one: the gradient that goes back from a layer of a single unit."""

from typing import NamedTuple

from .llvm.functions import outlined
from .llvm.processor import VECTOR_BYTES

#: Vectors between two branches.
UNROLL = 4


class MultiplesOfRow(NamedTuple):
    """What :func:`multiples_of_row` takes."""

    A: int  #: address of the first factor
    A_stride: int  #: bytes from one to the next
    rows: int
    row: int  #: address of the row
    vectors: int  #: of the row
    out: int  #: address of row 0 of the result
    stride: int  #: bytes from one row of it to the next
    gate: int  #: address of what lies as the result does, which is 0 where that is; 0 for none


@outlined(MultiplesOfRow)
def multiples_of_row(emit, f):
    """Write ``out[i, v] = A[i] row[v]``, or take it back through a ReLU, whose output is the gate.

    The bits are those of :func:`.llvm.tiles.multiply_panel` for a sum of one term, whose tiles take
    1.3 to 1.4 times as long for 200 rows of 100 units (Zen 4). Row by row, memory is read and
    written in its order.
    """

    def write(opened):
        def line(i):
            out = f.out + i * f.stride
            a = emit.splat(emit.load_scalar(f.A + i * f.A_stride))

            def vector(p, u, _):
                place = (p + u) * VECTOR_BYTES
                product = emit.fma(a, emit.load(f.row + place), 0.0)
                emit.store(opened(product, i * f.stride + place), out + place)
                return []

            emit.unrolled(f.vectors, [], vector, UNROLL)

        emit.steps(0, f.rows, 1, line)

    def through_gate(product, place):
        return emit.where(emit.load(f.gate + place) <= 0.0, 0.0, product)

    with emit.either(f.gate != 0) as (gated, plain):
        with gated:
            write(through_gate)
        with plain:
            write(lambda product, _: product)
    emit.returns()
