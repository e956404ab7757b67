"""The perceptrons of scikit-learn's and of fastnn's: fits, predictions, partial fits, searches.

The tables here are those of `asv_bench/estimators.py`, too, which measures the ratios of the guide.
"""

import warnings
from functools import lru_cache
from typing import NamedTuple

import joblib
import numpy as np
import scipy.sparse
from joblib.externals.loky import get_reusable_executor
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor

import fastnn
from peer_libraries import training_flops

from .common import (
    DTYPES,
    SAMPLES_OF_SECONDS,
    Batch,
    Comparison,
    Threads,
    chance_of_digits,
    cores_at_hand,
    described,
    ratio,
    warm,
    without_impl,
)

#: None in a commit before there were estimators.
ESTIMATORS = {
    "scikit-learn": (MLPClassifier, MLPRegressor),
    "fastnn": tuple(getattr(fastnn, name, None) for name in ("MLPClassifier", "MLPRegressor")),
}
IMPLS = list(ESTIMATORS)


def estimator_of(impl, numbers=False, **parameters):
    """Return a new estimator, of classes or of numbers."""
    kind = ESTIMATORS[impl][numbers]
    if kind is None:
        raise NotImplementedError("this commit has no estimators")  # asv skips it
    return kind(**parameters)


class Fit(NamedTuple):
    """Data and parameters of a fit; all others are scikit-learn's defaults."""

    shape: tuple  #: rows, inputs, classes; None for the digits of scikit-learn
    epochs: int
    parameters: dict
    digits: bool = False  #: whether the inputs are zeros where images of digits are dark

    def data(self, dtype):
        """Return X and y."""
        if self.shape is None:
            X, y = load_digits(return_X_y=True)
            return (X / 16).astype(dtype), y
        n, D, C = self.shape
        rng = np.random.default_rng(0)
        X = rng.standard_normal((n, D), dtype=np.float32)
        if self.digits:
            X *= rng.random(X.shape, dtype=np.float32) < chance_of_digits()
        elif D == 784:
            # Half of an image is dark, anywhere.
            X = np.maximum(X, 0)
        return X.astype(dtype), (X @ rng.standard_normal((D, C))).argmax(axis=1)

    @property
    def flops(self):
        """Floating-point operations of the products of all epochs."""
        n, D, C = self.shape or (1797, 64, 10)
        hidden = self.parameters.get("hidden_layer_sizes", (100,))
        # Two classes have one output between them.
        return training_flops((D, *hidden, C if C > 2 else 1), n * self.epochs)

    def estimator(self, impl):
        """Return an estimator that trains for all epochs, whatever the losses do."""
        return estimator_of(
            impl,
            random_state=0,
            max_iter=self.epochs,
            tol=0.0,
            n_iter_no_change=self.epochs,
            **self.parameters,
        )


#: Smallest first: the tests run each benchmark once, with the first value of every parameter.
FITS = {
    "1,000 x 10, hidden 16, batch 32": Fit(
        (1000, 10, 2), 100, {"hidden_layer_sizes": (16,), "batch_size": 32}
    ),
    "digits, defaults": Fit(None, 50, {}),
    "10,000 x 20, defaults": Fit((10_000, 20, 2), 20, {}),
    "20,000 digits of 784 pixels, hidden 100": Fit((20_000, 784, 10), 5, {}, digits=True),
    "20,000 digits of 784 pixels, hidden 256, 128": Fit(
        (20_000, 784, 10), 5, {"hidden_layer_sizes": (256, 128)}, digits=True
    ),
    "20,000 x 784, hidden 100": Fit((20_000, 784, 10), 3, {}),
    "20,000 x 784, hidden 256, 128": Fit((20_000, 784, 10), 2, {"hidden_layer_sizes": (256, 128)}),
    "150 x 4, hidden 10, 10, L-BFGS": Fit(
        (150, 4, 3), 30, {"hidden_layer_sizes": (10, 10), "solver": "lbfgs"}
    ),
    "digits, L-BFGS": Fit(None, 20, {"solver": "lbfgs"}),
}
#: The network that predicts dense rows.
SERVED = Fit((100_000, 20, 2), 1, {})


