"""The twin of the compiled loop: any network, any optimiser, one step after the other.

It does the same items of work as :class:`fastnn.engine.CompiledLoop`, and is what runs with
``NUMBA_DISABLE_JIT=1``.
"""

import math

import numpy as np

from .engine import BLOCK, EVALUATED_STEP, Sparse

LEAKY_SLOPE = 0.01
_erf = np.vectorize(math.erf, otypes=[float])


def logistic(Z):
    """Return ``1 / (1 + exp(-Z))`` without overflow."""
    small = np.exp(-np.abs(Z))
    return np.where(Z >= 0, 1, small) / (1 + small)


def _normal(Z):
    """Return the standard normal distribution function."""
    return ((1 + _erf(Z / math.sqrt(2))) / 2).astype(Z.dtype)


def _leaky_slope(Z):
    return np.where(Z > 0, Z.dtype.type(1), Z.dtype.type(LEAKY_SLOPE))


def _silu_derivative(Z, A):
    L = logistic(Z)
    return L * (1 + Z * (1 - L))


def _gelu_derivative(Z, A):
    return _normal(Z) + Z * np.exp(-Z * Z / 2) / Z.dtype.type(math.sqrt(2 * math.pi))


#: What a hidden layer makes of Z = X W + b.
ACTIVATIONS = {
    "identity": lambda Z: Z,
    "relu": lambda Z: np.maximum(Z, 0),
    "leaky_relu": lambda Z: Z * _leaky_slope(Z),
    "tanh": np.tanh,
    "logistic": logistic,
    "silu": lambda Z: Z * logistic(Z),
    "gelu": lambda Z: Z * _normal(Z),
}
#: The derivatives, by Z and A = activation(Z).
DERIVATIVES = {
    "identity": lambda Z, A: np.ones_like(Z),
    "relu": lambda Z, A: (Z > 0).astype(Z.dtype),
    "leaky_relu": lambda Z, A: _leaky_slope(Z),
    "tanh": lambda Z, A: 1 - A * A,
    "logistic": lambda Z, A: A * (1 - A),
    "silu": _silu_derivative,
    "gelu": _gelu_derivative,
}


def predictions(head, S):
    """Return what a head makes of the scores (n, outputs)."""
    if head == "softmax":
        E = np.exp(S - S.max(axis=-1, keepdims=True))
        return E / E.sum(axis=-1, keepdims=True)
    if head == "logistic":
        return logistic(S)
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
        A = ACTIVATIONS[architecture.activation](Z)
        derivative = DERIVATIVES[architecture.activation](Z, A)
        if mask is not None:
            factors = mask(depth, A.shape).astype(A.dtype)
            A, derivative = A * factors, derivative * factors
        inputs.append(A)
        derivatives.append(derivative)
    raise ValueError("a network needs a layer")


def scores(architecture, layers, X):
    """Return the scores of some rows, or of a single one, X of shape (D,)."""
    activate, last = ACTIVATIONS[architecture.activation], len(layers) - 1
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


def dropout_mask(key, shape, rate):
    """Return 0 with a chance of `rate`, else ``1 / (1 - rate)``, for each row and column.

    See :mod:`fastnn.kernels.dropout` for the two mixing functions.
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


class Optimizer:
    """One array's memory of its gradients, and its steps; the formulas of kernels.update."""

    def __init__(self, settings, weights):
        self.settings = settings
        self.m, self.v = np.zeros_like(weights), np.zeros_like(weights)

    def step(self, W, g, rate, decay):
        """Update W in place."""
        s = self.settings
        if s.optimizer == "sgd":
            W -= rate * g
        elif s.optimizer == "adam":
            self.m = s.beta_1 * self.m + (1 - s.beta_1) * g
            self.v = s.beta_2 * self.v + (1 - s.beta_2) * g * g
            W *= decay
            W -= rate * self.m / (np.sqrt(self.v) + s.epsilon)
        else:
            self.m = s.beta_1 * self.m - rate * g
            W += s.beta_1 * self.m - rate * g if s.optimizer == "nesterov" else self.m


