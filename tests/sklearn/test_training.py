"""What becomes of a fit that is interrupted, that cannot be, or that runs without compilation."""

import _thread
import copy
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import fastnn
from fastnn import jobs
from fastnn.engine import loop, tapes, zeros
from fastnn.sklearn import installed, support, training

#: As many epochs, whatever the losses do.
ALL = {"tol": 0.0, "n_iter_no_change": 10_000_000, "random_state": 0}


def test_ctrl_c_keeps_what_was_learnt(blobs):
    def interrupt(status):
        if status.epoch == 3:
            raise KeyboardInterrupt

    clf = fastnn.MLPClassifier((6,), max_iter=9, callback=interrupt, **ALL)
    with pytest.warns(UserWarning, match=r"Training interrupted by user\."):
        clf.fit(*blobs)
    assert clf.n_iter_ == len(clf.loss_curve_) == 3
    shorter = fastnn.MLPClassifier((6,), max_iter=3, **ALL)
    with pytest.warns(ConvergenceWarning):
        shorter.fit(*blobs)
    for ours, wanted in zip(clf.coefs_, shorter.coefs_):
        np.testing.assert_array_equal(ours, wanted)
    assert clf._optimizer.t == shorter._optimizer.t


@pytest.mark.parametrize("incremental", [False, True])
def test_ctrl_c_while_all_is_being_kept_loses_nothing(monkeypatch, blobs, incremental):
    store, calls = loop.CompiledLoop.store, []

    def interrupted(self):
        calls.append(None)
        if len(calls) == 1:
            raise KeyboardInterrupt
        store(self)

    clf, whole = (fastnn.MLPClassifier((6,), max_iter=3, **ALL) for _ in range(2))
    method, more = ("partial_fit", {"classes": np.unique(blobs[1])}) if incremental else ("fit", {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        getattr(whole, method)(*blobs, **more)
        monkeypatch.setattr(loop.CompiledLoop, "store", interrupted)
        with pytest.raises(KeyboardInterrupt):
            getattr(clf, method)(*blobs, **more)
    assert clf.n_iter_ == whole.n_iter_
    assert clf._optimizer.t == whole._optimizer.t
    for name in ("coefs_", "intercepts_"):
        for ours, wanted in zip(getattr(clf, name), getattr(whole, name)):
            np.testing.assert_array_equal(ours, wanted)
    for ours, wanted in zip(clf._optimizer.ms, whole._optimizer.ms):
        np.testing.assert_array_equal(ours, wanted)


def test_a_copy_in_a_callback_is_a_model_and_no_more(blobs):
    copies = []
    clf = fastnn.MLPClassifier((6,), max_iter=2, **ALL)

    def keep(status):
        copies.append(copy.deepcopy(clf))
        clf.callback = None
        copies.append(pickle.loads(pickle.dumps(clf)))
        clf.callback = keep

    clf.callback = keep
    with pytest.warns(ConvergenceWarning):
        clf.fit(*blobs, validation_data=blobs)
    assert len(copies) == 4
    for each in copies:
        assert vars(each).keys() == vars(clf).keys()
    np.testing.assert_array_equal(copies[-1].predict(blobs[0]), clf.predict(blobs[0]))


@pytest.mark.parametrize("steps", ["many epochs", "single rows"])
def test_a_limit_that_is_never_reached(blobs, steps):
    X, y = np.repeat(blobs[0], 3, axis=0), np.repeat(blobs[1], 3)
    parameters = {"tol": 0.5, "n_iter_no_change": 2, "random_state": 0, "hidden_layer_sizes": (3,)}
    many = {"max_iter": 10**12}
    parameters |= many if steps == "many epochs" else {"max_iter": 10**10, "batch_size": 1}
    ours = fastnn.MLPClassifier(**parameters).fit(X, y)
    wanted = theirs.MLPClassifier(**parameters).fit(X, y)
    assert ours.n_iter_ == wanted.n_iter_ > 2
    np.testing.assert_allclose(ours.loss_curve_, wanted.loss_curve_)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("scale", [2.0**120, 2.0**-120])
def test_weights_of_any_size_are_taken_as_there(blobs, solver, scale):
    if not installed.TAKES_WEIGHTS:
        pytest.skip("no weights of rows before 1.7")
    X, y = blobs[0].astype(np.float32), blobs[1]
    weights, fits = np.random.RandomState(0).uniform(0.5, 1, len(y)).astype(np.float32), []
    for factor in (1.0, scale):
        # The penalty is divided by the sum of the weights.
        clf = fastnn.MLPClassifier((5,), max_iter=5, solver=solver, alpha=0.1 * factor, **ALL)
        with pytest.warns(ConvergenceWarning):
            fits.append(clf.fit(X, y, sample_weight=weights * np.float32(factor)))
    np.testing.assert_allclose(fits[1].coefs_[0], fits[0].coefs_[0], rtol=1e-5)
    assert fits[1].loss_ == pytest.approx(fits[0].loss_, rel=1e-5)


def test_records_that_have_to_grow(blobs, monkeypatch):
    wanted = fastnn.MLPClassifier((6,), max_iter=40, batch_size=7, **ALL)
    ours = fastnn.MLPClassifier((6,), max_iter=40, batch_size=7, **ALL)
    with pytest.warns(ConvergenceWarning):
        wanted.fit(*blobs, validation_data=blobs)
    monkeypatch.setattr(jobs, "AT_FIRST", 3)
    with pytest.warns(ConvergenceWarning):
        ours.fit(*blobs, validation_data=blobs)
    assert ours.loss_curve_ == wanted.loss_curve_
    assert ours.validation_loss_curve_ == wanted.validation_loss_curve_


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("dtype", ["datetime64[s]", "timedelta64[s]", str])
def test_targets_that_are_no_numbers(blobs, dtype, solver):
    y = np.arange(len(blobs[0])).astype(dtype)
    for kind in (theirs.MLPRegressor, fastnn.MLPRegressor):
        with pytest.raises(TypeError, match="ufunc 'subtract'"):
            kind(hidden_layer_sizes=(4,), max_iter=2, solver=solver).fit(blobs[0], y)


def test_a_fit_like_an_earlier_one_comes_back_to_python_less_often(blobs, monkeypatch):
    items, work = [], loop.run_threads
    # What is compiled meanwhile would pass for a slow loop.
    fastnn.MLPClassifier((6,), max_iter=1, n_threads=1).partial_fit(*blobs, classes=[0, 1, 2])

    def note(function, threads, arguments, call_off):
        items[-1].append(len(arguments[4]))
        work(function, threads, arguments, call_off)

    monkeypatch.setattr(loop, "run_threads", note)
    monkeypatch.setattr(tapes, "SHELF", tapes.Shelf())
    monkeypatch.setattr(loop, "SHELF", tapes.SHELF)
    for _ in range(2):
        items.append([])
        with pytest.warns(ConvergenceWarning):
            fastnn.MLPClassifier((6,), max_iter=40, n_threads=1, **ALL).fit(*blobs)
    assert items[0][0] == 8
    assert items[1][0] > 8
    assert sum(items[0]) == sum(items[1]) == 40


def test_lbfgs_asks_once_and_leaves_its_tape(blobs, monkeypatch):
    shelf, asked, why_not = tapes.Shelf(), [], support.why_not

    def counted(estimator):
        asked.append(estimator)
        return why_not(estimator)

    monkeypatch.setattr(loop, "SHELF", shelf)
    monkeypatch.setattr(support, "why_not", counted)
    results = []
    for _ in range(2):
        estimator = fastnn.MLPClassifier((6,), solver="lbfgs", max_iter=300, n_threads=1, **ALL)
        results.append([part.tobytes() for part in estimator.fit(*blobs).coefs_])
        assert estimator.n_iter_ > 5
        # Of two fits alike, the second one plans nothing.
        assert [len(each) for each in shelf._waiting.values()] == [1]
    assert results[0] == results[1]
    assert len(asked) == 2


@pytest.mark.parametrize("patched", [False, True])
def test_ctrl_c_at_any_moment(blobs, patched):
    if patched:
        fastnn.patch_sklearn()
    clf = (theirs if patched else fastnn).MLPClassifier((6,), max_iter=100_000, **ALL)

    def interrupt():
        # Before the first epoch, the interruption would be the test's own end.
        while not getattr(clf, "n_iter_", 0):
            time.sleep(0.01)
        _thread.interrupt_main()

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.warns(UserWarning, match=r"Training interrupted by user\."):
        clf.fit(*blobs)
    assert 0 < clf.n_iter_ == len(clf.loss_curve_) < 100_000
    assert np.isfinite(clf.predict_proba(blobs[0])).all()
    assert clf._optimizer.t >= clf.n_iter_
    clf.partial_fit(*blobs)


@pytest.mark.skipif(not installed.TAKES_WEIGHTS, reason="no weights of rows before 1.7")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_batch_without_weight_is_an_error_of_the_same_kind(blobs, solver):
    weights = np.zeros(len(blobs[0]))
    weights[0] = 1
    parameters = {"solver": solver, "batch_size": 10}
    with pytest.raises(ZeroDivisionError):
        theirs.MLPClassifier(**parameters).fit(*blobs, sample_weight=weights)
    with pytest.raises(ZeroDivisionError, match=r"cannot be normalised: pass a larger batch_size"):
        fastnn.MLPClassifier(**parameters).fit(*blobs, sample_weight=weights)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_learning_that_diverges_says_so_as_there(blobs):
    messages = []
    for kind in (theirs.MLPRegressor, fastnn.MLPRegressor):
        reg = kind(solver="sgd", learning_rate_init=1e4, random_state=0, max_iter=50)
        with np.errstate(all="ignore"), pytest.raises(ValueError) as raised:
            reg.fit(1e3 * blobs[0], blobs[0])
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
    assert "Solver produced non-finite parameter weights" in messages[1]


def test_it_runs_on_the_twin_without_compilation():
    program = """
        import warnings
        import numpy as np
        import fastnn
        import sklearn.neural_network as theirs
        warnings.simplefilter("ignore")
        random = np.random.RandomState(0)
        X = random.randn(60, 3)
        y = (X[:, 0] > 0) + (X[:, 1] > 0).astype(int)
        for solver in ("adam", "sgd", "lbfgs"):
            fits = [
                module.MLPClassifier((5,), solver=solver, max_iter=4, random_state=0).fit(X, y)
                for module in (theirs, fastnn)
            ]
            for wanted, ours in zip(fits[0].coefs_, fits[1].coefs_):
                np.testing.assert_allclose(ours, wanted, rtol=1e-9)
            np.testing.assert_array_equal(fits[0].predict(X), fits[1].predict(X))
        print("same")
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout == "same\n", result.stderr


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_zeros_are_skipped_and_change_nothing_but_rounding(
    name, dtype, early_stopping, monkeypatch
):
    random = np.random.RandomState(0)
    X = (random.randn(150, 110) * (random.rand(150, 110) < 0.15)).astype(dtype)
    y = (X @ random.randn(110, 3)).argmax(axis=1)
    parameters = {"hidden_layer_sizes": 20, "max_iter": 20, "early_stopping": early_stopping}
    parameters |= ALL
    rows, without = [], zeros.without
    monkeypatch.setattr(
        zeros, "without", lambda source: rows.append(source and len(source)) or without(source)
    )
    with pytest.warns(ConvergenceWarning):
        wanted = getattr(theirs, name)(**parameters).fit(X, y)
    ours = getattr(fastnn, name)(**parameters)
    held = {"validation_data": (X[:30], y[:30])} if early_stopping else {}
    with pytest.warns(ConvergenceWarning):
        ours.fit(X, y, **held)
    assert rows == [150, 30 if early_stopping else None]
    if early_stopping:
        # With other rows to train on, the zeros that are there change nothing either.
        monkeypatch.setattr(zeros, "MOST_NON_ZEROS", -1)
        wanted = getattr(fastnn, name)(**parameters)
        with pytest.warns(ConvergenceWarning):
            wanted.fit(X, y, **held)
        assert len(rows) == 2
    bound = {"float32": 1e-4, "float64": 1e-7}[dtype]
    np.testing.assert_allclose(ours.loss_curve_, wanted.loss_curve_, rtol=bound)
    for mine, their in zip(ours.coefs_ + ours.intercepts_, wanted.coefs_ + wanted.intercepts_):
        np.testing.assert_allclose(mine, their, rtol=0, atol=bound * abs(their).max())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("ones", [0, 1, 2, 17, 59, 60])
def test_rows_are_split_as_by_scikit_learn(classes, ones):
    y = np.zeros((60, 1), bool) if classes == 2 else np.zeros((60, 3), bool)
    y[np.random.RandomState(ones).permutation(60)[:ones], -1] = True

    def outcome(stratify):
        try:
            return train_test_split(np.arange(60), test_size=0.1, random_state=3, stratify=stratify)
        except ValueError as error:
            return str(error)

    wanted, got = outcome(y), outcome(training.strata(y))
    if isinstance(wanted, str):
        assert got == wanted
        return
    for expected, found in zip(wanted, got):
        np.testing.assert_array_equal(found, expected)


def test_two_classes_are_split_without_a_text_for_each_row():
    y = np.arange(60)[:, None] % 2 > 0
    np.testing.assert_array_equal(training.strata(y), y[:, 0])