class Prediction(NamedTuple):
    """What is predicted at a time."""

    rows: int
    form: str = "array"  #: or "frame", of pandas, or "sparse", 5,000 columns of which 50 are stored


PREDICTIONS = {
    "1 x 20": Prediction(1),
    "1,000 x 20": Prediction(1_000),
    "100,000 x 20": Prediction(100_000),
    "100 x 20, data frame": Prediction(100, "frame"),
    "100 x 5,000, sparse": Prediction(100, "sparse"),
}


class PartialFit(NamedTuple):
    """What is trained on some rows at a time."""

    rows: int
    inputs: int
    hidden: tuple = (100,)
    numbers: bool = False  #: a regression, not two classes


PARTIAL_FITS = {
    "200 x 20, hidden 100": PartialFit(200, 20),
    "200 x 20, hidden 100, regression": PartialFit(200, 20, numbers=True),
    "32 x 784, hidden 256, 128": PartialFit(32, 784, (256, 128)),
}


def fit(estimator, X, y):
    """Fit, and do not warn that as many epochs as asked for were not enough."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


@lru_cache(maxsize=1)
def data_of(case, dtype):
    return FITS.get(case, SERVED).data(dtype)


@lru_cache(maxsize=2)
def fit_of(impl, case, dtype, threads):
    # A third of the epochs shows the pace of a fit, and its fixed cost.
    (X, y), epochs = data_of(case, dtype), max(FITS[case].epochs // 3, 1)

    # Not warmed: of several samples, or rounds, the first does that.
    return Batch(lambda: fit(FITS[case]._replace(epochs=epochs).estimator(impl), X, y), 1)


@lru_cache(maxsize=1)
def rows_of(form, dtype):
    """Return X and y of what is predicted, in a form."""
    if form == "sparse":
        X = scipy.sparse.random(2_000, 5_000, density=0.01, format="csr", random_state=0)
        halves = (np.asarray(part.sum(axis=1)).ravel() for part in (X[:, :2_500], X[:, 2_500:]))
        return X.astype(dtype), np.greater(*halves).astype(int)
    X, y = data_of("served", dtype)
    if form == "frame":
        try:
            import pandas
        except ImportError:
            raise NotImplementedError("pandas is not installed") from None  # asv skips it
        return pandas.DataFrame(X, columns=[f"feature {i}" for i in range(X.shape[1])]), y
    return X, y


@lru_cache(maxsize=2)
def served_by(impl, dtype, form="array"):
    X, y = rows_of(form, dtype)
    return fit(SERVED.estimator(impl), X[:10_000], y[:10_000])


def prediction_of(impl, case, dtype):
    rows, form = PREDICTIONS[case]
    estimator, X = served_by(impl, dtype, form), rows_of(form, dtype)[0][:rows]
    return warm(lambda: estimator.predict(X))


def partial_fit_of(impl, case, dtype):
    rows, inputs, hidden, numbers = PARTIAL_FITS[case]
    calls, rng = 20, np.random.default_rng(0)
    X = rng.standard_normal((calls, rows, inputs), dtype=np.float32).astype(dtype)
    y = X.sum(axis=2) if numbers else (X[:, :, 0] > 0).astype(int)
    estimator = estimator_of(impl, numbers, hidden_layer_sizes=hidden, random_state=0)
    estimator.partial_fit(X[0], y[0], **({} if numbers else {"classes": [0, 1]}))

    def train():
        for some in zip(X, y):
            estimator.partial_fit(*some)

    train()
    return Batch(train, 1, calls)


@without_impl
class EstimatorFit(Comparison):
    """A fit of MLPClassifier."""

    impls, repeat = IMPLS, SAMPLES_OF_SECONDS
    params = (IMPLS, list(FITS), DTYPES, [1, 2])
    param_names = ("impl", "case", "dtype", "threads")

    def batch(self, impl, case, dtype, threads):
        if threads > cores_at_hand():
            raise NotImplementedError(f"needs {threads} cores")
        return fit_of(impl, case, dtype, threads)

    @described("MLPClassifier: time of a fit")
    def time_fit(self, impl, case, dtype, threads):
        """Seconds a fit, the checks of its input included."""
        self.chosen.run()

    @described("MLPClassifier: fit, fastnn / scikit-learn", unit="fastnn / scikit-learn")
    def track_ratio(self, case, dtype, threads):
        """Fastnn's time over scikit-learn's, measured in turns."""
        return ratio(*self.both, rounds=2)


@without_impl
class EstimatorPredict(Comparison):
    """A prediction by MLPClassifier, on one thread."""

    impls = IMPLS
    params = (IMPLS, list(PREDICTIONS), DTYPES)
    param_names = ("impl", "case", "dtype")

    def batch(self, impl, case, dtype):
        return prediction_of(impl, case, dtype)

    @described("MLPClassifier: time of a prediction")
    def time_predict(self, impl, case, dtype):
        """Seconds a call."""
        self.chosen.run()

    @described("MLPClassifier: prediction, fastnn / scikit-learn", unit="fastnn / scikit-learn")
    def track_ratio(self, case, dtype):
        """Fastnn's time over scikit-learn's, measured in turns."""
        return ratio(*self.both, rounds=3)


@without_impl
class EstimatorPartialFit(Comparison):
    """A partial fit, on one thread."""

    impls = IMPLS
    params = (IMPLS, list(PARTIAL_FITS), DTYPES)
    param_names = ("impl", "case", "dtype")

    def batch(self, impl, case, dtype):
        return partial_fit_of(impl, case, dtype)

    @described("Perceptrons: time of a partial fit")
    def time_partial_fit(self, impl, case, dtype):
        """Seconds a call."""
        self.chosen.run()

    @described("Perceptrons: partial fit, fastnn / scikit-learn", unit="fastnn / scikit-learn")
    def track_ratio(self, case, dtype):
        """Fastnn's time over scikit-learn's, measured in turns."""
        return ratio(*self.both, rounds=3)


# ---------------------------------------------------------------------------------------- searches

GRID = {"alpha": [1e-5, 1e-4, 1e-3, 1e-2], "learning_rate_init": [3e-4, 1e-3, 3e-3]}
#: How two cores are used: by joblib's jobs, in threads or in processes, or by a fit's own threads.
WAYS = {"threading": 2, "loky": 2, "sequential": 1}


def search(impl, way, dtype="float64", grid=GRID):
    """Search on two cores; return what was found."""
    jobs, (X, y) = WAYS[way], data_of("digits, defaults", dtype)
    estimator, inside = FITS["digits, defaults"].estimator(impl), 2 // jobs
    limits = {"inner_max_num_threads": inside} if way == "loky" else {}
    threads = Threads(inside)
    try:
        with warnings.catch_warnings(), joblib.parallel_config(way, n_jobs=jobs, **limits):
            warnings.simplefilter("ignore", ConvergenceWarning)
            return GridSearchCV(estimator, grid, cv=3, n_jobs=jobs, refit=False).fit(X, y)
    finally:
        threads.restore()


class EstimatorSearch:
    """A grid search of 12 points and 3 folds on the digits, on two cores."""

    params = (IMPLS, list(WAYS))
    param_names = ("impl", "way")
    repeat = SAMPLES_OF_SECONDS

    def setup(self, impl, way):
        search(impl, way, grid={"alpha": GRID["alpha"][:1]})  # starts workers, loads kernels there

    def teardown(self, impl, way):
        # Idle workers live on for five minutes, and asv waits for all who may still print.
        if way == "loky":
            get_reusable_executor().shutdown()

    @described("MLPClassifier: time of a search")
    def time_search(self, impl, way):
        """Seconds of the whole search."""
        search(impl, way)
