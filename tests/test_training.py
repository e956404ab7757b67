"""The loop behind `train`: any depth, any division into threads and calls, and a way out."""

import _thread
import itertools
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import fastnn
from fastnn import TwoLayerNet, jobs, reference
from fastnn.engine import course, driver
from fastnn.engine import loop as engine_loop
from fastnn.engine.gradients import GradientOrder
from fastnn.engine.loop import CompiledLoop
from fastnn.engine.tapes import Shelf
from fastnn.jobs import Job
from fastnn.kernels.loop import buffers, tape

DTYPES = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def default_threads():
    yield
    fastnn.set_num_threads(None)


def random_layers(sizes, dtype, seed=0):
    random = np.random.RandomState(seed)
    return [
        ((random.randn(K, N) / np.sqrt(K)).astype(dtype), (0.1 * random.randn(N)).astype(dtype))
        for K, N in itertools.pairwise(sizes)
    ]


def random_data(n, D, C, dtype, seed=0):
    random = np.random.RandomState(seed)
    return random.randn(n, D).astype(dtype), random.randint(0, C, n)


def make(cls, layers, data, plan, threads, block_size=None):
    """Make a loop, or its twin, that trains as TwoLayerNet does; and the order of its work."""
    X, y, X_val, y_val = data
    block_size = block_size or max(plan.batch_size, min(256, len(X_val)))
    loop = cls(
        Job(
            course.architecture_of(layers),
            layers,
            jobs.Settings(penalty=plan.alpha != 0),
            jobs.Source(X, y),
            jobs.Source(X_val, y_val),
            batch_sizes=(plan.batch_size,),
            block_size=block_size,
            evaluate_batch=True,
            threads=threads,
        )
    )
    random = np.random.RandomState(0)
    return loop, course.CourseOrder(plan, len(X), len(X_val), block_size, random, False)


def run(loop, order, pieces=1):
    """Run all items of a loop, in `pieces` calls; return its records."""
    records = jobs.Records(order.plan.num_iters, order.epochs)
    borders = np.linspace(0, order.total, pieces + 1).astype(int).tolist()
    for first, stop in itertools.pairwise(borders):
        loop.run(order.items(first, stop), records)
    loop.store()
    return records


# ------------------------------------------------------------------------------------------ depth

