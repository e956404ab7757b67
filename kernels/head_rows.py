"""Losses of the heads for any rows, of a few outputs many rows at a time; and predictions."""

from typing import NamedTuple

from .lanes import MOST_COLUMNS, ROOM, Columns, blocks, by_fours
from .llvm.functions import outlined
from .llvm.vector_math import exp_nonpositive_subnormal
from .losses import PREDICTIONS, SOFTMAX, Losses, element_losses
from .softmax_lanes import exponentials
from .softmax_rows import Row


class LossRows(NamedTuple):
    """What :func:`head_losses` takes."""

    head: int  #: code, not that of the softmax; or CLIPPED_LOGISTIC
    S: int  #: address of row 0 of the scores, modified
    stride: int  #: bytes from one row to the next
    outputs: int  #: columns
    targets: int  #: address of the int64 address of the target of row 0
    first: int  #: first row, a multiple of ROWS_PER_LOG
    stop: int  #: first row that is left out
    losses: int  #: address of a float64 for each ROWS_PER_LOG rows from row 0 on, or 0
    weights: int  #: address of the weight of row 0
    scale: float  #: on the gradient


@outlined(LossRows, returns=float)
def head_losses(emit, f):
    """Replace some scores by the gradient of their loss; return the summed loss, a float64.

    ``S <- scale weight (prediction - target)``; columns beyond `outputs` stay. In
    lanes, a row of one logistic output takes 4.9 ns in float32 and 8.2 in float64, and 29 and 43
    by itself; a squared error 3.2 and 3.7, and 7.9 and 7.7 (Zen 5).
    """
    room = emit.room(ROOM)
    with emit.only_if(f.outputs <= MOST_COLUMNS):
        emit.returns(blocks(emit, f, lambda *block: _columns(emit, f, room, *block)))
    sums = Columns(emit, room, emit.integer(1))

    def one(i, _, carried):
        weight = emit.load_scalar(f.weights + i * emit.size)
        sums[0] = emit.splat(f.scale * weight)
        row, target = f.S + i * f.stride, emit.load_integer(f.targets + i * 8)
        places = sums.place(0), sums.place(1)
        element_losses.emitted(emit, Losses(f.head, row, target, f.outputs, *places))
        total = emit.widened(emit.total(sums[1]))
        return [carried[0] + emit.widened(weight) * total]

    def some(first, stop):
        return emit.loop(first, stop, [emit.double(0.0)], one)[1][0]

    emit.returns(by_fours(emit, f.first, f.stop, f.losses, some))


def _columns(emit, f, room, scores, first):
    """Emit a block of rows in lanes; return its loss."""
    targets, place = Columns(emit, room, scores.count), f.S + first * f.stride
    scores.read(place, f.stride, f.outputs)
    rows = []
    for lane in range(emit.lanes):
        row = first + emit.where(scores.count > lane, lane, scores.count - 1)
        rows.append(emit.load_integer(f.targets + row * 8))

    def column(c):
        targets[c] = emit.gathered([emit.load_scalar(row + c * emit.size) for row in rows])

    emit.steps(0, f.outputs, 1, column)
    weights = emit.load_first(f.weights + first * emit.size, scores.count)
    scores[MOST_COLUMNS], targets[MOST_COLUMNS] = weights, emit.splat(f.scale) * weights
    losses = Losses(
        head=f.head,
        S=scores.place(0),
        targets=targets.place(0),
        elements=f.outputs * emit.lanes,
        factors=targets.place(MOST_COLUMNS),
        sums=scores.place(MOST_COLUMNS + 1),
    )
    element_losses.emitted(emit, losses)
    scores.write(place, f.stride, f.outputs)

    def some(row, stop):
        def one(i, _, carried):
            weight, total = (scores.element(MOST_COLUMNS + c, i - first) for c in range(2))
            return [carried[0] + weight * total]

        return emit.loop(row, stop, [emit.double(0.0)], one)[1][0]

    return by_fours(emit, first, first + scores.count, f.losses, some)


class PredictRows(NamedTuple):
    """What :func:`head_predictions` takes."""

    head: int  #: code
    S: int  #: address of row 0 of the scores; a softmax overwrites them
    stride: int  #: bytes from one row to the next
    width: int  #: columns of a softmax, see :class:`.softmax_rows.SoftmaxRows`
    outputs: int  #: columns to write
    first: int  #: first row
    stop: int  #: first row that is left out
    out: int  #: address of row 0 of the predictions
    out_stride: int  #: bytes from one row of them to the next


def _softmax_columns(emit, f, scores, first):
    """Emit the softmax of a block of rows in lanes."""
    scores.read(f.S + first * f.stride, f.stride, f.outputs)
    _, total = exponentials(emit, scores, f.outputs, exp_nonpositive_subnormal)
    quotient = emit.constant(1.0) / total

    def scaled(c):
        scores[c] = scores[c] * quotient

    emit.steps(0, f.outputs, 1, scaled)
    scores.write(f.out + first * f.out_stride, f.out_stride, f.outputs)
    return emit.double(0.0)


@outlined(PredictRows)
def head_predictions(emit, f):
    """Write the predictions of some rows: softmax, logistic, the scores or their exponentials.

    `outputs` elements of each row first..stop of `out` are written. Single outputs, if predictions
    lie side by side, are taken a vector at a time: of 100,000 rows a logistic takes 0.1 ms, and 0.8
    by themselves (20-100-1 in float32, Zen 4). A softmax of as many classes as fill a vector goes
    in lanes: of two classes it takes 5 ns a row, and 16 row by row, of ten 7 and 10 in float32, and
    of more than that longer than row by row, as rows are turned twice (Zen 4; AVX2 likewise).
    """
    single = (f.outputs == 1) & (f.out_stride == emit.size)
    with emit.only_if((f.head == SOFTMAX) & (f.outputs <= emit.lanes)):
        blocks(emit, f, lambda *block: _softmax_columns(emit, f, *block))
        emit.returns()
    for head in emit.cases(f.head, PREDICTIONS, "head"):

        def one_row(i, head=head):
            row, target = f.S + i * f.stride, f.out + i * f.out_stride
            if head == SOFTMAX:
                scores = Row(emit, row, f.width)
                scores.exponentials(exp_nonpositive_subnormal)
                scores.scaled(emit.constant(1.0))

            def outputs(load, store, carried):
                store(PREDICTIONS[head](emit, load(row)), target)
                return carried

            emit.vectors(f.outputs, [], outputs)

        def some_rows(i, head=head):
            rows = [f.S + (i + lane) * f.stride for lane in range(emit.lanes)]
            scores = emit.gathered([emit.load_scalar(row) for row in rows])
            emit.store(PREDICTIONS[head](emit, scores), f.out + i * emit.size)

        i = f.first
        if head != SOFTMAX:
            i = emit.steps(i, emit.where(single, f.stop, i), emit.lanes, some_rows)
        emit.steps(i, f.stop, 1, one_row)
        emit.returns()
