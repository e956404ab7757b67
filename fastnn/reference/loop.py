"""The twin of the compiled loop: any network, any optimiser, one step after the other."""

import math

import numpy as np

from ..checks.sparse import Sparse
from ..engine import BLOCK, EVALUATED_STEP
from .kernels import dropout_mask
from .network import forward, gradients, losses, predictions, scores


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
    flops = 0

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
        evaluate_loss=True,
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
        self.done = False
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
        self.begin()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the loss tells
            for kind, *item in zip(*np.broadcast_arrays(*items[:9])):
                begin, count, step, epoch, key, rate, decay, divisor = item
                place = slice(begin, begin + count)
                if kind == BLOCK:
                    self.evaluate(place, epoch, records)
                    continue
                chosen = place if items.listed is None else items.listed[place]
                X, y, weights = self.rows(self.data[0], chosen)
                records.losses[step] = self.step(X, y, weights, key, rate, decay, divisor)
                if kind == EVALUATED_STEP:
                    records.train_correct[epoch] = np.sum(self.correct(X, y) * weights, dtype=float)
        self.done = True

    run_in_halves = run

    def begin(self):
        """Forget the latest run: `finished` is False until the next one is done."""
        self.done = False

    def finished(self):
        """Tell whether the items of the latest run are all done; some may be where it is cut."""
        return self.done

    def scores(self, X):
        """Return the scores of some rows."""
        return scores(self.architecture.activation, self.layers, X)

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
        X, y, weights = self.rows(self.data[1], place)
        S = self.scores(X)
        if self.output_head is not None:
            self.outputs[place] = predictions(self.output_head, S)
            return
        self.predicted[place] = S.argmax(axis=1)
        if y is not None:
            records.val_correct[epoch] += np.sum(self.correct(X, y) * weights, dtype=float)
            loss = losses(self.architecture.head, S, y)[0]
            records.val_losses[epoch] += np.sum(loss * weights, dtype=float)

    def step(self, X, y, weights, key, rate, decay, divisor):
        """Update all layers by one batch; return the loss before the update."""
        s, dtype = self.settings, self.dtype.type
        squares = 0.0
        if s.penalty:
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
