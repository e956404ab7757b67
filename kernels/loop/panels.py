"""How the gradient of a panel is followed: tiles of it, summed, completed, and stepped along."""

from ..gradient_tiles import OuterPanel, outer_panel
from ..llvm.functions import outlined
from ..llvm.processor import CACHE_LINE, VECTOR_BYTES
from ..llvm.tiles import MR
from ..marked import MOST, NARROWEST, WIDEST, CountMarks, count_marks
from ..marked_products import OuterMarked, outer_marked
from ..rules import GRADIENT, SGD, STORE
from ..sums import ScaledCopy, scaled_copy
from . import operations as op
from .gradients import Update, add_squares, complete, take_step


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
                complete(emit, u, f, place, count, tile)
            total = take_step(emit, u, f, place, emit.where(together, tile, place), tile, count)
            with emit.only_if(together):
                scaled_copy.emitted(emit, ScaledCopy(tile, count, place, emit.number(1.0)))
            add_squares(emit, u, f, k // MR, total)
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


def _tile_height(emit, rows):
    """Return what :func:`..layout.tile_height` does, in an emitted function."""
    few = emit.where(rows >= MR // 2, MR // 2, emit.at_most(rows, 2))
    return emit.where(rows >= MR, MR, few)
