"""The patch: what it reaches, what it leaves behind, and programs that run under it."""

import os
import pickle
import subprocess
import sys
import textwrap
import warnings
from typing import ClassVar

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.exceptions import ConvergenceWarning

import fastnn
from fastnn.sklearn import explain, installed
from fastnn.sklearn.__main__ import main
from fastnn.sklearn.hooks import METHODS


class Subclass(theirs.MLPClassifier):
    """As users write them: with something around the fit."""

    def fit(self, X, y):
        return super().fit(np.asarray(X) * 2, y)


def python(*arguments, **options):
    """Run another Python; return what it printed."""
    result = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def counted(monkeypatch):
    """Count the fits on the engine."""
    from fastnn.sklearn import training

    counts, fit = [], training.fit
    monkeypatch.setattr(training, "fit", lambda *args: (counts.append(1), fit(*args))[1])
    return counts


def test_what_was_imported_or_made_before_runs_on_the_engine(blobs, counted):
    early = theirs.MLPClassifier(random_state=0, max_iter=500)
    kind = theirs.MLPClassifier
    wanted = early.fit(*blobs).coefs_[0].copy()
    old = pickle.dumps(early)
    assert not counted
    fastnn.patch_sklearn()
    early.fit(*blobs)
    assert len(counted) == 1
    np.testing.assert_allclose(early.coefs_[0], wanted, rtol=1e-8)
    kind(random_state=0, max_iter=500).fit(*blobs)
    Subclass(random_state=0, max_iter=500).fit(*blobs)
    assert len(counted) == 3
    pickle.loads(old).partial_fit(*blobs)
    assert len(counted) == 4


def test_warnings_are_of_the_module_that_programs_filter_by(patched, blobs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
        theirs.MLPClassifier(random_state=0, max_iter=2).fit(*blobs)


def test_the_patch_comes_and_goes_as_a_whole():
    before = dict(vars(installed.BASE))
    fastnn.patch_sklearn()
    during = dict(vars(installed.BASE))
    assert {name for name in before if during[name] is not before[name]} == set(METHODS)
    fastnn.patch_sklearn()
    assert dict(vars(installed.BASE)) == during
    fastnn.unpatch_sklearn()
    after = dict(vars(installed.BASE))
    assert after == before
    assert all(after[name] is before[name] for name in before)
    fastnn.unpatch_sklearn()
    assert dict(vars(installed.BASE)) == before


def test_fastnn_s_own_estimators_need_no_patch(blobs, counted):
    fastnn.MLPClassifier(random_state=0, max_iter=500).fit(*blobs)
    assert len(counted) == 1
    fastnn.patch_sklearn()
    fastnn.MLPClassifier(random_state=0, max_iter=500).fit(*blobs)
    assert len(counted) == 2
    fastnn.unpatch_sklearn()
    fastnn.MLPClassifier(random_state=0, max_iter=500).fit(*blobs)
    assert len(counted) == 3


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_pickle_made_under_the_patch_opens_without_fastnn(tmp_path, patched, blobs, solver):
    X, y = blobs
    clf = theirs.MLPClassifier(solver=solver, random_state=0, max_iter=500, tol=1e-2).fit(X, y)
    (tmp_path / "clf.pickle").write_bytes(pickle.dumps(clf))
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "expected.npy", clf.predict_proba(X))
    program = """
        import pickle, sys
        import numpy as np
        clf = pickle.load(open("clf.pickle", "rb"))
        X, expected = np.load("X.npy"), np.load("expected.npy")
        assert "fastnn" not in sys.modules
        np.testing.assert_allclose(clf.predict_proba(X), expected, rtol=1e-10)
        if clf.solver != "lbfgs":
            before = clf.coefs_[0].copy()
            clf.partial_fit(X, clf.predict(X))
            assert (clf.coefs_[0] != before).any()
        assert "fastnn" not in sys.modules
    """
    python("-c", textwrap.dedent(program), cwd=tmp_path)


def test_training_goes_on_in_plain_scikit_learn_and_back(blobs):
    X, y = blobs
    fits = []
    for patches in ((False,) * 4, (True,) * 4, (False, True, False, True)):
        clf = theirs.MLPClassifier(random_state=0)
        for patch in patches:
            (fastnn.patch_sklearn if patch else fastnn.unpatch_sklearn)()
            clf.partial_fit(X, y, classes=[0, 1, 2])
        fits.append(clf)
    for clf in fits[1:]:
        for ours, wanted in zip(clf.coefs_, fits[0].coefs_):
            np.testing.assert_allclose(ours, wanted, rtol=1e-9)
        assert clf._optimizer.t == fits[0]._optimizer.t == 4