DEPTHS = [
    (5, 3),
    (17, 9, 4),
    (16, 16, 16, 16),
    (13, 50, 21, 10),
    (70, 33, 100, 5, 3),
    (3, 1, 1, 1, 2),
    (130, 52, 49, 47, 17, 12),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", DEPTHS, ids=lambda sizes: "-".join(map(str, sizes)))
@pytest.mark.parametrize("threads", [1, 3])
def test_networks_of_any_depth_follow_the_twin(sizes, dtype, threads):
    data = (
        *random_data(61, sizes[0], sizes[-1], dtype),
        *random_data(29, sizes[0], sizes[-1], dtype, seed=1),
    )
    plan = course.CoursePlan(0.1, 0.9, 0.02, num_iters=40, batch_size=13)
    ours, twins = random_layers(sizes, dtype), random_layers(sizes, dtype)
    records = run(*make(CompiledLoop, ours, data, plan, threads))
    expected = run(*make(reference.TrainingLoop, twins, data, plan, threads))
    tolerance = 1e-9 if dtype == np.float64 else 2e-4
    np.testing.assert_allclose(records.losses, expected.losses, rtol=tolerance)
    np.testing.assert_allclose(records.val_losses, expected.val_losses, rtol=tolerance)
    # In float32, a row whose two best scores are all but equal may count on either side.
    slack = 0 if dtype == np.float64 else 1
    assert np.abs(records.train_correct - expected.train_correct).max() <= slack
    assert np.abs(records.val_correct - expected.val_correct).max() <= slack
    for (W, b), (W_twin, b_twin) in zip(ours, twins):
        np.testing.assert_allclose(W, W_twin, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(b, b_twin, rtol=tolerance, atol=tolerance)


# --------------------------------------------------------------------------------------- same bits

SIZES = [(4, 10, 3, 5), (64, 100, 10, 200), (130, 50, 10, 33), (9, 17, 4, 3), (1100, 61, 7, 150)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_same_bits_for_any_number_of_threads(many_threads, sizes, dtype):
    D, H, C, batch_size = sizes
    X, y = random_data(700, D, C, dtype)
    X_val, y_val = random_data(311, D, C, dtype, seed=1)
    results = []
    for threads in (1, 2, 3, 5):
        fastnn.set_num_threads(threads)
        net = TwoLayerNet(D, H, C, std=0.1, dtype=dtype, random_state=0)
        history = net.train(
            *(X, y, X_val, y_val), 0.05, reg=0.01, num_iters=25, batch_size=batch_size
        )
        results.append((history, {name: net.params[name].tobytes() for name in net.params}))
    assert results[0][0]["loss_history"][0] != results[0][0]["loss_history"][-1]
    for result in results[1:]:
        assert result == results[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_for_any_division_into_calls(threads):
    data = (*random_data(61, 17, 4, np.float32), *random_data(300, 17, 4, np.float32, seed=1))
    plan = course.CoursePlan(0.1, 1.0, 0.02, num_iters=23, batch_size=13)
    results = []
    for pieces in (1, 2, 5, 31):
        layers = random_layers((17, 9, 4), np.float32)
        loop, order = make(CompiledLoop, layers, data, plan, threads, block_size=64)
        parts = [*run(loop, order, pieces), *(part for layer in layers for part in layer)]
        results.append([part.tobytes() for part in parts])
    for result in results[1:]:
        assert result == results[0]


def test_predictions_are_the_same_for_any_number_of_threads(many_threads):
    net = TwoLayerNet(50, 100, 10, std=0.1, dtype=np.float32, random_state=0)
    X, _ = random_data(3001, 50, 10, np.float32)
    results = []
    for threads in (1, 2, 3, 5):
        fastnn.set_num_threads(threads)
        results.append(net.predict(X))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


# -------------------------------------------------------------------------------------- its memory


def test_nothing_is_written_outside_of_the_buffers(monkeypatch):
    margin, sentinel, raws = 4096, 0xFF, []

    def guarded(size, dtype):
        count = size * np.dtype(dtype).itemsize
        raw = np.full(count + 2 * margin + 64, sentinel, np.uint8)
        first = margin + -(raw.ctypes.data + margin) % 64
        raw[first : first + count] = 0
        raws.append((raw, first, first + count))
        return raw[first : first + count].view(dtype)

    monkeypatch.setattr(tape, "empty_aligned", guarded)
    monkeypatch.setattr(buffers, "empty_aligned", guarded)
    random = np.random.RandomState(0)
    for case in range(60):
        dtype = DTYPES[case % 2]
        sizes = [random.choice([1, 3, 8, 17, 31, 48, 50, 64, 97, 130]) for _ in range(3)]
        batch_size, n_val = random.randint(1, 70), random.randint(1, 90)
        # A row beyond the data, or an element beyond a row, would bring its NaN into the loss.
        wide = guarded((40 + n_val) * sizes[0], dtype).reshape(-1, sizes[0])
        wide[...] = random.randn(*wide.shape)
        labels = random.randint(0, sizes[-1], len(wide))
        data = (wide[:40], labels[:40], wide[40:], labels[40:])
        plan = course.CoursePlan(0.01, 1.0, 0.02, num_iters=4, batch_size=batch_size)
        layers = random_layers(sizes, dtype)
        loop, order = make(CompiledLoop, layers, data, plan, random.randint(1, 4))
        assert np.isfinite(run(loop, order).losses).all()
        for raw, first, stop in raws:
            assert (raw[:first] == sentinel).all(), (sizes, batch_size)
            assert (raw[stop:] == sentinel).all(), (sizes, batch_size)
        raws.clear()


# ------------------------------------------------------------------------------ callback, progress


def test_callback_comes_once_an_epoch_with_live_params():
    X, y = random_data(60, 6, 3, np.float64)
    net = TwoLayerNet(6, 5, 3, std=0.1, random_state=0)
    seen = []

    def callback(status):
        seen.append((status, net.params["W1"].copy()))

    history = net.train(X, y, X, y, 0.1, num_iters=14, batch_size=10, callback=callback)
    # Steps 0, 6 and 12 are an epoch's first, and are evaluated.
    assert [status.iteration for status, _ in seen] == [1, 7, 13]
    assert [status.val_accuracy for status, _ in seen] == history["val_acc_history"]
    assert [status.train_accuracy for status, _ in seen] == history["train_acc_history"]
    assert [status.loss for status, _ in seen] == history["loss_history"][::6]
    rates = [status.learning_rate for status, _ in seen]
    np.testing.assert_allclose(rates, [0.1, 0.095, 0.09025])
    assert not np.array_equal(seen[0][1], seen[1][1])


def test_callback_changes_no_number():
    X, y = random_data(60, 6, 3, np.float64)
    results = []
    for callback in (None, lambda status: None):
        net = TwoLayerNet(6, 5, 3, std=0.1, random_state=0)
        results.append(net.train(X, y, X, y, 0.1, num_iters=40, batch_size=10, callback=callback))
    assert results[0] == results[1]


def test_callback_ends_the_training():
    X, y = random_data(60, 6, 3, np.float64)
    net = TwoLayerNet(6, 5, 3, random_state=0)

    def stop(status):
        return status.iteration >= 7

    history = net.train(X, y, X, y, num_iters=1000, batch_size=10, callback=stop)
    assert len(history["loss_history"]) == 7
    assert len(history["val_acc_history"]) == 2


def test_progress_sees_the_end_and_is_in_order():
    X, y = random_data(60, 6, 3, np.float64)
    net, seen = TwoLayerNet(6, 5, 3, random_state=0), []
    history = net.train(X, y, X, y, num_iters=300, batch_size=10, progress=seen.append)
    iterations = [status.iteration for status in seen]
    assert iterations == sorted(iterations)
    assert iterations[-1] == seen[-1].num_iters == 300
    assert seen[-1].loss == history["loss_history"][-1]
    assert all(status.samples_per_second > 0 for status in seen)


# -------------------------------------------------------------------------------------- a way out


def assert_stopped_midway(net, threads_before):
    steps = len(net.history["loss_history"])
    assert 0 < steps < 5_000_000
    assert np.isfinite(net.history["loss_history"]).all()
    assert all(np.isfinite(array).all() for array in net.params.values())
    assert threading.active_count() == threads_before


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_keeps_what_was_learnt(many_threads, threads):
    fastnn.set_num_threads(threads)
    X, y = random_data(2000, 64, 10, np.float32)
    net = TwoLayerNet(64, 100, 10, std=0.1, dtype=np.float32, random_state=0)
    first = net.params["W1"].copy()
    before = threading.active_count()
    begun = threading.Event()
    other = threading.Thread(target=lambda: begun.wait(60) and _thread.interrupt_main())

    def progress(status):
        if status.iteration > 10:
            begun.set()

    other.start()
    with pytest.raises(KeyboardInterrupt):
        net.train(X, y, X, y, 0.01, num_iters=5_000_000, progress=progress)
    other.join()
    assert_stopped_midway(net, before)
    assert not np.array_equal(net.params["W1"], first)
    # The network is as usable as any.
    assert len(net.train(X, y, X, y, 0.01, num_iters=10)["loss_history"]) == 10


class Recorder:
    """A loop that notes how many items it is given at a time, and takes no time at all."""

    share = 1.0

    def __init__(self, flops, threads=1):
        self.flops, self.threads, self.given, self.pace = flops, threads, [], None

    def begin(self):
        pass

    def note(self, items, seconds):
        pass

    def run(self, items, records):
        self.given.append(len(items.kinds))

    def run_in_halves(self, items, records):
        self.given.append(-len(items.kinds))

    def finished(self):
        return True


@pytest.mark.parametrize(
    ("flops", "first"), [(1e3, 8), (1e7, 8), (5e7, 4), (1e8, 2), (2e8, 1), (1e10, -1), (1e13, -1)]
)
def test_the_first_work_without_a_look_is_bounded_by_its_flops(flops, first):
    loop = Recorder(flops)
    order = GradientOrder(1000, 10, 1000.0)
    next(driver.drive(loop, order, None))
    assert loop.given == [first]
    loop = Recorder(3 * flops, threads=3)
    next(driver.drive(loop, GradientOrder(1000, 10, 1000.0), None))
    assert loop.given == [first]


def test_a_loop_like_an_earlier_one_begins_at_its_pace():
    loop = Recorder(1e3)
    for _ in driver.drive(loop, GradientOrder(1000, 10, 1000.0), None):
        pass
    assert loop.given[0] == 8 < loop.pace  # items of no time at all
    loop.given.clear()
    for _ in driver.drive(loop, GradientOrder(1000, 10, 1000.0), None):
        pass
    assert loop.given == [100]


@pytest.mark.parametrize(("pace", "first"), [(7.9, 7), (1.0, 1), (0.9, -1), (1e9, 100)])
def test_a_remembered_pace_bounds_the_first_work(pace, first):
    loop = Recorder(1e3)
    loop.pace = pace
    next(driver.drive(loop, GradientOrder(1000, 10, 1000.0), None))
    assert loop.given == [first]


def halves_of(net, X, y, monkeypatch, interrupted_at=None, **options):
    """Train with each step in two halves; Ctrl-C comes when that many are done."""
    work, calls = engine_loop.run_threads, []

    def count(*arguments):
        work(*arguments)
        calls.append(None)
        if len(calls) == interrupted_at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(driver, "INTERVAL", 0.0)
        patch.setattr(engine_loop, "run_threads", count)
        patch.setattr(engine_loop, "SHELF", Shelf())  # with no idea of how fast it goes
        net.train(X, y, X[:10], y[:10], **options)
    return calls


@pytest.mark.parametrize("threads", [1, 2])
def test_steps_in_halves_are_the_same_steps(many_threads, monkeypatch, threads):
    fastnn.set_num_threads(threads)
    X, y = random_data(60, 6, 3, np.float64)
    options = {"num_iters": 12, "batch_size": 20, "learning_rate": 0.1}
    whole, halves = (TwoLayerNet(6, 5, 3, std=1, random_state=0) for _ in range(2))
    expected = whole.train(X, y, X[:10], y[:10], **options)
    calls = halves_of(halves, X, y, monkeypatch, **options)
    assert len(calls) == 2 * 12 + 4  # and the validation sets
    assert halves.history == expected
    for name, array in whole.params.items():
        np.testing.assert_array_equal(halves.params[name], array)


def test_ctrl_c_between_the_halves_leaves_the_step_undone(monkeypatch):
    X, y = random_data(60, 6, 3, np.float64)
    options = {"num_iters": 12, "batch_size": 20, "learning_rate": 0.1}
    # The first step and its validation set are three calls; then two make a step.
    for calls, steps in ((1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (7, 3)):
        net, twin = (TwoLayerNet(6, 5, 3, std=1, random_state=0) for _ in range(2))
        with pytest.raises(KeyboardInterrupt):
            halves_of(net, X, y, monkeypatch, calls, **options)
        assert len(net.history["loss_history"]) == steps
        twin.train(X, y, X[:10], y[:10], **{**options, "num_iters": steps})
        for name, array in twin.params.items():
            np.testing.assert_array_equal(net.params[name], array)


def test_an_exception_of_a_callback_keeps_what_was_learnt():
    X, y = random_data(60, 6, 3, np.float64)
    net = TwoLayerNet(6, 5, 3, random_state=0)
    before = threading.active_count()

    def callback(status):
        if status.iteration > 20:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        net.train(X, y, X, y, num_iters=1000, batch_size=10, callback=callback)
    assert_stopped_midway(net, before)
    assert len(net.history["loss_history"]) == 25


@pytest.mark.parametrize(("more", "goes_on_with"), [(0, 1), (1, 2), (2, 2)])
def test_threads_that_cannot_be_started_are_done_without(
    more, goes_on_with, many_threads, monkeypatch, caplog
):
    X, y = random_data(60, 6, 3, np.float64)
    before, start = threading.active_count(), threading.Thread.start
    nets = [TwoLayerNet(6, 5, 3, random_state=0) for _ in range(2)]
    nets[0].train(X, y, X, y, num_iters=20)

    def refuse(thread):
        if threading.active_count() >= before + more:
            raise RuntimeError("can't start new thread")
        start(thread)

    fastnn.set_num_threads(4)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    nets[1].train(X, y, X, y, num_iters=20)
    assert caplog.messages[-1] == f"can't start new thread: going on with {goes_on_with}"
    assert threading.active_count() == before
    for name, array in nets[0].params.items():
        np.testing.assert_array_equal(nets[1].params[name], array)
    predicted = nets[1].predict(np.tile(X, (100, 1)))
    np.testing.assert_array_equal(predicted, np.tile(nets[0].predict(X), 100))


# ------------------------------------------------------------------- other threads, other processes


def seeded_training(seed):
    X, y = random_data(300, 20, 5, np.float32, seed)
    net = TwoLayerNet(20, 30, 5, std=0.1, dtype=np.float32, random_state=seed)
    history = net.train(X, y, X, y, 0.1, num_iters=400, batch_size=50)
    return history, net.params["W1"].tobytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_trainings_in_several_threads_at_once(many_threads, threads):
    fastnn.set_num_threads(threads)
    expected = [seeded_training(seed) for seed in range(4)]
    results = [None] * 4

    def work(seed):
        results[seed] = seeded_training(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == expected


FORK = """
    import multiprocessing
    import numpy as np
    import fastnn
    from fastnn import threads

    threads.FLOPS_PER_THREAD = 1
    fastnn.set_num_threads(2)

    def train():
        random = np.random.RandomState(0)
        X, y = random.randn(300, 20).astype(np.float32), random.randint(0, 5, 300)
        net = fastnn.TwoLayerNet(20, 30, 5, std=0.1, dtype=np.float32, random_state=0)
        history = net.train(X, y, X, y, 0.1, num_iters=400, batch_size=50)
        return history, net.params["W1"].tobytes()

    expected = train()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(train()))
    process.start()
    assert receiver.poll(60), "the child does not answer"
    assert receiver.recv() == expected
    process.join(60)
    assert process.exitcode == 0
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_training_after_a_fork():
    # In a process of its own: other libraries of this one may not bear a fork.
    program = [sys.executable, "-c", textwrap.dedent(FORK)]
    result = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


def test_other_threads_run_while_a_network_trains():
    X, y = random_data(2000, 64, 10, np.float32)
    net = TwoLayerNet(64, 100, 10, dtype=np.float32, random_state=0)
    net.train(X, y, X, y, num_iters=1)
    turns, done = [0], threading.Event()

    def count():
        while not done.is_set():
            turns[0] += 1
            done.wait(0.001)

    worker = threading.Thread(target=count)
    worker.start()
    net.train(X, y, X, y, num_iters=3000)
    done.set()
    worker.join()
    assert turns[0] > 5
