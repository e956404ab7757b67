"""Network: construction, parameters, inference on any input, errors and files."""

import copy
import gc
import itertools
import os
import pickle
import subprocess
import sys
import textwrap
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnn
from fastnn import Network, reference
from fastnn.checks.sparse import Sparse
from fastnn.engine import inference
from fastnn.engine import loop as engine_loop
from fastnn.engine.tapes import Shelf
from fastnn.jobs import Architecture, block_rows
from fastnn.reference.activations import ACTIVATIONS

sparse = pytest.importorskip("scipy.sparse")

DTYPES = [np.float32, np.float64]
HEADS = ("softmax", "logistic", "identity", "exponential")
SIZES = 20, 13, 7, 4


@pytest.fixture(autouse=True)
def default_threads():
    yield
    fastnn.set_num_threads(None)


@pytest.fixture
def always_compiled(monkeypatch):
    """Leave nothing of 16 rows and more to NumPy."""
    monkeypatch.setattr("fastnn.engine.inference.PER_CALL", -np.inf)


def random_rows(n, D=SIZES[0], dtype=np.float64, seed=0):
    return np.random.RandomState(seed).randn(n, D).astype(dtype)


def scores_of(net, X):
    """Return the scores by the twin, in float64."""
    layers = [(W.astype(float), b.astype(float)) for W, b in net.layers]
    return reference.network.scores(net.architecture.activations, layers, np.asarray(X, float))


# ------------------------------------------------------------------------------------ construction


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        ((5,), {}, TypeError, r"layer_sizes is 5, but it is a sequence .* \(784, 100, 10\)"),
        (((5,),), {}, ValueError, r"layer_sizes is \(5,\), but a network has inputs and outputs"),
        (((),), {}, ValueError, r"layer_sizes is \(\), but"),
        (((5, 0, 3),), {}, ValueError, r"layer_sizes\[1\] is 0, but it must be at least 1"),
        (
            ((5, 3.0),),
            {},
            TypeError,
            r"layer_sizes\[1\] is 3.0 of type float, but it is an int",
        ),
        (("53",), {}, TypeError, r"layer_sizes\[0\] is '5' of type str"),
        (
            ((5, 3), "sigmoid"),
            {},
            ValueError,
            "activation is 'sigmoid', but it is one of ident",
        ),
        (((5, 3), None), {}, TypeError, "activation is None, but it is one of"),
        (((5, 3), "relu", "mse"), {}, ValueError, "head is 'mse', but it is one of softmax, log"),
        (((5, 1),), {}, ValueError, "softmax of 1 output is always 1: pass 2 outputs, or head='lo"),
        (((5, 3),), {"dtype": "f2"}, TypeError, "dtype is 'f2', but .* pass dtype=numpy.float32"),
        (((5, 3),), {"dtype": None}, TypeError, "dtype is None"),
        (((5, 3),), {"dtype": "no"}, TypeError, "dtype is 'no'"),
        (
            ((5, 3),),
            {"init": "zeros"},
            ValueError,
            "init is 'zeros', but it is one of glorot, he or",
        ),
        (((5, 3),), {"random_state": "x"}, TypeError, "random_state is 'x', but it is None"),
        (
            ((5, 3),),
            {"input_scale": 0},
            ValueError,
            "input_scale holds 0.0, but .* pass numbers above 0",
        ),
        (
            ((5, 3),),
            {"input_scale": [1, 2]},
            ValueError,
            r"input_scale has shape \(2,\), .* \(5,\)",
        ),
        (((5, 3),), {"input_mean": "x"}, TypeError, "input_mean is 'x', but it is a number"),
        (((5, 3),), {"input_mean": None}, TypeError, "input_mean is None, but it is a number or"),
        (((5, 3),), {"input_scale": None}, TypeError, "input_scale is None, but it is a number or"),
        (
            ((5, 3),),
            {"input_mean": np.nan},
            ValueError,
            "input_mean holds nan, but it must be fin",
        ),
    ],
)
def test_wrong_arguments(arguments, options, error, match):
    with pytest.raises(error, match=match):
        Network(*arguments, **options)


@pytest.mark.parametrize("sizes", [(3, 2), [5, 4, 3], np.array([7, 1, 1, 2]), range(2, 5)], ids=str)
def test_shapes_and_views(sizes):
    net = Network(sizes, random_state=0)
    assert net.layer_sizes == tuple(sizes)
    assert all(type(size) is int for size in net.layer_sizes)
    shapes = list(itertools.pairwise(net.layer_sizes))
    assert [W.shape for W in net.coefs_] == shapes
    assert [b.shape for b in net.intercepts_] == [(N,) for _, N in shapes]
    assert net.params.shape == (sum(K * N + N for K, N in shapes),)
    assert all(part.dtype == np.float32 for part in (net.params, *net.coefs_, *net.intercepts_))
    flat = np.concatenate([part.ravel() for layer in net.layers for part in layer])
    np.testing.assert_array_equal(flat, net.params)
    for number, (W, b) in enumerate(zip(net.coefs_, net.intercepts_)):
        W[...], b[...] = number, -number
    assert set(net.params) == {x for i in range(len(shapes)) for x in (i, -i)}
    net.params[:] = 7
    assert all((part == 7).all() for part in (*net.coefs_, *net.intercepts_))


