"""The compiled training loop: one loop over a program of operations, on every thread.

A step has two phases: each thread takes some rows of the batch through the whole network and back,
then some rows of every weight matrix through their update. After each phase all threads meet.
"""

from typing import NamedTuple

import numpy as np

from ._jit import kernel
from .activation import relu_mask
from .emitter import VECTOR_BYTES
from .layout import round_up
from .machine import address_of, cast_like
from .parallel import meet
from .product import tile_height
from .program import (
    CLEAR_SQUARES,
    EVALUATE_BATCH,
    EVALUATE_BLOCK,
    MULTIPLY_GROUP,
    MULTIPLY_PANEL,
    PREDICT,
    RELU_BACKWARD,
    ROWS,
    SOFTMAX,
    TRANSPOSE,
    UPDATE,
    UPDATE_BIAS,
    UPDATE_GROUP,
    UPDATE_PANEL,
)
from .simd import (
    GROUP,
    GROUP_VECTORS,
    TALL,
    multiply_group,
    multiply_panel,
    outer_group,
    outer_panel,
)
from .softmax import ROWS_PER_LOG, softmax_rows
from .update import sgd_step, sgd_step_bias


class Data(NamedTuple):
    """What a run trains on and is validated on; read-only, C-contiguous."""

    X: np.ndarray  #: (n_train, D)
    y: np.ndarray  #: int64 (n_train,), 0..C-1
    X_val: np.ndarray  #: (n_val, D)
    y_val: np.ndarray  #: int64 (n_val,)


class Plan(NamedTuple):
    """What a run does: one item of work after the other, see :func:`train`."""

    batch_size: int
    block_size: int  #: rows of the validation set in an item
    steps_per_epoch: int
    val_blocks: int  #: items that the validation set is divided into
    l2: float  #: the gradient of the penalty is l2 W
    penalty: float  #: the penalty is this times sum(W^2)


class Batches(NamedTuple):
    """The batches of some consecutive steps, from `first_step` on."""

    first_step: int
    rows: np.ndarray  #: int64 (steps, batch_size): indices into X
    learning_rates: np.ndarray  #: float64 (steps,)


class History(NamedTuple):
    """What a run records."""

    losses: np.ndarray  #: float64 (num_iters,)
    train_correct: np.ndarray  #: int64 (epochs,): right answers on the batch, after its update
    val_correct: np.ndarray  #: int64 (epochs,): right answers on the validation set
    predicted: np.ndarray  #: int64 (n_val,): the latest predictions of the validation set


