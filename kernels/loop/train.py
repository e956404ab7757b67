"""The compiled training loop: every thread executes its operations, and meets the others.

A step has two phases: each thread takes some rows of the batch through the whole network and back,
then some rows of every weight matrix through their update. Where threads own columns of the first
layer (see `.ownership`), rows are looked up and multiplied by them in phases of their own before.
Where a step may look ahead (see `.foresight`), a phase of its own looks the row up and multiplies
it by the first layer, which is left out if the step before has done so. Where gradients are
clipped, the update's phase only keeps them, and another takes the step. After each phase all
threads meet.
"""

from .._jit import kernel, part
from ..activation import (
    Activate,
    Backward,
    BackwardStored,
    activate,
    activation_backward,
    multiply_in_place,
)
from ..gather import GatherColumns, gather_columns
from ..llvm.intrinsics import address_of
from ..llvm.subnormals import flush_subnormals, restore_subnormals
from ..llvm.tiles import MultiplyGroup, MultiplyPanel, multiply_group, multiply_panel
from ..marked import Mark, mark
from ..marked_products import MultiplyPair, OuterPair, multiply_pair, outer_pair
from ..multiples import MultiplesOfRow, multiples_of_row
from ..softmax_rows import ROWS_PER_LOG
from ..transpose import (
    CopyRows,
    Transpose,
    TransposeListed,
    copy_rows,
    transpose,
    transpose_listed,
)
from . import operations as op
from .barrier import FINISHED, wait
from .gradients import (
    Update,
    UpdateBySparse,
    UpdateOfOne,
    clip_factor,
    numbers_of_biases,
    numbers_of_weights,
    update_ahead,
    update_bias,
    update_group,
    update_rows,
)
from .operations import fields, holds
from .panels import update_panel
from .rows import drop_out, gather, multiply_sparse, seek_columns
from .scores import count_correct, predict, take_loss
from .state import EVALUATE, EVALUATED, NOTHING, STEPPED


