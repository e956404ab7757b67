"""Many trainings at once, in threads that share the data: searches, folds, ensembles."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import fastnn

from .common import Threads, cores_at_hand, described

#: Trainings at a time.
FITS = 8


def fit_all(workers):
    """Train networks of 64-100-10 on 2,000 rows from as many seeds, each on one thread."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2000, 64), dtype=np.float32), rng.integers(0, 10, 2000)

    def train(seed):
        net = fastnn.Network((64, 100, 10), random_state=seed)
        return fastnn.Trainer(net, batch_size=50, max_iter=5, random_state=seed).fit(X, y)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(train, range(FITS)))


class ManyFits:
    """Eight trainings, one after the other or two at a time."""

    params = ([1, 2],)
    param_names = ("workers",)

    def setup(self, workers):
        if not hasattr(fastnn, "Trainer"):
            raise NotImplementedError("this commit has no Trainer")  # asv skips it
        if workers > cores_at_hand():
            raise NotImplementedError(f"needs {workers} cores")
        self.threads = Threads(1)
        fit_all(workers)

    def teardown(self, workers):
        self.threads.restore()

    @described("Eight trainings: time of all")
    def time_all(self, workers):
        """Seconds for all of them, on so many workers."""
        fit_all(workers)
