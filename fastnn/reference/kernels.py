"""The twin of each kernel in :mod:`fastnn.kernels`: same name, same arguments, plain NumPy.

Shapes as in the field: ``n`` rows in the batch, ``D`` inputs, ``H`` hidden units, ``C`` classes.
"""

import numpy as np

from .activations import ACTIVATIONS
from .elementary import all_finite, erf, exp, log, logistic, tanh
from .heads import losses
from .rules import RULES, Numbers, penalised

__all__ = [
    "activation",
    "adam_update",
    "affine",
    "affine_backward_input",
    "affine_backward_sgd",
    "affine_backward_weights",
    "all_finite",
    "compress_rows",
    "count_nonzeros",
    "csr_affine",
    "csr_affine_backward_weights",
    "dropout",
    "dropout_mask",
    "erf",
    "exp",
    "log",
    "logistic",
    "logistic_gradient",
    "momentum_update",
    "poisson_gradient",
    "relu_backward",
    "sgd_update",
    "softmax_gradient",
    "squared_error_gradient",
    "tanh",
]

# ------------------------------------------------------------------------------ one idea a function


def affine(X, rows, W, b, relu, workspace, out):
    """Write ``X[rows] W + b``, through ReLU if asked, into `out`.

    Here and below, `workspace` is what the kernel of that name needs; NumPy needs none.
    """
    np.matmul(X[rows], W, out=out)
    out += b
    if relu:
        np.maximum(out, 0, out=out)


def affine_backward_input(dZ, W, workspace, out):
    """Write the gradient of the input of an affine map, ``dZ W^T``, into `out`."""
    np.matmul(dZ, W.T, out=out)


def affine_backward_weights(X, rows, dZ, workspace, dW, db):
    """Write the gradients of the parameters of an affine map: ``X[rows]^T dZ`` and its bias."""
    np.matmul(X[rows].T, dZ, out=dW)
    np.sum(dZ, axis=0, out=db)


def affine_backward_sgd(X, rows, dZ, learning_rate, l2, workspace, W, b):
    """Take one SGD step on the parameters of an affine map, in place.

    ``W <- W - learning_rate (X[rows]^T dZ + l2 W)`` and ``b <- b - learning_rate sum(dZ)``.
    """
    sgd_update(W, X[rows].T @ dZ, learning_rate, l2)
    sgd_update(b, dZ.sum(axis=0), learning_rate, 0.0)


def relu_backward(A, dA):
    """Zero, in place, the gradient `dA` wherever the activation `A` is not positive."""
    dA[A <= 0] = 0


def softmax_gradient(S, y):
    """Replace the scores `S` by the gradient of the mean cross-entropy; return the summed loss.

    ``S <- (softmax(S) - onehot(y)) / n``. The loss of a row is ``log(sum(exp(S))) - S[y]``, both
    taken after its maximum is subtracted, so that nothing overflows.
    """
    each_row = np.arange(len(S))
    S -= S.max(axis=1, keepdims=True)
    right_scores = S[each_row, y].copy()
    np.exp(S, out=S)
    totals = S.sum(axis=1, keepdims=True)
    loss = float(np.sum(np.log(totals[:, 0]) - right_scores))
    S /= totals
    S[each_row, y] -= 1
    S /= len(S)
    return loss


# ------------------------------------------------------------------------------------------- heads


def logistic_gradient(S, Y, weights, table):
    """Replace the scores `S` by the gradient of the mean cross-entropy; return the summed loss."""
    return _weighted("logistic", S, Y, weights)


def squared_error_gradient(S, Y, weights, table):
    """Replace the scores `S` by the gradient of half the squared error; return the summed loss."""
    return _weighted("identity", S, Y, weights)


def poisson_gradient(S, Y, weights, table):
    """Replace the scores by the gradient of half the Poisson deviance; return the summed loss."""
    return _weighted("exponential", S, Y, weights)


def _weighted(head, S, Y, weights):
    loss, gradient = losses(head, S, Y)
    S[...] = weights[:, None] * gradient / S.dtype.type(len(S))
    return float(np.sum(loss * weights, dtype=np.float64))


# ------------------------------------------------------------------------------------------ updates


def sgd_update(W, dW, learning_rate, l2):
    """Step down the gradient, in place: ``W <- W - learning_rate (dW + l2 W)``."""
    RULES["sgd"].step(W, penalised(W, dW, l2), [], Numbers(learning_rate))


