"""The parts of the loop that follow gradients: from the sum over a batch to the weights."""

import numpy as np

from .._jit import part
from ..csr import CSROuter, csr_outer
from ..gradient_tiles import OuterGroup, OuterPanel, outer_group, outer_panel
from ..layout import round_up, tile_height
from ..llvm.intrinsics import address_of, cast_like, lanes_of, on_stack, read_integer
from ..llvm.processor import CACHE_LINE, VECTOR_BYTES
from ..llvm.tiles import GROUP_VECTORS, MR
from ..marked import MOST, NARROWEST, WIDEST, CountMarks, count_marks
from ..marked_products import OuterMarked, outer_marked
from ..rules import GRADIENT, SGD, STORE, OptimizerStep, numbers_like, optimizer_step
from ..step_ahead import StepAhead, step_ahead
from ..sums import ColumnSums, ScaledCopy, SumShards, column_sums, scaled_copy, sum_shards
from . import operations as op


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


@part
def _step(like, f, place, out, gradient, count, numbers):
    """Do with some gradients what the operation says; return the sum of squares."""
    step = OptimizerStep(
        rule=f.rule,
        weights=place,
        out=out,
        gradient=gradient,
        elements=count,
        memory_1=f.memory_1,
        memory_2=f.memory_2,
        numbers=numbers,
    )
    return optimizer_step(like, step)


@part
def _complete(like, f, place, count, constants, factor, tile):
    """Have the tile hold the whole gradient of some weights.

    Operations before may have left it elsewhere, or the part of other rows of the batch.
    """
    first, distance, arrays = place + f.behind, constants.shard, constants.shards
    if f.added != 0:
        first, arrays = place + f.added, 2
        distance = (tile if f.gradient == op.COMPUTED else place + f.behind) - first
    if f.gradient == op.SUMMED or f.added != 0:
        sum_shards(like, SumShards(first, distance, arrays, count, tile))
    elif f.gradient == op.KEPT:
        scaled_copy(like, ScaledCopy(first, count, tile, cast_like(like, factor)))


@part
def _outer_tiles(like, f, k0, k1, tiles, numbers, squares):
    """Sum the gradient of rows k0..k1 of a panel: some rows of the batch for all tiles in turn.

    With the last of them the weights take their steps, where these are SGD's; what is only stored
    is summed in its place.

    Tiles that begin within a line of the inputs have none to prefetch, and do so with what the
    optimiser will read: the weights and then its memories. (Without an instruction more in a tile.)
    """
    size, line = VECTOR_BYTES // lanes_of(like), f.vectors * VECTOR_BYTES
    weights, length = f.weights + k0 * line, (k1 - k0) * line
    sums = address_of(squares) + f.squares * 8
    if f.rule == STORE:
        tiles = weights + f.memory_1
    first, copy, done = 0, 0, 0
    # Once at least: the gradient by no rows is zero. (A range with a step would divide.)
    while first == 0 or first < f.rows:
        k, tile = k0, tiles
        rows = min(f.part, f.rows - first)
        last = first + rows >= f.rows
        steps = f.rule == SGD and last
        while k < k1:
            height, skip = tile_height(k1 - k), (k - f.k0) * size
            later, ahead = f.later + first * 8, f.ahead + skip
            if copy < f.copies and (f.spare or k * size % CACHE_LINE):
                later, ahead = f.lines, weights + done
                if copy:
                    ahead += f.memory_1 if copy == 1 else f.memory_2
                done += rows * CACHE_LINE
                if done >= length:
                    copy, done = copy + 1, 0
            outer = OuterPanel(
                height=height,
                vectors=f.vectors,
                table=f.table + first * 8,
                offset=f.offset + skip,
                later=later,
                ahead=ahead,
                dZ=f.dZ + first * f.stride,
                stride=f.stride,
                rows=rows,
                more=1 if first else 0,
                added=f.weights + k * line + f.added if last and f.added != 0 else 0,
                out=tile,
                weights=f.weights + k * line if steps else 0,
                numbers=numbers,
                squares=sums + k // MR * 8 if steps and f.squares >= 0 else 0,
            )
            outer_panel(like, outer)
            k += height
            tile += height * line
        first += f.part


@part
def _has_zeros(like, f):
    """Tell whether so much of the gradient of a panel's units is 0 that skipping it pays."""
    units = f.vectors * lanes_of(like)
    marked = count_marks(like, CountMarks(f.marks, f.words, units, f.rows))
    return marked <= MOST * units * f.rows


@part
def _marked_width(like, rows):
    """Return how many of some rows of a panel a tile of marked units covers; 0 if they are few."""
    vectors = rows // lanes_of(like)
    tiles = (vectors + (WIDEST - 1)) // WIDEST
    # Even tiles.
    width = (vectors + (tiles - 1)) // tiles if tiles else 0
    return width * lanes_of(like) if width >= NARROWEST else 0


