"""What peers.py compares: the networks, and how each library trains one."""

import math
import os
import shutil
import time
import warnings
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import benchmarks  # noqa: F401  (sets the folder of the compiled kernels)

#: Training rows, about: the largest multiple of the batch, as no library then has a shorter batch.
ROWS = 10_000
#: Arithmetic of the products in an epoch, about, of networks so large that they get fewer rows.
EPOCH_FLOPS = 5e10
#: Small, so that a long run on random targets does not end in a network that no longer learns.
RATE = 1e-4
#: Larger, so that a step that differs shows, but not so large that rounding grows (Adam at 0.01
#: learns two batches by heart in five epochs, and the losses, 0.0003, differ by a tenth).
CHECK_RATES = {"sgd": 0.1, "adam": 0.001}
CHECK_EPOCHS = 5


class PeerError(Exception):
    """What ends the comparison, in words for the user."""


# ------------------------------------------------------------------------------------ the problems


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
        return min(ROWS // self.n, affordable) * self.n

    @property
    def steps_per_epoch(self):
        return self.rows // self.n

    @property
    def flops(self):
        """Floating-point operations of the products in one step, ``2 n (3 sum K N - K0 N0)``.

        Two for each multiplication and addition. Each layer has three products (the affine map and
        the gradients of its weights and its input), but nobody needs the gradient of the data.
        """
        products = [K * N for K, N in pairwise(self.layer_sizes)]
        return 2 * self.n * (3 * sum(products) - products[0])


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

    There a step changes the scores by more, and one of SGD at 0.1 overshoots with 4,096 units.
    """
    return CHECK_RATES[problem.optimizer] * min(1, 512 / max(problem.layer_sizes[1:]))


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


# ----------------------------------------------------------------------------------- the libraries


class Peer:
    """A library at work: builds a network and trains it. One lives in each child process."""

    title: str  #: heads the column
    module: str  #: what to import
    package: str  #: what to install
    least_epochs = 1  #: of a turn
    tolerance = 1e-3  #: what its losses may differ by, relative

    def __init__(self, threads):
        self.threads = threads

    @classmethod
    def is_there(cls):
        """Tell whether all that it needs is installed."""
        return find_spec(cls.module) is not None

    @classmethod
    def takes(cls, problem):
        """Tell whether it can compute a problem."""
        return True

    def version(self):
        """Import the library; return its version."""
        return __import__(self.module).__version__

    def build(self, problem, seed, rate):
        """Make the data and a network with the parameters of that seed."""
        raise NotImplementedError

    def train(self, order):
        """Return a function without arguments that trains so, and returns the steps' losses."""
        raise NotImplementedError

    def losses(self, problem, seed):
        """Return the mean loss of each epoch of :func:`check_order`."""
        self.build(problem, seed, check_rate(problem))
        losses = np.asarray(self.train(check_order(problem))(), np.float64)
        return losses.reshape(CHECK_EPOCHS, -1).mean(axis=1)

    def prepare(self, problem, seconds):
        """Build, compile and warm up; a turn will train for about so many seconds."""
        self.build(problem, 0, RATE)
        # Of all rows, one step is an epoch, and too short a run to judge by.
        epochs = max(1, 10 // problem.steps_per_epoch)
        self.wake = self.turn = self.train(order_of(problem, epochs))
        self.wake()
        fastest = min(_seconds(self.wake) for _ in range(3))
        # Two lengths only, as JAX compiles each.
        times = max(math.ceil(self.least_epochs / epochs), round(seconds / fastest))
        if times > 1:
            self.turn = self.train(order_of(problem, times * epochs))
            self.turn()
        self.steps = times * epochs * problem.steps_per_epoch
        self.seconds = seconds

    def step_seconds(self):
        """Take a turn; return the seconds a step."""
        begun = time.perf_counter()
        while time.perf_counter() < begun + self.seconds / 5:
            self.wake()
        return _seconds(self.turn) / self.steps


def _seconds(call):
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


class Fastnn(Peer):
    """The compiled loop, and any of its interface."""

    title, module, package = "fastnn", "fastnn", "-e ."

    def build(self, problem, seed, rate):
        from fastnn import jobs, optimizers, set_num_threads

        set_num_threads(self.threads)
        self.problem, self.rate = problem, rate
        self.optimizer = optimizers.OPTIMIZERS[problem.optimizer]
        job = jobs.Job(
            jobs.Architecture(*problem[:3]),
            layers_of(problem, seed),
            jobs.Settings(self.optimizer.name, False, *self.optimizer.numbers()),
            jobs.Source(*data_of(problem)),
            batch_sizes=(problem.n,),
        )
        self.loop = self.make_loop(job)

    def make_loop(self, job):
        from fastnn.engine.loop import CompiledLoop

        return CompiledLoop(job)

    def train(self, order):
        from fastnn.jobs import Items, Records

        steps, n = np.arange(order.steps), self.problem.n
        zeros, whole = np.zeros_like(steps), order.rows is None
        rates, decays, epsilons = self.optimizer.rates(np.full(order.steps, self.rate), steps)
        items = Items(
            kinds=zeros,
            begins=zeros if whole else steps * n,
            counts=np.full(order.steps, n),
            steps=steps,
            epochs=zeros,
            keys=zeros,
            rates=rates,
            decays=decays,
            alphas=np.zeros(order.steps),
            epsilons=np.full(order.steps, epsilons),
            divisors=np.full(order.steps, float(n)),
            listed=None if whole else order.rows.ravel(),
        )
        records = Records.empty(order.steps, 1)

        def train():
            self.loop.run(items, records)
            return records.losses

        return train

    def peak(self, seconds):
        """Measure the GFLOP/s of one core."""
        from fastnn.benchmark import peak_gflops

        return peak_gflops("float32", seconds)


class NumPy(Fastnn):
    """The twin of the compiled loop, written as the textbook writes it."""

    title, module, package = "NumPy", "numpy", "numpy"

    def make_loop(self, job):
        from fastnn.reference import TrainingLoop

        return TrainingLoop(job)


class ScikitLearn(Peer):
    """MLPClassifier and MLPRegressor: `fit` for some epochs. It shuffles for itself."""

    title, module, package = "scikit-learn", "sklearn", "scikit-learn"
    #: What `fit` does before the first epoch takes about a tenth of one.
    least_epochs = 3

    @classmethod
    def takes(cls, problem):
        """Tell whether it can: two classes have one logistic output there."""
        return problem.head != "softmax" or problem.layer_sizes[-1] > 2

    def build(self, problem, seed, rate):
        self.problem, self.seed, self.rate = problem, seed, rate
        X, y = data_of(problem)
        self.data = X, y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y

    def model(self, epochs, **options):
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        problem = self.problem
        make = MLPClassifier if problem.head == "softmax" else MLPRegressor
        return make(
            hidden_layer_sizes=problem.layer_sizes[1:-1],
            activation=problem.activation,
            solver=problem.optimizer,
            alpha=0.0,
            batch_size=problem.n,
            learning_rate_init=self.rate,
            max_iter=epochs,
            momentum=0.0,
            nesterovs_momentum=False,
            tol=0.0,
            n_iter_no_change=2**31 - 1,
            random_state=self.seed,
            **options,
        )

    def train(self, order):
        epochs = order.steps // self.problem.steps_per_epoch

        def train():
            model = self.model(epochs, shuffle=order.rows is not None)
            fit(model, *self.data)
            if model.t_ != epochs * self.problem.rows:
                raise PeerError(f"scikit-learn ended after {model.n_iter_} of {epochs} epochs")
            return model.loss_curve_

        return train

    def losses(self, problem, seed):
        self.build(problem, seed, check_rate(problem))
        order = check_order(problem)
        chosen = slice(None) if order.rows is None else order.rows[:2].ravel()
        X, y = (part[chosen] for part in self.data)
        # The first fit makes the arrays; the second begins with others in them, Adam's new.
        model = fit(self.model(CHECK_EPOCHS, shuffle=False, warm_start=True), X, y)
        for depth, (W, b) in enumerate(layers_of(problem, seed)):
            model.coefs_[depth][...], model.intercepts_[depth][...] = W, b
        return np.array(fit(model, X, y).loss_curve_[-CHECK_EPOCHS:])


def fit(model, X, y):
    """Fit, and do not warn that the last epoch came before convergence."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


class PyTorch(Peer):
    """Eager, with the fused optimisers."""

    title, module, package = "PyTorch", "torch", "torch"
    #: Its Adam adds epsilon to the corrected root of the second moment: in the first steps, which
    #: divide gradients by their own size, that shows for those near zero.
    tolerance = 5e-3

    def build(self, problem, seed, rate):
        import torch
        from torch import nn

        torch.set_num_threads(self.threads)
        modules = []
        for W, b in layers_of(problem, seed):
            linear = nn.Linear(*W.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(W.T))
                linear.bias.copy_(torch.from_numpy(b))
            modules += [linear, {"relu": nn.ReLU, "tanh": nn.Tanh}[problem.activation]()]
        self.model = nn.Sequential(*modules[:-1])
        optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[problem.optimizer]
        self.optimizer = optimizer(self.model.parameters(), lr=rate, fused=True)
        self.loss = self.make_loss(problem.head == "softmax")
        self.data = tuple(map(torch.from_numpy, data_of(problem)))

    def make_loss(self, softmax):
        """Return the function of a batch and its targets that is differentiated."""
        from torch.nn.functional import cross_entropy, mse_loss

        model = self.model
        if softmax:
            return lambda batch, target: cross_entropy(model(batch), target)
        return lambda batch, target: 0.5 * mse_loss(model(batch), target)

    def train(self, order):
        import torch

        (X, y), optimizer = self.data, self.optimizer
        whole = order.rows is None
        batches = [None] * order.steps if whole else list(torch.from_numpy(order.rows))

        def train():
            losses = []
            for rows in batches:
                batch, target = X, y
                if rows is not None:
                    batch, target = X.index_select(0, rows), y.index_select(0, rows)
                optimizer.zero_grad()
                loss = self.loss(batch, target)
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            return torch.stack(losses).numpy()

        return train


class CompiledPyTorch(PyTorch):
    """The network and its loss, forward and backward, through `torch.compile`."""

    title, package = "torch.compile", "torch (and a C++ compiler)"

    @classmethod
    def is_there(cls):
        return super().is_there() and shutil.which(os.environ.get("CXX", "g++")) is not None

    def make_loss(self, softmax):
        import torch

        torch.compiler.reset()  # a function is compiled for a few networks only
        return torch.compile(super().make_loss(softmax), fullgraph=True, dynamic=False)


class BFloat16PyTorch(PyTorch):
    """Eager, with products in bfloat16 by autocast: less exact, and for information only."""

    title, tolerance = "PyTorch bf16", 0.1

    def make_loss(self, softmax):
        import torch

        loss = super().make_loss(softmax)

        def rounded(batch, target):
            with torch.autocast("cpu", torch.bfloat16):
                return loss(batch, target)

        return rounded


class JAX(Peer):
    """All steps of a turn in one compiled function: `lax.scan` under `jit`."""

    title, module, package = "JAX", "jax", "jax"

    def build(self, problem, seed, rate):
        import jax
        import jax.numpy as jnp

        self.data = tuple(map(jnp.asarray, data_of(problem)))
        layers = jax.tree.map(jnp.asarray, layers_of(problem, seed))
        zeros = jax.tree.map(jnp.zeros_like, layers)
        memory = (zeros, jax.tree.map(jnp.copy, zeros)) if problem.optimizer == "adam" else ()
        self.state = layers, memory, jnp.zeros((), jnp.int32)
        self.scan = jax.jit(_jax_scan(problem, rate), donate_argnums=0, static_argnums=4)

    def train(self, order):
        import jax.numpy as jnp

        rows = None if order.rows is None else jnp.asarray(order.rows, jnp.int32)

        def train():
            self.state, losses = self.scan(self.state, *self.data, rows, order.steps)
            return np.asarray(losses)  # waits for them

        return train


def _jax_scan(problem, rate):
    """Return the function of (state, X, y, rows, steps) that JAX is to compile."""
    import jax
    import jax.numpy as jnp

    activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[problem.activation]
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8

    def loss_of(layers, X, y):
        for W, b in layers[:-1]:
            X = activation(X @ W + b)
        W, b = layers[-1]
        scores = X @ W + b
        if problem.head == "softmax":
            right = jax.nn.one_hot(y, problem.layer_sizes[-1], dtype=scores.dtype)
            return -(right * jax.nn.log_softmax(scores)).sum(axis=1).mean()
        return 0.5 * ((scores - y) ** 2).sum(axis=1).mean()

    def updated(layers, memory, t, gradient):
        tree_map = jax.tree.map
        if problem.optimizer == "sgd":
            return tree_map(lambda w, g: w - rate * g, layers, gradient), memory
        m = tree_map(lambda m, g: beta_1 * m + (1 - beta_1) * g, memory[0], gradient)
        v = tree_map(lambda v, g: beta_2 * v + (1 - beta_2) * g * g, memory[1], gradient)
        factor = rate * jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        moved = tree_map(lambda w, m, v: w - factor * m / (jnp.sqrt(v) + epsilon), layers, m, v)
        return moved, (m, v)

    def scan(state, X, y, rows, steps):
        def step(state, rows):
            layers, memory, t = state
            batch = (X, y) if rows is None else (X[rows], y[rows])
            loss, gradient = jax.value_and_grad(loss_of)(layers, *batch)
            return (*updated(layers, memory, t + 1, gradient), t + 1), loss

        return jax.lax.scan(step, state, rows, length=steps)

    return scan


#: In the order of their turns and columns.
PEERS = {
    "fastnn": Fastnn,
    "numpy": NumPy,
    "sklearn": ScikitLearn,
    "torch": PyTorch,
    "torch.compile": CompiledPyTorch,
    "jax": JAX,
    "torch bf16": BFloat16PyTorch,
}
