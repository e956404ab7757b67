"""The twin of the compiled loop: any network, any optimiser, one step after the other."""

import math

import numpy as np

from ..checks.sparse import Sparse
from ..jobs import BLOCK, EVALUATED_STEP, TRAIN_BLOCK
from .heads import losses, predictions
from .kernels import dropout_mask
from .network import forward, gradients, scores
from .rules import RULES, Numbers, penalised

#: What the compiled loop adds to a step's dropout key for each layer.
LAYER_KEY = 0x2545F4914F6CDD1D


class TrainingLoop:
    """The twin of ``fastnn.engine.loop.CompiledLoop``: the same job, items and records."""

    threads = 1
    flops = 0
    pace: float | None = None
    share = 1.0
    kind = None  #: it goes on with no other job

    def __init__(self, job):
        self.architecture, self.layers, self.settings = job.architecture, job.layers, job.settings
        self.data, self.scaling = (job.train, job.val), job.scaling
        self.output_head = job.output_head
        self.dtype, rule = self.layers[0][0].dtype, self.settings.rule
        #: What the optimiser remembers of each parameter, and gradients that are kept.
        self.memory = [
            [[np.zeros_like(part) for part in layer] for layer in self.layers]
            for _ in range(RULES[rule].memories if rule in RULES else 0)
        ]
        self.kept = [[np.zeros_like(part) for part in layer] for layer in self.layers]
        n_val = 0 if job.val is None else len(job.val)
        self.predicted = np.zeros(n_val, np.int64)
        self.masks: list = []  # of the steps at hand, see Items
        #: The parameters that were kept as the best.
        self.kept_best: list = []
        self.done = False
        self.outputs = np.empty((n_val, self.architecture.layer_sizes[-1]), self.dtype)

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

    def note(self, items, seconds):
        """There is one way to do the next ones."""

    def run(self, items, records):
        """Do some items of work."""
        self.begin()
        self.masks = items.masks
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the loss tells
            for kind, keep, *item in zip(*np.broadcast_arrays(items[0], items.keeps, *items[1:11])):
                begin, count, step, epoch, key, *numbers = item
                place = slice(begin, begin + count)
                chosen = place if items.listed is None or kind == BLOCK else items.listed[place]
                if kind >= BLOCK:
                    self.evaluate(self.data[int(kind != TRAIN_BLOCK)], chosen, epoch, records)
                    if keep:
                        self.keep_best(records.val_correct[epoch] / numbers[-1], records)
                    continue
                X, y, weights = self.rows(self.data[0], chosen)
                records.losses[step] = self.step(X, y, weights, key, *numbers)
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
        return scores(self.architecture.activations, self.layers, X)

    def correct(self, X, y):
        """Return which rows are predicted right; none of a regression."""
        S = self.scores(X)
        if self.architecture.head == "softmax":
            return S.argmax(axis=1) == y
        if self.architecture.head == "logistic":
            return ((S > 0) == (y > 0.5)).all(axis=1)
        return np.zeros(len(S), bool)

    def evaluate(self, source, place, epoch, records):
        """Predict, or evaluate, some rows of a source."""
        X, y, weights = self.rows(source, place)
        S = self.scores(X)
        if self.output_head is not None:
            self.outputs[place] = predictions(self.output_head, S)
            return
        if isinstance(place, slice):
            self.predicted[place] = S.argmax(axis=1)
        if y is not None:
            records.val_correct[epoch] += np.sum(self.correct(X, y) * weights, dtype=float)
            loss = losses(self.architecture.head, S, y, clipped=self.settings.clipped)[0]
            records.val_losses[epoch] += np.sum(loss * weights, dtype=float)

    def keep_best(self, right, records):
        """Copy the parameters if they have more right answers than any before."""
        if right > records.best[0]:
            records.best[0] = right
            self.kept_best = [(W.copy(), b.copy()) for W, b in self.layers]

    def best(self):
        """Return the parameters that were kept as the best, a list of (W, b)."""
        return self.kept_best

    def step(self, X, y, weights, key, rate, decay, alpha, epsilon, divisor):
        """Update all layers by one batch; return the loss before the update."""
        s, dtype = self.settings, self.dtype.type
        squares, masks = 0.0, self.masks
        if alpha:
            squares = sum(float(np.sum(np.square(W, dtype=np.float64))) for W, _ in self.layers)

        def mask(depth, shape):
            if s.masked:
                return masks[depth]
            return dropout_mask(int(key) + depth * LAYER_KEY, shape, s.dropout)

        S, inputs, derivatives = forward(
            self.architecture, self.layers, X, mask if s.dropout or s.masked else None
        )
        loss, dZ = losses(self.architecture.head, S, y, s.label_smoothing, s.clipped)
        dZ = (dZ * (weights[:, None] / dtype(divisor))).astype(dtype)
        grads = gradients(self.layers, inputs, derivatives, dZ)
        grads = [[penalised(W, dW, alpha), db] for (W, _), (dW, db) in zip(self.layers, grads)]
        if s.max_norm:
            norm = math.sqrt(sum(float(np.sum(g * g)) for grad in grads for g in grad))
            if not norm <= s.max_norm:
                grads = [[g * dtype(s.max_norm / norm) for g in grad] for grad in grads]
        for depth, position in np.ndindex(len(grads), 2):
            numbers = Numbers(rate, 1.0 if position else decay, s.beta_1, s.beta_2, epsilon)
            self._follow(depth, position, grads[depth][position], numbers)
        return s.loss_factor * float(np.sum(loss * weights)) / divisor + alpha / 2 * squares

    def _follow(self, depth, position, g, numbers):
        """Do with the gradient of the weights (position 0) or biases (1) of a layer what is due."""
        rule = self.settings.rule
        if rule == "gradient":
            self.kept[depth][position] = g
        elif rule == "accumulate":
            self.kept[depth][position] += g
        else:
            memory = [memory[depth][position] for memory in self.memory]
            RULES[rule].step(self.layers[depth][position], g, memory, numbers)

    def begin_anew(self, layers):
        """Go on with other parameters; what is remembered of gradients is forgotten."""
        self.layers = layers
        for parts in (*self.memory, self.kept):
            for layer in parts:
                for part in layer:
                    part[...] = 0

    def store(self):
        """Do nothing: the layers are updated in place."""

    def release(self):
        """Do nothing: there is no tape that others could use."""

    def memories(self, into=None):
        """Return what the optimiser remembers: of each memory, a list of (W, b).

        In arrays of the caller's, if there are.
        """
        for given, kept in zip(into or (), self.memory):
            _copy_layers(given, kept)
        return into or [[tuple(layer) for layer in memory] for memory in self.memory]

    def remember(self, memories):
        """Go on with what :meth:`memories` returned."""
        for memory, layers in zip(self.memory, memories):
            _copy_layers(memory, layers)

    def gradients(self, into=None):
        """Return the kept gradients, a list of (dW, db), in arrays of the caller's if there are."""
        if into is not None:
            _copy_layers(into, self.kept)
        return into or [tuple(part) for part in self.kept]

    def state(self):
        """Return what continues this run elsewhere, besides the parameters: a dict of arrays."""
        return {
            f"memory_{i + 1}": np.concatenate([part.ravel() for layer in memory for part in layer])
            for i, memory in enumerate(self.memory)
        }

    def restore(self, state):
        """Continue from what :meth:`state` returned."""
        for i, memory in enumerate(self.memory):
            flat, first = state[f"memory_{i + 1}"], 0
            for part in (part for layer in memory for part in layer):
                part[...] = flat[first : first + part.size].reshape(part.shape)
                first += part.size


def _copy_layers(targets, layers):
    """Write the parts of some layers over those of others."""
    for target, layer in zip(targets, layers):
        for own, part in zip(target, layer):
            own[...] = part
