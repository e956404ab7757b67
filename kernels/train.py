"""The compiled training loop: one loop over a program of operations, on every thread.

A step has two phases: each thread takes some rows of the batch through the whole network and back,
then some rows of every weight matrix through their update. Where gradients are clipped, the second
phase only keeps them, and a third takes the step. After each phase all threads meet.
"""

from typing import NamedTuple

import numpy as np

from . import operations as op
from ._jit import kernel
from .activation import activate, activation_backward, multiply_in_place
from .bytes import scale_bytes
from .dropout import dropout_rows
from .emitter import VECTOR_BYTES
from .heads import LOGISTIC, SOFTMAX, loss_rows, predict_rows
from .layout import round_up
from .machine import address_of, borrowed, cast_like, read, read_integer
from .parallel import FINISHED, meet
from .product import tile_height
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
from .sparse import csr_multiply, csr_outer, csr_seek
from .transpose import copy_rows, transpose
from .update import ADAM, GRADIENT, column_sums, optimizer_step, sum_parts

#: Added to a step's dropout key for each layer; odd, so that no two layers share a pattern.
LAYER_KEY = 0x2545F4914F6CDD1D


class Plan(NamedTuple):
    """The numbers of a run that do not change, Python's own integers and floats."""

    head: int
    optimizer: int  #: see update
    keep: int  #: GRADIENT or ACCUMULATE: how gradients are kept
    memory_1: int  #: bytes from a weight to what the optimiser remembers of it
    memory_2: int
    gradient: int  #: bytes from a weight to its kept gradient
    parts: int  #: parts of the batch whose gradients are added up, 0 for none
    part: int  #: bytes from a weight to its gradient by the first of them
    copy: int  #: bytes from there to the next
    output: int  #: address of the predictions, C-contiguous
    weighted: int  #: 1 where sources have weights
    units: int  #: sums of W^2
    dropout_threshold: int  #: chance of a zero, times 2^32
    l2: float  #: the gradient of the penalty is l2 W
    penalty: float  #: the penalty is this times sum(W^2)
    beta_1: float
    beta_2: float
    epsilon: float
    smoothing: float
    max_norm: float  #: of the whole gradient
    dropout_factor: float


class History(NamedTuple):
    """What a run records."""

    losses: np.ndarray  #: float64 (steps,)
    train_correct: np.ndarray  #: float64 (epochs,): right answers on the batch, after its update
    val_losses: np.ndarray  #: float64 (epochs,): weighted sum over the validation set
    val_correct: np.ndarray  #: float64 (epochs,): weight of the right answers on it
    predicted: np.ndarray  #: int64 (n_val,): the latest classes of the validation set, or empty


