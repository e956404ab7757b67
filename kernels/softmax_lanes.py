"""Softmax and cross-entropy of any rows: of few classes, many rows at a time."""

import math

from .lanes import MOST_COLUMNS, blocks, by_fours
from .llvm.functions import outlined
from .llvm.vector_math import exp_nonpositive
from .softmax_rows import SoftmaxRows, clipped, loss_of_product, softmax_rows


@outlined(SoftmaxRows, returns=float)
def softmax_losses(emit, f):
    """Do what :func:`.softmax_rows.softmax_rows` does with any number of rows.

    Where `losses` is not 0, a float64 for each ROWS_PER_LOG rows is written there. A row of ten
    classes takes 7.0 ns in float32 and 12 in float64 in a lane, and 32 and 37 by itself, or 11 and
    15 in whole vectors (Zen 5).
    """
    with emit.only_if((f.width <= MOST_COLUMNS) & (f.weights == 0)):
        emit.returns(blocks(emit, f, lambda *block: _columns(emit, f, *block)))

    def some(first, stop):
        return softmax_rows.emitted(emit, f._replace(first=first, stop=stop))

    emit.returns(by_fours(emit, f.first, f.stop, f.losses, some))


def _columns(emit, f, scores, first):
    """Emit a block of rows in lanes; return its loss."""
    place = f.S + first * f.stride
    scores.read(place, f.stride, f.width)
    labels = emit.load_integers(f.y + first * 8, scores.count)

    def is_right(c):
        return labels == emit.splat(emit.narrowed(c), emit.integers(emit.size))

    def of_right_class():
        def one(c, _, carried):
            return [emit.where(is_right(c), scores[c], carried[0])]

        return emit.loop(0, f.classes, [emit.constant(0.0)], one)[1][0]

    right = of_right_class()
    top, total = exponentials(emit, scores, f.classes)
    clips = f.clipped != 0
    factor = emit.where(clips, clipped(emit, of_right_class() / total), total)
    scale = emit.splat(f.scale)
    quotient = scale / total

    def gradient(c, _, carried):
        value = scores[c] * quotient
        scores[c] = emit.where(is_right(c), value - scale, value)
        return carried

    def clear(c):
        scores[c] = emit.constant(0.0)

    emit.loop(0, f.classes, [], gradient)
    emit.steps(f.classes, f.width, 1, clear)
    scores.write(place, f.stride, f.width)
    scores[MOST_COLUMNS], scores[MOST_COLUMNS + 1] = factor, right - top

    def loss(row, stop):
        def one(i, _, carried):
            factor, difference = (scores.element(MOST_COLUMNS + c, i - first) for c in range(2))
            return [carried[0] * factor, carried[1] + difference]

        start = [emit.double(1.0), emit.double(0.0)]
        _, (product, rights) = emit.loop(row, stop, start, one)
        return loss_of_product(emit, clips, product, rights)

    return by_fours(emit, first, first + scores.count, f.losses, loss)


def exponentials(emit, scores, classes, exp=exp_nonpositive):
    """Replace the scores by exp(score - top); return the top of each row, and the total."""

    def largest(c, _, carried):
        score, (top,) = scores[c], carried
        # Where one is NaN, so are the difference to the maximum and the total.
        return [emit.where(score > top, score, top)]

    _, (top,) = emit.loop(0, classes, [emit.constant(-math.inf)], largest)

    def exponential(c, _, carried):
        scores[c] = value = exp(emit, scores[c] - top)
        return [carried[0] + value]

    _, (total,) = emit.loop(0, classes, [emit.constant(0.0)], exponential)
    return top, total
