"""One training step of the same network in fastnn, NumPy, scikit-learn, PyTorch and JAX.

Run ``python asv_bench/peers.py``; docs/speed.md says what is measured, and how to read it.

Each library works in a process of its own, which has as many cores as threads are asked for: JAX
knows no other limit. All stay alive and take turns, so that a change of the processor's speed meets
all of them; the fastest turn of each counts, as everything else that the machine does can only add.
Before that, all train the same few steps, and their losses are compared: times of different work
would say nothing.
"""

import argparse
import json
import math
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import benchmarks  # noqa: F401  (sets the folder of the compiled kernels)

#: Training rows, about: the largest multiple of the batch, as no library then has a shorter batch.
ROWS = 10_000
#: Turns of each library.
ROUNDS = 8
#: Small, so that a long run on random targets does not end in a network that no longer learns.
RATE = 1e-4
#: Larger, so that a step that differs shows, but not so large that rounding grows (Adam at 0.01
#: learns two batches by heart in five epochs, and the losses, 0.0003, differ by a tenth).
CHECK_RATES = {"sgd": 0.1, "adam": 0.001}
CHECK_EPOCHS = 5
#: What the losses may differ by, relative.
TOLERANCE = 1e-3
#: What the environment calls the threads of the libraries' BLAS.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
INTERRUPTED = 130  # 128 + SIGINT, as the shells report it


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
        """Number of training rows."""
        return ROWS // self.n * self.n

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


