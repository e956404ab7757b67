"""The parts of the loop that handle rows of a batch: their data, their scores, their losses."""

from .._jit import part
from ..bytes import ScaleBytes, scale_bytes
from ..csr import CSRMultiply, CSRSeek, csr_multiply, csr_seek
from ..dropout import DropoutRows, dropout_rows
from ..heads import (
    CLIPPED_LOGISTIC,
    LOGISTIC,
    SOFTMAX,
    LossRows,
    PredictRows,
    loss_rows,
    predict_rows,
)
from ..llvm.intrinsics import address_of, cast_like, read, read_integer
from ..softmax import ROWS_PER_LOG, SoftmaxRows, softmax_rows
from . import operations as op
from .operations import fields, holds
from .state import EVALUATE

#: Added to a step's dropout key for each layer; odd, so that no two layers share a pattern.
LAYER_KEY = 0x2545F4914F6CDD1D


@part
def gather(row, a, constants, source, item, listed):
    """Look up where the rows of an operation lie, with their targets and weights."""
    f = fields(op.Gather, row)
    like = a.params[0]
    for i in range(f.first, f.stop):
        # Rows beyond the last are computed too, from the last, and not counted.
        j = item.begin + min(i, item.rows - 1)
        if item.listed:
            j = listed[j]
        if holds(op.Gather, row):
            a.tables[0, i] = source.X + j * source.X_stride
        elif holds(op.GatherCSR, row):
            a.spans[0, i] = read_integer(source.indptr + 8 * j)
            a.spans[1, i] = read_integer(source.indptr + 8 * j + 8)
        else:
            inputs, place = fields(op.GatherBytes, row).inputs, source.X + j * source.X_stride
            factor, summand = address_of(a.input_scale[0]), address_of(a.input_scale[1])
            scale_bytes(like, ScaleBytes(place, inputs, factor, summand, a.tables[0, i]))
        a.labels[i] = 0
        if constants.head == SOFTMAX and source.targets != 0:
            a.labels[i] = read_integer(source.targets + 8 * j)
        elif constants.head != SOFTMAX:
            a.labels[i] = source.targets + j * source.target_stride
        if constants.weighted:
            a.weights[i] = cast_like(like, 1.0)
            if source.weights:
                a.weights[i] = read(like, source.weights + a.params.itemsize * j)


@part
def seek_columns(f, a, source, cursors):
    """Set the cursors of sparse rows to their first non-zero from a column on."""
    begin, end = address_of(a.spans[0]) + 8 * f.first, address_of(a.spans[1]) + 8 * f.first
    rows = f.stop - f.first
    seek = CSRSeek(cursors + 8 * f.first, begin, end, source.indices, rows, f.k0)
    csr_seek(a.params[0], seek)


@part
def multiply_sparse(f, a, source, cursors):
    """Multiply sparse rows by the weights, block of columns by block."""
    start = f.bias
    for k0 in range(0, f.K, f.block):
        product = CSRMultiply(
            cursor=cursors,
            end=address_of(a.spans[1]),
            indices=source.indices,
            values=source.X,
            first=f.first,
            stop=f.stop,
            k1=min(k0 + f.block, f.K),
            start=start,
            W=f.W,
            across=f.across,
            out=f.out,
            stride=f.stride,
        )
        csr_multiply(a.params[0], product)
        # The next block goes on from the sums of this one.
        start = 0


@part
def drop_out(f, a, constants, item):
    """Zero activations by chance."""
    like = a.params[0]
    rows = DropoutRows(
        A=f.A,
        derivatives=f.derivatives,
        stride=f.stride,
        elements=f.elements,
        first=f.first,
        stop=f.stop,
        key=item.key + f.layer * LAYER_KEY,
        threshold=constants.dropout_threshold,
        factor=cast_like(like, constants.dropout_factor),
    )
    dropout_rows(like, rows)


@part
def take_loss(f, a, constants, item, losses):
    """Turn scores into gradients, and write their losses down, a sum for each ROWS_PER_LOG rows."""
    like, stop = a.params[0], min(f.stop, item.rows)
    scale, targets, weights = (
        cast_like(like, 1.0 / item.divisor),
        address_of(a.labels),
        address_of(a.weights),
    )
    smoothing = cast_like(like, constants.smoothing if f.weighting == op.GENERAL else 0.0)
    for first in range(f.first, stop, ROWS_PER_LOG):
        last = min(first + ROWS_PER_LOG, stop)
        if constants.head == SOFTMAX:
            rows = SoftmaxRows(
                S=f.S,
                stride=f.stride,
                width=f.width,
                classes=f.outputs,
                y=targets,
                first=first,
                stop=last,
                weights=0 if f.weighting == op.PLAIN else weights,
                clipped=constants.clipped,
                smoothing=smoothing,
                scale=scale,
            )
            losses[first // ROWS_PER_LOG] = softmax_rows(like, rows)
        else:
            clipped = constants.clipped and constants.head == LOGISTIC
            each = LossRows(
                head=CLIPPED_LOGISTIC if clipped else constants.head,
                S=f.S,
                stride=f.stride,
                outputs=f.outputs,
                targets=targets,
                first=first,
                stop=last,
                weights=weights,
                scale=scale,
            )
            losses[first // ROWS_PER_LOG] = loss_rows(like, each)


@part
def count_correct(f, a, constants, item, correct, predicted):
    """Add up the weights of right answers, a sum for each ROWS_PER_LOG rows."""
    for first in range(f.first, min(f.stop, item.rows), ROWS_PER_LOG):
        total = 0.0
        for i in range(first, min(first + ROWS_PER_LOG, f.stop, item.rows)):
            start, right = f.S + i * f.stride, False
            if constants.head == SOFTMAX:
                best = _best_class(a.activations, start, f.outputs)
                right = best == a.labels[i]
                if item.source == EVALUATE and item.begin + i < len(predicted):
                    predicted[item.begin + i] = best
            elif constants.head == LOGISTIC:
                right = True
                for j in range(f.outputs):
                    target = read(a.params[0], a.labels[i] + j * a.params.itemsize)
                    right = right and (a.activations[start + j] > 0) == (target > 0.5)
            if right:
                total += a.weights[i] if constants.weighted else 1.0
        correct[first // ROWS_PER_LOG] = total


@part
def _best_class(scores, start, classes):
    """Return the highest of some scores, the first of several; NaN counts as highest."""
    best, top = 0, scores[start]
    for j in range(1, classes):
        score = scores[start + j]
        if score > top or (score != score and top == top):
            best, top = j, score
    return best


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
    predict_rows(a.params[0], rows)
