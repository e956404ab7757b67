"""What a partial fit leaves to the next one, and that nobody notices."""

import copy
import pickle
import weakref

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.neural_network import _stochastic_optimizers as theirs

import fastnn
from fastnn.jit import jit_disabled
from fastnn.sklearn import installed, kept

pytestmark = pytest.mark.skipif(jit_disabled(), reason="nothing is kept by the twin's loop")

PARAMETERS = {"hidden_layer_sizes": (7, 4), "random_state": 3, "alpha": 0.1}
SOLVERS = {
    "adam": {"solver": "adam"},
    "nesterov": {"solver": "sgd"},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "invscaling"},
}
TOLERANCE = {np.float32: 2e-4, np.float64: 1e-9}


def memories_of(estimator):
    """Return what the optimiser remembers."""
    optimizer = estimator._optimizer
    if hasattr(optimizer, "velocities"):
        return optimizer.velocities
    return [*optimizer.ms, *optimizer.vs]


def pair(solver="adam", **more):
    """Return fastnn's estimator and scikit-learn's."""
    parameters = {**PARAMETERS, **SOLVERS[solver], **more}
    return [m.MLPClassifier(**parameters) for m in (fastnn, neural_network)]


def go_on(estimators, X, y, **more):
    for estimator in estimators:
        if not hasattr(estimator, "classes_"):
            more["classes"] = [0, 1, 2]
        estimator.partial_fit(X, y, **more)


def assert_same(ours, wanted, tolerance=1e-9):
    assert isinstance(ours._optimizer, type(wanted._optimizer))
    for name in ("t", "learning_rate"):
        value, wants = (getattr(each._optimizer, name, None) for each in (ours, wanted))
        assert value == pytest.approx(wants)
    for got, want in zip(
        [*ours.coefs_, *ours.intercepts_, *ours.loss_curve_, *memories_of(ours)],
        [*wanted.coefs_, *wanted.intercepts_, *wanted.loss_curve_, *memories_of(wanted)],
        strict=True,
    ):
        assert got == pytest.approx(want, rel=tolerance, abs=tolerance)


def is_kept(estimator):
    return "_kept" in vars(estimator._optimizer)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", SOLVERS)
def test_partial_fits_go_on_as_theirs(solver, dtype, blobs):
    X, y = blobs[0].astype(dtype), blobs[1]
    estimators, tolerance = pair(solver), TOLERANCE[dtype]
    # Other numbers of rows need other loops; then back to the first.
    for rows in (range(30), range(30, 60), range(60, 90), range(90, 101), range(30), range(30)):
        go_on(estimators, X[list(rows)], y[list(rows)])
        assert is_kept(estimators[0])
    assert_same(*estimators, tolerance)
    # The memories have been read above: they are arrays now, and it goes on from these.
    assert not is_kept(estimators[0])
    go_on(estimators, X[:30], y[:30])
    assert is_kept(estimators[0])
    assert_same(*estimators, tolerance)


@pytest.mark.parametrize("read", [memories_of, pickle.dumps])
def test_ctrl_c_while_memories_are_read_loses_none(blobs, monkeypatch, read):
    X, y = blobs
    estimators = pair()
    go_on(estimators, X[:30], y[:30])
    ours, kind = estimators[0], type(estimators[0]._optimizer._kept.loop)
    memories = kind.memories

    def interrupted(*arguments):
        monkeypatch.setattr(kind, "memories", memories)
        raise KeyboardInterrupt

    monkeypatch.setattr(kind, "memories", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read(ours)
    assert is_kept(ours)
    go_on(estimators, X[:30], y[:30])
    assert_same(*estimators)


def test_the_loop_is_the_same(blobs, monkeypatch):
    X, y = blobs
    ours, _ = pair()
    go_on([ours], X[:30], y[:30])
    loop = ours._optimizer._kept.loop
    monkeypatch.setattr("fastnn.sklearn.solvers.loop_of", None)
    for first in (30, 60, 90):
        go_on([ours], X[first : first + 30], y[first : first + 30])
        assert ours._optimizer._kept.loop is loop


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": 0.0},
        {"alpha": 1.0},
        {"batch_size": 10},
        {"shuffle": False},
        {"learning_rate_init": 0.1},
        {"random_state": 5},
        {"random_state": None, "shuffle": False},
        {"activation": "tanh"},
    ],
)
def test_parameters_may_change_between(change, blobs):
    X, y = blobs
    estimators = pair()
    go_on(estimators, X[:30], y[:30])
    for estimator in estimators:
        estimator.set_params(**change)
    for first in (30, 60):
        go_on(estimators, X[first : first + 30], y[first : first + 30])
    assert_same(*estimators)


