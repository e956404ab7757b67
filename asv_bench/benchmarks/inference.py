"""TwoLayerNet.predict: of one row, which is all overhead, and of many."""

from functools import lru_cache

from .common import DTYPES, IMPLS, Comparison, examples_of, network_of, ratio, warm, without_impl


@lru_cache(maxsize=1)
def rows_of(network, dtype, rows):
    return examples_of(network, dtype, rows)[0]


# The warm-up depends on `threads`, though nothing in it reads them.
@lru_cache(maxsize=2)
def prediction_of(impl, network, dtype, rows, threads):
    net = network_of(impl, network, dtype)
    X = rows_of(network, dtype, rows)
    return warm(lambda: net.predict(X))


@without_impl
class Predict(Comparison):
    """Seconds a call."""

    params = (IMPLS, ["4-10-3", "784-100-10", "3072-50-10"], DTYPES, [1, 10_000], [1, 2])
    param_names = ("impl", "network", "dtype", "rows", "threads")

    def batch(self, impl, network, dtype, rows, threads):
        return prediction_of(impl, network, dtype, rows, threads)

    def time_predict(self, impl, network, dtype, rows, threads):
        self.chosen.run()

    def track_ratio(self, network, dtype, rows, threads):
        return ratio(*self.both)
