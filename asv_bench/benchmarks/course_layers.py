"""The course's network as its notebooks compute it: from layers, each with its own way back.

There a layer is a pair of functions. The one back returns the gradient by the layer's input, whose
check is a part of the exercise, beside those by its parameters; and the network calls it for the
first layer too, whose input are the images. That is half as much arithmetic again in a network of
two layers, which nobody reads and which :mod:`fastnn.reference.cs231n` therefore leaves out.
"""

import numpy as np

from fastnn.reference import cs231n
from fastnn.reference.cs231n import Solver

__all__ = ["FullyConnectedNet", "Solver"]


def affine_forward(x, W, b):
    """Return the outputs of an affine layer, and what its way back needs."""
    return x.reshape(len(x), -1) @ W + b, (x, W)


def affine_backward(dout, cache):
    """Return the gradients by an affine layer's input, weights and biases."""
    x, W = cache
    rows = x.reshape(len(x), -1)
    return (dout @ W.T).reshape(x.shape), rows.T @ dout, dout.sum(axis=0)


def relu_forward(x):
    """Return what the ReLU lets pass, and what its way back needs."""
    return np.maximum(x, 0), x


def relu_backward(dout, x):
    """Return the gradient by the input of a ReLU."""
    return dout * (x > 0)


def softmax_loss(scores, y):
    """Return the mean cross-entropy of rows, and its gradient by their scores."""
    rows = np.arange(len(y))
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    dscores = np.exp(log_probabilities)
    dscores[rows, y] -= 1
    return -log_probabilities[rows, y].mean(), dscores / len(y)


class FullyConnectedNet(cs231n.FullyConnectedNet):
    """The twin with the same parameters and numbers, computed layer by layer."""

    def loss(self, X, y=None):
        """Return the scores (n, C) where `y` is None, else the loss and its gradients."""
        out, caches = X.astype(self.dtype), []
        for depth in range(1, self.depth + 1):
            out, cache = affine_forward(out, self.params[f"W{depth}"], self.params[f"b{depth}"])
            inputs = None
            if depth < self.depth:
                out, inputs = relu_forward(out)
            caches.append((cache, inputs))
        if y is None:
            return out
        loss, dout = softmax_loss(out, y)
        grads = {}
        for depth in range(self.depth, 0, -1):
            cache, inputs = caches[depth - 1]
            if inputs is not None:
                dout = relu_backward(dout, inputs)
            W = self.params[f"W{depth}"]
            dout, dW, grads[f"b{depth}"] = affine_backward(dout, cache)
            grads[f"W{depth}"] = dW + self.reg * W
            loss += 0.5 * self.reg * np.sum(W * W)
        return loss, grads
