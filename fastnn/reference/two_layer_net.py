"""CS231n's two-layer network in plain NumPy, as the textbook writes it."""

import numpy as np

from .kernels import relu_backward, sgd_update, softmax_gradient


def forward(X, params):
    """Return the hidden activations (n, H) and the scores (n, C)."""
    hidden = np.maximum(X @ params["W1"] + params["b1"], 0)
    return hidden, hidden @ params["W2"] + params["b2"]


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
