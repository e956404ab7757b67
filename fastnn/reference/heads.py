"""The output heads in plain NumPy: predictions, losses and their gradients."""

import numpy as np

from .elementary import logistic


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


def losses(head, S, y, label_smoothing=0.0, clipped=False):
    """Return the loss of each row, and the gradient of it by the row's scores.

    Where losses are clipped, the probability of a class counts as no less than the dtype's epsilon,
    and as no more than 1 less epsilon; but not towards smoothed labels.
    """
    P = predictions(head, S)
    epsilon = np.finfo(S.dtype).eps
    bounded = np.clip(P, epsilon, 1 - epsilon)
    if head == "softmax":
        T = np.full_like(S, label_smoothing / S.shape[1])
        T[np.arange(len(S)), y] += 1 - label_smoothing
        D = S - S.max(axis=1, keepdims=True)
        loss = np.log(np.exp(D).sum(axis=1)) - (T * D).sum(axis=1)
        if clipped and not label_smoothing:
            loss = -np.log(bounded[np.arange(len(S)), y])
        return loss, P - T
    if head == "logistic" and clipped:
        loss = -np.log(np.where(y > 0.5, bounded, 1 - bounded))
    elif head == "logistic":
        loss = np.maximum(S, 0) - S * y + np.log1p(np.exp(-np.abs(S)))
    elif head == "identity":
        loss = (S - y) ** 2 / 2
    else:
        own = y * (np.log(np.where(y > 0, y, 1)) - 1)
        loss = P - y * S + own
    return loss.sum(axis=1), P - y
