"""Copies of some columns of the rows of a batch, which lie where a table of addresses says."""

from typing import NamedTuple

from .llvm.functions import outlined
from .llvm.processor import VECTOR_BYTES
from .llvm.tiles import GROUP_VECTORS


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
    whole = GROUP_VECTORS * VECTOR_BYTES

    def row(i):
        return emit.load_integer(f.table + i * 8) + f.offset, f.out + i * f.stride

    def complete(i):
        source, target = row(i)
        vectors = [emit.load(source + place) for place in range(0, whole, VECTOR_BYTES)]
        for vector, place in zip(vectors, range(0, whole, VECTOR_BYTES), strict=True):
            emit.store(vector, target + place)

    def partial(i):
        source, target = row(i)

        def elements(load, store, carried):
            store(load(source), target)
            return carried

        emit.vectors(f.elements, [], elements)

    with emit.either(f.elements == GROUP_VECTORS * emit.lanes) as (full, rest):
        with full:
            emit.steps(0, f.rows, 1, complete)
        with rest:
            emit.steps(0, f.rows, 1, partial)
    emit.returns()
