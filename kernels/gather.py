"""Copies of some columns of the rows of a batch, which lie where a table of addresses says."""

from typing import NamedTuple

from .llvm.functions import outlined
from .llvm.processor import CACHE_LINE, VECTOR_BYTES, VECTOR_REGISTERS

#: Bytes that are loaded together and then stored, where no more are left: the vectors of a tile
#: that skips zeros, where they have 64 bytes.
PIECE = 6 * CACHE_LINE


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
    length = f.elements * emit.size

    def row(i):
        source, target = emit.load_integer(f.table + i * 8) + f.offset, f.out + i * f.stride

        def piece(start, length):
            offsets = range(0, length, VECTOR_BYTES)
            # All loads before the stores, which might be of the same memory for all LLVM knows.
            vectors = [emit.load(source + start + offset) for offset in offsets]
            for vector, offset in zip(vectors, offsets, strict=True):
                emit.store(vector, target + start + offset)

        def rest(load, store, carried):
            store(load(source + done), target + done)
            return carried

        done = 0
        for size in sorted(
            {max(VECTOR_REGISTERS // 2 * VECTOR_BYTES // PIECE, 1) * PIECE, PIECE}, reverse=True
        ):
            done = emit.steps(done, length, size, lambda start, size=size: piece(start, size))
        with emit.only_if(done < length):
            emit.vectors((length - done) // emit.size, [], rest)

    emit.steps(0, f.rows, 1, row)
    emit.returns()
