"""A network of any depth, its activations, heads and gradients, in plain NumPy."""

import numpy as np

from .kernels import ACTIVATIONS, logistic


def predictions(head, S):
    """Return what a head makes of the scores (n, outputs)."""
    if head == "softmax":
        E = np.exp(S - S.max(axis=-1, keepdims=True))
        return E / E.sum(axis=-1, keepdims=True)
    if head == "logistic":
        P = np.empty_like(S)
        logistic(S, P)
        return P
    return np.exp(S) if head == "exponential" else S


def losses(head, S, y, label_smoothing=0.0):
    """Return the loss of each row, and the gradient of it by the row's scores."""
    P = predictions(head, S)
    if head == "softmax":
        T = np.full_like(S, label_smoothing / S.shape[1])
        T[np.arange(len(S)), y] += 1 - label_smoothing
        D = S - S.max(axis=1, keepdims=True)
        loss = np.log(np.exp(D).sum(axis=1)) - (T * D).sum(axis=1)
        return loss, P - T
    if head == "logistic":
        loss = np.maximum(S, 0) - S * y + np.log1p(np.exp(-np.abs(S)))
    elif head == "identity":
        loss = (S - y) ** 2 / 2
    else:
        own = y * (np.log(np.where(y > 0, y, 1)) - 1)
        loss = P - y * S + own
    return loss.sum(axis=1), P - y


def forward(architecture, layers, X, mask=None):
    """Return the scores, and each layer's input and derivative for the way back.

    ``mask(depth, shape)`` returns the factors of the dropout behind a layer.
    """
    inputs, derivatives = [X], []
    for depth, (W, b) in enumerate(layers):
        Z = inputs[-1] @ W + b
        if depth + 1 == len(layers):
            return Z, inputs, derivatives
        activate, derive = ACTIVATIONS[architecture.activation]
        A = activate(Z)
        derivative = derive(Z, A)
        if mask is not None:
            factors = mask(depth, A.shape).astype(A.dtype)
            A, derivative = A * factors, derivative * factors
        inputs.append(A)
        derivatives.append(derivative)
    raise ValueError("a network needs a layer")


def scores(activation, layers, X):
    """Return the scores of some rows, or of a single one, X of shape (D,)."""
    (activate, _), last = ACTIVATIONS[activation], len(layers) - 1
    for depth, (W, b) in enumerate(layers):
        X = X.dot(W)
        X += b
        if depth < last:
            X = activate(X)
    return X


def gradients(layers, inputs, derivatives, dZ):
    """Return each layer's (dW, db), by the gradient of the scores."""
    grads = []
    for depth in range(len(layers) - 1, -1, -1):
        grads.insert(0, (inputs[depth].T @ dZ, dZ.sum(axis=0)))
        if depth > 0:
            dZ = (dZ @ layers[depth][0].T) * derivatives[depth - 1]
    return grads
