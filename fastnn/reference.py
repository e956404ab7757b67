"""The pure NumPy twin: what every kernel computes, written as the textbook writes it.

This file is the specification. Each kernel in :mod:`fastnn.kernels` is tested and benchmarked
against the function of the same name here, and ``TwoLayerNet`` against the class below. With
``NUMBA_DISABLE_JIT=1`` the package itself runs on these functions, so that a debugger can walk
through a training run line by line.

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


# ------------------------------------------------------------------------------- the whole network


def forward(X, params):
    """Return the hidden activations (n, H) and the scores (n, C)."""
    hidden = np.maximum(X @ params["W1"] + params["b1"], 0)
    return hidden, hidden @ params["W2"] + params["b2"]


def scores(X, layers):
    """Return the scores of a network of any depth, `layers` being its (W, b) in order."""
    for depth, (W, b) in enumerate(layers):
        X = X @ W + b
        if depth + 1 < len(layers):
            np.maximum(X, 0, out=X)
    return X


def loss_and_gradients(X, y, params, reg=0.0, reg_factor=0.5):
    """Return the loss of CS231n's two-layer network and its gradient by each parameter.

    ``loss = mean(cross-entropy) + reg_factor * reg * (sum(W1^2) + sum(W2^2))``.
    """
    W1, W2 = params["W1"], params["W2"]
    hidden, S = forward(X, params)
    loss = softmax_gradient(S, y) / len(X)
    loss += reg_factor * reg * float(np.sum(W1 * W1) + np.sum(W2 * W2))

    l2 = 2 * reg_factor * reg
    grads = {"W2": hidden.T @ S + l2 * W2, "b2": S.sum(axis=0)}
    dhidden = S @ W2.T
    relu_backward(hidden, dhidden)
    grads["W1"] = X.T @ dhidden + l2 * W1
    grads["b1"] = dhidden.sum(axis=0)
    return loss, grads


class TwoLayerNet:
    """CS231n's two-layer network in plain NumPy: affine, ReLU, affine, softmax.

    The signature and the numbers are those of :class:`fastnn.TwoLayerNet`, whose documentation
    explains them; this one draws from NumPy's global generator only.
    """

    def __init__(
        self, input_size, hidden_size, output_size, std=1e-4, *, dtype=np.float64, reg_factor=0.5
    ):
        self.reg_factor = reg_factor
        self.params = {
            "W1": (std * np.random.randn(input_size, hidden_size)).astype(dtype),
            "b1": np.zeros(hidden_size, dtype),
            "W2": (std * np.random.randn(hidden_size, output_size)).astype(dtype),
            "b2": np.zeros(output_size, dtype),
        }

    def loss(self, X, y=None, reg=0.0):
        """Return the scores (n, C) where `y` is None, else the loss and its gradients."""
        if y is None:
            return forward(X, self.params)[1]
        return loss_and_gradients(X, y, self.params, reg, self.reg_factor)

    def train(
        self,
        X,
        y,
        X_val,
        y_val,
        learning_rate=1e-3,
        learning_rate_decay=0.95,
        reg=5e-6,
        num_iters=100,
        batch_size=200,
        verbose=False,
    ):
        """Train by stochastic gradient descent; return the history of losses and accuracies."""
        num_train = len(X)
        iterations_per_epoch = max(num_train // batch_size, 1)
        history = {"loss_history": [], "train_acc_history": [], "val_acc_history": []}
        for it in range(num_iters):
            rows = np.random.choice(num_train, batch_size)
            X_batch, y_batch = X[rows], y[rows]
            loss, grads = self.loss(X_batch, y_batch, reg)
            history["loss_history"].append(loss)
            for name, gradient in grads.items():
                sgd_update(self.params[name], gradient, learning_rate, 0.0)
            if verbose and it % 100 == 0:
                print(f"iteration {it} / {num_iters}: loss {loss:f}")
            if it % iterations_per_epoch == 0:
                history["train_acc_history"].append((self.predict(X_batch) == y_batch).mean())
                history["val_acc_history"].append((self.predict(X_val) == y_val).mean())
                learning_rate *= learning_rate_decay
        return history

    def predict(self, X):
        """Return the class with the highest score for each row."""
        return np.argmax(self.loss(X), axis=1)


class TrainingLoop:
    """The twin of the compiled loop, for debugging: any depth, one step after the other."""

    threads = 1

    def __init__(self, layers, data, plan, steps_per_epoch):
        from .training import Items

        self.layers, self.data, self.plan = layers, data, plan
        self.steps_per_epoch = steps_per_epoch
        self.items = Items(plan.num_iters, steps_per_epoch, val_blocks=1)

    def run(self, history, first, stop, first_step, rows, rates):
        """Do the items of work first..stop, see :class:`fastnn.training.Items`."""
        X, y, X_val, y_val = self.data
        losses, train_correct, val_correct = history
        for item in range(first, stop):
            epoch, position = divmod(item, self.items.per_epoch)
            if position == 1:
                val_correct[epoch] = np.sum(scores(X_val, self.layers).argmax(axis=1) == y_val)
                continue
            step = self.items.steps_before(item)
            batch = rows[step - first_step]
            with np.errstate(over="ignore", invalid="ignore"):  # the loss tells
                losses[step] = self.step(X[batch], y[batch], rates[step - first_step])
            if position == 0:
                right = scores(X[batch], self.layers).argmax(axis=1) == y[batch]
                train_correct[epoch] = np.sum(right)

    def step(self, X, y, learning_rate):
        """Update all layers by one batch; return the loss before the update."""
        squares = sum(float(np.sum(W * W)) for W, _ in self.layers)
        inputs = [X]
        for W, b in self.layers[:-1]:
            inputs.append(np.maximum(inputs[-1] @ W + b, 0))
        W, b = self.layers[-1]
        dZ = inputs[-1] @ W + b
        loss = softmax_gradient(dZ, y) / len(X) + self.plan.penalty * squares
        for depth in range(len(self.layers) - 1, -1, -1):
            W, b = self.layers[depth]
            dX = dZ @ W.T
            sgd_update(W, inputs[depth].T @ dZ, learning_rate, self.plan.l2)
            sgd_update(b, dZ.sum(axis=0), learning_rate, 0.0)
            if depth > 0:
                relu_backward(inputs[depth], dX)
            dZ = dX
        return loss

    def store(self):
        """Do nothing: the layers are updated in place."""


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


def _activation_and_derivative(Z, code):
    """Return f(Z) and f'(Z), for the codes that :func:`activation` explains."""
    real, L, complement = Z.dtype.type, np.empty_like(Z), np.empty_like(Z)
    logistic(Z, L)
    logistic(-Z, complement)
    # Infinity times 0 would be NaN, where the limit of the product is 0.
    bounded = np.clip(Z, -1000, 1000)
    Phi = np.empty_like(Z)
    erf(bounded / real(math.sqrt(2)), Phi)
    Phi = (1 + Phi) / 2
    density = np.exp(-(bounded**2) / 2) / real(math.sqrt(2 * math.pi))
    A = np.tanh(Z)
    ramp, leaky_ramp = (np.where(Z <= 0, real(slope), real(1)) for slope in (0, 0.01))
    return [
        (Z, np.ones_like(Z)),
        (np.maximum(Z, 0), ramp),
        (leaky_ramp * Z, leaky_ramp),
        (A, 1 - A * A),
        (L, L * complement),
        (np.maximum(Z, -1000) * L, L * (1 + bounded * complement)),
        (np.maximum(Z, -1000) * Phi, Phi + bounded * density),
    ][code]


def activation(Z, code, D):
    """Replace each z of `Z` by f(z), and write f'(z) into `D` where it has room.

    The codes: 0 for z, 1 for max(z, 0), 2 for z or 0.01 z, 3 for tanh(z), 4 for L(z), 5 for z L(z)
    and 6 for z Phi(z), where L is the logistic function and Phi the normal distribution's.
    """
    A, derivative = _activation_and_derivative(Z, code)
    if D.size > 0:
        D[...] = derivative
    Z[...] = A
