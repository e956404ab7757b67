"""Softmax and cross-entropy row by row, with the classes along the lanes."""

import math
from typing import NamedTuple

from .llvm.functions import outlined
from .llvm.vector_math import exp_nonpositive

#: Rows whose totals are multiplied before one logarithm is taken: sum(log(t)) = log(prod(t)).
#: A total lies in [1, C], so four of them stay far inside float64.
ROWS_PER_LOG = 4
#: The least probability that a loss counts where probabilities are clipped, by the element's bytes:
#: the distance from 1 to the next number. Four of them multiplied stay far inside float64, too.
EPSILON = {4: 2.0**-23, 8: 2.0**-52}


class SoftmaxRows(NamedTuple):
    """What :func:`softmax_rows` takes."""

    S: int  #: address of row 0 of the scores, modified
    stride: int  #: bytes from one row to the next
    width: int  #: columns to include: the classes, and others where their scores are -inf
    classes: int
    y: int  #: address of the int64 label of row 0
    first: int  #: first row
    stop: int  #: first row that is left out; for `softmax_rows`, at most ROWS_PER_LOG further
    losses: int  #: address of a float64 for each ROWS_PER_LOG rows from row 0 on, or 0
    weights: int  #: address of the weight of row 0, or 0 for no weights and no smoothing
    clipped: int  #: 1 to take no probability for less than EPSILON, or more than 1 - EPSILON
    smoothing: float  #: share of the target that is spread over all classes
    scale: float  #: on the gradient


class Row:
    """One row of scores; `top` and `total` are vectors with the same number in every lane.

    The row stays in registers or L1 between its passes. Columns beyond the last class may be among
    the `width` where their scores are -inf: their exponentials are 0.
    """

    def __init__(self, emit, place, width):
        self.emit, self.place, self.width = emit, place, width
        self.lowest = emit.constant(-math.inf)

        def largest(a, b):
            # Where one is NaN, so are the difference to the maximum and the total.
            return emit.where(a > b, a, b)

        def maximum(load, store, carried):
            return [largest(load(place, self.lowest), carried[0])]

        (top,) = emit.vectors(width, [self.lowest], maximum)
        self.top = emit.across(top, largest)

    def choose(self, label):
        """Take a class as the right one; return its score less `top`."""
        self.right = self.place + label * self.emit.size
        return self.emit.load_scalar(self.right) - self.emit.lane(self.top, 0)

    def exponentials(self, exp=exp_nonpositive):
        """Replace the scores by exp(score - top), and keep their sum."""
        emit = self.emit

        def exponential(load, store, carried):
            value = exp(emit, load(self.place, self.lowest) - self.top)
            store(value, self.place)
            return [carried[0] + value]

        (total,) = emit.vectors(self.width, [emit.constant(0.0)], exponential)
        self.total = emit.across(total, lambda a, b: a + b)

    def scaled(self, factor, shift=None, count=None):
        """Multiply by factor / total, and add the shift."""
        emit, quotient = self.emit, factor / self.total

        def normalise(load, store, carried):
            value = load(self.place)
            if shift is None:
                store(value * quotient, self.place)
            else:
                store(emit.fma(value, quotient, shift), self.place)
            return carried

        emit.vectors(self.width if count is None else count, [], normalise)

    def lower(self, amount):
        """Subtract from the right class."""
        self.emit.store(self.emit.load_scalar(self.right) - amount, self.right)


@outlined(SoftmaxRows, returns=float)
def softmax_rows(emit, f):
    """Replace some scores by the gradient of their loss; return the summed loss, a float64.

    ``S <- scale (softmax(S) - onehot(y))``, with the loss ``log(sum(exp(S))) - S[y]``. Where there
    are weights, ``S <- scale weight (softmax(S) - T)`` towards the target
    ``T = (1 - smoothing) onehot(y) + smoothing / classes``. A loss may count clipped probabilities;
    the gradient never does.
    """
    with emit.only_if(f.weights == 0):
        _plain_rows(emit, f)
    _general_rows(emit, f)


def _plain_rows(emit, f):
    """Emit the rows without weights and smoothing, one logarithm for all; and the return."""
    scales, clips = emit.splat(f.scale), f.clipped != 0

    def one_row(i, _, carried):
        product, rights = carried
        row = Row(emit, f.S + i * f.stride, f.width)
        difference = row.choose(emit.load_integer(f.y + i * 8))
        row.exponentials()
        total = emit.lane(row.total, 0)
        probability = clipped(emit, emit.load_scalar(row.right) / total)
        row.scaled(scales)
        row.lower(f.scale)
        factor = emit.where(clips, probability, total)
        return [product * emit.widened(factor), rights + emit.widened(difference)]

    start = [emit.double(1.0), emit.double(0.0)]
    _, (product, rights) = emit.loop(f.first, f.stop, start, one_row)
    emit.returns(loss_of_product(emit, clips, product, rights))


def loss_of_product(emit, clips, product, rights):
    """Return the loss of some rows from the product of their totals, or of clipped probabilities.

    `rights` is the sum of the right scores, each less its row's top.
    """
    logarithm = emit.logarithm(product)
    return emit.where(clips, -logarithm, logarithm - rights)


def clipped(emit, probability):
    """Return a probability, or a vector of them, as a loss counts it."""
    epsilon = EPSILON[emit.size]
    return emit.at_most(emit.at_least(probability, epsilon), 1.0 - epsilon)


def _general_rows(emit, f):
    """Emit the rows with a weight each, towards smoothed labels; and the return.

    The loss towards a smoothed label counts all probabilities, and none is clipped.
    """
    share = f.smoothing / emit.of_integer(f.classes)
    rest = 1.0 - f.smoothing

    def one_row(i, _, carried):
        row = Row(emit, f.S + i * f.stride, f.width)
        difference = row.choose(emit.load_integer(f.y + i * 8))

        def differences(load, store, carried):
            return [carried[0] + (load(row.place, row.top) - row.top)]

        (sums,) = emit.vectors(f.classes, [emit.constant(0.0)], differences)
        sums = emit.total(sums)
        row.exponentials()
        weight = emit.load_scalar(f.weights + i * emit.size)
        factor = f.scale * weight
        row.scaled(emit.splat(factor), emit.splat(-(factor * share)), f.classes)
        row.lower(factor * rest)
        total = emit.widened(emit.lane(row.total, 0))
        target = emit.widened(rest) * emit.widened(difference)
        target = target + emit.widened(share) * emit.widened(sums)
        loss = emit.logarithm(total) - target
        least, most = (-math.log(x) for x in (1.0 - EPSILON[emit.size], EPSILON[emit.size]))
        clips = (f.clipped != 0) & (f.smoothing == 0.0)
        loss = emit.where(clips, emit.at_most(emit.at_least(loss, least), most), loss)
        return [carried[0] + emit.widened(weight) * loss]

    _, (loss,) = emit.loop(f.first, f.stop, [emit.double(0.0)], one_row)
    emit.returns(loss)
