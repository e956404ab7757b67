"""Sums and copies of gradients, on their way to the weights."""

from typing import NamedTuple

from .llvm.functions import outlined
from .llvm.processor import VECTOR_BYTES
from .llvm.tiles import NR


class ScaledCopy(NamedTuple):
    """What :func:`scaled_copy` takes."""

    X: int  #: address
    elements: int
    out: int  #: address
    factor: float


@outlined(ScaledCopy)
def scaled_copy(emit, f):
    """Write ``out = factor X``."""
    factor = emit.splat(f.factor)

    def apply(load, store, carried):
        store(load(f.X) * factor, f.out)
        return carried

    emit.vectors(f.elements, [], apply)
    emit.returns()


class SumShards(NamedTuple):
    """What :func:`sum_shards` takes."""

    first: int  #: address of the first array
    distance: int  #: bytes from one array to the next
    shards: int  #: arrays
    elements: int  #: elements of each
    out: int  #: address


@outlined(SumShards)
def sum_shards(emit, f):
    """Write the sums of several arrays, element by element and in their order."""

    def elements(load, store, carried):
        def add(i, _, sums):
            return [sums[0] + load(f.first + i * f.distance)]

        _, sums = emit.loop(1, f.shards, [load(f.first)], add)
        store(sums[0], f.out)
        return carried

    emit.vectors(f.elements, [], elements)
    emit.returns()


class ColumnSums(NamedTuple):
    """What :func:`column_sums` takes."""

    dZ: int  #: address of row 0
    stride: int  #: bytes from one row to the next
    rows: int
    elements: int  #: columns
    out: int  #: address of a number for each column


#: Vectors of columns that are summed at a time: as many independent additions. Of 64 bytes, as many
#: as a panel has: the biases' update then finds the gradient near that those of the same columns'
#: weights have read. Steps of 64-100-10 and 1-1000-1 take 2 % less time so, of 4-32-16-4 2.5 %, of
#: 20-100-10 0.4 % (float32, Zen 4); with 32 bytes they would take 0.5 % more.
COLUMN_VECTORS = NR if VECTOR_BYTES == 64 else 4


@outlined(ColumnSums)
def column_sums(emit, f):
    """Write the sums of some columns over all rows, in their order: the gradient of the biases."""

    def columns(offset, width, load, store):
        places = [offset + v * VECTOR_BYTES for v in range(width)]

        def row(i, _, sums):
            line = f.dZ + i * f.stride
            return [total + load(line + place) for total, place in zip(sums, places, strict=True)]

        _, sums = emit.loop(0, f.rows, [emit.constant(0.0)] * width, row)
        for total, place in zip(sums, places, strict=True):
            store(total, f.out + place)

    def group(j):
        columns(j * emit.size, COLUMN_VECTORS, emit.load, emit.store)

    done = emit.steps(0, f.elements, COLUMN_VECTORS * emit.lanes, group)

    def rest(load, store, carried):
        columns(done * emit.size, 1, load, store)
        return carried

    emit.vectors(f.elements - done, [], rest)
    emit.returns()
