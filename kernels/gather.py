"""Copies of some columns of the rows of a batch, which lie where a table of addresses says."""

from typing import NamedTuple

from .llvm.functions import outlined
from .llvm.processor import CACHE_LINE, VECTOR_BYTES

#: Bytes of a row that are gathered at a time, but for the last, and from one such row to the next:
#: an odd number of lines, so that rows of a column don't meet in few sets of a cache.
GATHERED = 4 * CACHE_LINE
GATHERED_STRIDE = GATHERED + CACHE_LINE


class GatherColumns(NamedTuple):
    """What :func:`gather_columns` takes."""

    table: int  #: address of the int64 addresses of the rows
    rows: int
    offset: int  #: bytes from the address of a row to the first element
    elements: int  #: elements of each row
    out: int  #: address of row 0 of the copy
    stride: int  #: bytes from one row of it to the next


@outlined(GatherColumns)
def gather_columns(emit, f):
    """Copy `elements` elements of each row of a table, and nothing else."""

    def places(i):
        return emit.load_integer(f.table + i * 8) + f.offset, f.out + i * f.stride

    def whole(i):
        source, target = places(i)
        offsets = range(0, GATHERED, VECTOR_BYTES)
        # All loads before the stores, which might be of the same memory for all that LLVM knows.
        vectors = [emit.load(source + offset) for offset in offsets]
        for vector, offset in zip(vectors, offsets, strict=True):
            emit.store(vector, target + offset)

    def some(i):
        source, target = places(i)

        def body(load, store, carried):
            store(load(source), target)
            return carried

        emit.vectors(f.elements, [], body)

    with emit.either(f.elements == GATHERED // emit.size) as (complete, partial):
        with complete:
            emit.steps(0, f.rows, 1, whole)
        with partial:
            emit.steps(0, f.rows, 1, some)
    emit.returns()