def test_params_are_copied_where_they_are_assigned():
    net = Network(SIZES, random_state=0)
    values, kept = np.arange(net.params.size), net.params
    net.params = values
    assert net.params is kept
    np.testing.assert_array_equal(net.coefs_[0].ravel(), values[: SIZES[0] * SIZES[1]])
    with pytest.raises(ValueError, match=r"params has shape \(3,\), but .* needs \(403,\)"):
        net.params = np.zeros(3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_glorot_draws_as_scikit_learn_does(activation, dtype):
    net = Network(SIZES, activation, dtype=dtype, random_state=3)
    random = np.random.RandomState(3)
    for (K, N), W, b in zip(itertools.pairwise(SIZES), net.coefs_, net.intercepts_):
        bound = np.sqrt((2.0 if activation == "logistic" else 6.0) / (K + N))
        np.testing.assert_array_equal(W, random.uniform(-bound, bound, (K, N)).astype(dtype))
        np.testing.assert_array_equal(b, random.uniform(-bound, bound, N).astype(dtype))


def test_he_has_the_variance_of_its_formula():
    net = Network((200, 300, 100, 2), init="he", random_state=0)
    for W, b in net.layers[:2]:
        assert W.std() == pytest.approx(np.sqrt(2 / len(W)), rel=0.02)
        assert abs(W.mean()) < 0.002
        assert not b.any()


def test_random_states():
    expected = Network(SIZES, random_state=3).params
    for random_state in (np.random.RandomState(3), np.int64(3)):
        np.testing.assert_array_equal(Network(SIZES, random_state=random_state).params, expected)
    np.random.seed(3)
    np.testing.assert_array_equal(Network(SIZES).params, expected)
    assert not np.array_equal(Network(SIZES, random_state=4).params, expected)


def test_repr_says_what_it_is():
    net = Network((5, 3), "tanh", "identity", dtype=np.float64, random_state=0)
    assert repr(net) == "Network((5, 3), activation='tanh', head='identity', dtype=float64)"
    named = {"Network": Network}
    remade = eval(repr(net).replace("float64", "'float64'"), named)
    assert remade.layer_sizes == net.layer_sizes


class Named(Network):
    """A class of a user, with an attribute of its own."""


def test_attributes_of_a_subclass_are_copied():
    net = Named((2, 3, 2))
    net.name = "mine"
    assert copy.deepcopy(net).name == "mine"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_independent_and_their_views_are_views(copied):
    net = Network(SIZES, "gelu", input_mean=range(20), input_scale=7, random_state=0)
    X, before = random_rows(5), net.params.copy()
    twin = copied(net)
    np.testing.assert_array_equal(twin.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(twin.input_mean, np.arange(20))
    twin.coefs_[0][...] = 0
    assert (twin.params[: SIZES[0] * SIZES[1]] == 0).all()
    twin.params[:] = 1
    assert all((part == 1).all() for part in (*twin.coefs_, *twin.intercepts_))
    np.testing.assert_array_equal(net.params, before)


# --------------------------------------------------------------------------------------- inference


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 191, 1000, 5003])
def test_inference_equals_the_twin(always_compiled, n, head, dtype):
    net = Network(SIZES, "tanh", head, dtype=dtype, random_state=0)
    X = random_rows(n, dtype=dtype)
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    S = scores_of(net, X)
    expected = reference.heads.predictions(head, S)
    scores = net.decision_function(X)
    assert scores.shape == (n, 4)
    assert scores.dtype == dtype
    np.testing.assert_allclose(scores, S, rtol=tolerance, atol=tolerance)
    predicted = net.predict(X)
    if head in ("identity", "exponential"):
        np.testing.assert_allclose(predicted, expected, rtol=tolerance, atol=tolerance)
        assert predicted.dtype == dtype
        with pytest.raises(AttributeError, match=f"head='{head}' predicts numbers, .*call predict"):
            net.predict_proba(X)
        return
    P = net.predict_proba(X)
    assert P.dtype == dtype
    np.testing.assert_allclose(P, expected, rtol=tolerance, atol=tolerance)
    assert predicted.dtype == np.int64
    if head == "softmax":
        np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_array_equal(predicted, scores.argmax(axis=1))
    else:
        np.testing.assert_array_equal(predicted, scores > 0)


@pytest.mark.parametrize(
    ("n", "most", "rows"),
    [
        *((1, 192, 16), (16, 192, 16), (17, 192, 32), (190, 192, 192), (192, 192, 192)),
        *((193, 192, 112), (256, 192, 128), (385, 192, 144), (300, 256, 160), (9, 5, 5)),
    ],
)
def test_blocks_are_even(n, most, rows):
    assert block_rows(n, most) == rows