@part
def _marked_tiles(like, f, k0, k1, tiles):
    """Do what `_outer_tiles` does, skipping the rows of the batch that give a unit no gradient."""
    lanes = lanes_of(like)
    skip = (k0 - f.k0) * (VECTOR_BYTES // lanes)
    outer = OuterMarked(
        units=f.vectors * lanes,
        table=f.units,
        offset=f.behind_unit,
        marks=f.marks,
        words=f.words,
        rows=f.rows,
        X=f.X + skip,
        X_stride=f.X_stride,
        across=(k1 - k0) // lanes,
        zeros=f.zeros,
        out=tiles,
        fetches=f.fetches,
        later=f.later,
        ahead=f.ahead + skip,
    )
    outer_marked(like, outer)


@part
def update_panel(f, like, constants, factor, tiles, numbers, squares):
    """Follow the gradient of some rows of a panel, a few tiles at a time.

    What another processor has read is written faster side by side: stores are done in their order,
    and each waits until that processor has forgotten its copy, with a few of the next under way. So
    new weights that would be written between memories come by way of the tile. 784-128-10 in
    batches of 32 takes two threads 102 instead of 120 us with Adam, 95 instead of 101 with momentum
    (float32, Zen 4; one thread would take 3 % more).
    """
    together = f.together != 0 and SGD < f.rule < GRADIENT
    k, skips = f.k0, f.marks != 0 and _has_zeros(like, f)
    while k < f.k1:
        width, tile = _marked_width(like, f.k1 - k) if skips else 0, tiles
        k1 = k + width if width else min(k + f.chunk, f.k1)
        if width:
            _marked_tiles(like, f, k, k1, tiles)
        elif f.gradient == op.COMPUTED:
            _outer_tiles(like, f, k, k1, tiles, numbers, squares)
            if f.rule == SGD or f.rule == STORE:  # all is done
                k = k1
        while k < k1:
            height = tile_height(k1 - k)
            count, length = height * f.vectors * lanes_of(like), height * f.vectors * VECTOR_BYTES
            place = f.weights + k * f.vectors * VECTOR_BYTES
            if width or f.gradient != op.COMPUTED:  # else it does
                _complete(like, f, place, count, constants, factor, tile)
            out = tile if together else place
            total = _step(like, f, place, out, tile, count, numbers)
            if together:
                scaled_copy(like, ScaledCopy(tile, count, place, cast_like(like, 1.0)))
            if f.squares >= 0:
                squares[f.squares + k // MR] += total
            k += height
            tile += length


@part
def update_ahead(f, like, source, following, listed, numbers, squares):
    """Follow the gradient by a row, and multiply that of the following item meanwhile."""
    j = following.begin
    if following.listed:
        j = listed[j]
    step = StepAhead(
        vectors=f.vectors,
        K=f.K,
        row=read_integer(f.table),
        dZ=f.dZ,
        weights=f.weights,
        numbers=numbers,
        squares=address_of(squares) + f.squares * 8 if f.squares >= 0 else 0,
        following=source.X + j * source.X_stride,
        start=f.bias,
        relu=f.relu,
        out=f.out,
    )
    step_ahead(like, step)


@part
def update_group(f, like, constants, factor, tile, numbers, squares):
    """Follow the gradient of a stretch of a group, a column at a time."""
    if f.gradient == op.COMPUTED:
        outer = OuterGroup(
            columns=f.columns,
            table=f.table,
            offset=f.offset,
            elements=f.elements,
            dZ=f.dZ,
            stride=f.stride,
            rows=f.rows,
            out=tile,
        )
        outer_group(like, outer)
    count = round_up(f.elements, lanes_of(like))
    for c in range(f.columns):
        place, gradient = f.weights + c * f.length, tile + c * GROUP_VECTORS * VECTOR_BYTES
        _complete(like, f, place, count, constants, factor, gradient)
        total = _step(like, f, place, place, gradient, count, numbers)
        if f.squares >= 0:
            squares[f.squares] += total


@part
def update_bias(f, like, constants, factor, tile, numbers, squares):
    """Follow the gradient of some biases."""
    if f.gradient == op.COMPUTED:
        column_sums(like, ColumnSums(f.dZ, f.stride, f.rows, f.elements, tile))
    _complete(like, f, f.biases, f.elements, constants, factor, tile)
    total = _step(like, f, f.biases, f.biases, tile, f.elements, numbers)
    if f.squares >= 0:
        squares[f.squares] = total


@part
def update_rows(f, a, source, item, factor, cursors, tile, numbers):
    """Follow the gradient of some rows of the weights of sparse inputs, a block at a time."""
    like, line = a.params[0], f.across * VECTOR_BYTES
    for k0 in range(f.k0, f.k1, f.block):
        k1, place = min(k0 + f.block, f.k1), f.weights + (k0 - f.k0) * line
        target, on_gradient = address_of(tile), cast_like(like, 1.0)
        count = (k1 - k0) * f.across * lanes_of(like)
        if f.direct:
            target, on_gradient = place, cast_like(like, -item.rate)
        elif f.gradient == op.COMPUTED:
            tile[:count] = 0
        else:
            kept = ScaledCopy(place + f.behind, count, target, cast_like(like, factor))
            scaled_copy(like, kept)
        if f.direct or f.gradient == op.COMPUTED:
            outer = CSROuter(
                rows=item.rows,
                cursor=cursors,
                end=address_of(a.spans[1]),
                indices=source.indices,
                values=source.X,
                k0=k0,
                k1=k1,
                dZ=f.dZ,
                stride=f.stride,
                target=target,
                across=f.across,
                factor=on_gradient,
            )
            csr_outer(like, outer)
        for k in range(k0, k0 if f.direct else k1, f.unit):
            skip, count = (k - k0) * line, (min(k + f.unit, k1) - k) * f.across * lanes_of(like)
            row = place + skip
            total = _step(like, f, row, row, target + skip, count, numbers)
            if f.squares >= 0:
                a.squares[f.squares + (k - f.k0) // f.unit] += total
