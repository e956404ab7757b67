"""The twin of each kernel in :mod:`fastnn.kernels`: same name, same arguments, plain NumPy.

Shapes as in the field: ``n`` rows in the batch, ``D`` inputs, ``H`` hidden units, ``C`` classes.
"""

import math

import numpy as np

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


def sgd_update(W, dW, learning_rate, l2):
    """Step down the gradient, in place: ``W <- W - learning_rate (dW + l2 W)``."""
    W -= W.dtype.type(learning_rate) * (dW + W.dtype.type(l2) * W)


def momentum_update(W, dW, learning_rate, l2, momentum, nesterov, velocity):
    """Step with momentum, in place; Nesterov's looks ahead."""
    real = W.dtype.type
    g = dW + real(l2) * W
    velocity *= real(momentum)
    velocity -= real(learning_rate) * g
    W += real(momentum) * velocity - real(learning_rate) * g if nesterov else velocity


def adam_update(W, dW, learning_rate, l2, weight_decay, betas, epsilon, step, moments):
    """Step number `step`, from 1 on, with Adam, in place; AdamW where weights decay."""
    real, (beta_1, beta_2), (m, v) = W.dtype.type, betas, moments
    rate = learning_rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    g = dW + real(l2) * W
    m *= real(beta_1)
    m += real(1 - beta_1) * g
    v *= real(beta_2)
    v += real(1 - beta_2) * g * g
    W *= real(1 - learning_rate * weight_decay)
    W -= real(rate) * m / (np.sqrt(v) + real(epsilon))


# ------------------------------------------------------------------------------------------- heads


def _head_gradient(P, losses, S, Y, weights):
    S[...] = weights[:, None] * (P - Y) / S.dtype.type(len(S))
    return float(np.sum(losses * weights[:, None], dtype=np.float64))


def logistic_gradient(S, Y, weights, table):
    """Replace the scores `S` by the gradient of the mean cross-entropy; return the summed loss."""
    losses = np.maximum(S, 0) - S * Y + np.log1p(np.exp(-np.abs(S)))
    return _head_gradient(_logistic(S), losses, S, Y, weights)


def squared_error_gradient(S, Y, weights, table):
    """Replace the scores `S` by the gradient of half the squared error; return the summed loss."""
    return _head_gradient(S, (S - Y) ** 2 / 2, S, Y, weights)


def poisson_gradient(S, Y, weights, table):
    """Replace the scores by the gradient of half the Poisson deviance; return the summed loss."""
    mean = np.exp(S)
    own = Y * (np.log(np.where(Y > 0, Y, 1)) - 1)
    return _head_gradient(mean, mean - Y * S + own, S, Y, weights)


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


# ------------------------------------------------------------------------- functions of an element


def exp(X, out):
    """Write the exponential of each element of `X` into `out`."""
    with np.errstate(over="ignore", under="ignore"):
        np.exp(X, out=out)


def log(X, out):
    """Write the natural logarithm of each element of `X` into `out`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        np.log(X, out=out)


def tanh(X, out):
    """Write the hyperbolic tangent of each element of `X` into `out`."""
    np.tanh(X, out=out)


def logistic(X, out):
    """Write ``1 / (1 + exp(-x))`` for each element of `X` into `out`; nothing overflows."""
    with np.errstate(under="ignore"):
        z = np.exp(-abs(X))
        np.divide(np.where(X >= 0, 1, z), 1 + z, out=out)


def erf(X, out):
    """Write the error function of each element of `X` into `out`."""
    out[...] = np.vectorize(math.erf, otypes=[X.dtype])(X)


# ----------------------------------------------------------------------------------- sparse input


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

    The codes: 0 for z, 1 for max(z, 0), 2 for z or 0.01 z, 3 for tanh(z), 4 for L(z), 5 for z L(z)
    and 6 for z Phi(z), where L is the logistic function and Phi the normal distribution's.
    """
    f, derivative = list(ACTIVATIONS.values())[code]
    A = f(Z)
    if D.size > 0:
        D[...] = derivative(Z, A)
    Z[...] = A


def _logistic(Z):
    out = np.empty_like(Z)
    logistic(Z, out)
    return out


def _normal(Z):
    """Return the standard normal distribution function."""
    out = np.empty_like(Z)
    erf(Z / Z.dtype.type(math.sqrt(2)), out)
    return (1 + out) / 2


def _bounded(Z):
    """Return Z without infinities: times 0 they would be NaN, where the product's limit is 0."""
    return np.clip(Z, -1000, 1000)


def _slope(Z, left):
    return np.where(Z <= 0, Z.dtype.type(left), Z.dtype.type(1))


def _gelu_derivative(Z, A):
    Z = _bounded(Z)
    return _normal(Z) + Z * np.exp(-Z * Z / 2) / Z.dtype.type(math.sqrt(2 * math.pi))


#: What hidden layers may compute, and its derivative by Z and A = f(Z), in the order of the codes.
ACTIVATIONS = {
    "identity": (lambda Z: Z, lambda Z, A: np.ones_like(Z)),
    "relu": (lambda Z: np.maximum(Z, 0), lambda Z, A: _slope(Z, 0)),
    "leaky_relu": (lambda Z: Z * _slope(Z, 0.01), lambda Z, A: _slope(Z, 0.01)),
    "tanh": (np.tanh, lambda Z, A: 1 - A * A),
    "logistic": (_logistic, lambda Z, A: A * _logistic(-Z)),
    "silu": (
        lambda Z: np.maximum(Z, -1000) * _logistic(Z),
        lambda Z, A: _logistic(Z) * (1 + _bounded(Z) * _logistic(-Z)),
    ),
    "gelu": (lambda Z: np.maximum(Z, -1000) * _normal(Z), _gelu_derivative),
}