@pytest.mark.skipif(not installed.TAKES_WEIGHTS, reason="this release has no weights")
def test_weights_may_come_and_go(blobs):
    X, y = blobs
    estimators, weights = pair(), np.arange(1.0, 31.0)
    for more in ({}, {"sample_weight": weights}, {"sample_weight": weights[::-1]}, {}):
        go_on(estimators, X[:30], y[:30], **more)
    assert_same(*estimators)


def test_parameters_of_the_network_may_be_written_to(blobs):
    X, y = blobs
    estimators = pair()
    for _ in range(2):
        go_on(estimators, X[:30], y[:30])
        for estimator in estimators:
            estimator.coefs_[0] *= 0.5
            estimator.intercepts_[1] = estimator.intercepts_[1] + 1
    go_on(estimators, X[:30], y[:30])
    assert_same(*estimators)


@pytest.mark.parametrize("how", ["in place", "all", "one"])
def test_memories_may_be_written_to(how, blobs):
    X, y = blobs
    estimators = pair()
    go_on(estimators, X[:30], y[:30])
    for estimator in estimators:
        optimizer = estimator._optimizer
        if how == "in place":
            optimizer.ms[0][:] = 0.25
        elif how == "all":
            optimizer.ms = [0 * part for part in optimizer.ms]
            optimizer.vs = [0 * part + 1 for part in optimizer.vs]
        else:  # without a look at any
            optimizer.vs = [np.ones_like(part) for part in estimator.coefs_ + estimator.intercepts_]
    go_on(estimators, X[:30], y[:30])
    assert_same(*estimators)


def test_a_pickle_knows_nothing_of_it(blobs):
    X, y = blobs
    estimators = pair()
    go_on(estimators, X[:30], y[:30])
    ours, wanted = estimators
    for again in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert type(again._optimizer) is theirs.AdamOptimizer
        assert set(vars(again._optimizer)) == set(vars(wanted._optimizer))
        assert_same(again, wanted)
    assert type(ours._optimizer) is theirs.AdamOptimizer
    go_on(estimators, X[:30], y[:30])
    assert_same(*estimators)


def test_a_copy_of_the_optimizer_is_its_own(blobs):
    X, y = blobs
    ours, wanted = estimators = pair()
    go_on(estimators, X[:30], y[:30])
    before = copy.copy(ours._optimizer)
    assert type(before) is theirs.AdamOptimizer
    assert before.ms[0] == pytest.approx(wanted._optimizer.ms[0])


def test_scikit_learn_goes_on_by_itself(patched, blobs):
    X, y = blobs
    clf, other = (neural_network.MLPClassifier(**PARAMETERS) for _ in range(2))
    go_on([clf], X[:30], y[:30])
    assert is_kept(clf)
    fastnn.unpatch_sklearn()
    go_on([clf, other], X[:30], y[:30])
    go_on([other], X[:30], y[:30])
    assert_same(clf, other)


def test_what_it_does_not_have_is_said_as_ever(blobs):
    ours, _ = pair()
    go_on([ours], *blobs)
    with pytest.raises(
        AttributeError, match="'AdamOptimizer' object has no attribute 'velocities'"
    ):
        _ = ours._optimizer.velocities
    assert is_kept(ours)


def test_an_error_leaves_what_was_learnt(blobs):
    X, y = blobs

    def stop(status):
        raise RuntimeError("that is enough")

    ours, wanted = estimators = pair()
    for _ in range(2):
        go_on(estimators, X[:30], y[:30])
    ours.callback = stop
    with pytest.raises(RuntimeError, match="that is enough"):
        ours.partial_fit(X[:30], y[:30])
    ours.callback = None
    wanted.partial_fit(X[:30], y[:30])
    assert not is_kept(ours)
    go_on(estimators, X[:30], y[:30])
    assert_same(*estimators)