class TrainingLoop:
    """The twin of :class:`fastnn.engine.CompiledLoop`: the same arguments, items and records."""

    threads = 1

    def __init__(
        self,
        architecture,
        layers,
        settings,
        train,
        val=None,
        *,
        batch_sizes=(),
        block_size=0,
        evaluate_batch=False,
        output_head=None,
        scaling=None,
        threads=None,
    ):
        self.architecture, self.layers, self.settings = architecture, layers, settings
        self.data, self.scaling, self.output_head = (train, val), scaling, output_head
        self.dtype = layers[0][0].dtype
        self.optimizers = [[Optimizer(settings, part) for part in layer] for layer in layers]
        self.kept = [[np.zeros_like(part) for part in layer] for layer in layers]
        n_val = 0 if val is None else len(val)
        self.predicted = np.zeros(n_val, np.int64)
        self.outputs = np.empty((n_val, architecture.layer_sizes[-1]), self.dtype)

    def rows(self, source, chosen):
        """Return X, y and the weights of some rows."""
        X, y, weights = source
        if isinstance(X, Sparse):
            X = X.toarray(chosen)
        elif X.dtype == np.uint8:
            X = (X[chosen] * self.scaling.factor + self.scaling.summand).astype(self.dtype)
        else:
            X = X[chosen]
        y = None if y is None else y[chosen]
        return X, y, np.ones(len(X), self.dtype) if weights is None else weights[chosen]

    def run(self, items, records):
        """Do some items of work."""
        self.done = False
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the loss tells
            for kind, *item in zip(items.kinds, *items[1:9]):
                begin, count, step, epoch, key, rate, decay, divisor = item
                place = slice(begin, begin + count)
                if kind == BLOCK:
                    self.evaluate(place, epoch, records)
                    continue
                chosen = place if items.listed is None else items.listed[place]
                X, y, weights = self.rows(self.data[0], chosen)
                records.losses[step] = self.step(X, y, weights, key, rate, decay, divisor)
                if kind == EVALUATED_STEP:
                    records.train_correct[epoch] = np.sum(self.correct(X, y))
        self.done = True

    def finished(self):
        """Tell whether the items of the latest run are all done; some may be where it is cut."""
        return self.done

    def scores(self, X):
        """Return the scores of some rows."""
        return scores(self.architecture, self.layers, X)

    def correct(self, X, y):
        """Return which rows are predicted right; none of a regression."""
        S = self.scores(X)
        if self.architecture.head == "softmax":
            return S.argmax(axis=1) == y
        if self.architecture.head == "logistic":
            return ((S > 0) == (y > 0.5)).all(axis=1)
        return np.zeros(len(S), bool)

    def evaluate(self, place, epoch, records):
        """Predict, or evaluate, some rows of the validation set."""
        X, y, _ = self.rows(self.data[1], place)
        S = self.scores(X)
        if self.output_head is not None:
            self.outputs[place] = predictions(self.output_head, S)
            return
        self.predicted[place] = S.argmax(axis=1)
        if y is not None:
            records.val_correct[epoch] += np.sum(self.correct(X, y))
            records.val_losses[epoch] += losses(self.architecture.head, S, y)[0].sum()

    def step(self, X, y, weights, key, rate, decay, divisor):
        """Update all layers by one batch; return the loss before the update."""
        s, dtype = self.settings, self.dtype.type
        squares = sum(float(np.sum(np.square(W, dtype=np.float64))) for W, _ in self.layers)

        def mask(depth, shape):
            return dropout_mask(int(key) + depth * 0x2545F4914F6CDD1D, shape, s.dropout)

        S, inputs, derivatives = forward(
            self.architecture, self.layers, X, mask if s.dropout else None
        )
        loss, dZ = losses(self.architecture.head, S, y, s.label_smoothing)
        dZ = (dZ * (weights[:, None] / dtype(divisor))).astype(dtype)
        grads = gradients(self.layers, inputs, derivatives, dZ)
        for (dW, _), (W, _) in zip(grads, self.layers):
            dW += dtype(s.l2) * W
        if s.max_norm:
            norm = math.sqrt(sum(float(np.sum(g * g)) for grad in grads for g in grad))
            if not norm <= s.max_norm:
                for grad in grads:
                    for g in grad:
                        g *= dtype(s.max_norm / norm)
        for layer, grad, kept, optimizers in zip(self.layers, grads, self.kept, self.optimizers):
            for position, (part, g) in enumerate(zip(layer, grad)):
                if s.optimizer == "gradient":
                    kept[position] = g
                elif s.optimizer == "accumulate":
                    kept[position] += g
                else:
                    factor = dtype(1 if position else decay)
                    optimizers[position].step(part, g, dtype(rate), factor)
        return float(np.sum(loss * weights)) / divisor + s.penalty * squares

    def store(self):
        """Do nothing: the layers are updated in place."""

    def gradients(self):
        """Return the kept gradients, a list of (dW, db)."""
        return [tuple(part) for part in self.kept]

    def state(self):
        """Return what continues this run elsewhere, besides the parameters: a dict of arrays."""
        state = {}
        for name in ("m", "v"):
            flat = [getattr(o, name).ravel() for layer in self.optimizers for o in layer]
            state[f"memory_{'mv'.index(name) + 1}"] = np.concatenate(flat)
        return state

    def restore(self, state):
        """Continue from what :meth:`state` returned."""
        for name in ("m", "v"):
            flat, first = state.get(f"memory_{'mv'.index(name) + 1}"), 0
            for layer in self.optimizers if flat is not None else ():
                for optimizer in layer:
                    like = getattr(optimizer, name)
                    setattr(optimizer, name, flat[first : first + like.size].reshape(like.shape))
                    first += like.size
