"""Many fits at once: in joblib's threads and processes, and on a Dask cluster."""

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

import fastnn.sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

GRID = {"alpha": [1e-4, 1.0]}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:400] / 16, y[:400]


def search(**parameters):
    clf = fastnn.MLPClassifier((16,), max_iter=4, random_state=0, **parameters)
    return GridSearchCV(clf, GRID, cv=2, n_jobs=2)


@pytest.fixture(scope="module")
def wanted(digits):
    return search().set_params(n_jobs=1).fit(*digits)


def assert_same(found, wanted):
    assert found.best_params_ == wanted.best_params_
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(found.cv_results_[name], wanted.cv_results_[name])
    np.testing.assert_array_equal(found.best_estimator_.coefs_[0], wanted.best_estimator_.coefs_[0])


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_search_finds_the_same_in_jobs(backend, digits, wanted):
    with joblib.parallel_config(backend):
        assert_same(search().fit(*digits), wanted)


def threads_of_fit(X, y, n_threads):
    seen = []
    fastnn.MLPClassifier(
        (16,),
        max_iter=1,
        random_state=0,
        callback=lambda status: seen.append(fastnn.get_num_threads()),
        n_threads=n_threads,
    ).fit(X, y)
    return seen


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_job_takes_one_thread_unless_it_says_how_many(backend, digits, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with joblib.parallel_config(backend, n_jobs=2):
        for n_threads, count in ((None, 1), (3, 3)):
            seen = joblib.Parallel()(
                joblib.delayed(threads_of_fit)(*digits, n_threads) for _ in range(2)
            )
            assert seen == [[count], [count]]


# -------------------------------------------------------------------------------------------- Dask


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("dask.distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_a_search_finds_the_same_on_a_dask_cluster(cluster, digits, wanted):
    with joblib.parallel_config("dask"):
        assert_same(search().fit(*digits), wanted)


def test_workers_may_be_patched(cluster, digits):
    clf = MLPClassifier((16,), max_iter=4, random_state=0)
    wanted = GridSearchCV(clf, GRID, cv=2).fit(*digits)
    cluster.run(fastnn.patch_sklearn)
    with joblib.parallel_config("dask"):
        found = GridSearchCV(clf, GRID, cv=2, n_jobs=2).fit(*digits)
    trains = cluster.run(lambda: fastnn.sklearn.explain(clf).training)
    assert set(trains.values()) == {"fastnn"}
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], wanted.cv_results_["mean_test_score"]
    )