def test_a_look_at_the_memories_while_it_trains(blobs):
    X, y = blobs
    seen = []
    ours, wanted = estimators = pair()
    go_on(estimators, X[:30], y[:30])
    ours.callback = lambda status: seen.append(ours._optimizer.ms[0].copy())
    go_on(estimators, X[:30], y[:30])
    assert seen[0] == pytest.approx(wanted._optimizer.ms[0])
    assert_same(*estimators)


def test_a_generator_of_the_users_is_not_seeded(blobs):
    X, y = blobs
    estimators = pair(random_state=None)
    for estimator in estimators:
        estimator.random_state = np.random.RandomState(7)
    for _ in range(2):
        go_on(estimators, X[:30], y[:30])
    # The estimator's generator is the user's, while its parameter is a seed now.
    generators = [estimator.random_state for estimator in estimators]
    for estimator in estimators:
        estimator.random_state = 7
    for _ in range(3):
        go_on(estimators, X[:30], y[:30])
        assert estimators[0].random_state == 7
    assert_same(*estimators)
    assert generators[0].randint(1 << 30) == generators[1].randint(1 << 30)
    assert estimators[0]._random_state.randint(9999) == estimators[1]._random_state.randint(9999)


def test_a_seed_out_of_range_is_refused_as_there(blobs):
    messages = []
    for estimator in pair():
        go_on([estimator], *blobs)
        estimator.random_state = -1
        with pytest.raises(ValueError) as caught:
            estimator.partial_fit(*blobs)
        messages.append(str(caught.value))
        assert estimator.random_state == -1
    assert messages[0] == messages[1]


@pytest.mark.parametrize("shuffle", [True, False])
def test_rows_are_not_kept(shuffle, blobs):
    ours, _ = pair(shuffle=shuffle)
    X, y = (part.copy() for part in blobs)
    for _ in range(2):
        go_on([ours], X, y)
    assert is_kept(ours)
    alive = weakref.ref(X), weakref.ref(y)
    del X, y
    assert [each() for each in alive] == [None, None]


def test_a_loop_too_large_is_not_kept(blobs, monkeypatch):
    X, y = blobs
    monkeypatch.setattr(kept, "MOST_BYTES", 1)
    estimators = pair()
    for _ in range(2):
        go_on(estimators, X[:30], y[:30])
        assert not is_kept(estimators[0])
    assert_same(*estimators)


def test_validation_data_leave_no_loop(blobs):
    ours, _ = pair()
    for _ in range(2):
        go_on([ours], *blobs, validation_data=blobs)
        assert not is_kept(ours)


def test_a_fit_keeps_nothing_and_begins_anew(blobs):
    X, y = blobs
    estimators = pair(max_iter=3)
    go_on(estimators, X[:30], y[:30])
    for estimator in estimators:
        with pytest.warns(UserWarning, match="Maximum iterations"):
            estimator.fit(X, y)
    assert not is_kept(estimators[0])
    go_on(estimators, X[:30], y[:30])
    assert_same(*estimators)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_may_change_between(threads, blobs, many_threads):
    random = np.random.default_rng(0)
    X, y = random.normal(size=(300, 40)), random.integers(0, 3, 300)
    estimators = pair(hidden_layer_sizes=(150, 60), batch_size=300)
    go_on(estimators, X, y)
    fastnn.set_num_threads(threads)
    for _ in range(2):
        go_on(estimators, X, y)
    assert_same(*estimators)


def test_inputs_may_be_sparse_or_mostly_zeros(blobs):
    sparse = pytest.importorskip("scipy.sparse")
    random = np.random.default_rng(0)
    X = random.normal(size=(30, 40)) * (random.random((30, 40)) < 0.4)
    y = np.arange(30) % 3
    estimators = pair()
    for data in (
        X,
        sparse.csr_matrix(X),
        X,
        np.asfortranarray(X),
        sparse.csr_matrix(X * (X > 1)),
        X + 1,
    ):
        go_on(estimators, data, y)
    assert_same(*estimators)
