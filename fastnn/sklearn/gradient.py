"""The loss over all rows and its gradient, again and again for other parameters: for L-BFGS."""

import itertools
import weakref

import numpy as np

from ..engine.driver import drive, loop_of
from ..engine.gradients import GRADIENT_ROWS, GradientOrder
from ..jobs import Job, Records, Settings
from ..threads import limited
from .data import scaled, source_of
from .installed import loss_factor
from .options import options_of
from .support import architecture_of


class FullGradient:
    """The loss of an estimator over some data, and its gradient.

    Parameters
    ----------
    estimator : BaseMultilayerPerceptron
        Its coefficients are those of the first evaluation.
    X, y, weights : array
        As scikit-learn has checked them.
    options : Options
    """

    def __init__(self, estimator, X, y, weights, options):
        self.data = X, y, weights
        if weights is None:
            weights = options.weights
        #: scikit-learn's products are of the data's dtype and that of the parameters.
        self.dtype = np.result_type(X.dtype, estimator.coefs_[0])
        architecture = architecture_of(estimator)
        sizes, head = architecture.layer_sizes, architecture.head
        smoothing = options.label_smoothing if head == "logistic" else 0.0
        own, unit = scaled(weights, self.dtype)
        source = source_of(X, y, own, head, self.dtype, smoothing)
        self.n, self.factor = len(source), loss_factor(head, sizes[-1])
        #: scikit-learn divides the penalty, too, by the rows or the sum of their weights.
        self.divisor = float(self.n if weights is None else weights.sum())
        if self.divisor == 0:
            raise ZeroDivisionError(
                "sample_weight sums to 0, so that the loss cannot be normalised: pass weights "
                "of which some are not 0"
            )
        size = min(GRADIENT_ROWS, self.n)
        last = self.n % size
        job = Job(
            architecture,
            _layers(estimator, self.dtype),
            Settings(
                "accumulate",
                label_smoothing=0.0 if smoothing else options.label_smoothing,
                clipped=not smoothing,
                loss_factor=self.factor,
            ),
            source,
            batch_sizes=(size, last) if last else (size,),
            steps=-(-self.n // size),
        )
        with limited(options.n_threads):
            self.loop = loop_of(job)
        # Nobody says when the last evaluation was: it lives as long as the workspace.
        weakref.finalize(self, self.loop.release).atexit = False
        self.order = GradientOrder(self.n, size, self.divisor / unit)
        self.records = Records(self.order.total, 1)
        #: Where each layer lies in a packed array: all coefficients, then all intercepts.
        stops = np.cumsum([*(K * N for K, N in itertools.pairwise(sizes)), *sizes[1:]])
        places = [slice(*each) for each in itertools.pairwise((0, *stops.tolist()))]
        layers = len(sizes) - 1
        self.places, self.shapes = places, list(itertools.pairwise(sizes))
        self.coefs, self.size = slice(0, places[layers].start), int(stops[-1])

    def is_of(self, X, y, weights):
        """Tell whether these are the data."""
        return all(own is other for own, other in zip(self.data, (X, y, weights)))

    def evaluate(self, estimator, packed):
        """Return the loss, and the gradient, packed as the parameters are.

        Of small data, what is done here takes longer than the compiled loop.
        """
        self.loop.begin_anew(_layers(estimator, self.dtype))
        self.order.done = 0
        for _ in drive(self.loop, self.order, self.records):
            pass
        gradient, count = np.empty(self.size, self.dtype), len(self.shapes)
        parts = [gradient[place] for place in self.places]
        coefs = [part.reshape(shape) for part, shape in zip(parts, self.shapes)]
        self.loop.gradients(list(zip(coefs, parts[count:])))
        alpha, penalty = estimator.alpha, 0.0
        for place in self.places[:count]:
            W = packed[place]
            penalty += float(np.dot(W, W))
        gradient[self.coefs] += (alpha / self.divisor) * packed[self.coefs]
        loss = float(self.records.losses.sum()) + 0.5 * alpha * penalty / self.divisor
        return loss, gradient


def loss_and_gradient(estimator, packed, X, y, weights, workspace):
    """Return what scikit-learn's ``_loss_grad_lbfgs`` does; `workspace` are its `activations`.

    That list of the caller's lives as long as the fit, and belongs to it alone: what is made once
    for all evaluations is kept there, in the place of the first layer's activations.
    """
    estimator._unpack(packed)
    dtype = np.result_type(X.dtype, packed)
    if not is_made(workspace, X, y, weights) or workspace[1].dtype != dtype:
        workspace[1] = FullGradient(estimator, X, y, weights, options_of(estimator))
    return workspace[1].evaluate(estimator, packed)


def is_made(workspace, X, y, weights):
    """Tell whether the full gradient over such data is in the workspace."""
    return isinstance(workspace[1], FullGradient) and workspace[1].is_of(X, y, weights)


def _layers(estimator, dtype):
    return [
        (W.astype(dtype, copy=False), b.astype(dtype, copy=False))
        for W, b in zip(estimator.coefs_, estimator.intercepts_)
    ]