@kernel
def train(thread, threads, buffers, plan, sources, items, numbers, listed, history):
    """Do one thread's share of some items of work, see :mod:`.operations`.

    Results are the same bits for any number of threads and any division into calls: whatever is
    summed is summed by one thread in a fixed order.

    Parameters
    ----------
    thread, threads : int
    buffers : Buffers
    plan : Plan
    sources : ndarray of shape (2, SOURCE_FIELDS)
        Where the rows of steps, and those to evaluate, come from.
    items : ndarray of shape (ITEM, n_items)
    numbers : ndarray of shape (NUMBERS, n_items)
    listed : ndarray of shape (n_listed,)
        Rows of the steps' batches, one after the other; int64.
    history : History

    Returns
    -------
    bool
        False where the run was called off before its first item (see :func:`.parallel.meet`).
    """
    arrays = borrowed(buffers)
    params, _, activations, input_scale, tables, labels = arrays[:6]
    all_weights, spans, all_cursors, all_tiles, sums, all_losses, correct = arrays[6:13]
    barrier, all_operations, all_sections, endings = arrays[13:]
    sources, items, numbers, listed = borrowed((sources, items, numbers, listed))
    loss_history, train_correct, val_losses, val_correct, predicted = borrowed(history)
    tiles, operations, sections = all_tiles[thread], all_operations[thread], all_sections[thread]
    like, size, lanes = params[0], params.itemsize, VECTOR_BYTES // params.itemsize
    tile, targets = address_of(tiles), address_of(labels)
    weights, cursors = address_of(all_weights), address_of(all_cursors[thread])
    zero, one, nothing = cast_like(like, 0.0), cast_like(like, 1.0), cast_like(like, -np.inf)
    beta_1, beta_2 = cast_like(like, plan.beta_1), cast_like(like, plan.beta_2)
    epsilon, smoothing = cast_like(like, plan.epsilon), cast_like(like, plan.smoothing)

    # Not the literal 0, for whose type Numba would compile the function anew.
    meetings = meet(barrier, threads, thread - thread)
    if meetings < 0:
        return False
    for number in range(items.shape[1]):
        item = items[:, number]
        begin, present = item[op.BEGIN], item[op.COUNT]
        divisor = numbers[op.DIVISOR, number]
        scale = cast_like(like, 1.0 / divisor)
        rate = cast_like(like, numbers[op.RATE, number])
        decay = cast_like(like, numbers[op.DECAY, number])
        new_1, new_2 = cast_like(like, 1.0 - plan.beta_1), cast_like(like, 1.0 - plan.beta_2)
        step = (rate, cast_like(like, plan.l2), decay, beta_1, new_1, beta_2, new_2, epsilon)
        bias_step = (rate, zero, one, beta_1, new_1, beta_2, new_2, epsilon)
        penalty = 0.0
        if thread == 0 and plan.penalty != 0.0:
            for unit in range(plan.units):
                penalty += sums[unit]

        for section in range(item[op.FIRST_SECTION], item[op.STOP_SECTION]):
            # Who is ahead writes to one half while thread 0 still reads the other.
            parity = meetings % 2
            for o in range(sections[section], sections[section + 1]):
                f = operations[o]
                code = f[0]
                if code in (op.MULTIPLY_PANEL, op.MULTIPLY_GROUP):
                    floor = zero if f[8] else nothing
                    arguments = (f[1], f[2], f[3], f[4], f[5], f[6], f[7], floor, f[9], f[10])
                    if code == op.MULTIPLY_PANEL:
                        multiply_panel(like, arguments + (f[11],))
                    else:
                        multiply_group(like, arguments)
                elif code == op.UPDATE_PANEL:
                    chosen, memory = plan.optimizer, plan.memory_1
                    if f[1] == op.KEEP:
                        chosen, memory = plan.keep, plan.gradient
                    k = f[4]
                    while k < f[5]:
                        height = tile_height(f[5] - k)
                        count = height * f[2] * lanes
                        place, gradient = f[8] + k * f[2] * VECTOR_BYTES, tile
                        if f[1] == op.APPLY:
                            gradient = place + plan.gradient
                        elif f[1] != op.PART and plan.parts > 0:
                            sum_parts(like, (place + plan.part, plan.copy, plan.parts, count, tile))
                        else:
                            outer = (height, f[2], f[3], k * size, f[6], f[7], f[10], tile)
                            outer_panel(like, outer)
                        if f[1] == op.PART:
                            places = GRADIENT, place, gradient, count, f[11], f[11]
                            optimizer_step(like, places + bias_step)
                        else:
                            places = chosen, place, gradient, count, memory, plan.memory_2
                            sums[f[9] + k // TALL] += optimizer_step(like, places + step)
                        k += height
                elif code == op.UPDATE_GROUP:
                    chosen, memory = plan.optimizer, plan.memory_1
                    if f[1] == op.KEEP:
                        chosen, memory = plan.keep, plan.gradient
                    summed = f[1] != op.PART and plan.parts > 0
                    if f[1] != op.APPLY and not summed:
                        outer_group(like, (f[2], f[3] * size, f[4], f[5], f[6], f[10], tile))
                    count = round_up(f[4], lanes)
                    for c in range(GROUP):
                        place, gradient = f[7] + c * f[8], tile + c * GROUP_VECTORS * VECTOR_BYTES
                        if f[1] == op.APPLY:
                            gradient = place + plan.gradient
                        elif summed:
                            parts = place + plan.part, plan.copy, plan.parts, count, gradient
                            sum_parts(like, parts)
                        if f[1] == op.PART:
                            places = GRADIENT, place, gradient, count, f[11], f[11]
                            optimizer_step(like, places + bias_step)
                        else:
                            places = chosen, place, gradient, count, memory, plan.memory_2
                            sums[f[9]] += optimizer_step(like, places + step)
                elif code == op.UPDATE_BIAS:
                    chosen, memory, gradient = plan.optimizer, plan.memory_1, tile
                    if f[1] == op.KEEP:
                        chosen, memory = plan.keep, plan.gradient
                    if f[1] == op.APPLY:
                        gradient = f[2] + plan.gradient
                    elif f[1] == op.PART:
                        chosen, memory = GRADIENT, f[11]
                        column_sums(like, (f[3], f[4], f[10], f[5], tile))
                    elif plan.parts > 0:
                        sum_parts(like, (f[2] + plan.part, plan.copy, plan.parts, f[5], tile))
                    else:
                        column_sums(like, (f[3], f[4], f[10], f[5], tile))
                    places = chosen, f[2], gradient, f[5], memory, plan.memory_2
                    squared = optimizer_step(like, places + bias_step)
                    # Only then: another thread may still be adding up the norm.
                    if f[1] == op.KEEP:
                        sums[f[6]] = squared
                elif code == op.TRANSPOSE:
                    transpose(like, (f[1], f[2], f[3], f[4], f[5], f[6]))
                elif code == op.COPY_ROWS:
                    copy_rows(like, (f[1], f[2], f[3], f[4], f[5], f[6]))
                elif code == op.CLEAR_SUMS:
                    for unit in range(f[1], f[2]):
                        sums[unit] = 0.0
                elif code == op.ACTIVATE:
                    activate(like, (f[1], f[2], f[3], f[4]))
                elif code == op.BACKWARD:
                    activation_backward(like, (f[1], f[2], f[3], f[4]))
                elif code == op.BACKWARD_STORED:
                    multiply_in_place(like, (f[1], f[2], f[3]))
                elif code == op.DROPOUT:
                    key = item[op.KEY] + f[1] * LAYER_KEY
                    places = (f[2], f[3], f[4], f[5], f[6], f[7], key, plan.dropout_threshold)
                    dropout_rows(like, places + (cast_like(like, plan.dropout_factor),))
                elif code == op.LOSS:
                    end = min(f[2], present)
                    for i in range(f[1], end, ROWS_PER_LOG):
                        last = min(i + ROWS_PER_LOG, end)
                        if plan.head == SOFTMAX:
                            there = weights if f[7] != op.PLAIN else 0
                            places = f[3], f[4], f[5], f[6], targets, i, last, there
                            spread = smoothing if f[7] == op.GENERAL else zero
                            loss = softmax_rows(like, places + (spread, scale))
                        else:
                            places = plan.head, f[3], f[4], f[6], targets, i, last, weights
                            loss = loss_rows(like, places + (scale,))
                        all_losses[parity, i // ROWS_PER_LOG] = loss
                elif code == op.CORRECT:
                    for first in range(f[1], min(f[2], present), ROWS_PER_LOG):
                        right = 0.0
                        for i in range(first, min(first + ROWS_PER_LOG, f[2], present)):
                            start, same = f[3] + i * f[4], False
                            if plan.head == SOFTMAX:
                                best = _best_class(activations, start, f[5])
                                same = best == labels[i]
                                if item[op.SOURCE] == 1 and begin + i < len(predicted):
                                    predicted[begin + i] = best
                            elif plan.head == LOGISTIC:
                                same = True
                                for j in range(f[5]):
                                    wanted = read(like, labels[i] + j * size) > 0.5
                                    same = same and (activations[start + j] > 0) == wanted
                            if same:
                                right += all_weights[i] if plan.weighted else 1.0
                        correct[parity, first // ROWS_PER_LOG] = right
                elif code == op.OUTPUT:
                    place = plan.output + begin * f[6] * size
                    places = f[7], f[3], f[4], f[5], f[6], f[1], min(f[2], present), place
                    predict_rows(like, places + (f[6] * size,))
                elif code == op.CSR_MULTIPLY:
                    source, sums_place = sources[item[op.SOURCE]], f[4]
                    for k0 in range(0, f[3], f[9]):
                        places = cursors, address_of(spans[1]), source[op.INDICES], source[op.X]
                        rest = f[1], f[2], min(k0 + f[9], f[3]), sums_place, f[5], f[6], f[7], f[8]
                        csr_multiply(like, places + rest)
                        # The next block goes on from the sums of this one.
                        sums_place = 0
                elif code == op.CSR_SEEK:
                    shift = 8 * f[1]
                    places = address_of(spans[0]) + shift, address_of(spans[1]) + shift
                    indices = sources[item[op.SOURCE], op.INDICES]
                    rest = indices, f[2] - f[1], f[3]
                    csr_seek(like, (cursors + shift,) + places + rest)
                elif code == op.CSR_UPDATE:
                    source, chosen, memory = sources[item[op.SOURCE]], plan.optimizer, plan.memory_1
                    if f[1] == op.KEEP:
                        chosen, memory = plan.keep, plan.gradient
                    line = f[7] * VECTOR_BYTES
                    for k0 in range(f[2], f[3], f[10]):
                        k1, place = min(k0 + f[10], f[3]), f[6] + (k0 - f[2]) * line
                        places = present, cursors, address_of(spans[1]), source[op.INDICES]
                        places = places + (source[op.X], k0, k1, f[4], f[5])
                        if f[9]:
                            csr_outer(like, places + (-rate, place, f[7]))
                            continue
                        gradients = place + plan.gradient
                        if f[1] != op.APPLY:
                            gradients = tile
                            tiles[: (k1 - k0) * f[7] * lanes] = zero
                            csr_outer(like, places + (one, tile, f[7]))
                        for k in range(k0, k1, f[11]):
                            count = (min(k + f[11], k1) - k) * f[7] * lanes
                            skip = (k - k0) * line
                            stepped = chosen, place + skip, gradients + skip, count
                            stepped = stepped + (memory, plan.memory_2)
                            sums[f[8] + (k - f[2]) // f[11]] += optimizer_step(like, stepped + step)
                elif code == op.CLIP:
                    squared = 0.0
                    for unit in range(f[1], f[2]):
                        squared += sums[unit]
                    norm, clip = np.sqrt(squared), 1.0
                    # Neither branch for NaN: it stays visible.
                    if not norm <= plan.max_norm:
                        clip = plan.max_norm / norm
                    scaled = cast_like(like, numbers[op.RATE, number])
                    if plan.optimizer == ADAM:
                        new_1 = cast_like(like, (1.0 - plan.beta_1) * clip)
                        new_2 = cast_like(like, (1.0 - plan.beta_2) * clip * clip)
                    else:
                        scaled = cast_like(like, numbers[op.RATE, number] * clip)
                    # The kept gradient holds that of the penalty.
                    step = (scaled, zero, decay, beta_1, new_1, beta_2, new_2, epsilon)
                    bias_step = (scaled, zero, one, beta_1, new_1, beta_2, new_2, epsilon)
                else:
                    source = sources[item[op.SOURCE]]
                    for i in range(f[1], f[2]):
                        # Rows beyond the last are computed too, from the last, and not counted.
                        row = begin + min(i, present - 1)
                        if item[op.LISTED]:
                            row = listed[row]
                        if code == op.GATHER:
                            tables[0, i] = source[op.X] + row * source[op.X_STRIDE]
                        elif code == op.GATHER_CSR:
                            spans[0, i] = read_integer(source[op.INDPTR] + 8 * row)
                            spans[1, i] = read_integer(source[op.INDPTR] + 8 * row + 8)
                        else:
                            place = source[op.X] + row * source[op.X_STRIDE]
                            factors = address_of(input_scale[0]), address_of(input_scale[1])
                            scale_bytes(like, (place, f[4]) + factors + (tables[0, i],))
                        labels[i] = 0
                        if plan.head == SOFTMAX and source[op.TARGETS] != 0:
                            labels[i] = read_integer(source[op.TARGETS] + 8 * row)
                        elif plan.head != SOFTMAX:
                            labels[i] = source[op.TARGETS] + row * source[op.TARGET_STRIDE]
                        if plan.weighted:
                            all_weights[i] = one
                            if source[op.WEIGHTS]:
                                all_weights[i] = read(like, source[op.WEIGHTS] + size * row)

            meetings = meet(barrier, threads, meetings)
            ending = endings[section]
            if thread == 0 and ending != op.NOTHING:
                right, loss = 0.0, 0.0
                for block in range((present + ROWS_PER_LOG - 1) // ROWS_PER_LOG):
                    if ending != op.STEPPED:
                        right += correct[parity, block]
                    if ending != op.EVALUATED:
                        loss += all_losses[parity, block]
                if ending == op.STEPPED:
                    loss_history[item[op.STEP]] = loss / divisor + plan.penalty * penalty
                elif ending == op.EVALUATED:
                    train_correct[item[op.EPOCH]] = right
                else:
                    val_losses[item[op.EPOCH]] += loss
                    val_correct[item[op.EPOCH]] += right
    if thread == 0:
        barrier[FINISHED] = 1
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