def momentum_update(W, dW, learning_rate, l2, momentum, nesterov, velocity):
    """Step with momentum, in place; Nesterov's looks ahead."""
    rule = RULES["nesterov" if nesterov else "momentum"]
    rule.step(W, penalised(W, dW, l2), [velocity], Numbers(learning_rate, beta_1=momentum))


def adam_update(W, dW, learning_rate, l2, weight_decay, betas, epsilon, step, moments):
    """Step number `step`, from 1 on, with Adam, in place; AdamW where weights decay."""
    beta_1, beta_2 = betas
    rate = learning_rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    numbers = Numbers(rate, 1 - learning_rate * weight_decay, beta_1, beta_2, epsilon)
    RULES["adam"].step(W, penalised(W, dW, l2), list(moments), numbers)


# ----------------------------------------------------------------------------------------- dropout


def dropout(A, rate, key):
    """Zero each element of `A` with a chance of `rate`, in place; scale the others up."""
    A *= dropout_mask(key, A.shape, rate).astype(A.dtype)


def dropout_mask(key, shape, rate):
    """Return 0 with a chance of `rate`, else ``1 / (1 - rate)``, for each row and column.

    The bits of row i and column j are a hash of the key, i and j: a row's counter is mixed as
    SplitMix64 does, its lower half and the column's as Wellons' "lowbias32" does.
    """
    with np.errstate(over="ignore"):
        row = np.arange(1, shape[0] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        row += np.uint64(int(key) % 2**64)
        row ^= row >> np.uint64(30)
        row *= np.uint64(0xBF58476D1CE4E5B9)
        row ^= row >> np.uint64(27)
        row *= np.uint64(0x94D049BB133111EB)
        row ^= row >> np.uint64(31)
        bits = np.arange(shape[1], dtype=np.uint32) * np.uint32(0x9E3779B9)
        bits = row.astype(np.uint32)[:, None] + bits
        bits ^= bits >> np.uint32(16)
        bits *= np.uint32(0x7FEB352D)
        bits ^= bits >> np.uint32(15)
        bits *= np.uint32(0x846CA68B)
        bits ^= bits >> np.uint32(16)
    return np.where(bits >= np.uint64(int(rate * 2**32)), 1 / (1 - rate), 0.0)


# ----------------------------------------------------------------------------------- sparse input


def count_nonzeros(X):
    """Count the elements of `X` that are not 0."""
    return int(np.count_nonzero(X))


def compress_rows(X, indptr, indices, values):
    """Write the elements of `X` that are not 0, row by row, and where they are: its CSR form.

    The last place of `indices` and of `values` is not for them, and becomes 0.
    """
    rows, columns = np.nonzero(X)
    places = min(len(rows), len(indices) - 1)
    indptr[0] = 0
    indptr[1:] = np.minimum(np.cumsum(np.count_nonzero(X, axis=1)), places)
    indices[:places], values[:places] = columns[:places], X[rows, columns][:places]
    indices[places] = values[places] = 0


def csr_affine(X, rows, W, b, relu, positions, padded, out):
    """Write ``X[rows] W + b``, through ReLU if asked, into `out`, for X in CSR form.

    X is ``(indptr, indices, values)``: the non-zeros of row i, ``values[indptr[i]:indptr[i + 1]]``,
    are in the columns ``indices[indptr[i]:indptr[i + 1]]``.
    """
    indptr, indices, values = X
    for i, row in enumerate(rows):
        stored = slice(indptr[row], indptr[row + 1])
        out[i] = values[stored] @ W[indices[stored]] + b
    if relu:
        np.maximum(out, 0, out=out)


def csr_affine_backward_weights(X, rows, dZ, positions, padded, dW, db):
    """Write the gradients of the parameters of :func:`csr_affine`: ``X[rows]^T dZ``, its bias."""
    indptr, indices, values = X
    dW[...] = 0
    for i, row in enumerate(rows):
        stored = slice(indptr[row], indptr[row + 1])
        np.add.at(dW, indices[stored], np.outer(values[stored], dZ[i]))
    np.sum(dZ, axis=0, out=db)


# ------------------------------------------------------------------------------------ activations


def activation(Z, code, D):
    """Replace each z of `Z` by f(z), and write f'(z) into `D` where it has room.

    f is the activation in that place of :data:`.activations.ACTIVATIONS`.
    """
    f, derivative = list(ACTIVATIONS.values())[code]
    A = f(Z)
    if D.size > 0:
        D[...] = derivative(Z, A)
    Z[...] = A
