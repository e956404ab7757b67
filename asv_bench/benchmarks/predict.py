"""TwoLayerNet.predict: of one row, which is all overhead, and of many."""

from functools import lru_cache

from .common import (
    DTYPES,
    IMPLS,
    Comparison,
    described,
    examples_of,
    network_of,
    ratio,
    warm,
    without_impl,
)


@lru_cache(maxsize=1)
def rows_of(network, dtype, rows):
    return examples_of(network, dtype, rows)[0]


@lru_cache(maxsize=2)
def prediction_of(impl, network, dtype, rows):
    net = network_of(impl, network, dtype)
    X = rows_of(network, dtype, rows)
    return warm(lambda: net.predict(X))


@without_impl
class Predict(Comparison):
    """Classes of some rows, on one thread."""

    params = (IMPLS, ["4-10-3", "784-100-10"], DTYPES, [1, 10_000])
    param_names = ("impl", "network", "dtype", "rows")

    def batch(self, impl, network, dtype, rows):
        return prediction_of(impl, network, dtype, rows)

    @described("TwoLayerNet.predict: time of a call")
    def time_predict(self, impl, network, dtype, rows):
        """Seconds a call."""
        self.chosen.run()

    @described("TwoLayerNet.predict: fastnn / numpy", unit="fastnn / numpy")
    def track_ratio(self, network, dtype, rows):
        """Fastnn's time of a call over NumPy's, measured in turns."""
        return ratio(*self.both)
