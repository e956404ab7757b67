"""The losses of the heads and their gradients, in place."""

from ._jit import kernel
from .head_rows import LossRows, head_losses
from .llvm.intrinsics import address_of, cast_like
from .losses import EXPONENTIAL, IDENTITY, LOGISTIC


@kernel
def _weighted_loss(code, S, targets, weights, table):
    n, outputs = S.shape
    if S.size == 0:
        return 0.0
    like = S[0, 0]
    for i in range(n):
        table[i] = address_of(targets) + i * targets.strides[0]
    scale, places = cast_like(like, 1.0 / n), (address_of(S), address_of(table))
    weighted, stride = address_of(weights), S.strides[0]
    rows = LossRows(code, places[0], stride, outputs, places[1], 0, n, 0, weighted, scale)
    return head_losses(like, rows)


@kernel
def logistic_gradient(S, Y, weights, table):
    """Replace the scores `S` by the gradient of the mean cross-entropy; return the summed loss.

    ``S <- weights (logistic(S) - Y) / n``. The loss of an element is
    ``max(s, 0) - s y + log(1 + exp(-|s|))``, which overflows nowhere.

    Parameters
    ----------
    S : ndarray of shape (n, outputs)
        Scores, each row contiguous, float32 or float64; modified in place.
    Y : ndarray of shape (n, outputs)
        Targets in [0, 1], of the dtype of `S`, each row contiguous.
    weights : ndarray of shape (n,)
        Of each row's loss, of the dtype of `S`.
    table : ndarray of shape (n,)
        Workspace, int64.

    Returns
    -------
    float
        Sum over rows and outputs of the weighted loss; divide by n for the mean over rows.
    """
    return _weighted_loss(LOGISTIC, S, Y, weights, table)


@kernel
def squared_error_gradient(S, Y, weights, table):
    """Replace the scores `S` by the gradient of half the squared error; return the summed loss.

    ``S <- weights (S - Y) / n``; the loss of an element is ``(s - y)^2 / 2``. Parameters and result
    are those of :func:`logistic_gradient`, with any numbers as targets.
    """
    return _weighted_loss(IDENTITY, S, Y, weights, table)


@kernel
def poisson_gradient(S, Y, weights, table):
    """Replace the scores `S` by the gradient of half the Poisson deviance; return the summed loss.

    ``S <- weights (exp(S) - Y) / n``; the loss of an element is ``y log(y / exp(s)) - y + exp(s)``.
    Parameters and result are those of :func:`logistic_gradient`, with targets of at least 0.
    """
    return _weighted_loss(EXPONENTIAL, S, Y, weights, table)
