"""A network of any depth in plain NumPy: scores, and gradients on the way back."""

from .activations import ACTIVATIONS


def forward(architecture, layers, X, mask=None):
    """Return the scores, and each layer's input and derivative for the way back.

    ``mask(depth, shape)`` returns the factors of the dropout behind a layer.
    """
    inputs, derivatives = [X], []
    for depth, (W, b) in enumerate(layers):
        Z = inputs[-1] @ W + b
        if depth + 1 == len(layers):
            return Z, inputs, derivatives
        activate, derive = ACTIVATIONS[architecture.activations[depth]]
        A = activate(Z)
        derivative = derive(Z, A)
        if mask is not None:
            factors = mask(depth, A.shape).astype(A.dtype)
            A, derivative = A * factors, derivative * factors
        inputs.append(A)
        derivatives.append(derivative)
    raise ValueError("a network needs a layer")


def scores(activations, layers, X):
    """Return the scores of some rows, or of a single one, X of shape (D,)."""
    for depth, (W, b) in enumerate(layers):
        X = X.dot(W)
        X += b
        if depth < len(activations):
            X = ACTIVATIONS[activations[depth]][0](X)
    return X


def gradients(layers, inputs, derivatives, dZ):
    """Return each layer's (dW, db), by the gradient of the scores."""
    grads = []
    for depth in range(len(layers) - 1, -1, -1):
        grads.insert(0, (inputs[depth].T @ dZ, dZ.sum(axis=0)))
        if depth > 0:
            dZ = (dZ @ layers[depth][0].T) * derivatives[depth - 1]
    return grads