#: By the names that ``--networks`` takes, besides the sizes alone.
NETWORKS = {
    f"{problem.sizes}-{problem.optimizer}": problem
    for problem in (
        Problem((784, 256, 128, 10), "relu", "softmax", "adam", 128),
        Problem((50, 256, 256, 1), "relu", "identity", "adam", 256),
        Problem((128, 512, 512, 512, 10), "relu", "softmax", "sgd", 256),
        Problem((4, 32, 16, 4), "tanh", "softmax", "adam", ROWS),
        Problem((64, 100, 10), "relu", "softmax", "sgd", 200),
        Problem((784, 100, 10), "relu", "softmax", "sgd", 200),
        Problem((784, 100, 10), "relu", "softmax", "adam", 200),
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

    def __init__(self, threads):
        self.threads = threads

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
        self.build(problem, seed, CHECK_RATES[problem.optimizer])
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
        from fastnn import engine, optimizers, set_num_threads

        set_num_threads(self.threads)
        self.problem, self.rate = problem, rate
        self.optimizer = optimizers.OPTIMIZERS[problem.optimizer]
        self.loop = self.make_loop(
            engine.Architecture(*problem[:3]),
            layers_of(problem, seed),
            engine.Settings(self.optimizer.name, 0.0, 0.0, *self.optimizer.numbers()),
            engine.Source(*data_of(problem)),
            batch_sizes=(problem.n,),
        )

    def make_loop(self, *arguments, **options):
        from fastnn.engine import CompiledLoop

        return CompiledLoop(*arguments, **options)

    def train(self, order):
        from fastnn.engine import Items, Records

        steps, n = np.arange(order.steps), self.problem.n
        zeros, whole = np.zeros_like(steps), order.rows is None
        rates, decays = self.optimizer.rates(np.full(order.steps, self.rate), steps)
        items = Items(
            kinds=zeros,
            begins=zeros if whole else steps * n,
            counts=np.full(order.steps, n),
            steps=steps,
            epochs=zeros,
            keys=zeros,
            rates=rates,
            decays=decays,
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

    def make_loop(self, *arguments, **options):
        from fastnn.reference import TrainingLoop

        return TrainingLoop(*arguments, **options)


class ScikitLearn(Peer):
    """MLPClassifier and MLPRegressor: `fit` for some epochs. It shuffles for itself."""

    title, module, package = "scikit-learn", "sklearn", "scikit-learn"
    #: What `fit` does before the first epoch takes about a tenth of one.
    least_epochs = 3

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
        self.build(problem, seed, CHECK_RATES[problem.optimizer])
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
        self.softmax = problem.head == "softmax"
        self.data = tuple(map(torch.from_numpy, data_of(problem)))

    def train(self, order):
        import torch
        from torch.nn.functional import cross_entropy, mse_loss

        (X, y), model, optimizer = self.data, self.model, self.optimizer
        whole = order.rows is None
        batches = [None] * order.steps if whole else list(torch.from_numpy(order.rows))

        def train():
            losses = []
            for rows in batches:
                batch, target = X, y
                if rows is not None:
                    batch, target = X.index_select(0, rows), y.index_select(0, rows)
                optimizer.zero_grad()
                scores = model(batch)
                if self.softmax:
                    loss = cross_entropy(scores, target)
                else:
                    loss = 0.5 * mse_loss(scores, target)
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            return torch.stack(losses).numpy()

        return train


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
    "jax": JAX,
}


# ------------------------------------------------------------------------------ the child processes


class Child:
    """A :class:`Peer` in a process of its own, with so many cores."""

    def __init__(self, name, threads):
        context = multiprocessing.get_context("spawn")
        self.title = PEERS[name].title
        self.connection, far_end = context.Pipe()
        self.process = context.Process(target=serve, args=(far_end, name, threads), daemon=True)
        with limits(threads):
            self.process.start()
        far_end.close()

    def ask(self, method, *arguments):
        """Call a method of the peer; return what it returns."""
        self.connection.send((method, arguments))
        return self.answer()

    def answer(self):
        try:
            good, value = self.connection.recv()
        except EOFError:
            self.process.join()
            raise PeerError(
                f"{self.title}: its process ended with code {self.process.exitcode}; what it said "
                "is above"
            ) from None
        if not good:
            raise PeerError(f"{self.title}: {value}")
        return value

    def end(self):
        # It may be in the middle of a turn.
        self.process.terminate()
        self.process.join()
        self.connection.close()


def serve(connection, name, threads):
    """Answer the questions of a :class:`Child`, the version of the library first."""
    try:
        peer = PEERS[name](threads)
        connection.send((True, peer.version()))
        while True:
            method, arguments = connection.recv()
            connection.send((True, getattr(peer, method)(*arguments)))
    except EOFError:  # the parent is gone
        pass
    except Exception as error:
        connection.send((False, f"{type(error).__name__}: {error}"))


@contextmanager
def limits(threads):
    """Have what starts inside inherit so many cores and threads, and no Ctrl-C: that is for us.

    All of it must stand before the child imports anything: libraries start their threads early.
    """
    variables = {name: str(threads) for name in THREAD_VARIABLES} | {"JAX_PLATFORMS": "cpu"}
    before = {name: os.environ.get(name) for name in variables}
    cores = cores_at_hand()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        os.environ.update(variables)
        if cores:
            os.sched_setaffinity(0, cores[:threads])
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.signal(signal.SIGINT, handler)


def cores_at_hand():
    """Return the cores of this process; none where the system does not let one choose."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@contextmanager
def children_of(names, threads):
    """Start a child for each library, all at once; end them at the end."""
    children: dict[str, Child] = {}
    try:
        for name in names:
            children[name] = Child(name, threads)
        yield children
    finally:
        for child in children.values():
            child.end()


# ---------------------------------------------------------------------------------- the comparison


@dataclass
class Row:
    """What was measured of a network with a number of threads; parts of it after Ctrl-C."""

    problem: Problem
    threads: int
    seconds: dict = field(default_factory=dict)  #: a step, by library
    disagreement: dict = field(default_factory=dict)  #: of the losses with NumPy's, by library
    peak_gflops: float = 0.0  #: of one core

    @property
    def share_of_peak(self):
        """The useful arithmetic of fastnn, as a share of what all threads' cores reach."""
        if not (self.peak_gflops and "fastnn" in self.seconds):
            return math.nan
        speed = self.problem.flops / self.seconds["fastnn"]
        return speed / (1e9 * self.peak_gflops * self.threads)

    def as_dict(self):
        """Return it for JSON; what was not measured is null."""
        share = self.share_of_peak
        return {
            **self.problem._asdict(),
            "threads": self.threads,
            "microseconds": {
                name: 1e6 * self.seconds[name] if name in self.seconds else None for name in PEERS
            },
            "disagreement": self.disagreement,
            "peak_gflops": self.peak_gflops or None,
            "share_of_peak": None if math.isnan(share) else share,
        }


def disagreements(losses):
    """Compare the losses of all libraries with NumPy's, relative to those.

    Parameters
    ----------
    losses : dict of ndarray of shape (epochs,)
        By library.

    Returns
    -------
    dict of float
        The largest difference of each.

    Raises
    ------
    PeerError
        If one is above `TOLERANCE`, or no number.
    """
    expected = losses["numpy"]
    found = {
        name: float(np.max(np.abs(value - expected) / np.abs(expected)))
        for name, value in losses.items()
        if name != "numpy"
    }
    for name, difference in found.items():
        if not difference <= TOLERANCE:
            raise PeerError(
                f"{PEERS[name].title} computes something else: after the same steps its loss is "
                f"{losses[name][-1]:.6g}, but NumPy's is {expected[-1]:.6g}; the losses differ by "
                f"{difference:.2g}, and {TOLERANCE:g} is allowed. No time was taken"
            )
    return found


def measure(row, children, seconds, note: Callable[[str], None]):
    """Check that the libraries agree, then time them in turns; fill `row` on the way."""
    from fastnn.benchmark import PAUSE

    problem = row.problem
    row.disagreement = disagreements(
        {name: child.ask("losses", problem, 0) for name, child in children.items()}
    )
    largest = max(row.disagreement, key=row.disagreement.__getitem__)
    note(
        f"{problem.sizes} {problem.optimizer}, threads: {row.threads}. The losses agree within "
        f"{row.disagreement[largest]:.1e} ({PEERS[largest].title})"
    )
    for child in children.values():
        child.ask("prepare", problem, seconds / ROUNDS)
    for _ in range(ROUNDS):
        for name, child in children.items():
            time.sleep(PAUSE)  # the threads of the one before may still spin
            step = child.ask("step_seconds")
            row.seconds[name] = min(step, row.seconds.get(name, math.inf))
        row.peak_gflops = max(row.peak_gflops, children["fastnn"].ask("peak", 0.05))


# -------------------------------------------------------------------------------------- the output


def columns():
    titles = (peer.title for peer in PEERS.values())
    return ("Network", "Optimiser", "Batch", "Threads", *titles, "Of peak")


def cells(row):
    """Return a line of the table."""
    problem, share = row.problem, row.share_of_peak
    head = "" if problem.head == "softmax" else ", squared error"
    return (
        f"{problem.sizes} {problem.activation}{head}",
        {"sgd": "SGD", "adam": "Adam"}[problem.optimizer],
        f"{problem.n:,}",
        str(row.threads),
        *(microseconds(row.seconds[name]) if name in row.seconds else "-" for name in PEERS),
        "-" if math.isnan(share) else f"{share:.0%}",
    )


def microseconds(seconds):
    """Return microseconds in three digits or more."""
    value = seconds * 1e6
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:,.{digits}f}"


def markdown(rows):
    """Return the table in Markdown."""
    marks = ["---", "---", *["--:"] * (len(columns()) - 2)]
    lines = [columns(), marks, *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def print_table(rows):
    """Print the table, with rich if it is there."""
    if find_spec("rich") is None:
        print(markdown(rows))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    title = "Microseconds a training step, float32"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for position, column in enumerate(columns()):
        table.add_column(column, justify="right" if position > 1 else "left", no_wrap=True)
    for row in rows:
        table.add_row(*cells(row))
    console = Console(highlight=False)
    # A file is as wide as the table.
    console.width = max(console.width, 120)
    console.print(table)


def note(message):
    """Print a line beside the results, to stderr."""
    print(message, file=sys.stderr, flush=True)


# --------------------------------------------------------------------------------------- the script


def parse(arguments):
    """Return the options; the networks as a list of problems."""
    parser = argparse.ArgumentParser(prog="peers.py", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--networks",
        nargs="+",
        default=list(NETWORKS),
        metavar="NETWORK",
        help=f"sizes, or sizes and optimiser: {', '.join(NETWORKS)} (default: all)",
    )
    cores = len(cores_at_hand()) or os.cpu_count() or 1
    parser.add_argument(
        "--threads",
        nargs="+",
        type=int,
        default=[1, 2][:cores],
        metavar="N",
        help="numbers of threads, one table row for each (default: 1 2)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        help="time for each library, network and number of threads (default: 2)",
    )
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, too")
    options = parser.parse_args(arguments)
    chosen = []
    for name in options.networks:
        found = [each for key, each in NETWORKS.items() if name in (key, each.sizes)]
        if not found:
            parser.error(f"--networks: there is no {name}; there are {', '.join(NETWORKS)}")
        chosen += found
    options.problems = list(dict.fromkeys(chosen))
    for threads in options.threads:
        if not 1 <= threads <= cores:
            parser.error(f"--threads: {threads} is not within 1..{cores}, the cores at hand")
    if not 0 < options.seconds < math.inf:
        parser.error(f"--seconds: {options.seconds:g} is not above 0")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {options.json.parent}")
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        parser.error("NUMBA_DISABLE_JIT is set, but this times the compiled loop: unset it")
    return options


def installed(names=tuple(PEERS)):
    """Return the libraries that are there; say which are not."""
    there = []
    for name in names:
        if find_spec(PEERS[name].module) is None:
            title, package = PEERS[name].title, PEERS[name].package
            note(f"{title} is not installed, and is left out: python -m pip install {package}")
        else:
            there.append(name)
    return there


def main(arguments=None):
    """Measure and print; return the exit code."""
    options = parse(arguments)
    names, versions, rows, code = installed(), {}, [], 0
    if not cores_at_hand():
        note("This system does not let one choose cores: JAX may use more threads than asked for")
    try:
        for threads in dict.fromkeys(options.threads):
            with children_of(names, threads) as children:
                for name, child in children.items():
                    versions[name] = child.answer()
                for problem in options.problems:
                    rows.append(Row(problem, threads))
                    measure(rows[-1], children, options.seconds, note)
    except KeyboardInterrupt:
        note("Interrupted: this is what was measured so far")
        code = INTERRUPTED
    except PeerError as error:
        note(f"Error: {error}")
        code = 1
    rows = [row for row in rows if row.seconds]
    rows.sort(key=lambda row: options.problems.index(row.problem))
    if rows:
        if options.markdown:
            print(markdown(rows))
        else:
            print_table(rows)
        peak = max(row.peak_gflops for row in rows)
        facts = [f"{PEERS[name].title} {version}" for name, version in versions.items()]
        note(f"{', '.join(facts)}; peak of one core: {peak:.1f} GFLOP/s in float32")
    if options.json:
        result = {"versions": versions, "rows": [row.as_dict() for row in rows]}
        try:
            options.json.write_text(json.dumps(result, indent=2) + "\n")
        except OSError as error:
            note(f"Error: {options.json} was not written: {error.strerror}")
            code = code or 1
    return code


if __name__ == "__main__":
    sys.exit(main())