def test_few_rows_and_small_networks_are_left_to_numpy():
    def is_small(sizes, n, dtype, activation="relu", kind=np.zeros):
        X = kind((n, sizes[0]), dtype)
        return inference._is_small(Architecture(sizes, activation), X, np.dtype(dtype).itemsize)

    def filled(shape, dtype):
        """Make a sparse X, a tenth of it stored."""
        X = np.zeros(shape, dtype)
        X[:, ::10] = 1
        stored = sparse.csr_array(X)
        return Sparse(shape, stored.indptr, stored.indices, stored.data)

    for dtype in (np.float32, np.float64):
        assert is_small((4, 10, 3), 2000, dtype)
        assert is_small((784, 100, 10), 32, dtype)
        assert is_small((256, 1024, 1024, 10), 32, dtype)
        assert not is_small((20, 100, 1), 1500, dtype)
        assert not is_small((784, 100, 10), 1000, dtype)
        assert not is_small((256, 1024, 1024, 10), 1000, dtype)
        assert is_small((1000, 100, 10), 50, dtype, kind=filled)
        assert not is_small((1000, 100, 10), 500, dtype, kind=filled)
        # Activations that NumPy computes in many passes, or number by number.
        assert is_small((20, 100, 10), 1, dtype, "gelu")
        assert not is_small((20, 100, 10), 16, dtype, "gelu")
        assert is_small((20, 100, 10), 128, dtype, "tanh")
        assert is_small((20, 100, 100, 10), 4, dtype, ("relu", "mish"))
        assert not is_small((20, 100, 100, 10), 60, dtype, ("relu", "mish"))


def test_no_activation_is_forgotten():
    assert set(inference.PER_UNIT) == set(ACTIVATIONS)


