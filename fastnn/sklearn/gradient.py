"""The loss over all rows and its gradient, again and again for other parameters: for L-BFGS."""

import numpy as np

from ..engine.driver import drive, loop_of
from ..engine.gradients import GRADIENT_ROWS, GradientOrder
from ..jobs import Job, Records, Settings
from ..threads import limited
from .data import source_of
from .installed import loss_factor
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
        source = source_of(X, y, weights, head, self.dtype, smoothing)
        self.n, self.factor = len(source), loss_factor(head, sizes[-1])
        #: scikit-learn divides the penalty, too, by the rows or the sum of their weights.
        self.divisor = float(self.n if weights is None else weights.sum())
        if self.divisor == 0:
            raise ZeroDivisionError(
                "sample_weight sums to 0, so that the loss cannot be normalised: pass weights "
                "of which some are not 0"
            )
        size = min(GRADIENT_ROWS, self.n)
        self.size, last = size, self.n % size
        self.options = options
        self.loop = loop_of(
            Job(
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
            )
        )

    def is_of(self, X, y, weights):
        """Tell whether these are the data."""
        return all(own is other for own, other in zip(self.data, (X, y, weights)))

    def evaluate(self, estimator):
        """Return the loss, and the gradient: of all coefficients, then of all intercepts."""
        coefs, alpha = estimator.coefs_, estimator.alpha
        with limited(self.options.n_threads):
            self.loop.begin_anew(_layers(estimator, self.dtype))
            order = GradientOrder(self.n, self.size, self.divisor)
            records = Records.empty(order.total, 1)
            for _ in drive(self.loop, order, records):
                pass
        gradients, penalty = self.loop.gradients(), 0.0
        for (dW, _), W in zip(gradients, coefs):
            penalty += float(np.dot(W.ravel(), W.ravel()))
            dW += (alpha / self.divisor) * W
        loss = float(records.losses.sum()) + 0.5 * alpha * penalty / self.divisor
        parts = [dW.ravel() for dW, _ in gradients] + [db for _, db in gradients]
        return loss, np.concatenate(parts)


def loss_and_gradient(estimator, packed, X, y, weights, workspace, options):
    """Return what scikit-learn's ``_loss_grad_lbfgs`` does; `workspace` are its `activations`.

    That list of the caller's lives as long as the fit, and belongs to it alone: what is made once
    for all evaluations is kept there, in the place of the first layer's activations.
    """
    estimator._unpack(packed)
    dtype = np.result_type(X.dtype, packed)
    if not is_made(workspace, X, y, weights) or workspace[1].dtype != dtype:
        workspace[1] = FullGradient(estimator, X, y, weights, options)
    return workspace[1].evaluate(estimator)


def is_made(workspace, X, y, weights):
    """Tell whether the full gradient over such data is in the workspace."""
    return isinstance(workspace[1], FullGradient) and workspace[1].is_of(X, y, weights)


def _layers(estimator, dtype):
    return [
        (W.astype(dtype, copy=False), b.astype(dtype, copy=False))
        for W, b in zip(estimator.coefs_, estimator.intercepts_)
    ]
