"""Softmax, cross-entropy and their gradient, in place."""

from ._jit import kernel
from .llvm.intrinsics import address_of, cast_like
from .softmax_lanes import softmax_losses
from .softmax_rows import SoftmaxRows


@kernel
def softmax_gradient(S, y):
    """Replace the scores `S` by the gradient of the mean cross-entropy; return the summed loss.

    ``S <- (softmax(S) - onehot(y)) / n``: the right class loses 1, and the 1/n comes from the
    mean over rows. The loss of a row is ``log(sum(exp(S))) - S[y]``, shifted by its maximum.

    Parameters
    ----------
    S : ndarray of shape (n, C)
        Scores, each row contiguous, float32 or float64; modified in place.
    y : ndarray of shape (n,)
        The right class of each row, int64 in 0..C-1: a label outside is an out-of-bounds write.

    Returns
    -------
    float
        Sum over rows of -log(softmax(S)[y]); divide by n for the mean.
    """
    n, C = S.shape
    if n == 0:
        return 0.0
    like = S[0, 0]
    zero, scale = cast_like(like, 0.0), cast_like(like, 1.0 / n)
    places, stride = (address_of(S), address_of(y)), S.strides[0]
    rows = SoftmaxRows(places[0], stride, C, C, places[1], 0, n, 0, 0, 0, zero, scale)
    return softmax_losses(like, rows)