@kernel
def train(thread, threads, arrays, constants, sources, items, listed, record):
    """Do one thread's share of some items of work.

    Results are the same bits for any number of threads and any division into calls: whatever is
    summed is summed by one thread in a fixed order.

    Parameters
    ----------
    thread, threads : int
    arrays : Arrays
    constants : Constants
    sources : tuple of two Source
        Where the rows of steps, and those to evaluate, come from.
    items : ndarray of shape (n_items,)
        Of ITEM.
    listed : ndarray of shape (n_listed,)
        Rows of the steps' batches, one after the other; int64.
    record : Record

    Returns
    -------
    bool
        False where the run was called off before its first item (see :func:`.barrier.wait`).
    """
    a = arrays
    like, squares, sums = a.params[0], a.squares, address_of(a.squares)
    tile, cursors = address_of(a.tiles[thread]), address_of(a.cursors[thread])
    shards, shard = constants.shards, constants.shard
    table, width = address_of(a.operations[thread]), 8 * op.ROW

    # Not the literal 0, for whose type Numba would compile the function anew.
    meetings = wait(a.barrier, threads, thread - thread)
    if meetings < 0:
        return False
    before = flush_subnormals(constants.flush)
    for number in range(len(items)):
        item = items[number]
        source = sources[1] if item.source == EVALUATE else sources[0]
        weights = numbers_of_weights(like, constants, item, item.l2)
        biases, factor = numbers_of_biases(like, constants, item), 1.0
        penalty = _penalty(constants, item, squares) if thread == 0 else 0.0
        for phase in range(item.first_phase, item.stop_phase):
            # Who is ahead writes to one half while thread 0 still reads the other.
            losses, correct = a.losses[meetings % 2], a.correct[meetings % 2]
            first, stop = a.phases[thread, phase], a.phases[thread, phase + 1]
            for row in range(table + first * width, table + stop * width, width):
                if holds(MultiplyPanel, row):
                    multiply_panel(like, fields(MultiplyPanel, row))
                elif holds(MultiplyGroup, row):
                    multiply_group(like, fields(MultiplyGroup, row))
                elif holds(MultiplyPair, row):
                    multiply_pair(like, fields(MultiplyPair, row))
                elif holds(op.UpdatePanel, row):
                    update_panel(like, Update(row, shards, shard, factor, weights, sums, tile))
                elif holds(op.UpdateGroup, row):
                    update_group(like, Update(row, shards, shard, factor, weights, sums, tile))
                elif holds(op.UpdateBias, row):
                    update_bias(like, Update(row, shards, shard, factor, biases, sums, tile))
                elif holds(MultiplesOfRow, row):
                    multiples_of_row(like, fields(MultiplesOfRow, row))
                elif holds(Transpose, row):
                    transpose(like, fields(Transpose, row))
                elif holds(TransposeListed, row):
                    transpose_listed(like, fields(TransposeListed, row))
                elif holds(CopyRows, row):
                    copy_rows(like, fields(CopyRows, row))
                elif holds(GatherColumns, row):
                    gather_columns(like, fields(GatherColumns, row))
                elif holds(Mark, row):
                    mark(like, fields(Mark, row))
                elif holds(OuterPair, row):
                    outer_pair(like, fields(OuterPair, row))
                elif holds(op.ClearSquares, row):
                    f = fields(op.ClearSquares, row)
                    for unit in range(f.first, f.stop):
                        squares[unit] = 0.0
                elif holds(Activate, row):
                    activate(like, fields(Activate, row))
                elif holds(Backward, row):
                    activation_backward(like, fields(Backward, row))
                elif holds(BackwardStored, row):
                    multiply_in_place(like, fields(BackwardStored, row))
                elif holds(op.Loss, row):
                    take_loss(fields(op.Loss, row), a, constants, item, losses)
                elif holds(op.CountCorrect, row):
                    f = fields(op.CountCorrect, row)
                    count_correct(f, a, constants, item, correct, record.predicted)
                elif holds(op.Predict, row):
                    predict(fields(op.Predict, row), a, constants, item)
                elif holds(op.Dropout, row):
                    drop_out(fields(op.Dropout, row), a, constants, item)
                elif holds(op.MultiplyCSR, row):
                    multiply_sparse(fields(op.MultiplyCSR, row), a, source, cursors)
                elif holds(op.SeekColumns, row):
                    seek_columns(fields(op.SeekColumns, row), a, source, cursors)
                elif holds(op.UpdateRows, row):
                    update = UpdateBySparse(
                        operation=row,
                        factor=factor,
                        rate=item.rate,
                        numbers=weights,
                        squares=sums,
                        tiles=tile,
                        rows=item.rows,
                        cursors=cursors,
                        ends=address_of(a.spans[1]),
                        indices=source.indices,
                        values=source.X,
                    )
                    update_rows(like, update)
                elif holds(op.UpdateAhead, row):
                    following = items[number + 1]
                    j = listed[following.begin] if following.listed else following.begin
                    place = source.X + j * source.X_stride
                    update_ahead(like, UpdateOfOne(row, weights, sums, place))
                elif holds(op.Clip, row):
                    factor = clip_factor(fields(op.Clip, row), squares, constants.max_norm)
                    # The kept gradient holds that of the penalty.
                    weights = numbers_of_weights(like, constants, item, 0.0)
                else:
                    gather(row, a, constants, source, item, listed)
            meetings = wait(a.barrier, threads, meetings)
            if thread == 0 and a.reports[phase] != NOTHING:
                _write_down(a.reports[phase], item, losses, correct, penalty, constants, record)
        if thread == 0 and item.keep:
            _keep_best(a, item, record)
    restore_subnormals(before)
    if thread == 0:
        a.barrier[FINISHED] = 1
    return True


@part
def _penalty(constants, item, squares):
    """Return the penalty of the weights as they are."""
    total = 0.0
    if item.l2 != 0.0:
        for unit in range(constants.units):
            total += squares[unit]
    return item.l2 / 2 * total


@part
def _keep_best(a, item, record):
    """Copy the parameters if they have more right answers than any before.

    The others may be at work on the next item; no parameter changes before thread 0 has met them.
    """
    right = record.val_correct[item.epoch] / item.divisor
    if right > record.best[0]:
        record.best[0] = right
        for i in range(len(a.best)):
            a.best[i] = a.params[i]


@part
def _write_down(report, item, losses, correct, penalty, constants, record):
    """Write down what is known after a phase."""
    loss, right = 0.0, 0.0
    for block in range((item.rows + ROWS_PER_LOG - 1) // ROWS_PER_LOG):
        if report != EVALUATED:
            loss += losses[block]
        if report != STEPPED:
            right += correct[block]
    if report == STEPPED:
        record.losses[item.step] = constants.loss_factor * (loss / item.divisor) + penalty
    elif report == EVALUATED:
        record.train_correct[item.epoch] = right
    else:
        record.val_losses[item.epoch] += loss
        record.val_correct[item.epoch] += right
