"""The course's fully-connected networks in plain NumPy: a loss with its gradients, and params."""

import itertools

import numpy as np

from ...jobs import Architecture
from ..kernels import softmax_gradient
from ..network import forward, gradients, scores


class Dropout:
    """The course's dropout behind each hidden layer: it draws from NumPy's global generator.

    Parameters
    ----------
    keep : float
        Chance to keep an activation.
    seed : int, optional
        The generator is seeded with it before each layer, also where nothing is dropped: as the
        course has it, for its gradient checks.
    """

    def __init__(self, keep, seed=None):
        self.keep, self.seed = keep, seed

    def mask(self, depth, shape):
        """Return the factors on the activations of a layer."""
        self.skip()
        return (np.random.rand(*shape) < self.keep) / self.keep

    def skip(self):
        """Let activations pass, as in test mode."""
        if self.seed is not None:
            np.random.seed(self.seed)


def loss_and_gradients(layers, X, y, reg, dropout=None):
    """Return the loss of a fully-connected network with ReLUs, and its gradient by each layer.

    ``loss = mean(cross-entropy) + reg / 2 sum(W^2)``, over all weights; the gradients are a list of
    (dW, db).
    """
    sizes = (len(layers[0][0]), *(len(b) for _, b in layers))
    mask = None if dropout is None else dropout.mask
    S, inputs, derivatives = forward(Architecture(sizes), layers, X, mask)
    loss = softmax_gradient(S, y) / len(X)
    grads = gradients(layers, inputs, derivatives, S)
    for (W, _), (dW, _) in zip(layers, grads):
        loss += 0.5 * reg * float(np.sum(W * W))
        dW += reg * W
    return loss, grads


class FullyConnectedNet:
    """The course's network of any depth, as it is from 2020 on.

    The signature and the numbers are those of :class:`fastnn.cs231n.FullyConnectedNet`, whose
    documentation explains them.
    """

    def __init__(
        self,
        hidden_dims,
        input_dim=3 * 32 * 32,
        num_classes=10,
        dropout_keep_ratio=1,
        reg=0.0,
        weight_scale=1e-2,
        dtype=np.float32,
        seed=None,
    ):
        self.reg, self.dtype = reg, dtype
        self.dropout = None if dropout_keep_ratio == 1 else Dropout(dropout_keep_ratio, seed)
        sizes = [input_dim, *hidden_dims, num_classes]
        self.depth, self.params = len(sizes) - 1, {}
        for i, (K, N) in enumerate(itertools.pairwise(sizes), 1):
            self.params[f"W{i}"] = (weight_scale * np.random.randn(K, N)).astype(dtype)
            self.params[f"b{i}"] = np.zeros(N, dtype)

    def loss(self, X, y=None):
        """Return the scores (n, C) where `y` is None, else the loss and its gradients."""
        X = X.reshape(len(X), -1).astype(self.dtype, copy=False)
        numbers = range(1, self.depth + 1)
        layers = [(self.params[f"W{i}"], self.params[f"b{i}"]) for i in numbers]
        if y is None:
            for _ in layers[1:] if self.dropout is not None else ():
                self.dropout.skip()
            return scores(("relu",) * (len(layers) - 1), layers, X)
        loss, grads = loss_and_gradients(layers, X, y, self.reg, self.dropout)
        named = {}
        for i, (dW, db) in zip(numbers, grads):
            named |= {f"W{i}": dW, f"b{i}": db}
        return loss, named


class TwoLayerNet(FullyConnectedNet):
    """The course's network of one hidden layer, as it is from 2016 on beside a Solver."""

    def __init__(
        self, input_dim=3 * 32 * 32, hidden_dim=100, num_classes=10, weight_scale=1e-3, reg=0.0
    ):
        super().__init__(
            [hidden_dim],
            input_dim,
            num_classes,
            reg=reg,
            weight_scale=weight_scale,
            dtype=np.float64,
        )
