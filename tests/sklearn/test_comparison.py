"""300 configurations, drawn once and for all: every fitted attribute is scikit-learn's."""

import copy
import itertools
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn.neural_network as theirs
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

import fastnn
from fastnn.sklearn import installed

#: What the numbers may differ by, relative to the largest of an array.
TOLERANCES = {"float64": 1e-7, "float32": 2e-3}
COUNT = 300
LOSSES = [
    name for name in ("squared_error", "poisson") if name in installed.TABLES["LOSS_FUNCTIONS"]
]


def draw(seed):
    """Return a configuration: the kind of data, the parameters, and what is called."""
    random = np.random.RandomState(seed)

    def one_of(*choices):
        return choices[random.randint(len(choices))]

    kind = one_of("binary", "classes", "labels", "number", "numbers")
    solver = one_of("adam", "adam", "sgd", "sgd", "lbfgs")
    call = one_of("fit", "fit", "fit", "warm", "partial", "fit, partial")
    steps = solver != "lbfgs"
    if not steps and "partial" in call:
        call = "warm"
    parameters = {
        "solver": solver,
        "hidden_layer_sizes": one_of((), (7,), (20,), (9, 6), (5, 4, 3), (33,)),
        "activation": one_of("identity", "logistic", "tanh", "relu"),
        "alpha": one_of(0.0, 1e-4, 0.1, 3.0),
        "batch_size": one_of("auto", 1, 7, 32, 50, 1000),
        "learning_rate": one_of("constant", "invscaling", "adaptive"),
        "learning_rate_init": one_of(1e-3, 0.01, 0.05),
        "power_t": one_of(0.5, 0.25, 1.0),
        "max_iter": 20,
        "shuffle": one_of(True, True, False),
        "random_state": int(random.randint(100)),
        "tol": one_of(1e-4, 0.0, 0.05),
        "momentum": one_of(0.9, 0.0, 0.5, 1.0),
        "nesterovs_momentum": one_of(True, False),
        "early_stopping": one_of(True, False, False) and "partial" not in call,
        "validation_fraction": one_of(0.1, 0.3),
        "beta_1": one_of(0.9, 0.5, 0.0),
        "beta_2": one_of(0.999, 0.9),
        "epsilon": one_of(1e-8, 1e-3),
        "n_iter_no_change": one_of(1, 2, 3, 10),
        "warm_start": call == "warm",
    }
    if kind in ("number", "numbers") and len(LOSSES) > 1:
        parameters["loss"] = one_of(*LOSSES)
    if parameters["momentum"] == 1.0:
        # A velocity that nothing slows down soon takes small numbers to large ones.
        parameters["learning_rate_init"] = 1e-3
    if parameters["batch_size"] == 1:
        # Units that die of a strong penalty, where steps divide one vanishing number by another.
        parameters["alpha"] = min(parameters["alpha"], 0.1)
    data = {
        "n": one_of(1, 3, 53, 60, 100, 203)
        if not parameters["early_stopping"]
        else one_of(60, 203),
        "dtype": one_of("float64", "float64", "float64", "float32"),
        "sparse": one_of(None, None, None, "csr", "csc"),
        "weights": one_of(False, False, True) and installed.TAKES_WEIGHTS,
        "order": one_of("C", "F"),
    }
    if data["dtype"] == "float32":
        # Where long steps follow single rows, roundings of 1e-7 grow tenfold each few epochs.
        parameters["learning_rate_init"] = min(parameters["learning_rate_init"], 0.01)
        parameters["batch_size"] = one_of("auto", 32, 50, 1000)
        parameters["max_iter"] = 5 if solver == "lbfgs" else 20
    return kind, call, parameters, data


def make_data(kind, n, dtype, sparse_format, weights, order, loss, seed):
    """Return X, y and the weights of a configuration."""
    random = np.random.RandomState(1000 + seed)
    X = random.randn(n, 6)
    signal = X @ random.randn(6, 3) + 0.3 * random.randn(n, 3)
    if sparse_format:
        X[random.rand(n, 6) < 0.6] = 0
    X = np.asarray(X, dtype, order=order)
    if sparse_format:
        X = getattr(sparse, f"{sparse_format}_matrix")(X)
    y = {
        "binary": lambda: (signal[:, 0] > 0).astype(int),
        "classes": lambda: np.array(["a", "b", "c"])[signal.argmax(axis=1)],
        "labels": lambda: (signal > 0).astype(int),
        "number": lambda: signal[:, 0],
        "numbers": lambda: signal,
    }[kind]()
    if loss == "poisson":
        y = np.abs(y).round()
    weight = random.uniform(0.1, 2, n) if weights else None
    return X, y, weight


