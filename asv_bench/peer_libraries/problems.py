"""The networks that all libraries train: their data, their first parameters and their batches.

All of it is drawn from seeds, so that each process makes the same for itself.
"""

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

#: Training rows, about: the largest multiple of the batch, as no library then has a shorter batch.
ROWS = 10_000
#: Steps of an epoch at most: with batches of a single row there are fewer rows.
EPOCH_STEPS = 1000
#: Arithmetic of the products in an epoch, about, of networks so large that they get fewer rows.
EPOCH_FLOPS = 5e10
#: Small, so that a long run on random targets does not end in a network that no longer learns.
RATE = 1e-4
#: Larger, so that a step that differs shows, but not so large that rounding grows (Adam at 0.01
#: learns two batches by heart in five epochs, and the losses, 0.0003, differ by a tenth).
CHECK_RATES = {"sgd": 0.1, "adam": 0.001}
CHECK_EPOCHS = 5


class Problem(NamedTuple):
    """A network, its optimiser and its batch."""

    layer_sizes: tuple
    activation: str  #: "relu" or "tanh"
    head: str  #: "softmax", or "identity" with half the squared error
    optimizer: str  #: "sgd" or "adam"
    n: int  #: rows in a batch; all of them where it is ROWS

    @property
    def sizes(self):
        return "-".join(map(str, self.layer_sizes))

    @property
    def rows(self):
        """Number of training rows: at least two batches, where one is not all of them."""
        affordable = max(2, int(EPOCH_FLOPS / self.flops))
        return min(ROWS // self.n, EPOCH_STEPS, affordable) * self.n

    @property
    def steps_per_epoch(self):
        return self.rows // self.n

    @property
    def flops(self):
        """Floating-point operations of the products in one step."""
        return training_flops(self.layer_sizes, self.n)


def training_flops(layer_sizes, rows):
    """Return the flops of the products by which rows train a network, ``2 n (3 sum K N - K0 N0)``.

    Two for each multiplication and addition. Each layer has three products (the affine map and the
    gradients of its weights and its input), but nobody needs the gradient of the data.
    """
    products = [K * N for K, N in pairwise(layer_sizes)]
    return 2 * rows * (3 * sum(products) - products[0])


def _classifiers(n, *layer_sizes):
    """Return the problems of a classifier: with SGD, and with Adam."""
    return [Problem(layer_sizes, "relu", "softmax", name, n) for name in ("sgd", "adam")]


#: By the names that ``--networks`` takes, besides the sizes alone.
NETWORKS = {
    f"{problem.sizes}-{problem.optimizer}-{problem.n}": problem
    for problem in (
        Problem((784, 256, 128, 10), "relu", "softmax", "adam", 128),
        Problem((50, 256, 256, 1), "relu", "identity", "adam", 256),
        Problem((128, 512, 512, 512, 10), "relu", "softmax", "sgd", 256),
        Problem((4, 32, 16, 4), "tanh", "softmax", "adam", ROWS),
        *_classifiers(1, 784, 128, 10),
        *_classifiers(32, 784, 128, 10),
        *_classifiers(200, 64, 100, 10),
        *_classifiers(200, 784, 100, 10),
        *_classifiers(200, 3072, 50, 10),
        *_classifiers(128, 784, 512, 10),
        *_classifiers(1024, 784, 512, 10),
        *_classifiers(512, 512, 1024, 1024, 10),
        *_classifiers(512, 256, 2048, 2048, 10),
        *_classifiers(256, 1024, 4096, 10),
        *_classifiers(1024, 100, 256, 256, 256, 2),
    )
}


def data_of(problem):
    """Return X and y, the same in every process: normal rows, and labels or normal targets."""
    rng, C = np.random.default_rng(0), problem.layer_sizes[-1]
    X = rng.standard_normal((problem.rows, problem.layer_sizes[0]), dtype=np.float32)
    if problem.head == "softmax":
        return X, np.arange(problem.rows) % C
    return X, rng.standard_normal((problem.rows, C), dtype=np.float32)


def layers_of(problem, seed):
    """Return the first parameters: a list of (W, b), W of shape (fan_in, fan_out)."""
    # With other seeds, a hidden unit may be so near zero that its ReLU is open or shut by rounding:
    # at 1, one of 784-256-128-10 is -5e-8 in float64, and the losses then differ by 1e-3.
    rng = np.random.default_rng(10 + seed)
    layers = []
    for K, N in pairwise(problem.layer_sizes):
        W = rng.standard_normal((K, N), dtype=np.float32) / np.float32(math.sqrt(K))
        layers.append((W, np.zeros(N, np.float32)))
    return layers


def check_rate(problem):
    """Return the learning rate of the steps that are compared: less where layers are wide.

    There a step changes the scores by more, and one of SGD at 0.1 overshoots with 4,096 units. Less
    also where batches are small: two single rows would be known by heart.
    """
    most = min(1, 512 / max(problem.layer_sizes[1:]), problem.n / 8)
    return CHECK_RATES[problem.optimizer] * most


class Order(NamedTuple):
    """The batches of some steps."""

    steps: int
    rows: Any  #: int64 (steps, n), or None where each step takes all rows as they lie


def order_of(problem, epochs):
    """Shuffle the rows anew for each epoch; a batch of all rows is taken as it lies."""
    steps = epochs * problem.steps_per_epoch
    if problem.n == problem.rows:
        return Order(steps, None)
    rng = np.random.default_rng(2)
    rows = np.concatenate([rng.permutation(problem.rows) for _ in range(epochs)])
    return Order(steps, rows.reshape(steps, problem.n))


def check_order(problem):
    """Visit the same two batches, or the one of all rows, again and again."""
    if problem.n == problem.rows:
        return Order(CHECK_EPOCHS, None)
    rows = np.random.default_rng(3).permutation(2 * problem.n).reshape(2, problem.n)
    return Order(2 * CHECK_EPOCHS, np.tile(rows, (CHECK_EPOCHS, 1)))