@pytest.mark.parametrize("n", [1, 2, 40, 300])
@pytest.mark.parametrize("dtype", DTYPES)
def test_both_ways_to_infer_from_sparse_rows_agree(monkeypatch, dtype, n):
    X = random_rows(n).astype(dtype)
    X[X < 1] = 0
    X[n // 2] = 0
    for head in HEADS:
        net = Network(SIZES, "tanh", head, dtype=dtype, random_state=0)
        wanted = net.decision_function(X)
        for seconds in (np.inf, -np.inf):
            monkeypatch.setattr("fastnn.engine.inference.PER_CALL", seconds)
            for form in (sparse.csr_array, sparse.csr_matrix, sparse.csc_array):
                got = net.decision_function(form(X))
                assert got.dtype == dtype
                np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
                assert net.predict(form(X)).shape == net.predict(X).shape


@pytest.mark.parametrize("n", [100, 193, 400])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_both_ways_to_infer_agree(monkeypatch, activation, n):
    X = random_rows(n)
    monkeypatch.setattr("fastnn.engine.inference.SCORED_BYTES", 20_000)  # some blocks
    for head in HEADS:
        net = Network(SIZES, activation, head, dtype=np.float64, random_state=0)
        results = []
        for seconds in (np.inf, -np.inf):
            monkeypatch.setattr("fastnn.engine.inference.PER_CALL", seconds)
            results.append((net.decision_function(X), net.predict(X)))
        for by_numpy, compiled in zip(*results):
            np.testing.assert_allclose(compiled, by_numpy, rtol=1e-12, atol=1e-12)


@pytest.fixture
def shelf(monkeypatch):
    """Have a shelf of one's own, and all predictions by the compiled loop."""
    shelf = Shelf()
    monkeypatch.setattr("fastnn.engine.inference.PER_CALL", -np.inf)
    monkeypatch.setattr("fastnn.engine.loop.SHELF", shelf)
    return shelf


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_loop_that_has_waited_predicts_as_a_new_one(shelf, form, dtype):
    X = random_rows(300).astype(dtype)
    X[X < 0.5] = 0
    nets = [Network(SIZES, "gelu", dtype=dtype, random_state=seed) for seed in (0, 1, 2)]
    wanted = []
    for net in nets:
        wanted.append((net.predict_proba(form(X)), net.predict(form(X))))
        shelf._waiting.clear()
    nets[1].params[:] = np.nan
    for _, (net, (probabilities, classes)) in itertools.product(range(2), zip(nets, wanted)):
        for rows in (X, X[:290], X[5:]):
            first = 5 if len(rows) == 295 else 0
            got = net.predict_proba(form(rows)), net.predict(form(rows))
            if net is nets[1]:
                assert np.isnan(got[0]).all()
            else:
                span = slice(first, first + len(rows))
                np.testing.assert_array_equal(got[0], probabilities[span])
                np.testing.assert_array_equal(got[1], classes[span])
    assert 0 < sum(map(len, shelf._waiting.values())) < 20


def test_a_loop_that_waits_holds_no_data_and_no_results(shelf):
    X, net = random_rows(300), Network(SIZES, random_state=0)
    held = [X, net.predict_proba(X), net.predict(X), *net.coefs_]
    places = [weakref.ref(each) for each in held]
    assert len(shelf._waiting) == 2
    del X, net, held
    gc.collect()
    assert [place() for place in places] == [None] * len(places)


def test_predictions_at_once_share_no_loop(shelf):
    X = random_rows(600)
    nets = [Network(SIZES, random_state=seed) for seed in range(4)]
    wanted = [net.predict_proba(X) for net in nets]

    def predict(net):
        return [net.predict_proba(X) for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        for got, expected in zip(pool.map(predict, nets), wanted):
            assert all((each == expected).all() for each in got)


@pytest.mark.parametrize(
    ("n", "stored", "threads"),
    [(1000, None, 1), (9_000, None, 1), (11_000, None, 2), (40_000, None, 3)]
    + [(1000, 10, 1), (1000, 500, 3)],  # of a sparse X, what it stores counts
)
def test_a_prediction_starts_threads_that_are_worth_it(monkeypatch, shelf, n, stored, threads):
    used, work = set(), engine_loop.run_threads

    def note(function, count, arguments, call_off):
        used.add(count)
        work(function, count, arguments, call_off)

    monkeypatch.setattr(engine_loop, "run_threads", note)
    X = np.zeros((n, 1000 if stored else 20), np.float32)
    if stored:
        X[:, :stored] = 1
        X = sparse.csr_array(X)
    fastnn.set_num_threads(3)
    try:
        Network((X.shape[1], 100, 10), random_state=0).predict(X)
    finally:
        fastnn.set_num_threads(None)
    assert used == {threads}


@pytest.mark.parametrize("n", [1, 3, 40])
def test_one_output_gives_one_number_a_row(always_compiled, n):
    for head in HEADS[1:]:
        net = Network((20, 5, 1), head=head, random_state=0)
        X = random_rows(n)
        assert net.predict(X).shape == (n,)
        assert net.decision_function(X).shape == (n, 1)
        if head == "logistic":
            np.testing.assert_array_equal(net.predict(X), net.predict_proba(X)[:, 0] > 0.5)


@pytest.mark.parametrize("n", [1, 3, 40])
def test_the_first_of_equal_scores_and_of_nan(always_compiled, n):
    net = Network((20, 4), random_state=0)
    net.params[:] = 0
    np.testing.assert_array_equal(net.predict(random_rows(n)), np.zeros(n))
    net.intercepts_[-1][2:] = 1
    np.testing.assert_array_equal(net.predict(random_rows(n)), np.full(n, 2))
    net.intercepts_[-1][1::2] = np.nan
    np.testing.assert_array_equal(net.predict(random_rows(n)), np.full(n, 1))
    assert np.isnan(net.predict_proba(random_rows(n))).all()


def test_scores_far_from_zero(always_compiled):
    for n, dtype in itertools.product((1, 3, 40), DTYPES):
        net = Network((20, 3), dtype=dtype, random_state=0)
        net.params[:] = 0
        large = np.finfo(dtype).max / 4
        net.intercepts_[0][:] = [large, 0, -large]
        np.testing.assert_array_equal(net.predict_proba(random_rows(n)), [[1, 0, 0]] * n)
        net = Network((20, 3), head="logistic", dtype=dtype, random_state=0)
        net.params[:] = 0
        net.intercepts_[0][:] = [large, 0, -large]
        np.testing.assert_array_equal(net.predict_proba(random_rows(n)), [[1, 0.5, 0]] * n)


@pytest.mark.parametrize("n", [1, 3, 40])
@pytest.mark.parametrize("head", ["softmax", "logistic", "exponential"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_small_predictions_are_numbers_down_to_the_smallest(always_compiled, dtype, head, n):
    info = np.finfo(dtype)
    # From a normal number to the least that is not rounded to 0, and beyond.
    least = np.log(float(info.smallest_subnormal))
    scores = np.array([0, np.log(float(info.tiny)) + 1, least + 4, least - 1], dtype)
    net = Network((20, 4), head=head, dtype=dtype, random_state=0)
    net.params[:] = 0
    net.intercepts_[0][:] = scores
    exact = np.exp(scores.astype(np.longdouble))
    if head == "softmax":
        exact /= exact.sum()
    elif head == "logistic":
        exact /= 1 + exact
    predict = net.predict if head == "exponential" else net.predict_proba
    P = predict(random_rows(n, dtype=dtype))
    assert 0 < P[0, 2] < info.tiny
    assert (P[:, 3] == 0).all()
    for row in P:
        np.testing.assert_allclose(row[:3], exact[:3], rtol=0.02)


@pytest.mark.parametrize("n", [1, 3, 40])
def test_predictions_beyond_all_numbers_show_in_the_result_alone(always_compiled, n):
    for dtype in DTYPES:
        net = Network((20, 3), head="exponential", dtype=dtype, random_state=0)
        net.params[:] = 0
        net.intercepts_[0][:] = 1000, 0, -1000
        np.testing.assert_array_equal(net.predict(random_rows(n)), [[np.inf, 1, 0]] * n)
        net = Network((20, 3), dtype=dtype, random_state=0)
        net.intercepts_[0][1] = np.inf
        assert np.isnan(net.predict_proba(random_rows(n))).all()


@pytest.mark.parametrize("head", HEADS)
def test_the_same_bits_for_any_number_of_threads(many_threads, always_compiled, head):
    X = random_rows(3001)
    net = Network(SIZES, "gelu", head, random_state=0)
    results = []
    for threads in (1, 2, 3, 5):
        fastnn.set_num_threads(threads)
        results.append((net.decision_function(X).tobytes(), net.predict(X).tobytes()))
    for result in results[1:]:
        assert result == results[0]


@pytest.mark.parametrize("n", [1, 3, 15, 16, 40, 700])
def test_bytes_are_scaled(always_compiled, n):
    X = np.random.RandomState(0).randint(0, 256, (n, 20)).astype(np.uint8)
    for dtype, tolerance in zip(DTYPES, (1e-4, 1e-11)):
        mean, std = np.arange(20) * 3.0, 50 + np.arange(20)
        net = Network(SIZES, dtype=dtype, input_mean=mean, input_scale=std, random_state=0)
        expected = scores_of(net, (X - mean) / std)
        for data in (X, np.asfortranarray(X), X[:, ::-1].copy()[:, ::-1]):
            scores = net.decision_function(data)
            np.testing.assert_allclose(scores, expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_array_equal(net.predict(X), net.predict_proba(X).argmax(axis=1))
        # The same numbers of another dtype, dense or sparse, are the same input.
        for numbers in (X.astype(np.int64), X.astype(np.float32), X.astype(float)):
            scores = net.decision_function(numbers)
            np.testing.assert_allclose(scores, expected, rtol=tolerance, atol=tolerance)
    net = Network(SIZES, dtype=np.float64, random_state=0)
    for numbers in (X, X.astype(float), sparse.csr_array(X), sparse.csr_array(X.astype(float))):
        np.testing.assert_allclose(net.decision_function(numbers), scores_of(net, X), 1e-12, 1e-12)
    net = Network(SIZES, dtype=np.float64, random_state=0, input_scale=255)
    for numbers in (X, X.astype(float), sparse.csr_array(X), sparse.csr_array(X.astype(float))):
        scores = net.decision_function(numbers)
        np.testing.assert_allclose(scores, scores_of(net, X / 255), 1e-12, 1e-12)


SPARSE_FORMS = {
    "csr_matrix": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "coo_array": sparse.coo_array,
    "lil_matrix": sparse.lil_matrix,
    "float32": lambda X: sparse.csr_array(X.astype(np.float32)),
    "int64 indices": lambda X: _with_wide_indices(sparse.csr_array(X)),
}


def _with_wide_indices(X):
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def sparse_rows(n):
    random = np.random.RandomState(0)
    # Multiples of 1/8 are the same numbers in float32.
    X = random.randint(-20, 20, (n, 20)) / 8 * (random.uniform(size=(n, 20)) < 0.2)
    X[[0, -1]] = 0
    X[:, [0, 5, 19]] = 0
    return X


@pytest.mark.parametrize("n", [1, 3, 40, 700])
@pytest.mark.parametrize("form", SPARSE_FORMS)
def test_sparse_input_of_any_form(form, n):
    X = sparse_rows(n)
    data = SPARSE_FORMS[form](X)
    for head, dtype in itertools.product(HEADS, DTYPES):
        net = Network(SIZES, head=head, dtype=dtype, random_state=0)
        tolerance = 1e-12 if dtype == np.float64 else 2e-5
        scores = net.decision_function(data)
        assert scores.shape == (n, 4)
        np.testing.assert_allclose(scores, scores_of(net, X), rtol=tolerance, atol=tolerance)
        predicted = net.predict(X)
        np.testing.assert_allclose(net.predict(data), predicted, rtol=tolerance, atol=tolerance)
        if head in ("softmax", "logistic"):
            expected = net.predict_proba(X)
            np.testing.assert_allclose(net.predict_proba(data), expected, atol=tolerance)
    np.testing.assert_array_equal(data.toarray(), X)


def test_unsorted_and_duplicate_entries_are_summed_elsewhere():
    indptr = np.array([0, 4, 4, 7])
    indices = np.array([5, 2, 5, 0, 19, 19, 19], np.int32)
    values = np.array([1.0, 2.0, 3.0, 4.0, 1.0, 1.0, -2.0])
    X = sparse.csr_array((values.copy(), indices.copy(), indptr.copy()), (3, 20))
    dense = np.zeros((3, 20))
    dense[0, [0, 2, 5]] = 4, 2, 4
    net = Network(SIZES, dtype=np.float64, random_state=0)
    np.testing.assert_allclose(net.decision_function(X), scores_of(net, dense), 1e-12, 1e-12)
    for array, before in zip((X.data, X.indices, X.indptr), (values, indices, indptr)):
        np.testing.assert_array_equal(array, before)


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


FORMS = {
    "list": lambda X: X.tolist(),
    "read-only": _read_only,
    "Fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "backwards": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "other byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "float32": lambda X: X.astype(np.float32),
    "int8": lambda X: X.astype(np.int8),
}


@pytest.mark.parametrize("form", FORMS)
def test_dense_input_of_any_form(always_compiled, form):
    for n in (1, 3, 40):
        X = np.random.RandomState(0).randint(-9, 10, (n, 20)).astype(float)
        net = Network(SIZES, dtype=np.float64, random_state=0)
        np.testing.assert_array_equal(net.predict_proba(FORMS[form](X)), net.predict_proba(X))
        np.testing.assert_array_equal(net.predict(FORMS[form](X)), net.predict(X))


@pytest.mark.parametrize("kind", ["float", "uint8", "sparse"])
def test_inference_changes_nothing(always_compiled, kind):
    X = np.random.RandomState(0).randint(0, 9, (40, 20))
    X = {"float": X.astype(np.float32), "uint8": X.astype(np.uint8), "sparse": X}[kind]
    if kind == "sparse":
        X = sparse.csr_array(X.astype(np.float32))
        arrays = [X.data, X.indices, X.indptr]
    else:
        arrays = [X]
    for head in HEADS[:2]:
        net = Network(SIZES, head=head, random_state=0)
        before = [array.copy() for array in (*arrays, net.params)]
        for array in (*arrays, net.params):
            array.flags.writeable = False
        for method in (net.predict, net.predict_proba, net.decision_function):
            method(X)
        for array, copied in zip((*arrays, net.params), before):
            np.testing.assert_array_equal(array, copied)


@pytest.mark.parametrize("kind", ["float", "uint8", "sparse"])
def test_a_large_input_is_not_copied(kind):
    fastnn.set_num_threads(2)
    n, D = (20_000 if kind == "uint8" else 8000), 400
    net = Network((D, 10, 3), random_state=0)
    X = np.ones((n, D), np.uint8 if kind == "uint8" else np.float32)
    size = X.nbytes
    if kind == "sparse":
        X = sparse.csr_array(X)
        size = X.data.nbytes
    for method in (net.predict, net.predict_proba):
        method(X)  # compiles
        tracemalloc.start()
        try:
            method(X)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # Of a sparse matrix, what is used as an index is copied: half of its bytes.
        assert peak < size * (1.5 if kind == "sparse" else 0.5), method.__name__


# ------------------------------------------------------------------------------------------ errors


def _broken(indices, indptr=(0, 1, 2, 3)):
    X = sparse.csr_array((np.ones(3), np.array([1, 2, 3]), np.array([0, 1, 2, 3])), (3, 20))
    # Sorted and without duplicates, as it was: nothing looks at the entries.
    assert X.has_canonical_format
    X.indices, X.indptr = np.array(indices), np.array(indptr)
    return X


def _with(value):
    X = random_rows(3)
    X[1, 2] = value
    return X


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (
            np.zeros(20),
            ValueError,
            r"X has shape \(20,\), .* \(n_samples, 20\): .*numpy\.reshape\(X, \(1,",
        ),
        (
            np.zeros((2, 4, 5)),
            ValueError,
            r"X has shape \(2, 4, 5\), .*reshape\(X, \(len\(X\), -1\)",
        ),
        (np.zeros((3, 19)), ValueError, "X has 19 columns, but the network has 20 inputs: pass"),
        (
            np.zeros((3, 19)),
            ValueError,
            "pass X with 20 columns, or make a network with 19 inputs$",
        ),
        (np.zeros((3, 0)), ValueError, "X has 0 columns, .* 20 inputs: pass X with 20 columns$"),
        (3.5, ValueError, r"X has shape \(\), but .* \(n_samples, 20\): pass rows of 20 numbers$"),
        (np.zeros((0, 20)), ValueError, r"X is empty, shape \(0, 20\): pass at least one row"),
        (_with(np.nan), ValueError, r"X holds nan at row 1, column 2, .* median"),
        (_with(np.inf), ValueError, "X holds inf at row 1, column 2"),
        (_with(-1e39), ValueError, r"X holds -1e\+39 at row 1, column 2, .* beyond .* float32"),
        ([["a"] * 20], TypeError, "X has dtype <U1, but features are real numbers: convert it"),
        (np.zeros((3, 20), complex), TypeError, "X has dtype complex128"),
        ([[None] * 20], ValueError, "X holds nan at row 0, column 0, but every"),
        (None, TypeError, r"X is None, but needed is an array of numbers"),
        (np.zeros(20, np.uint8), ValueError, r"X has shape \(20,\)"),
        (np.zeros((3, 4, 5), np.uint8), ValueError, r"X has shape \(3, 4, 5\)"),
        (np.zeros((3, 19), np.uint8), ValueError, "X has 19 columns"),
        (np.zeros((0, 20), np.uint8), ValueError, r"X is empty, shape \(0, 20\)"),
        (
            sparse.csr_array((3, 19)),
            ValueError,
            r"X has shape \(3, 19\), .* 20 inputs: pass X .* network with 19 inputs$",
        ),
        (sparse.csr_array((3, 0)), ValueError, r"X has shape \(3, 0\), .* X with 20 columns$"),
        (sparse.csr_array((0, 20)), ValueError, r"X is empty, shape \(0, 20\)"),
        (sparse.csr_array(_with(np.nan)), ValueError, "X holds nan, but every feature must be fin"),
        (sparse.csr_array(_with(1e39)), ValueError, r"X holds 1e\+39, .* beyond .* float32: scale"),
        (sparse.csr_array((3, 20), dtype=complex), TypeError, "X has dtype complex128, but feat"),
        (_broken([1, 2, 20]), ValueError, r"X is a broken CSR matrix, .*X.check_format\(\)"),
        (_broken([1, -2, 3]), ValueError, "X is a broken CSR matrix"),
        (_broken([1, 2, 2**32 + 3]), ValueError, "X is a broken CSR matrix"),
        (_broken([1, 2, 3], [0, 1, 2, 4]), ValueError, "X is a broken CSR matrix"),
        (_broken([1, 2, 3], [0, 2, 1, 3]), ValueError, "X is a broken CSR matrix"),
        (_broken([1, 2, 3], [-1, 1, 2, 3]), ValueError, "X is a broken CSR matrix"),
    ],
)
def test_wrong_features(X, error, match):
    net = Network(SIZES, random_state=0)
    for method in (net.predict, net.predict_proba, net.decision_function):
        with pytest.raises(error, match=match):
            method(X)
    with pytest.raises(error, match=match):
        net.loss_and_gradient(X, np.zeros(3, int))


@pytest.mark.parametrize(
    ("head", "y", "error", "match"),
    [
        ("softmax", [0, 1], ValueError, "y has 2 labels, but X has 3 rows: pass one label a row"),
        (
            "softmax",
            [[0], [1], [2]],
            ValueError,
            r"y has shape \(3, 1\), .*: pass numpy\.ravel\(y\)$",
        ),
        ("softmax", np.eye(4)[:3], ValueError, r"y has shape \(3, 4\), .*argmax\(y, axis=1\)$"),
        (
            "softmax",
            [0, 1, 4],
            ValueError,
            r"y holds the label 4, .* \(0\.\.3\): .* 5 outputs",
        ),
        ("softmax", [0, -1, 2], ValueError, "y holds the label -1, but .*, else relabel y"),
        ("softmax", [0, 0.5, 2], ValueError, "y holds the label 0.5, but labels are integers 0..3"),
        ("softmax", [0, np.nan, 2], ValueError, "y holds the label nan"),
        ("softmax", ["a", "b", "c"], TypeError, "y has dtype <U1, but labels are integers"),
        (
            "logistic",
            np.zeros(3),
            ValueError,
            r"y has shape \(3,\), but needed is \(3, 4\): one",
        ),
        ("logistic", np.full((3, 4), 1.5), ValueError, r"y holds 1.5, but .* in \[0, 1\]: pass 0"),
        ("logistic", np.full((3, 4), -1), ValueError, "y holds -1.0, but targets of the logistic"),
        (
            "identity",
            np.full((3, 4), np.inf),
            ValueError,
            "y holds inf at row 0, but every target must be finite",
        ),
        (
            "identity",
            np.full((3, 4), 1e39),
            ValueError,
            r"y holds 1e\+39 at row 0, .* beyond .* float32",
        ),
        (
            "identity",
            np.full((3, 4), "a"),
            TypeError,
            "y has dtype <U1, but targets are real",
        ),
        ("exponential", np.full((3, 4), -2), ValueError, "y holds -2.0, .* use head='identity'"),
    ],
)
def test_wrong_targets(head, y, error, match):
    net = Network(SIZES, head=head, random_state=0)
    with pytest.raises(error, match=match):
        net.loss_and_gradient(np.zeros((3, 20)), y)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (
            {"sample_weight": [1, 2]},
            ValueError,
            r"sample_weight has shape \(2,\), .* \(3,\): one",
        ),
        ({"sample_weight": ["a"] * 3}, TypeError, "sample_weight has dtype <U1, but weights are"),
        (
            {"sample_weight": [1, -1, 1]},
            ValueError,
            "sample_weight must be finite in float32, not neg",
        ),
        ({"sample_weight": [1, np.nan, 1]}, ValueError, "sample_weight must be finite"),
        ({"sample_weight": [1, np.inf, 1]}, ValueError, "sample_weight must be finite"),
        ({"sample_weight": [0, 0, 0]}, ValueError, r"not all 0: look at numpy.min\(sample_weight"),
        (
            {"alpha": -1},
            ValueError,
            "alpha is -1.0, but it must be finite and not negative",
        ),
        ({"alpha": "a"}, TypeError, "alpha is 'a', but it is a number"),
        ({"label_smoothing": 1}, ValueError, "label_smoothing is 1.0, but it must be below 1"),
        ({"label_smoothing": -0.1}, ValueError, "label_smoothing is -0.1, but it must be finite"),
    ],
)
def test_wrong_options_of_the_gradient(options, error, match):
    net = Network(SIZES, random_state=0)
    with pytest.raises(error, match=match):
        net.loss_and_gradient(np.zeros((3, 20)), [0, 1, 2], **options)


def test_label_smoothing_needs_classes():
    net = Network(SIZES, head="logistic", random_state=0)
    with pytest.raises(ValueError, match=r"label_smoothing needs classes, .* head is 'logistic'"):
        net.loss_and_gradient(np.zeros((3, 20)), np.zeros((3, 4)), label_smoothing=0.1)


def test_targets_of_one_output_may_be_a_vector():
    net = Network((20, 5, 1), head="identity", dtype=np.float64, random_state=0)
    X, y = random_rows(30), random_rows(30, 1)
    loss, gradient = net.loss_and_gradient(X, y)
    other_loss, other_gradient = net.loss_and_gradient(X, y[:, 0])
    assert loss == other_loss
    np.testing.assert_array_equal(gradient, other_gradient)


# ------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("dtype", DTYPES)
def test_save_and_load_bit_for_bit(tmp_path, dtype):
    path = tmp_path / "net.safetensors"
    mean, std = np.arange(20.0), 1 + np.arange(20) / 3
    options = {"dtype": dtype, "init": "he", "input_mean": mean, "input_scale": std}
    net = Network(SIZES, "silu", "exponential", random_state=0, **options)
    net.params[:3] = -0.0, np.nan, np.inf
    net.save(path)
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    with pytest.warns(RuntimeWarning, match="holds parameters that are not finite"):
        loaded = Network.load(str(path))
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert repr(loaded) == repr(net)
    assert loaded.init == "he"
    assert loaded.params.tobytes() == net.params.tobytes()
    assert loaded.params.dtype == dtype
    assert loaded.input_mean.tobytes() == net.input_mean.tobytes()
    assert loaded.input_scale.tobytes() == net.input_scale.tobytes()
    loaded.coefs_[0][...] = 5
    assert (loaded.params[: SIZES[0] * SIZES[1]] == 5).all()


# ------------------------------------------------------------------------------ without compilation

WITHOUT_COMPILATION = """
    import sys
    import numpy as np
    from scipy import sparse
    from fastnn import Network

    random = np.random.RandomState(0)
    X = random.randint(0, 9, (40, 20)) * (random.uniform(size=(40, 20)) < 0.3)
    results = []
    for head in ("softmax", "logistic", "identity", "exponential"):
        net = Network((20, 13, 7, 4), "tanh", head, dtype=np.float64, random_state=0)
        y = random.randint(0, 2, 40 if head == "softmax" else (40, 4))
        for data in (X.astype(float), X.astype(np.uint8), sparse.csr_array(X.astype(float))):
            for rows in (data, data[:1]):
                results += [net.predict(rows), net.decision_function(rows)]
            results += net.loss_and_gradient(data, y, 0.1, np.arange(40.0))
    np.save(sys.argv[1], np.concatenate([np.ravel(result) for result in results]))
"""


def test_plain_python_gives_the_same_numbers(tmp_path):
    results = []
    for disabled in ("0", "1"):
        path = tmp_path / f"{disabled}.npy"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(WITHOUT_COMPILATION), path],
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        results.append(np.load(path))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-11, atol=1e-12)


