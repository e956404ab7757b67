"""The best class of each row, and how many of them are the right ones."""

import math
from typing import NamedTuple

from .lanes import blocks, by_fours
from .llvm.functions import outlined


class RightRows(NamedTuple):
    """What :func:`right_answers` takes."""

    S: int  #: address of row 0 of the scores
    stride: int  #: bytes from one row to the next
    classes: int
    y: int  #: address of the int64 label of row 0
    first: int  #: first row, a multiple of ROWS_PER_LOG
    stop: int  #: first row that is left out
    correct: int  #: address of a float64 for each ROWS_PER_LOG rows from row 0 on, written
    weights: int  #: address of the weight of row 0, or 0 for weights of 1
    predicted: int  #: address of the int64 class of row 0, written, or 0


@outlined(RightRows)
def right_answers(emit, f):
    """Sum the weights of the rows whose highest score is that of their label.

    The first of several highest counts, and NaN as higher than any number.
    """

    def block(scores, first):
        integers = emit.integers(emit.size)

        def square(j, carried):
            left = emit.at_most(f.classes - j, emit.lanes)
            scores.read(f.S + first * f.stride + j * emit.size, f.stride, left)

            def one(c, _, carried):
                score, (top, best) = scores[c], carried
                higher = ((score <= top) ^ 1) & (top == top)
                number = emit.splat(emit.narrowed(j + c), integers)
                return [emit.where(higher, score, top), emit.where(higher, number, best)]

            return emit.loop(0, left, carried, one)[1]

        # Of nothing but these, the first class is the best.
        start = [emit.constant(-math.inf), emit.splat(emit.narrowed(emit.integer(0)), integers)]
        _, (_, best) = emit.while_loop(0, start, lambda j, _: [j < f.classes], square, emit.lanes)
        with emit.only_if(f.predicted != 0):
            emit.store_integers(best, f.predicted + first * 8, scores.count)
        # So that there is something to read without weights.
        place = emit.where(f.weights != 0, f.weights + first * emit.size, scores.start)
        counts = emit.where(f.weights != 0, emit.load_first(place, scores.count), 1.0)
        labels = emit.load_integers(f.y + first * 8, scores.count)
        scores[0] = emit.where(best == labels, counts, 0.0)

        def sums(row, stop):
            def one(i, _, carried):
                return [carried[0] + scores.element(0, i - first)]

            return emit.loop(row, stop, [emit.double(0.0)], one)[1][0]

        return by_fours(emit, first, first + scores.count, f.correct, sums)

    blocks(emit, f, block)
    emit.returns()
