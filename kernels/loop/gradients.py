"""How gradients are followed: from the sum over a batch to the weights.

What the loop does for an operation of an update is emitted: Numba takes several times as long to
compile the same.
"""

from typing import NamedTuple

import numpy as np

from .._jit import part
from ..csr import CSROuter, csr_outer
from ..gradient_tiles import OuterGroup, outer_group
from ..llvm.functions import outlined
from ..llvm.intrinsics import on_stack
from ..llvm.processor import VECTOR_BYTES
from ..llvm.tiles import GROUP_VECTORS
from ..rules import OptimizerStep, numbers_like, optimizer_step
from ..step_ahead import StepAhead, step_ahead
from ..sums import ColumnSums, ScaledCopy, SumShards, column_sums, scaled_copy, sum_shards
from . import operations as op


class Update(NamedTuple):
    """An operation of an update, and what those of a step have in common."""

    operation: int  #: address of its row
    shards: int  #: of the batch, whose gradients are added up
    shard: int  #: bytes from the gradient of one to that of the next
    factor: float  #: on a gradient that was kept
    numbers: int  #: address of the step's Numbers
    squares: int  #: address of all sums of squares, float64
    tiles: int  #: address of room for gradients


@part
def numbers_of_weights(like, constants, item, l2):
    """Return the address of the numbers of this step of the weights."""
    c = constants
    numbers = numbers_like(like, l2, item.rate, item.decay, c.beta_1, c.beta_2, item.epsilon)
    return on_stack(numbers)


@part
def numbers_of_biases(like, constants, item):
    """Return the address of the numbers of this step of the biases: no penalty, no decay."""
    c = constants
    return on_stack(numbers_like(like, 0.0, item.rate, 1.0, c.beta_1, c.beta_2, item.epsilon))


@part
def clip_factor(f, squares, max_norm):
    """Return what a kept gradient is multiplied by, so that its norm is no more than it may be."""
    total = 0.0
    for unit in range(f.first, f.stop):
        total += squares[unit]
    norm, factor = np.sqrt(total), 1.0
    # NaN is not limited: it stays visible.
    if not norm <= max_norm:
        factor = max_norm / norm
    return factor


# ------------------------------------------------------------------------- what updates consist of


def complete(emit, u, f, place, count, tile):
    """Have the tile hold the whole gradient of some weights.

    Operations before may have left it elsewhere, or the part of other rows of the batch.
    """
    first, behind = place + f.added, place + f.behind
    with emit.either(f.added != 0) as (in_parts, whole):
        with in_parts:
            own = emit.where(f.gradient == op.COMPUTED, tile, behind)
            sum_shards.emitted(emit, SumShards(first, own - first, 2, count, tile))
        with whole:
            with emit.only_if(f.gradient == op.SUMMED):
                sum_shards.emitted(emit, SumShards(behind, u.shard, u.shards, count, tile))
            with emit.only_if(f.gradient == op.KEPT):
                scaled_copy.emitted(emit, ScaledCopy(behind, count, tile, u.factor))


def take_step(emit, u, f, place, out, gradient, count):
    """Do with some gradients what the operation says; return the sum of squares."""
    step = OptimizerStep(
        rule=f.rule,
        weights=place,
        out=out,
        gradient=gradient,
        elements=count,
        memory_1=f.memory_1,
        memory_2=f.memory_2,
        numbers=u.numbers,
    )
    return optimizer_step.emitted(emit, step)


def add_squares(emit, u, f, unit, total):
    """Add to the sum of squares of a unit, if it is wanted."""
    with emit.only_if(f.squares >= 0):
        place = u.squares + (f.squares + unit) * 8
        emit.store_double(emit.load_double(place) + total, place)


# --------------------------------------------------------------------------------- whole updates


@outlined(Update)
def update_group(emit, u):
    """Follow the gradient of a stretch of a group, a column at a time."""
    f = op.loaded(emit, op.UpdateGroup, u.operation)
    with emit.only_if(f.gradient == op.COMPUTED):
        outer = OuterGroup(
            columns=f.columns,
            table=f.table,
            offset=f.offset,
            elements=f.elements,
            dZ=f.dZ,
            stride=f.stride,
            rows=f.rows,
            out=u.tiles,
        )
        outer_group.emitted(emit, outer)
    count = (f.elements + (emit.lanes - 1)) & -emit.lanes

    def column(c):
        place, gradient = f.weights + c * f.length, u.tiles + c * (GROUP_VECTORS * VECTOR_BYTES)
        complete(emit, u, f, place, count, gradient)
        add_squares(emit, u, f, 0, take_step(emit, u, f, place, place, gradient, count))

    emit.steps(0, f.columns, 1, column)
    emit.returns()


