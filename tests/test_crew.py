"""How many threads a run takes: what a crew tries and settles on, and that bits don't tell."""

import itertools

import numpy as np
import pytest

import fastnn
from fastnn import MLPClassifier, Network, Trainer, TwoLayerNet, jobs
from fastnn.checks.sparse import Sparse
from fastnn.engine import driver
from fastnn.engine.crew import AT_FIRST, FLOPS_AT_FIRST, LONGEST_WAIT, SHARE, WINDOW, Crew, at_first
from fastnn.engine.loop import CompiledLoop
from fastnn.engine.tapes import Shelf, tape_of
from fastnn.jobs import Job, flops_per_row
from fastnn.kernels.activation import RELU
from fastnn.kernels.loop.task import Task
from fastnn.optimizers import Adam


def work_with(crew, pace_of, seconds, chunk=0.02, noise=None):
    """Give a crew work for some seconds; return the seconds that each count of threads had."""
    spent, now = dict.fromkeys(crew.counts, 0.0), 0.0
    while now < seconds:
        threads = crew.threads
        spent[threads] += chunk
        now += chunk
        factor = 1.0 if noise is None else noise.uniform(0.9, 1.0)
        crew.note(factor * pace_of(threads) * chunk, chunk)
    return spent


@pytest.mark.parametrize(
    ("limit", "counts", "first"),
    [
        (1, [1], 1),
        (2, [2, 1], 2),
        (3, [3, 1], 3),
        (4, [4, 2, 1], 4),
        (6, [6, 3, 1], 3),
        (16, [16, 8, 4, 2, 1], 4),
        (100, [100, 50, 25, 12, 6, 3, 1], 3),
    ],
)
def test_a_crew_begins_with_a_few_threads(limit, counts, first):
    crew = Crew(limit, AT_FIRST)
    assert crew.counts == counts
    assert crew.threads == first <= AT_FIRST
    assert crew.adapts == (limit > 1)
    assert Crew(limit, 1).threads == 1
    fixed = Crew(limit, None)
    assert fixed.counts == [fixed.threads] == [limit]
    assert not fixed.adapts


def test_small_steps_begin_with_one_thread():
    flops = [0, FLOPS_AT_FIRST, 2 * FLOPS_AT_FIRST, 1e12]
    assert [at_first(each) for each in flops] == [1, 1, 2, AT_FIRST]
    # A few at a time are as much work as as many smaller ones.
    assert [at_first(2 * FLOPS_AT_FIRST, steps) for steps in (1, 5, 10, 100)] == [1, 1, 2, 2]
    assert at_first(10 * FLOPS_AT_FIRST, 3) == 3


@pytest.mark.parametrize(
    ("dtype", "sparse", "threads"),
    [("float32", False, 1), ("float64", False, 2), ("float32", True, 2), ("float64", True, 4)],
)
def test_steps_whose_operations_take_longer_begin_with_more(monkeypatch, dtype, sparse, threads):
    monkeypatch.setattr("fastnn.engine.loop.SHELF", Shelf())
    sizes = 100, 60, 2
    n = int(1.5 * FLOPS_AT_FIRST / (3 * flops_per_row(sizes)))
    X = np.ones((n, 100), dtype)
    if sparse:
        X = Sparse(X.shape, np.arange(n + 1) * 100, np.tile(np.arange(100), n), X.ravel())
    job = Job(
        jobs.Architecture(sizes),
        list(Network(sizes, dtype=dtype, random_state=0).layers),
        jobs.Settings(),
        jobs.Source(X, np.zeros(n, np.int64)),
        batch_sizes=(n,),
        threads=4,
    )
    assert CompiledLoop(job).threads == threads


@pytest.mark.parametrize("best", [1, 2, 4, 8, 16])
def test_a_crew_finds_the_number_that_pays(best):
    # As long as its share of the work, and longer with each thread beyond the best number.
    crew = Crew(16, AT_FIRST)
    spent = work_with(crew, lambda n: min(n, best) / (1 + max(n / best - 1, 0)), 60)
    assert spent[best] > 0.9 * 60


@pytest.mark.parametrize("limit", [2, 4, 16])
@pytest.mark.parametrize("seed", range(5))
def test_noise_leads_no_crew_astray(limit, seed):
    crew, noise = Crew(limit, AT_FIRST), np.random.RandomState(seed)
    spent = work_with(crew, lambda n: n**0.8, 60, noise=noise)
    assert spent[limit] > 0.95 * 60


def test_trials_cost_little_where_all_threads_pay():
    crew = Crew(2, AT_FIRST)
    spent = work_with(crew, float, 1.9, chunk=0.01)
    assert spent[1] < 2 * WINDOW  # the first trial, of which the first window is enough
    spent = work_with(crew, float, 200, chunk=0.01)
    assert spent[1] < 0.004 * 200
    assert crew.wait == LONGEST_WAIT


def test_fewer_threads_do_where_more_gain_nothing():
    assert work_with(Crew(4, AT_FIRST), lambda n: 1.0, 60)[1] > 0.9 * 60
    # Twice as many that gain 4 % are not taken.
    assert work_with(Crew(16, AT_FIRST), lambda n: 1.0 if n <= 4 else 1.04, 2)[16] == 0


def test_a_crew_follows_what_changes():
    crew = Crew(2, AT_FIRST)
    work_with(crew, float, 20)
    assert crew.threads == 2
    work_with(crew, lambda n: 1 / n, 30)  # another program takes a core
    assert crew.threads == 1
    work_with(crew, float, 30)
    assert crew.threads == 2


