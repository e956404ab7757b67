"""Training steps of deeper networks and other heads, beside other libraries, on one thread."""

from functools import lru_cache

from asv_runner.benchmarks.mark import SkipNotImplemented

from peer_libraries import ROWS, Problem

from .common import IMPLS, Comparison, described, over_limit, ratio, without_impl
from .models import LIBRARIES, installed_libraries, training_of

#: The field's record for small networks first: the tests run each benchmark once with the first.
PROBLEMS = {
    "4-32-16-4 tanh, Adam, all rows": Problem((4, 32, 16, 4), "tanh", "softmax", "adam", ROWS),
    "784-256-128-10, Adam": Problem((784, 256, 128, 10), "relu", "softmax", "adam", 128),
    "50-256-256-1, squared error, Adam": Problem(
        (50, 256, 256, 1), "relu", "identity", "adam", 256
    ),
    "128-512-512-512-10, SGD": Problem((128, 512, 512, 512, 10), "relu", "softmax", "sgd", 256),
}


@lru_cache(maxsize=4)
def step_of(impl, network):
    return training_of(impl, PROBLEMS[network])


@without_impl
class NetworkStep(Comparison):
    """A step of a Trainer, of its twin in NumPy, and of the other libraries at hand."""

    params = ([*IMPLS, *LIBRARIES], list(PROBLEMS))
    param_names = ("impl", "network")

    def batch(self, impl, network):
        return step_of(impl, network)

    @described("Trainer: time of a step, and its peers'")
    def time_step(self, impl, network):
        """Seconds a step, drawing and gathering its batch included."""
        self.chosen.run()

    @described("Trainer: step, fastnn / numpy", unit="fastnn / numpy")
    def track_ratio(self, network):
        """Fastnn's time of a step over that of its twin in NumPy, measured in turns."""
        return ratio(*self.both, rounds=3)

    @described("Trainer: step over the limit", unit="time / limit")
    def track_over_limit(self, impl, network):
        """A step's time over that of its multiplications at the peak of the machine."""
        return over_limit(self.chosen, PROBLEMS[network].flops)

    @described("Trainer: step, fastnn / fastest peer", unit="fastnn / fastest peer")
    def track_over_peer(self, network):
        """Fastnn's time of a step over that of the fastest other library that is installed."""
        peers, ours = installed_libraries(), step_of("fastnn", network)
        if not peers:
            raise SkipNotImplemented("no other library is installed")
        return max(ratio(step_of(peer, network), ours, rounds=3) for peer in peers)