def is_patched(_):
    return os.getpid(), hasattr(theirs.MLPClassifier._fit_stochastic, "fastnn")


def test_worker_processes_by_their_initializer():
    joblib = pytest.importorskip("joblib")
    with joblib.parallel_config("loky", initializer=fastnn.patch_sklearn, n_jobs=2):
        results = joblib.Parallel()(joblib.delayed(is_patched)(i) for i in range(4))
    assert all(patched for _, patched in results)
    assert os.getpid() not in {process for process, _ in results}
    assert not is_patched(0)[1]


# ------------------------------------------------------------------------------------- programs

SCRIPT = """
import sys
import joblib
from sklearn.neural_network import MLPClassifier
from beside import number

def is_patched(_):
    return hasattr(MLPClassifier._fit_stochastic, "fastnn")

if __name__ == "__main__":
    workers = joblib.Parallel(2 if len(sys.argv) > 1 else 1)(
        joblib.delayed(is_patched)(i) for i in range(2)
    )
    print(is_patched(0), workers, sys.argv[1:], number)
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "program.py").write_text(SCRIPT)
    (tmp_path / "beside.py").write_text("number = 5")
    return tmp_path / "program.py"


def test_a_program_runs_unchanged_with_its_workers(script, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    printed = python("-m", "fastnn.sklearn", str(script), "-x", "data", cwd=elsewhere)
    assert printed.strip() == "True [True, True] ['-x', 'data'] 5"


def test_a_module_runs_unchanged(script, tmp_path):
    printed = python("-m", "fastnn.sklearn", "-m", "program", cwd=tmp_path)
    assert printed.strip() == "True [True, True] [] 5"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: python -m fastnn.sklearn SCRIPT.py"),
        (["missing.py"], "there is no file missing.py: pass the path of a script, or -m"),
        (["-m"], "-m needs the name of a module"),
        (["--fast", "x.py"], "no option --fast"),
    ],
)
def test_wrong_calls_say_what_to_do(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not is_patched(0)[1]


def test_help_goes_to_stdout(capsys):
    assert main(["--help"]) == 0
    assert "usage: python -m fastnn.sklearn" in capsys.readouterr().out


# ------------------------------------------------------------------------- what does not run on it


class OwnBackprop(theirs.MLPClassifier):
    """A subclass that changes the arithmetic."""

    def _backprop(self, *args):
        self.calls = getattr(self, "calls", 0) + 1
        return super()._backprop(*args)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_subclass_with_its_own_internals_keeps_them(caplog, patched, counted, blobs, solver):
    clf = OwnBackprop(solver=solver, random_state=0, max_iter=500).fit(*blobs)
    assert clf.calls > 0
    assert not counted
    clf.fit(*blobs)
    told = [record.getMessage() for record in caplog.records if record.name == "fastnn.sklearn"]
    assert told[0] == (
        "scikit-learn's own code trains this OwnBackprop, since OwnBackprop has its own _backprop"
    )
    # Once for each, however often it is fitted.
    assert len(told) == len(set(told))
    fastnn.unpatch_sklearn()
    wanted = theirs.MLPClassifier(solver=solver, random_state=0, max_iter=500).fit(*blobs)
    for ours, other in zip(clf.coefs_, wanted.coefs_):
        np.testing.assert_array_equal(ours, other)


def test_functions_that_were_replaced_are_used(caplog, patched, blobs, monkeypatch):
    def cube(Z):
        Z **= 3

    def cube_derivative(A, delta):
        delta *= 3 * np.cbrt(A) ** 2

    monkeypatch.setitem(installed.functions.ACTIVATIONS, "tanh", cube)
    monkeypatch.setitem(installed.functions.DERIVATIVES, "tanh", cube_derivative)
    clf = theirs.MLPClassifier(activation="tanh", random_state=0, max_iter=500).fit(*blobs)
    assert "scikit-learn's activation 'tanh' has been replaced" in caplog.text
    hidden = (blobs[0] @ clf.coefs_[0] + clf.intercepts_[0]) ** 3
    scores = hidden @ clf.coefs_[1] + clf.intercepts_[1]
    np.testing.assert_array_equal(clf.predict(blobs[0]), scores.argmax(axis=1))


def test_an_activation_that_fastnn_does_not_have(caplog, patched, blobs, monkeypatch):
    class Squared(theirs.MLPRegressor):
        _parameter_constraints: ClassVar[dict] = {
            **theirs.MLPRegressor._parameter_constraints,
            "activation": [str],
        }

    def square(Z):
        Z **= 2

    monkeypatch.setitem(installed.functions.ACTIVATIONS, "square", square)
    monkeypatch.setitem(
        installed.functions.DERIVATIVES, "square", lambda A, d: np.multiply(d, 2 * A**0.5, out=d)
    )
    Squared(activation="square", random_state=0, max_iter=3, tol=100, n_iter_no_change=1).fit(
        *blobs
    )
    assert "since fastnn has no activation 'square'" in caplog.text


def test_parameters_of_float32_and_rows_of_float64(caplog, blobs):
    X, y = blobs
    fits = []
    for patch in (fastnn.unpatch_sklearn, fastnn.patch_sklearn):
        patch()
        clf = theirs.MLPClassifier(random_state=0)
        clf.partial_fit(X.astype(np.float32), y, classes=[0, 1, 2])
        fits.append(clf.partial_fit(X, y))
    assert "its parameters are float32, but X is float64" in caplog.text
    for ours, wanted in zip(fits[1].coefs_, fits[0].coefs_):
        assert ours.dtype == wanted.dtype == np.float32
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-6)


def test_targets_below_0_of_the_poisson_loss(caplog, blobs):
    if "poisson" not in installed.TABLES["LOSS_FUNCTIONS"]:
        pytest.skip("no Poisson loss before 1.7")
    X, _ = blobs
    y = X[:, 0]
    losses = []
    for kind in (theirs.MLPRegressor, fastnn.MLPRegressor):
        reg = kind(loss="poisson", random_state=0, max_iter=3)
        with np.errstate(all="ignore"), pytest.warns(ConvergenceWarning):
            losses.append(reg.fit(X, y).loss_curve_)
    assert np.isnan(losses[0]).all()
    assert np.isnan(losses[1]).all()
    assert "some targets of the Poisson loss are negative" in caplog.text


# ---------------------------------------------------------------------------------------- explain


def test_explain():
    clf = theirs.MLPClassifier()
    found = explain(clf)
    assert (found.training, found.prediction) == ("scikit-learn", "scikit-learn")
    assert found.reason == "call fastnn.patch_sklearn(), or use fastnn.MLPClassifier"
    for solver in ("adam", "lbfgs"):
        own = explain(fastnn.MLPRegressor(solver=solver, n_threads=3))
        assert (own.training, own.prediction, own.reason) == ("fastnn", "fastnn", None)
        assert str(own) == (
            "MLPRegressor trains on fastnn's engine and predicts on fastnn's engine, in up to 3 "
            "threads"
        )
    fastnn.patch_sklearn()
    assert explain(clf).training == "fastnn"
    assert explain(Subclass()).training == "fastnn"
    other = explain(OwnBackprop())
    assert other.training == other.prediction == "scikit-learn"
    assert str(other).endswith("own code: OwnBackprop has its own _backprop")


def test_explain_knows_methods_of_a_subclass(patched):
    class Own(theirs.MLPClassifier):
        def _fit_stochastic(self, *args):
            pass

    found = explain(Own())
    assert (found.training, found.prediction) == ("scikit-learn", "fastnn")
    assert found.reason.endswith("Own has its own _fit_stochastic")


def test_explain_knows_what_was_fitted(patched, blobs):
    clf = theirs.MLPClassifier(random_state=0, max_iter=500).fit(*blobs)
    clf.coefs_[0] = clf.coefs_[0].astype(np.float32)
    assert explain(clf).reason.startswith("its parameters are of float32, float64")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            fastnn.MLPClassifier(activation="gel"),
            "The 'activation' parameter of MLPClassifier must",
        ),
        (theirs.MLPClassifier(activation="gelu"), "The 'activation' parameter of MLPClassifier mu"),
        (fastnn.MLPRegressor(scoring="r2"), "scoring='r2' says what early stopping goes by, but "),
    ],
)
def test_explain_knows_that_a_fit_would_raise(patched, blobs, model, reason):
    found = explain(model)
    assert found.training == "nothing"
    assert str(found).startswith(
        f"{type(model).__name__} cannot be trained, since fit would raise: {reason}"
    )
    with pytest.raises(ValueError, match=found.reason[-20:]):
        model.fit(*blobs)


@pytest.mark.parametrize("wrong", [3, theirs.MLPClassifier, theirs.BernoulliRBM()])
def test_explain_takes_perceptrons_only(wrong):
    with pytest.raises(TypeError, match="but explain knows perceptrons only: pass an MLP"):
        explain(wrong)
