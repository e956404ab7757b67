"""What the benchmarks share: the networks and their data, threads, clocks, and what asv is told."""

import os
import time
import types
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np
import threadpoolctl

import fastnn

# So that every process holds Numba, whichever implementation it measures: the peaks of memory
# count it for both.
import fastnn.kernels
from fastnn import reference

IMPLS = ["numpy", "fastnn"]
DTYPES = ["float32", "float64"]
#: Seconds between two turns of several threads: BLAS's go on spinning for up to 100 ms after a
#: product, on the cores that the next turn needs. (Not `fastnn.benchmark.PAUSE`: the suite also
#: runs the project's first commits, which have none.)
PAUSE = 0.12
#: What asv's `repeat` is for whole fits and searches: from one to three samples, in five seconds.
#: Of its own accord asv takes up to ten, for up to twenty seconds, twice.
SAMPLES_OF_SECONDS = (1, 3, 5.0)


class Shape(NamedTuple):
    """A two-layer network and its minibatch."""

    D: int  # inputs
    H: int  # hidden units
    C: int  # classes
    n: int  # rows in a minibatch

    @property
    def flops(self):
        """Floating point operations of the products in one training step.

        Forward and weight gradient of both layers; the gradient of the input of the second only.
        """
        return self.n * (4 * self.D * self.H + 6 * self.H * self.C)


#: The toy of CS231n, scikit-learn's digits, MNIST, CIFAR-10 and a wide MNIST network. Smallest
#: first: the tests run each benchmark once, with the first value of every parameter.
NETWORKS = {
    "4-10-3": Shape(4, 10, 3, 5),
    "64-100-10": Shape(64, 100, 10, 200),
    "784-100-10": Shape(784, 100, 10, 200),
    "3072-50-10": Shape(3072, 50, 10, 200),
    "784-512-10": Shape(784, 512, 10, 128),
}


def normal(rng, dtype, *shape):
    """Draw from the standard normal distribution; C-contiguous."""
    return rng.standard_normal(shape, dtype=dtype)


#: Share of the 28 x 28 pixels of MNIST that are not 0.
BRIGHT = 0.19


def chance_of_digits(density=BRIGHT):
    """Return the chance not to be 0 of each pixel of an image of a digit, dark at the border."""
    row, column = np.mgrid[:28, :28] - 13.5
    chance = np.clip(1 - np.maximum(np.abs(row) / 1.25, np.abs(column)) / 9, 0, 1).ravel()
    return np.minimum(chance * density * chance.size / chance.sum(), 0.95)


# ------------------------------------------------------------------------------------- whole models


def network_of(impl, network, dtype, seed=0):
    """Return a seeded TwoLayerNet of either implementation; both draw the same weights."""
    shape = NETWORKS[network]
    TwoLayerNet = {"numpy": reference.TwoLayerNet, "fastnn": fastnn.TwoLayerNet}[impl]
    np.random.seed(seed)
    return TwoLayerNet(shape.D, shape.H, shape.C, std=1e-2, dtype=np.dtype(dtype))


def examples_of(network, dtype, count, seed=0):
    """Return `count` examples and their labels."""
    shape, rng = NETWORKS[network], np.random.default_rng(seed)
    return normal(rng, np.dtype(dtype), count, shape.D), rng.integers(0, shape.C, count)


# --------------------------------------------------------------------------------- threads and time


def cores_at_hand():
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Threads:
    """Give NumPy's BLAS and fastnn the same number of threads, until :meth:`restore`."""

    def __init__(self, count):
        if count > cores_at_hand():
            # On one core, threads that wait for one another measure the scheduler.
            raise NotImplementedError(f"needs {count} cores")  # asv skips it
        self._before = fastnn.get_num_threads()
        self._limits = threadpoolctl.threadpool_limits(count)
        fastnn.set_num_threads(count)

    def restore(self):
        self._limits.restore_original_limits()
        fastnn.set_num_threads(self._before)


def now():
    """Read the clock by which times are taken, in seconds.

    Of one thread, that is the processor's time, which nothing else that the machine does can add
    to; several threads also wait for one another, and only the clock on the wall tells.
    """
    return time.process_time() if fastnn.get_num_threads() == 1 else time.perf_counter()


