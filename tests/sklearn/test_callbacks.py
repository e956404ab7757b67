"""scikit-learn's callbacks, where it has them, see the epochs of a fit."""

import numpy as np
import pytest

pytest.importorskip("sklearn.callback")

from sklearn import callback
from sklearn.model_selection import GridSearchCV

from fastnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ALL = {"tol": 0.0, "n_iter_no_change": 10_000, "random_state": 0}


class Recorder:
    """A callback that writes down what it is told; it may ask to stop."""

    def __init__(self, stop_after=None):
        self.told, self.coefs, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.told.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.told.append(f"{context.task_name} begins")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.told.append(f"{context.task_name} ends")
        if context.task_name == "epoch":
            self.coefs.append(fitted_estimator.coefs_)
            return len(self.coefs) == self.stop_after
        return False

    def teardown(self, estimator, context):
        self.told.append("teardown")


def test_they_are_told_of_the_fit_and_of_its_epochs(blobs):
    recorder = Recorder()
    clf = MLPClassifier((5,), max_iter=3, **ALL).set_callbacks(recorder).fit(*blobs)
    epochs = ["epoch begins", "epoch ends"] * 3
    assert recorder.told == ["setup", "fit begins", *epochs, "fit ends", "teardown"]
    assert len(recorder.coefs) == 3
    for ours, wanted in zip(recorder.coefs[-1], clf.coefs_):
        np.testing.assert_array_equal(ours, wanted)
    shorter = MLPClassifier((5,), max_iter=2, **ALL).fit(*blobs)
    for ours, wanted in zip(recorder.coefs[1], shorter.coefs_):
        np.testing.assert_array_equal(ours, wanted)


def test_they_may_end_a_fit(blobs):
    recorder = Recorder(stop_after=2)
    clf = MLPClassifier((5,), max_iter=9, **ALL).set_callbacks(recorder).fit(*blobs)
    assert clf.n_iter_ == 2
    assert recorder.told[-2:] == ["fit ends", "teardown"]


def test_they_are_told_of_partial_fit_and_of_lbfgs(blobs):
    recorder = Recorder()
    clf = MLPClassifier((5,), random_state=0).set_callbacks(recorder)
    clf.partial_fit(*blobs, classes=[0, 1, 2])
    told = ["setup", "fit begins", "epoch begins", "epoch ends", "fit ends", "teardown"]
    assert recorder.told == told
    recorder = Recorder()
    MLPRegressor(solver="lbfgs", max_iter=3).set_callbacks(recorder).fit(*blobs)
    assert recorder.told == ["setup", "fit begins", "fit ends", "teardown"]


def test_they_change_no_number(blobs):
    plain = MLPClassifier((5,), max_iter=4, **ALL).fit(*blobs)
    told = MLPClassifier((5,), max_iter=4, **ALL).set_callbacks(Recorder()).fit(*blobs)
    for ours, wanted in zip(told.coefs_, plain.coefs_):
        np.testing.assert_array_equal(ours, wanted)


def test_progress_bar_and_scoring_monitor_of_scikit_learn(blobs, capsys):
    pytest.importorskip("rich")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    clf = MLPClassifier((5,), max_iter=6, **ALL)
    clf.set_callbacks(callback.ProgressBar(), monitor).fit(*blobs)
    assert "MLPClassifier - fit" in capsys.readouterr().out
    scores = [row["accuracy"] for row in logs_of(monitor)[0].data if row["task_name"] == "epoch"]
    assert len(scores) == 6
    assert scores[-1] == clf.score(*blobs)


def test_a_search_hands_them_on(blobs, capsys):
    pytest.importorskip("rich")
    search = GridSearchCV(MLPClassifier((5,), max_iter=2, **ALL), {"alpha": [0.1, 1.0]}, cv=2)
    search.set_callbacks(callback.ProgressBar()).fit(*blobs)
    assert capsys.readouterr().out.count("MLPClassifier - fit") >= 5


def logs_of(monitor):
    logs = monitor.get_logs()
    return logs if isinstance(logs, list) else [logs]
