"""How a step's time grows with threads, the batch, the width and the depth."""

from functools import lru_cache

from peer_libraries import Problem

from .common import IMPLS, Comparison, Threads, described, over_limit
from .models import training_of


def relu_network(*hidden, n=128):
    """Return a classifier of MNIST's sizes, trained by SGD."""
    return Problem((784, *hidden, 10), "relu", "softmax", "sgd", n)


#: Smallest first: the tests run each benchmark once with the first.
THREADED = {
    "784-256-10": relu_network(256, n=32),
    "784-100-10": relu_network(100, n=200),
    "784-512-10": relu_network(512),
    "784-512-512-512-10": relu_network(512, 512, 512, n=256),
}


# The warm-up depends on `threads`.
@lru_cache(maxsize=2)
def step_of(impl, problem, threads=1):
    return training_of(impl, problem, threads)


class ThreadScaling(Comparison):
    """A step on one thread and on two."""

    params = (IMPLS, list(THREADED), [1, 2])
    param_names = ("impl", "network", "threads")

    def batch(self, impl, network, threads):
        return step_of(impl, THREADED[network], threads)

    @described("Threads: time of a step")
    def time_step(self, impl, network, threads):
        """Seconds a step."""
        self.chosen.run()


class ThreadEfficiency:
    """What a second thread is worth to fastnn."""

    params = (list(THREADED),)
    param_names = ("network",)

    def setup(self, network):
        self.threads = Threads(2)
        self.two = step_of("fastnn", THREADED[network], 2)
        Threads(1)
        self.one = step_of("fastnn", THREADED[network], 1)

    def teardown(self, network):
        self.threads.restore()

    @described("Threads: two, over half of the time of one", unit="time / ideal")
    def track_over_ideal(self, network):
        """The time of two threads over half of that of one: 1 where the work divides freely."""
        quickest = {1: float("inf"), 2: float("inf")}
        for _ in range(3):
            for count, batch in ((1, self.one), (2, self.two)):
                Threads(count)
                quickest[count] = min(quickest[count], batch.seconds())
        return 2 * quickest[2] / quickest[1]


class _Sizes(Comparison):
    def batch(self, impl, size):
        return step_of(impl, self.problem(size))

    def problem(self, size):
        raise NotImplementedError


class BatchSize(_Sizes):
    """A step of 784-256-10 on batches of some rows, one thread."""

    params = (IMPLS, [1, 8, 32, 128, 512, 2048])
    param_names = ("impl", "rows")

    def problem(self, rows):
        return relu_network(256, n=rows)

    @described("Batch size: time of a step")
    def time_step(self, impl, rows):
        """Seconds a step; choose the rows for the x-axis."""
        self.chosen.run()

    @described("Batch size: step over the limit", unit="time / limit")
    def track_over_limit(self, impl, rows):
        """A step's time over that of its multiplications at the peak of the machine."""
        return over_limit(self.chosen, self.problem(rows).flops)


class Width(_Sizes):
    """A step of a network with one hidden layer of some units, batches of 128, one thread."""

    params = (IMPLS, [16, 64, 256, 1024, 2048])
    param_names = ("impl", "units")

    def problem(self, units):
        return relu_network(units)

    @described("Width: time of a step")
    def time_step(self, impl, units):
        """Seconds a step; choose the units for the x-axis."""
        self.chosen.run()

    @described("Width: step over the limit", unit="time / limit")
    def track_over_limit(self, impl, units):
        """A step's time over that of its multiplications at the peak of the machine."""
        return over_limit(self.chosen, self.problem(units).flops)


class Depth(_Sizes):
    """A step of a network with some hidden layers of 128 units, batches of 128, one thread."""

    params = (IMPLS, [1, 2, 4, 8])
    param_names = ("impl", "layers")

    def problem(self, layers):
        return relu_network(*[128] * layers)

    @described("Depth: time of a step")
    def time_step(self, impl, layers):
        """Seconds a step; choose the layers for the x-axis."""
        self.chosen.run()