def test_an_activation_for_each_layer(tmp_path):
    net = Network((5, 8, 6, 3), ["tanh", "logistic"], dtype=np.float64, random_state=0)
    assert net.activation == ("tanh", "logistic")
    X = np.random.RandomState(1).randn(4, 5)
    A = np.tanh(X @ net.coefs_[0] + net.intercepts_[0])
    A = 1 / (1 + np.exp(-(A @ net.coefs_[1] + net.intercepts_[1])))
    scores = A @ net.coefs_[2] + net.intercepts_[2]
    np.testing.assert_allclose(net.decision_function(X), scores, rtol=1e-12)
    np.testing.assert_allclose(net.decision_function(np.tile(X, (2000, 1)))[:4], scores, rtol=1e-12)
    # Each layer is drawn as its own activation asks for.
    assert abs(net.coefs_[1]).max() < np.sqrt(2 / 14) < np.sqrt(6 / 13)
    assert abs(net.coefs_[0]).max() > np.sqrt(2 / 13)
    net.save(tmp_path / "net.safetensors")
    again = Network.load(tmp_path / "net.safetensors")
    assert again.activation == net.activation
    np.testing.assert_array_equal(again.params, net.params)
    assert "activation=('tanh', 'logistic')" in repr(net)


@pytest.mark.parametrize(
    ("activation", "error", "message"),
    [
        (
            ["tanh"],
            ValueError,
            "activation holds 1 name, but the network has 2 hidden layers: pass",
        ),
        (
            ["tanh", "sine"],
            ValueError,
            r"activation\[1\] is 'sine', but it is one of identity, relu",
        ),
        (("tanh", 3), TypeError, r"activation\[1\] is 3, but it is one of"),
        (3, TypeError, "activation is 3, but it is one of"),
    ],
)
def test_wrong_activations_of_layers(activation, error, message):
    with pytest.raises(error, match=message):
        Network((5, 8, 6, 3), activation)
