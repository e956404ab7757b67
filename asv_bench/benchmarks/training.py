"""One training step of TwoLayerNet, as its user calls it: draw, forward, backward, update."""

from functools import lru_cache

from fastnn.benchmark import peak_gflops

from .common import (
    DTYPES,
    IMPLS,
    NETWORKS,
    Batch,
    Comparison,
    Threads,
    examples_of,
    network_of,
    ratio,
    without_impl,
)

#: An epoch is then 20 steps or more (800 of the toy): the accuracy at its end costs little.
EXAMPLES = 4000


def steps_of(network, impl):
    """Return how many steps to time: so many that what `train` does once a call costs little."""
    if network == "4-10-3":
        return 10_000 if impl == "fastnn" else 500
    return 400 if network == "64-100-10" else 40


@lru_cache(maxsize=1)
def training_set(network, dtype):
    return examples_of(network, dtype, EXAMPLES)


# The warm-up depends on `threads`, though nothing in it reads them.
@lru_cache(maxsize=2)
def training_of(impl, network, dtype, threads):
    net = network_of(impl, network, dtype)
    X, y = training_set(network, dtype)
    n = NETWORKS[network].n
    steps = steps_of(network, impl)

    def train():
        net.train(X, y, X[:n], y[:n], learning_rate=1e-3, num_iters=steps, batch_size=n)

    train()
    return Batch(train, 1, steps)


@without_impl
class TrainingStep(Comparison):
    """Seconds a step."""

    params = (IMPLS, list(NETWORKS), DTYPES, [1, 2])
    param_names = ("impl", "network", "dtype", "threads")

    def batch(self, impl, network, dtype, threads):
        return training_of(impl, network, dtype, threads)

    def time_step(self, impl, network, dtype, threads):
        self.chosen.run()

    def track_ratio(self, network, dtype, threads):
        return ratio(*self.both, rounds=3)

    def track_over_limit(self, impl, network, dtype, threads):
        """Return a step's time over that of its products at the peak of the machine."""
        step = min(self.chosen.seconds() for _ in range(3))
        return step * peak_gflops(dtype) * 1e9 * threads / NETWORKS[network].flops

    track_over_limit.unit = "time / limit"  # type: ignore[attr-defined]


class PeakMemory:
    """Of the process, the training set included, after some steps on one thread."""

    params = (IMPLS, list(NETWORKS), DTYPES)
    param_names = ("impl", "network", "dtype")

    def setup(self, impl, network, dtype):
        self.threads = Threads(1)

    def teardown(self, impl, network, dtype):
        self.threads.restore()

    def peakmem_train(self, impl, network, dtype):
        training_of(impl, network, dtype, 1)