@outlined(Update)
def update_bias(emit, u):
    """Follow the gradient of some biases."""
    f = op.loaded(emit, op.UpdateBias, u.operation)
    with emit.only_if(f.gradient == op.COMPUTED):
        column_sums.emitted(emit, ColumnSums(f.dZ, f.stride, f.rows, f.elements, u.tiles))
    complete(emit, u, f, f.biases, f.elements, u.tiles)
    total = take_step(emit, u, f, f.biases, f.biases, u.tiles, f.elements)
    with emit.only_if(f.squares >= 0):
        emit.store_double(total, u.squares + f.squares * 8)
    emit.returns()


class UpdateOfOne(NamedTuple):
    """An update by a batch of one row that looks ahead."""

    operation: int  #: address of its row
    numbers: int  #: address of the step's Numbers
    squares: int  #: address of all sums of squares, float64
    following: int  #: address of the inputs of the next step's row


@outlined(UpdateOfOne)
def update_ahead(emit, u):
    """Follow the gradient by a row, and multiply that of the following item meanwhile."""
    f = op.loaded(emit, op.UpdateAhead, u.operation)
    step = StepAhead(
        vectors=f.vectors,
        K=f.K,
        row=emit.load_integer(f.table),
        dZ=f.dZ,
        weights=f.weights,
        numbers=u.numbers,
        squares=emit.where(f.squares >= 0, u.squares + f.squares * 8, 0),
        following=u.following,
        start=f.bias,
        relu=f.relu,
        out=f.out,
    )
    step_ahead.emitted(emit, step)
    emit.returns()


class UpdateBySparse(NamedTuple):
    """An update by sparse rows."""

    operation: int  #: address of its row
    factor: float  #: on a gradient that was kept
    rate: float  #: of learning
    numbers: int  #: address of the step's Numbers
    squares: int  #: address of all sums of squares, float64
    tiles: int  #: address of room for gradients
    rows: int  #: of the batch
    cursors: int  #: address of the first non-zero of each row to come
    ends: int  #: address of the ends of the rows
    indices: int  #: of the matrix
    values: int


@outlined(UpdateBySparse)
def update_rows(emit, u):
    """Follow the gradient of some rows of the weights of sparse inputs, a block at a time."""
    f = op.loaded(emit, op.UpdateRows, u.operation)
    line, across = f.across * VECTOR_BYTES, f.across * emit.lanes
    direct, computed = f.direct != 0, f.gradient == op.COMPUTED

    def zero(_, store, carried):
        store(emit.constant(0.0), u.tiles)
        return carried

    def block(k0, _):
        k1, place = emit.at_most(k0 + f.block, f.k1), f.weights + (k0 - f.k0) * line
        count = (k1 - k0) * across
        with emit.only_if(f.direct == 0), emit.either(computed) as (begins, kept):
            with begins:
                emit.vectors(count, [], zero)
            with kept:
                copy = ScaledCopy(place + f.behind, count, u.tiles, u.factor)
                scaled_copy.emitted(emit, copy)
        with emit.only_if(direct | computed):
            outer = CSROuter(
                rows=u.rows,
                cursor=u.cursors,
                end=u.ends,
                indices=u.indices,
                values=u.values,
                k0=k0,
                k1=k1,
                dZ=f.dZ,
                stride=f.stride,
                target=emit.where(direct, place, u.tiles),
                across=f.across,
                factor=emit.where(direct, -u.rate, emit.number(1.0)),
            )
            csr_outer.emitted(emit, outer)

        def unit(k, _):
            skip, count = (k - k0) * line, (emit.at_most(k + f.unit, k1) - k) * across
            row = place + skip
            total = take_step(emit, u, f, row, row, u.tiles + skip, count)
            add_squares(emit, u, f, (k - f.k0) // f.unit, total)
            return []

        with emit.only_if(f.direct == 0):
            emit.while_loop(k0, [], lambda k, _: [k < k1], unit, f.unit)
        return []

    emit.while_loop(f.k0, [], lambda k0, _: [k0 < f.k1], block, f.block)
    emit.returns()
