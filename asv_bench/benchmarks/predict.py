"""Predictions: of one row, which is all overhead, of many, and through other activations."""

from functools import lru_cache

import numpy as np

import fastnn

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


@lru_cache(maxsize=2)
def prediction_through(impl, activation, dtype, rows):
    net = fastnn.Network((20, 100, 10), activation, dtype=dtype, random_state=0)
    X = np.random.default_rng(0).standard_normal((rows, 20)).astype(dtype)
    if impl == "fastnn":
        return warm(lambda: net.predict(X))
    layers = list(zip(net.coefs_, net.intercepts_))
    scores = fastnn.reference.network.scores
    return warm(lambda: scores([activation], layers, X).argmax(axis=1))


@without_impl
class PredictThrough(Comparison):
    """Classes of some rows by a Network with some activation, on one thread."""

    params = (IMPLS, ["relu", "logistic", "gelu"], DTYPES, [10, 1_000])
    param_names = ("impl", "activation", "dtype", "rows")

    def batch(self, impl, activation, dtype, rows):
        return prediction_through(impl, activation, dtype, rows)

    @described("Network.predict, by activation: time of a call")
    def time_predict(self, impl, activation, dtype, rows):
        """Seconds a call."""
        self.chosen.run()

    @described("Network.predict, by activation: fastnn / numpy", unit="fastnn / numpy")
    def track_ratio(self, activation, dtype, rows):
        """Fastnn's time of a call over NumPy's, measured in turns."""
        return ratio(*self.both)
