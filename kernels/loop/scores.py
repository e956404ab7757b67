"""The parts of the loop that handle scores: their losses, right answers and predictions."""

from .._jit import part
from ..head_rows import LossRows, PredictRows, head_losses, head_predictions
from ..llvm.intrinsics import address_of, cast_like, read
from ..losses import CLIPPED_LOGISTIC, LOGISTIC, SOFTMAX
from ..right_answers import RightRows, right_answers
from ..softmax_lanes import softmax_losses
from ..softmax_rows import ROWS_PER_LOG, SoftmaxRows
from . import operations as op
from .state import EVALUATE


@part
def take_loss(f, a, constants, item, losses):
    """Turn scores into gradients, and write their losses down, a sum for each ROWS_PER_LOG rows."""
    scale, stop = cast_like(a.params[0], 1.0 / item.divisor), min(f.stop, item.rows)
    targets, weights = address_of(a.labels), address_of(a.weights)
    if constants.head == SOFTMAX:
        rows = SoftmaxRows(
            S=f.S,
            stride=f.stride,
            width=f.width,
            classes=f.outputs,
            y=targets,
            first=f.first,
            stop=stop,
            losses=address_of(losses),
            weights=0 if f.weighting == op.PLAIN else weights,
            clipped=constants.clipped,
            smoothing=cast_like(scale, constants.smoothing if f.weighting == op.GENERAL else 0.0),
            scale=scale,
        )
        softmax_losses(scale, rows)
    else:
        clips = constants.clipped and constants.head == LOGISTIC
        each = LossRows(
            head=CLIPPED_LOGISTIC if clips else constants.head,
            S=f.S,
            stride=f.stride,
            outputs=f.outputs,
            targets=targets,
            first=f.first,
            stop=stop,
            losses=address_of(losses),
            weights=weights,
            scale=scale,
        )
        head_losses(scale, each)


@part
def count_correct(f, a, constants, item, correct, predicted):
    """Add up the weights of right answers, a sum for each ROWS_PER_LOG rows."""
    size, stop = a.params.itemsize, min(f.stop, item.rows)
    if constants.head == SOFTMAX:
        place, weights = 0, 0
        if item.source == EVALUATE and item.begin + stop <= len(predicted):
            place = address_of(predicted) + 8 * item.begin
        if constants.weighted:
            weights = address_of(a.weights)
        rows = RightRows(
            S=address_of(a.activations) + f.S * size,
            stride=f.stride * size,
            classes=f.outputs,
            y=address_of(a.labels),
            first=f.first,
            stop=stop,
            correct=address_of(correct),
            weights=weights,
            predicted=place,
        )
        right_answers(a.params[0], rows)
    else:
        _count_right_sides(f, a, constants, stop, correct)


@part
def _count_right_sides(f, a, constants, stop, correct):
    """Add up the weights of rows whose logistic outputs are all on the right side of 1/2."""
    for first in range(f.first, stop, ROWS_PER_LOG):
        total = 0.0
        for i in range(first, min(first + ROWS_PER_LOG, stop)):
            start, right = f.S + i * f.stride, constants.head == LOGISTIC
            for j in range(f.outputs):
                target = read(a.params[0], a.labels[i] + j * a.params.itemsize)
                right = right and (a.activations[start + j] > 0) == (target > 0.5)
            if right:
                total += a.weights[i] if constants.weighted else 1.0
        correct[first // ROWS_PER_LOG] = total


@part
def predict(f, a, constants, item):
    """Write predictions."""
    size = a.params.itemsize
    rows = PredictRows(
        head=f.head,
        S=f.S,
        stride=f.stride,
        width=f.width,
        outputs=f.outputs,
        first=f.first,
        stop=min(f.stop, item.rows),
        out=constants.output + item.begin * f.outputs * size,
        out_stride=f.outputs * size,
    )
    head_predictions(a.params[0], rows)
