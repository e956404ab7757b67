"""fastnn by its compiled training loop, and the twin of that loop in NumPy."""

import time

import numpy as np

import benchmarks  # noqa: F401  (sets the folder of the compiled kernels)

from .peer import Peer
from .problems import data_of, layers_of

#: Seconds in which a training tries another number of threads twice, about.
SETTLED = 2.0


class Fastnn(Peer):
    """The compiled loop, and any of its interface."""

    title, module, package = "fastnn", "fastnn", "-e ."

    def build(self, problem, seed, rate):
        from fastnn import jobs, optimizers, set_num_threads

        set_num_threads(self.threads)
        self.problem, self.rate = problem, rate
        self.optimizer = optimizers.OPTIMIZERS[problem.optimizer]
        job = jobs.Job(
            jobs.Architecture(*problem[:3]),
            layers_of(problem, seed),
            jobs.Settings(self.optimizer.name, False, *self.optimizer.numbers()),
            jobs.Source(*data_of(problem)),
            batch_sizes=(problem.n,),
        )
        self.loop = self.make_loop(job)

    def prepare(self, problem, seconds):
        """Train until it is clear how many threads pay."""
        super().prepare(problem, seconds)
        begun = time.perf_counter()
        while self.threads > 1 and time.perf_counter() < begun + SETTLED:
            self.wake()

    def make_loop(self, job):
        from fastnn.engine.loop import CompiledLoop

        return CompiledLoop(job)

    def train(self, order):
        from fastnn.jobs import Items, Records

        steps, n = np.arange(order.steps), self.problem.n
        zeros, whole = np.zeros_like(steps), order.rows is None
        rates, decays, epsilons = self.optimizer.rates(np.full(order.steps, self.rate), steps)
        items = Items(
            kinds=zeros,
            begins=zeros if whole else steps * n,
            counts=np.full(order.steps, n),
            steps=steps,
            epochs=zeros,
            keys=zeros,
            rates=rates,
            decays=decays,
            alphas=np.zeros(order.steps),
            epsilons=np.full(order.steps, epsilons),
            divisors=np.full(order.steps, float(n)),
            listed=None if whole else order.rows.ravel(),
        )
        records = Records(order.steps, 1)

        def train():
            begun = time.perf_counter()
            self.loop.run(items, records)
            # As any training does, which is here in several calls.
            self.loop.note(items, time.perf_counter() - begun)
            return records.losses

        return train

    def peak(self, seconds):
        """Measure the GFLOP/s of one core."""
        from fastnn.benchmark import peak_gflops

        return peak_gflops("float32", seconds)


class NumPy(Fastnn):
    """The twin of the compiled loop, written as the textbook writes it."""

    title, module, package = "NumPy", "numpy", "numpy"

    def make_loop(self, job):
        from fastnn.reference import TrainingLoop

        return TrainingLoop(job)