class Batch(NamedTuple):
    """A warm call, and how often to make it so that a clock can tell its time."""

    call: Callable
    count: int
    steps: int = 1  #: what one call does so many times; a time is that of one of them

    def run(self):
        call = self.call
        for _ in range(self.count):
            call()

    def seconds(self):
        """Return the mean time of one step in one run of the batch."""
        start = now()
        self.run()
        return (now() - start) / (self.count * self.steps)

    def clock(self):
        """Read a clock under which the whole batch takes as long as one of its steps.

        It is asv's `timer`: asv makes one call a sample, since it runs `setup` before each, and a
        kernel of a microsecond would disappear in the cost of reading a clock.
        """
        return now() / (self.count * self.steps)


def warm(call, seconds=0.01):
    """Make `call` until it is compiled and warm; return it as a batch that takes `seconds`."""
    call()
    once = min(Batch(call, 1).seconds() for _ in range(3))
    return Batch(call, max(1, min(10_000, int(seconds / max(once, 1e-9)))))


def ratio(numpy, fastnn, rounds=5, threads=1):
    """Return the time of the second batch over that of the first; below one, fastnn is faster.

    The two take turns, so that a change of the processor's speed meets both, and the quickest run
    of each counts: everything else that the machine does can only add.
    """
    quickest = {numpy: float("inf"), fastnn: float("inf")}
    for _ in range(rounds):
        for batch in quickest:
            if threads > 1:
                time.sleep(PAUSE)
                batch.seconds()  # wakes all cores
            quickest[batch] = min(quickest[batch], batch.seconds())
    return quickest[fastnn] / quickest[numpy]


def over_limit(batch, flops, dtype="float32", threads=1):
    """Return the time of a step over that of its products at the peak of the machine."""
    from fastnn.benchmark import peak_gflops

    step = min(batch.seconds() for _ in range(3))
    return step * peak_gflops(dtype) * 1e9 * threads / flops


# --------------------------------------------------------------------------------- what asv is told


def described(pretty_name, unit=None, version="1"):
    """Give a benchmark the name that the dashboard shows, and the unit of what it tracks.

    Results of another version are not shown, so give it a new one when it measures something else.
    Left alone, asv would take every change of the code for that.
    """

    def decorate(function):
        function.pretty_name, function.version = pretty_name, version
        if unit is not None:
            function.unit = unit
        return function

    return decorate


def own_copy(function, **attributes):
    """Return a copy of a benchmark that subclasses share, with attributes of its own."""
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__
    )
    copy.__doc__, copy.__qualname__ = function.__doc__, function.__qualname__
    vars(copy).update(vars(function) | attributes)
    return copy


class Comparison:
    """Base of the benchmarks whose first parameter is the implementation; none itself.

    A subclass defines :meth:`batch`, `params` and `param_names`, and `impls` where it compares
    others than NumPy; for those methods that compare the two implementations themselves, `impl` is
    left away. It comes first because the dashboard, of its own accord, shows a curve for every
    value of the first parameter and then for as few of the others as keep the plot legible.
    """

    impls: ClassVar[list] = IMPLS

    def batch(self, *params):
        """Build, seed and warm. Cached: asv runs `setup` again before every sample."""
        raise NotImplementedError

    def setup(self, *params):
        choice = dict(zip(self.param_names[-len(params) :], params))
        self.threads = Threads(choice.get("threads", 1))
        if "impl" in choice:
            self.chosen = self.batch(*params)
            self.timer = self.chosen.clock
        else:
            self.both = [self.batch(impl, *params) for impl in self.impls]

    def teardown(self, *params):
        self.threads.restore()


def without_impl(benchmark_class):
    """Give what compares the implementations the parameters of its class but `impl`."""
    for name, method in list(vars(benchmark_class).items()):
        if name in ("track_ratio", "track_over_peer"):
            method.params = benchmark_class.params[1:]
            method.param_names = benchmark_class.param_names[1:]
    return benchmark_class