@kernel
def train(thread, threads, buffers, data, plan, batches, history, first, stop):
    """Do one thread's share of the items of work first..stop.

    An epoch starts with a step, whose batch is then predicted again, and the validation set in
    `val_blocks` blocks; the other steps follow. Numbering steps and blocks alike lets the caller
    stop anywhere, on time, however long a validation set is.

    Results are the same bits for any number of threads and any division into calls: whatever is
    summed is summed by one thread in a fixed order.

    Returns
    -------
    bool
        False where the run was called off before its first item (see :func:`.parallel.meet`).
    """
    params, transposed, activations, tables, labels, all_tiles = buffers[:6]
    squares, losses, correct, barrier, all_operations, all_sections, all_owned = buffers[6:]
    X, y, X_val, y_val = data
    first_step, all_rows, learning_rates = batches
    loss_history, train_correct, val_correct, predicted = history
    tiles, operations = all_tiles[thread], all_operations[thread]
    sections, owned = all_sections[thread], all_owned[thread]
    n, like = plan.batch_size, params[0]
    size, lanes = params.itemsize, VECTOR_BYTES // params.itemsize
    tile, zero = address_of(tiles), cast_like(like, 0.0)
    nothing, scale = cast_like(like, -np.inf), cast_like(like, 1.0 / max(n, 1))
    l2 = cast_like(like, plan.l2)
    rate = l2

    # Not the literal 0, for whose type Numba would compile the function anew.
    meetings = meet(barrier, threads, thread - thread)
    if meetings < 0:
        return False
    for item in range(first, stop):
        epoch = item // (plan.steps_per_epoch + plan.val_blocks)
        position = item - epoch * (plan.steps_per_epoch + plan.val_blocks)
        validating = 0 < position <= plan.val_blocks
        index, begin, present, phases, penalty = 0, 0, n, 3 if position == 0 else 2, 0.0
        if validating:
            begin, phases = (position - 1) * plan.block_size, 1
            present = min(plan.block_size, len(X_val) - begin)
            for i in range(owned[2], owned[3]):
                # Rows beyond the last are computed too, from the last, and not counted.
                row = min(begin + i, len(X_val) - 1)
                tables[0, i] = address_of(X_val) + row * X_val.strides[0]
                labels[i] = y_val[row]
        else:
            index = epoch * plan.steps_per_epoch + max(position - plan.val_blocks, 0)
            rows = all_rows[index - first_step]
            for i in range(owned[0], owned[1]):
                tables[0, i] = address_of(X) + rows[i] * X.strides[0]
                labels[i] = y[rows[i]]
            rate = cast_like(like, learning_rates[index - first_step])
            if thread == 0:
                for unit in range(len(squares)):
                    penalty += squares[unit]

        for phase in range(phases):
            section = EVALUATE_BLOCK if validating else phase
            for o in range(sections[section], sections[section + 1]):
                f = operations[o]
                code = f[0]
                if code in (MULTIPLY_PANEL, MULTIPLY_GROUP):
                    floor = zero if f[8] else nothing
                    arguments = (f[1], f[2], f[3], f[4], f[5], f[6], f[7], floor, f[9], f[10])
                    if code == MULTIPLY_PANEL:
                        multiply_panel(like, arguments)
                    else:
                        multiply_group(like, arguments)
                elif code == SOFTMAX:
                    for i in range(f[1], f[2], ROWS_PER_LOG):
                        end = min(i + ROWS_PER_LOG, f[2])
                        place = (f[3], f[4], f[5], address_of(labels), i, end, scale)
                        losses[i // ROWS_PER_LOG] = softmax_rows(like, place)
                elif code == RELU_BACKWARD:
                    relu_mask(like, (f[1], f[2], f[3]))
                elif code == UPDATE_PANEL:
                    k = f[3]
                    while k < f[4]:
                        height = tile_height(f[4] - k)
                        outer_panel(like, (height, f[1], f[2], k * size, f[5], f[6], n, tile))
                        count = height * f[1] * lanes
                        place = f[7] + k * f[1] * VECTOR_BYTES
                        squares[f[8] + k // TALL] += sgd_step(like, (place, tile, count, rate, l2))
                        k += height
                elif code == UPDATE_GROUP:
                    outer_group(like, (f[1], f[2] * size, f[3], f[4], f[5], n, tile))
                    count = round_up(f[3], lanes)
                    for c in range(GROUP):
                        place, part = f[6] + c * f[7], tile + c * GROUP_VECTORS * VECTOR_BYTES
                        squares[f[8]] += sgd_step(like, (place, part, count, rate, l2))
                elif code == TRANSPOSE:
                    for j in range(f[5]):
                        source, target = f[1] + j * f[3], f[6] + j * f[7]
                        for k in range(f[4]):
                            transposed[target + k] = params[source + k * f[2]]
                elif code == UPDATE_BIAS:
                    sgd_step_bias(like, (f[1], f[2], f[3], n, f[4], rate))
                elif code == CLEAR_SQUARES:
                    for unit in range(f[1], f[2]):
                        squares[unit] = 0.0
                elif code == PREDICT:
                    right = 0
                    for i in range(f[1], min(f[2], present)):
                        best = _best_class(activations, f[3] + i * f[4], f[5])
                        right += best == labels[i]
                        if validating:
                            predicted[begin + i] = best
                    correct[thread, item % 2, 0] = right

            meetings = meet(barrier, threads, meetings)
            if thread == 0:
                if section == ROWS:
                    loss = 0.0
                    for block in range((n + ROWS_PER_LOG - 1) // ROWS_PER_LOG):
                        loss += losses[block]
                    loss_history[index] = loss / n + plan.penalty * penalty
                elif section != UPDATE:
                    total = 0
                    for other in range(threads):
                        total += correct[other, item % 2, 0]
                    if section == EVALUATE_BATCH:
                        train_correct[epoch] += total
                    else:
                        val_correct[epoch] += total
    return True


@kernel
def _best_class(scores, start, C):
    """Return the index of the highest of C scores, the first of several; NaN counts as highest."""
    best = 0
    top = scores[start]
    for j in range(1, C):
        score = scores[start + j]
        if score > top or (score != score and top == top):
            best, top = j, score
    return best
