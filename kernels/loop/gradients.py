"""The parts of the loop that follow gradients: from the sum over a batch to the weights."""

import numpy as np

from .._jit import part
from ..csr import CSROuter, csr_outer
from ..layout import round_up, tile_height
from ..llvm.intrinsics import address_of, cast_like, lanes_of, on_stack
from ..llvm.processor import VECTOR_BYTES
from ..llvm.tiles import (
    GROUP,
    GROUP_VECTORS,
    MR,
    OuterGroup,
    OuterPanel,
    outer_group,
    outer_panel,
)
from ..update import (
    ColumnSums,
    OptimizerStep,
    SumShards,
    column_sums,
    numbers_like,
    optimizer_step,
    sum_shards,
)
from . import operations as op


@part
def numbers_of_weights(like, constants, item, scale, l2):
    """Return the address of the numbers of this step of the weights."""
    c = constants
    return on_stack(
        numbers_like(like, scale, l2, item.rate, item.decay, c.beta_1, c.beta_2, c.epsilon)
    )


@part
def numbers_of_biases(like, constants, item, scale):
    """Return the address of the numbers of this step of the biases: no penalty, no decay."""
    c = constants
    return on_stack(numbers_like(like, scale, 0.0, item.rate, 1.0, c.beta_1, c.beta_2, c.epsilon))


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
def _step(like, f, place, gradient, count, numbers):
    """Do with some gradients what the operation says; return the sum of squares."""
    step = OptimizerStep(
        rule=f.rule,
        weights=place,
        gradient=gradient,
        elements=count,
        memory_1=f.memory_1,
        memory_2=f.memory_2,
        numbers=numbers,
    )
    return optimizer_step(like, step)


@part
def _of_shards(like, f, place, count, constants, tile):
    """Add up the gradients of the shards of the batch, which lie behind the weights."""
    shards = SumShards(place + f.behind, constants.shard, constants.shards, count, tile)
    sum_shards(like, shards)


@part
def update_panel(f, like, constants, tile, numbers, squares):
    """Follow the gradient of some rows of a panel, a tile at a time."""
    size = VECTOR_BYTES // lanes_of(like)
    k = f.k0
    while k < f.k1:
        height = tile_height(f.k1 - k)
        count, gradient = height * f.vectors * lanes_of(like), tile
        place = f.weights + k * f.vectors * VECTOR_BYTES
        if f.gradient == op.COMPUTED:
            outer = OuterPanel(
                height=height,
                vectors=f.vectors,
                table=f.table,
                offset=k * size,
                dZ=f.dZ,
                stride=f.stride,
                rows=f.rows,
                out=tile,
            )
            outer_panel(like, outer)
        elif f.gradient == op.SUMMED:
            _of_shards(like, f, place, count, constants, tile)
        else:
            gradient = place + f.behind
        total = _step(like, f, place, gradient, count, numbers)
        if f.squares >= 0:
            squares[f.squares + k // MR] += total
        k += height


@part
def update_group(f, like, constants, tile, numbers, squares):
    """Follow the gradient of a stretch of a group, a column at a time."""
    if f.gradient == op.COMPUTED:
        size = VECTOR_BYTES // lanes_of(like)
        outer = OuterGroup(f.table, f.k * size, f.elements, f.dZ, f.stride, f.rows, tile)
        outer_group(like, outer)
    count = round_up(f.elements, lanes_of(like))
    for c in range(GROUP):
        place, gradient = f.weights + c * f.length, tile + c * GROUP_VECTORS * VECTOR_BYTES
        if f.gradient == op.SUMMED:
            _of_shards(like, f, place, count, constants, gradient)
        elif f.gradient == op.KEPT:
            gradient = place + f.behind
        total = _step(like, f, place, gradient, count, numbers)
        if f.squares >= 0:
            squares[f.squares] += total


@part
def update_bias(f, like, constants, tile, numbers, squares):
    """Follow the gradient of some biases."""
    gradient = tile
    if f.gradient == op.COMPUTED:
        column_sums(like, ColumnSums(f.dZ, f.stride, f.rows, f.elements, tile))
    elif f.gradient == op.SUMMED:
        _of_shards(like, f, f.biases, f.elements, constants, tile)
    else:
        gradient = f.biases + f.behind
    total = _step(like, f, f.biases, gradient, f.elements, numbers)
    if f.squares >= 0:
        squares[f.squares] = total


@part
def update_rows(f, a, source, item, cursors, tile, numbers):
    """Follow the gradient of some rows of the weights of sparse inputs, a block at a time."""
    like, line = a.params[0], f.across * VECTOR_BYTES
    for k0 in range(f.k0, f.k1, f.block):
        k1, place = min(k0 + f.block, f.k1), f.weights + (k0 - f.k0) * line
        gradients, factor = place + f.behind, cast_like(like, 1.0)
        if f.direct:
            gradients, factor = place, cast_like(like, -item.rate)
        elif f.gradient == op.COMPUTED:
            gradients = address_of(tile)
            tile[: (k1 - k0) * f.across * lanes_of(like)] = 0
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
                target=gradients,
                across=f.across,
                factor=factor,
            )
            csr_outer(like, outer)
        for k in range(k0, k0 if f.direct else k1, f.unit):
            count, skip = (min(k + f.unit, k1) - k) * f.across * lanes_of(like), (k - k0) * line
            total = _step(like, f, place + skip, gradients + skip, count, numbers)
            if f.squares >= 0:
                a.squares[f.squares + (k - f.k0) // f.unit] += total
