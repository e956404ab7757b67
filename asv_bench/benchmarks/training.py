"""One training step of TwoLayerNet, as its user calls it: draw, forward, backward, update."""

from functools import lru_cache

from .common import (
    DTYPES,
    IMPLS,
    NETWORKS,
    Batch,
    Comparison,
    described,
    examples_of,
    network_of,
    over_limit,
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
def training_of(impl, network, dtype, threads=1):
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
    """A step of the course's network, on one thread."""

    params = (IMPLS, list(NETWORKS), DTYPES)
    param_names = ("impl", "network", "dtype")

    def batch(self, impl, network, dtype):
        return training_of(impl, network, dtype)

    @described("TwoLayerNet: time of a step")
    def time_step(self, impl, network, dtype):
        """Seconds a step, drawing its batch and keeping its loss included."""
        self.chosen.run()

    @described("TwoLayerNet: step, fastnn / numpy", unit="fastnn / numpy")
    def track_ratio(self, network, dtype):
        """Fastnn's time of a step over NumPy's, measured in turns."""
        return ratio(*self.both, rounds=3)

    @described("TwoLayerNet: step over the limit", unit="time / limit")
    def track_over_limit(self, impl, network, dtype):
        """A step's time over that of its multiplications at the peak of the machine."""
        return over_limit(self.chosen, NETWORKS[network].flops, dtype)
