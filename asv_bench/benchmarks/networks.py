"""Training steps of deeper networks, other heads and optimisers, and of sparse input."""

from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fastnn import optimizers, reference
from fastnn.benchmark import peak_gflops
from fastnn.checks.sparse import Sparse
from fastnn.engine.loop import CompiledLoop
from fastnn.jobs import Architecture, Items, Job, Records, Settings, Source
from fastnn.threads import FLOPS_PER_THREAD

from .common import IMPLS, Batch, Comparison, ratio, without_impl

EXAMPLES = 10_000


class Problem(NamedTuple):
    """A network, its optimiser and its minibatch, in float32."""

    layer_sizes: tuple
    activation: str
    head: str
    optimizer: str
    n: int  # rows in a minibatch
    density: float = 1.0  # share of X that is not zero

    @property
    def flops(self):
        """Floating point operations of the products in one step, as if X had no zeros."""
        products = [K * N for K, N in pairwise(self.layer_sizes)]
        return 2 * self.n * (3 * sum(products) - products[0])


#: The field's record for small networks first: the tests run each benchmark once with the first.
PROBLEMS = {
    "4-32-16-4 tanh adam": Problem((4, 32, 16, 4), "tanh", "softmax", "adam", EXAMPLES),
    "784-256-128-10 adam": Problem((784, 256, 128, 10), "relu", "softmax", "adam", 128),
    "50-256-256-1 adam": Problem((50, 256, 256, 1), "relu", "identity", "adam", 256),
    "128-512-512-512-10 sgd": Problem((128, 512, 512, 512, 10), "relu", "softmax", "sgd", 256),
}
SPARSE = {
    f"{name}, {optimizer}": Problem(sizes, "relu", "softmax", optimizer, 200, density)
    for name, sizes, density in (
        ("digits", (784, 100, 10), 0.19),
        ("20,000 columns", (20_000, 100, 10), 0.01),
    )
    for optimizer in ("sgd", "adam")
}
STEPS = {"numpy": 5, "fastnn": 20}


@lru_cache(maxsize=1)
def data_of(problem):
    """Return X and y; zeros lie at the border, as in images of digits, or anywhere."""
    rng = np.random.default_rng(0)
    D, C = problem.layer_sizes[0], problem.layer_sizes[-1]
    X = rng.standard_normal((EXAMPLES if D < 1000 else 2000, D), dtype=np.float32)
    if problem.density < 1:
        chance = np.full(D, problem.density)
        if D == 784:
            row, column = np.mgrid[:28, :28] - 13.5
            chance = np.clip(1 - np.maximum(np.abs(row) / 1.25, np.abs(column)) / 9, 0, 1).ravel()
            chance = np.minimum(chance * problem.density * D / chance.sum(), 0.95)
        X *= rng.random(X.shape, dtype=np.float32) < chance
    if problem.head == "softmax":
        return X, rng.integers(0, C, len(X))
    return X, rng.standard_normal((len(X), C), dtype=np.float32)


def sparse_of(X):
    """Return X as the compiled loop takes a CSR matrix."""
    there = X != 0
    indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return Sparse(X.shape, indptr, np.nonzero(there)[1].astype(np.int32), X[there])


def source_of(problem, csr=False):
    """Return the rows to train on."""
    X, y = data_of(problem)
    return Source(sparse_of(X) if csr else X, y)


