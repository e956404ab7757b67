"""How gradients are followed: from the sum over a batch to the weights.

What the loop does for an operation of an update is emitted: Numba takes several times as long to
compile the same.
"""

from typing import NamedTuple

import numpy as np

from .._jit import part
from ..csr import CSROuter, csr_outer
from ..gradient_tiles import OuterGroup, OuterPanel, outer_group, outer_panel
from ..llvm.functions import outlined
from ..llvm.intrinsics import on_stack
from ..llvm.processor import CACHE_LINE, VECTOR_BYTES
from ..llvm.tiles import GROUP_VECTORS, MR
from ..marked import MOST, NARROWEST, WIDEST, CountMarks, count_marks
from ..marked_products import OuterMarked, outer_marked
from ..rules import GRADIENT, SGD, STORE, OptimizerStep, numbers_like, optimizer_step
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


def _complete(emit, u, f, place, count, tile):
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


def _step(emit, u, f, place, out, gradient, count):
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


def _add_squares(emit, u, f, unit, total):
    """Add to the sum of squares of a unit, if it is wanted."""
    with emit.only_if(f.squares >= 0):
        place = u.squares + (f.squares + unit) * 8
        emit.store_double(emit.load_double(place) + total, place)


def _tile_height(emit, rows):
    """Return the height of the next tile, one of HEIGHTS."""
    few = emit.where(rows >= MR // 2, MR // 2, emit.at_most(rows, 2))
    return emit.where(rows >= MR, MR, few)


# --------------------------------------------------------------------------------- whole updates


@outlined(Update)
def update_panel(emit, u):
    """Follow the gradient of some rows of a panel, a few tiles at a time.

    What another processor has read is written faster side by side: stores are done in their order,
    and each waits until that processor has forgotten its copy, with a few of the next under way. So
    new weights that would be written between memories come by way of the tile. 784-128-10 in
    batches of 32 takes two threads 102 instead of 120 us with Adam, 95 instead of 101 with momentum
    (float32, Zen 4; one thread would take 3 % more).
    """
    f = op.loaded(emit, op.UpdatePanel, u.operation)
    together = (f.together != 0) & (f.rule > SGD) & (f.rule < GRADIENT)
    elsewhere = f.gradient != op.COMPUTED
    skips = emit.also(f.marks != 0, lambda: _has_zeros(emit, f))

    def follow(k, k1, parted):
        """Have rows k..k1 take their step, of whose gradient the tile may hold a part."""

        def tile(_, carried):
            k, tile = carried
            height = _tile_height(emit, k1 - k)
            count, length = height * f.vectors * emit.lanes, height * f.vectors * VECTOR_BYTES
            place = f.weights + k * f.vectors * VECTOR_BYTES
            with emit.only_if(parted):
                _complete(emit, u, f, place, count, tile)
            total = _step(emit, u, f, place, emit.where(together, tile, place), tile, count)
            with emit.only_if(together):
                scaled_copy.emitted(emit, ScaledCopy(tile, count, place, emit.number(1.0)))
            _add_squares(emit, u, f, k // MR, total)
            return [k + height, tile + length]

        emit.while_loop(0, [k, u.tiles], lambda _, carried: [carried[0] < k1], tile)

    def marked(_, carried):
        k = carried[0]
        k1 = k + _marked_width(emit, f.k1 - k)
        _marked_tiles(emit, u, f, k, k1)
        follow(k, k1, skips)
        return [k1]

    def chunk(_, carried):
        k = carried[0]
        k1 = emit.at_most(k + f.chunk, f.k1)
        with emit.only_if(f.gradient == op.COMPUTED):
            _outer_tiles(emit, u, f, k, k1)
        # SGD's steps are taken with the last sums, and what is stored is in its place.
        with emit.only_if(elsewhere | (f.rule != SGD) & (f.rule != STORE)):
            follow(k, k1, elsewhere)
        return [k1]

    def wide(_, carried):
        return [skips & (f.k1 - carried[0] >= NARROWEST * emit.lanes)]

    _, carried = emit.while_loop(0, [f.k0], wide, marked)
    emit.while_loop(0, carried, lambda _, carried: [carried[0] < f.k1], chunk)
    emit.returns()


def _has_zeros(emit, f):
    """Tell whether so much of the gradient of a panel's units is 0 that skipping it pays."""
    units = f.vectors * emit.lanes
    marked = count_marks.emitted(emit, CountMarks(f.marks, f.words, units, f.rows))
    return marked <= emit.double_of(units * f.rows) * MOST


def _marked_width(emit, rows):
    """Return how many of some rows of a panel a tile of marked units covers."""
    vectors = rows // emit.lanes
    tiles = (vectors + (WIDEST - 1)) // WIDEST
    # Even tiles.
    return (vectors + (tiles - 1)) // tiles * emit.lanes


def _marked_tiles(emit, u, f, k0, k1):
    """Do what `_outer_tiles` does, skipping the rows of the batch that give a unit no gradient."""
    skip = (k0 - f.k0) * emit.size
    outer = OuterMarked(
        units=f.vectors * emit.lanes,
        table=f.units,
        offset=f.behind_unit,
        marks=f.marks,
        words=f.words,
        rows=f.rows,
        X=f.X + skip,
        X_stride=f.X_stride,
        across=(k1 - k0) // emit.lanes,
        zeros=f.zeros,
        out=u.tiles,
        fetches=f.fetches,
        later=f.later,
        ahead=f.ahead + skip,
    )
    outer_marked.emitted(emit, outer)


def _outer_tiles(emit, u, f, k0, k1):
    """Sum the gradient of rows k0..k1 of a panel: some rows of the batch for all tiles in turn.

    With the last of them the weights take their steps, where these are SGD's; what is only stored
    is summed in its place.

    Tiles that begin within a line of the inputs have none to prefetch, and do so with what the
    optimiser will read: the weights and then its memories. (Without an instruction more in a tile.)
    """
    line = f.vectors * VECTOR_BYTES
    weights, length = f.weights + k0 * line, (k1 - k0) * line
    tiles = emit.where(f.rule == STORE, weights + f.memory_1, u.tiles)

    def sum_rows(first, carried):
        rows = emit.at_most(f.part, f.rows - first)
        last = first + rows >= f.rows
        steps = last & (f.rule == SGD)

        def tile(_, carried):
            k, tile, copy, done = carried
            height, skip, own = _tile_height(emit, k1 - k), (k - f.k0) * emit.size, k * line
            within = (f.spare != 0) | (((k * emit.size) & (CACHE_LINE - 1)) != 0)
            spares = within & (copy < f.copies)
            memory = emit.where(copy == 1, f.memory_1, f.memory_2)
            spared = weights + done + emit.where(copy == 0, 0, memory)
            outer = OuterPanel(
                height=height,
                vectors=f.vectors,
                table=f.table + first * 8,
                offset=f.offset + skip,
                later=emit.where(spares, f.lines, f.later + first * 8),
                ahead=emit.where(spares, spared, f.ahead + skip),
                dZ=f.dZ + first * f.stride,
                stride=f.stride,
                rows=rows,
                more=first,
                added=emit.where(last & (f.added != 0), f.weights + own + f.added, 0),
                out=tile,
                weights=emit.where(steps, f.weights + own, 0),
                numbers=u.numbers,
                squares=emit.where(
                    steps & (f.squares >= 0), u.squares + (f.squares + k // MR) * 8, 0
                ),
            )
            outer_panel.emitted(emit, outer)
            done = emit.where(spares, done + rows * CACHE_LINE, done)
            through = spares & (done >= length)
            copy, done = emit.where(through, copy + 1, copy), emit.where(through, 0, done)
            return [k + height, tile + height * line, copy, done]

        begun = [k0, tiles, *carried]
        _, ended = emit.while_loop(0, begun, lambda _, carried: [carried[0] < k1], tile)
        return ended[2:]

    # Once at least: the gradient by no rows is zero.
    def goes_on(first, _):
        return [(first == 0) | (first < f.rows)]

    emit.while_loop(0, [emit.integer(0)] * 2, goes_on, sum_rows, f.part)


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
        _complete(emit, u, f, place, count, gradient)
        _add_squares(emit, u, f, 0, _step(emit, u, f, place, place, gradient, count))

    emit.steps(0, f.columns, 1, column)
    emit.returns()


@outlined(Update)
def update_bias(emit, u):
    """Follow the gradient of some biases."""
    f = op.loaded(emit, op.UpdateBias, u.operation)
    with emit.only_if(f.gradient == op.COMPUTED):
        column_sums.emitted(emit, ColumnSums(f.dZ, f.stride, f.rows, f.elements, u.tiles))
    _complete(emit, u, f, f.biases, f.elements, u.tiles)
    total = _step(emit, u, f, f.biases, f.biases, u.tiles, f.elements)
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
            total = _step(emit, u, f, row, row, u.tiles + skip, count)
            _add_squares(emit, u, f, (k - f.k0) // f.unit, total)
            return []

        with emit.only_if(f.direct == 0):
            emit.while_loop(k0, [], lambda k, _: [k < k1], unit, f.unit)
        return []

    emit.while_loop(f.k0, [], lambda k0, _: [k0 < f.k1], block, f.block)
    emit.returns()