def test_the_first_work_tells_nothing():
    # It compiles the loop, perhaps for seconds.
    crew = Crew(2, AT_FIRST)
    crew.note(1.0, 9.0)
    work_with(crew, float, 0.9)
    assert crew.threads == 2
    assert crew.waited < 1


@pytest.mark.parametrize(
    ("at_first", "tried"), [(4, 0), (4, 1), (4, None), (16, None), (None, None)]
)
def test_a_crew_does_without_threads_that_cannot_be_had(at_first, tried):
    crew = Crew(16, at_first)
    crew.tried = tried
    before = crew.threads
    assert crew.lack()
    assert crew.threads < before
    if crew.adapts:
        work_with(crew, float, 60)
    assert crew.threads < before
    while crew.threads > 1:
        assert crew.lack()
    assert not crew.lack()
    assert not crew.adapts
    assert crew.share == 1


def test_a_shelf_remembers_the_crew():
    shelf, task = Shelf(), Task((17, 8, 4), (RELU,), batch_sizes=(100,), threads=8)
    tape, crew = tape_of(shelf, task, AT_FIRST)
    assert tape.task.threads == crew.threads == AT_FIRST
    crew.best = 1 + crew.counts.index(AT_FIRST)
    shelf.put(task, (tape, crew), tape.size)
    assert tape_of(shelf, task) == (tape, crew)
    tape, crew = tape_of(shelf, task._replace(batch_sizes=(), block_size=100))
    assert tape.task.threads == crew.threads == 8


# ----------------------------------------------------------------------------------------- bits


CREWS = []


class Restless(Crew):
    """A crew whose number of threads changes after every piece of work."""

    def __init__(self, limit, at_first):
        super().__init__(limit, at_first)
        self.turns, self.used = itertools.cycle(self.counts), set()
        self.count = next(self.turns)
        CREWS.append(self)

    @property
    def threads(self):
        return self.count

    def note(self, work, seconds):
        assert work > 0
        self.used.add(self.count)
        self.count = next(self.turns)


def trained_by_trainer(dtype, kind, **options):
    random = np.random.RandomState(0)
    X = random.randint(0, 255, (700, 70)).astype(np.uint8)
    if kind != "bytes":
        X = (X / dtype(255)).astype(dtype)
    if kind == "sparse":
        X[random.uniform(size=X.shape) < 0.9] = 0
    y, weights = random.randint(0, 3, 700), random.uniform(0.5, 2, 700)
    scale, rule = 255.0 if kind == "bytes" else 1.0, Adam(0.01)
    net = Network((70, 150, 40, 3), dtype=dtype, random_state=0, input_scale=scale)
    trainer = Trainer(net, rule, batch_size=96, max_iter=6, random_state=0, **options)
    trainer.fit(X, y, sample_weight=weights, X_val=X[:200], y_val=y[:200])
    return net.params.tobytes(), *(column.tobytes() for column in trainer.history.values())


def trained_two_layers(dtype, kind):
    random = np.random.RandomState(0)
    X, y = random.normal(size=(700, 70)).astype(dtype), random.randint(0, 3, 700)
    net = TwoLayerNet(70, 150, 3, std=0.1, dtype=dtype, random_state=0)
    history = net.train(X, y, X[:100], y[:100], 0.05, reg=0.01, num_iters=40, batch_size=100)
    return [*(net.params[name].tobytes() for name in net.params), repr(history)]


def trained_estimator(dtype, kind, solver="adam"):
    random = np.random.RandomState(0)
    X, y = random.normal(size=(700, 70)).astype(dtype), random.randint(0, 3, 700)
    estimator = MLPClassifier((150, 40), solver=solver, max_iter=6, random_state=0)
    with pytest.warns(match="hasn't converged|failed to converge"):
        estimator.fit(X, y)
    return [*(W.tobytes() for W in estimator.coefs_), repr(estimator.loss_)]


RUNS = {
    "trainer": lambda dtype, kind: trained_by_trainer(dtype, kind),
    "options": lambda dtype, kind: trained_by_trainer(
        dtype, kind, max_norm=0.3, dropout=0.2, early_stopping=True
    ),
    "two layers": trained_two_layers,
    "estimator": trained_estimator,
    "lbfgs": lambda dtype, kind: trained_estimator(dtype, kind, "lbfgs"),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("run", "kind"),
    [
        *itertools.product(("trainer", "options"), ("dense", "bytes", "sparse")),
        *((run, "dense") for run in ("two layers", "estimator", "lbfgs")),
    ],
)
def test_the_same_bits_while_threads_come_and_go(monkeypatch, run, kind, dtype):
    fastnn.set_num_threads(1)
    expected = RUNS[run](dtype, kind)
    monkeypatch.setattr("fastnn.threads.FLOPS_PER_THREAD", 1)
    monkeypatch.setattr("fastnn.engine.driver.INTERVAL", 1e-4)  # few steps at a time
    monkeypatch.setattr("fastnn.engine.loop.SHELF", Shelf())
    monkeypatch.setattr("fastnn.engine.tapes.Crew", Restless)
    CREWS.clear()
    fastnn.set_num_threads(5)
    try:
        assert RUNS[run](dtype, kind) == expected
    finally:
        fastnn.set_num_threads(None)
    assert any(crew.used == {5, 2, 1} for crew in CREWS)


def test_a_trial_is_short(monkeypatch):
    assert pytest.approx(WINDOW) == SHARE * driver.INTERVAL
    tried = Crew(2, AT_FIRST)
    assert tried.share == 1
    tried.tried = 1
    assert tried.share == SHARE
    # And so is the work before the first one, if more threads may pay.
    assert Crew(2, 1).share == SHARE
    assert Crew(1, 1).share == Crew(2, None).share == 1