def loop_of(impl, problem, threads, source):
    """Return a seeded loop of either implementation."""
    rng, sizes = np.random.default_rng(1), problem.layer_sizes
    layers = [
        (
            rng.standard_normal((K, N), dtype=np.float32) / np.float32(np.sqrt(K)),
            np.zeros(N, np.float32),
        )
        for K, N in pairwise(sizes)
    ]
    optimizer = optimizers.OPTIMIZERS[problem.optimizer]
    settings = Settings(optimizer.name, False, *optimizer.numbers())
    # As many threads as a training takes: a small step is not worth several.
    threads = max(1, min(threads, problem.flops // FLOPS_PER_THREAD))
    make = {"numpy": reference.TrainingLoop, "fastnn": CompiledLoop}[impl]
    return make(
        Job(
            *(Architecture(sizes, problem.activation, problem.head), layers, settings, source),
            batch_sizes=(problem.n,),
            threads=threads,
        )
    )


def items_of(problem, steps, first=0):
    """Return some steps on random batches; a batch of all rows is taken as it lies."""
    n_samples, rng = len(data_of(problem)[0]), np.random.default_rng(first)
    numbers = np.arange(first, first + steps)
    zeros = np.zeros_like(numbers)
    whole = problem.n == n_samples
    optimizer = optimizers.OPTIMIZERS[problem.optimizer]
    rates, decays, epsilons = optimizer.rates(np.full(steps, 1e-4), numbers)
    return Items(
        kinds=zeros,
        begins=zeros if whole else np.arange(steps) * problem.n,
        counts=np.full(steps, problem.n),
        steps=np.arange(steps),
        epochs=zeros,
        keys=zeros,
        rates=rates,
        decays=decays,
        alphas=np.zeros(steps),
        epsilons=np.full(steps, epsilons),
        divisors=np.full(steps, float(problem.n)),
        listed=None if whole else rng.integers(0, n_samples, steps * problem.n),
    )


def training_of(impl, problem, threads, csr=False):
    """Return a batch of training steps, compiled and warm."""
    loop, steps = loop_of(impl, problem, threads, source_of(problem, csr)), STEPS[impl]
    items, records = items_of(problem, steps), Records.empty(steps, 1)

    def train():
        loop.run(items, records)

    train()
    return Batch(train, 1, steps)


# The warm-up depends on `threads`, though nothing in it reads them.
@lru_cache(maxsize=2)
def step_of(impl, network, threads):
    return training_of(impl, PROBLEMS[network], threads)


@without_impl
class NetworkStep(Comparison):
    """Seconds a step."""

    params = (IMPLS, list(PROBLEMS), [1, 2])
    param_names = ("impl", "network", "threads")

    def batch(self, impl, network, threads):
        return step_of(impl, network, threads)

    def time_step(self, impl, network, threads):
        self.chosen.run()

    def track_ratio(self, network, threads):
        return ratio(*self.both, rounds=3)

    def track_over_limit(self, impl, network, threads):
        """Return a step's time over that of its products at the peak of the machine."""
        step = min(self.chosen.seconds() for _ in range(3))
        return step * peak_gflops("float32") * 1e9 * threads / PROBLEMS[network].flops

    track_over_limit.unit = "time / limit"  # type: ignore[attr-defined]


def densifying(problem, steps):
    """Return a function that trains on a CSR matrix by densifying each batch, and its records."""
    from scipy.sparse import csr_matrix

    X, y = data_of(problem)
    matrix, n = csr_matrix(X), problem.n
    batch, labels = np.empty((n, X.shape[1]), X.dtype), np.empty(n, y.dtype)
    loop, records = loop_of("fastnn", problem, 1, Source(batch, labels)), Records.empty(steps, 1)
    items = items_of(problem, steps)
    batches = [
        (rows, items.part(i, i + 1)._replace(begins=0, listed=None))
        for i, rows in enumerate(items.listed.reshape(steps, n))
    ]

    def train():
        for rows, item in batches:
            matrix[rows].toarray(out=batch)
            y.take(rows, out=labels)
            loop.run(item, records)

    return train, records


def densifying_of(problem):
    """Return such training steps, warm."""
    steps = STEPS["fastnn"]
    train, _ = densifying(problem, steps)
    train()
    return Batch(train, 1, steps)


#: How sparse data may be trained on.
WAYS = {
    "sparse": lambda problem: training_of("fastnn", problem, 1, csr=True),
    "dense": lambda problem: training_of("fastnn", problem, 1),
    "densified": densifying_of,
}


@lru_cache(maxsize=2)
def sparse_step_of(way, data):
    if way == "densified" and find_spec("scipy") is None:
        raise NotImplementedError("needs SciPy")  # asv skips it
    return WAYS[way](SPARSE[data])


class SparseStep:
    """Seconds a step of the same numbers as a CSR matrix, dense, and made dense in each step."""

    params = (list(WAYS), list(SPARSE))
    param_names = ("way", "data")

    def setup(self, way, data):
        self.chosen = sparse_step_of(way, data)
        self.timer = self.chosen.clock

    def time_step(self, way, data):
        self.chosen.run()


class SparseRatio:
    """The sparse step's time over that of the other ways."""

    params = (list(WAYS)[1:], list(SPARSE))
    param_names = ("way", "data")
    unit = "sparse / other"

    def setup(self, way, data):
        self.both = sparse_step_of(way, data), sparse_step_of("sparse", data)

    def track_ratio(self, way, data):
        return ratio(*self.both, rounds=3)
