"""The gradient over any number of rows, for L-BFGS and for checking: added up block by block."""

import numpy as np

from ..jobs import LAST_STEP, STEP, Items, Job, Records, Settings
from .driver import drive, loop_of

#: Rows of a block whose gradients are added up.
GRADIENT_ROWS = 512


def loss_and_gradient(architecture, layers, source, alpha, label_smoothing, scaling):
    """Compute the loss over all rows of a source, and its gradient by every parameter.

    Parameters
    ----------
    architecture : Architecture
    layers : list of (W, b)
    source : Source
    alpha : float
        Strength of the penalty.
    label_smoothing : float
    scaling : Scaling

    Returns
    -------
    loss : float
    gradient : ndarray of shape (n_params,)
        W and b of each layer in turn.
    """
    n = len(source)
    size = min(GRADIENT_ROWS, n)
    last = n % size
    job = Job(
        architecture,
        layers,
        Settings("accumulate", label_smoothing=label_smoothing),
        source,
        batch_sizes=(size, last) if last else (size,),
        scaling=scaling,
        steps=-(-n // size),
    )
    loop = loop_of(job)
    weights = source.weights
    total = float(n) if weights is None else float(weights.sum(dtype=np.float64))
    order = GradientOrder(n, size, total)
    records = Records(order.total, 1)
    for _ in drive(loop, order, records):
        pass
    loss, parts = float(records.losses.sum()), []
    for (dW, db), (W, _) in zip(loop.gradients(), layers):
        loss += alpha / 2 * float(np.sum(np.square(W, dtype=np.float64)))
        dW += W.dtype.type(alpha) * W
        parts += [dW.ravel(), db]
    loop.release()
    return loss, np.concatenate(parts)


class GradientOrder:
    """All rows, block by block, of which the last may be smaller."""

    def __init__(self, n, size, divisor):
        self.n, self.size, self.divisor, self.done = n, size, divisor, 0
        self.total = self.longest = -(-n // size)
        self._all = self._items()

    def boundary(self, done):
        """Return the end: Python looks nowhere else."""
        return self.total

    def items(self, first, stop):
        """Return the blocks first..stop; all of them are the same arrays each time."""
        return self._all if stop - first == self.total else self._all.part(first, stop)

    def _items(self):
        numbers = np.arange(self.total)
        counts = np.minimum(self.size, self.n - numbers * self.size)
        return Items(
            kinds=np.where(counts == self.size, STEP, LAST_STEP),
            begins=numbers * self.size,
            counts=counts,
            steps=numbers,
            epochs=0,
            keys=0,
            rates=0.0,
            decays=1.0,
            alphas=0.0,
            epsilons=0.0,
            divisors=self.divisor,
            listed=None,
        )