def train(estimator, kind, call, X, y, weights):
    """Do the calls of a configuration."""
    keywords = {} if weights is None else {"sample_weight": weights}
    first = {**keywords}
    if kind in ("binary", "classes"):
        first["classes"] = np.unique(y)
    elif kind == "labels":
        first["classes"] = [0, 1, 2]
    if call in ("fit", "warm", "fit, partial"):
        estimator.fit(X, y, **keywords)
    if call == "warm":
        estimator.fit(X, y, **keywords)
    for _ in range(20 if call == "partial" else 5 if call == "fit, partial" else 0):
        estimator.partial_fit(X, y, **first)
        first = keywords
    return estimator


def outcome(make, *arguments):
    """Return the estimator, what it warned of, and the error, whichever there are."""
    with warnings.catch_warnings(record=True) as told, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            estimator, error = train(make(), *arguments), None
        except Exception as raised:
            estimator, error = None, f"{type(raised).__name__}: {raised}"
    texts = [str(w.message) for w in told if w.category in (UserWarning, ConvergenceWarning)]
    return estimator, texts, error


def assert_same(ours, wanted, tolerance, path=""):
    """Assert that two fitted attributes say the same."""
    if isinstance(wanted, np.random.RandomState):
        ours, wanted = ours.get_state(legacy=False), wanted.get_state(legacy=False)
    if isinstance(wanted, (list, tuple)):
        assert len(ours) == len(wanted), path
        for i, (one, other) in enumerate(zip(ours, wanted)):
            assert_same(one, other, tolerance, f"{path}[{i}]")
    elif isinstance(wanted, dict):
        assert ours.keys() >= wanted.keys(), path
        for name in wanted:
            assert_same(ours[name], wanted[name], tolerance, f"{path}.{name}")
    elif isinstance(wanted, np.ndarray) and wanted.dtype.kind == "f":
        # The steps of a float32 are of either size, by what NumPy makes of their factors.
        assert ours.shape == wanted.shape, path
        bound = tolerance * max(float(np.abs(wanted).max(initial=0)), 1e-3)
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=bound, err_msg=path)
    elif isinstance(wanted, (float, np.floating)):
        assert ours == pytest.approx(
            float(wanted), rel=tolerance, abs=tolerance * 1e-3, nan_ok=True
        ), path
    elif hasattr(wanted, "__dict__") and type(wanted).__module__.startswith("sklearn"):
        assert type(ours) is type(wanted), path
        assert_same(vars(ours), vars(wanted), tolerance, path)
    else:
        np.testing.assert_array_equal(ours, wanted, err_msg=path)


@pytest.mark.parametrize("seed", range(COUNT))
def test_every_fitted_attribute_is_scikit_learn_s(seed):
    kind, call, parameters, data = draw(seed)
    name = "MLPRegressor" if kind.startswith("number") else "MLPClassifier"
    X, y, weights = make_data(
        *(kind, data["n"], data["dtype"], data["sparse"], data["weights"], data["order"]),
        *(parameters.get("loss"), seed),
    )
    arguments = kind, call, X, y, weights
    wanted, their_texts, their_error = outcome(
        lambda: getattr(theirs, name)(**parameters), *arguments
    )
    ours, texts, error = outcome(lambda: getattr(fastnn, name)(**parameters), *arguments)
    assert error == their_error
    if error is not None:
        return
    assert texts == their_texts
    tolerance = TOLERANCES[data["dtype"]]
    attributes = {name: value for name, value in vars(wanted).items() if name not in parameters}
    # In a copy, an optimiser has its own arrays.
    kept = {name: copy.deepcopy(vars(ours)[name]) for name in attributes}
    assert_same(kept, attributes, tolerance)
    assert_same(ours._forward_pass_fast(X), wanted._forward_pass_fast(X), tolerance)


def test_the_table_covers_what_there_is():
    drawn = [draw(seed) for seed in range(COUNT)]
    for name in ("solver", "activation", "learning_rate", "batch_size", "early_stopping"):
        assert len({parameters[name] for *_, parameters, _ in drawn}) > 1
    pairs = set(itertools.product(("adam", "sgd", "lbfgs"), ("fit", "warm")))
    assert pairs <= {(parameters["solver"], call) for _, call, parameters, _ in drawn}
