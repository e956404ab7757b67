"""What a Solver asks of the loop: checks on the way, the best parameters, a dropout of its own."""

import itertools

import numpy as np
import pytest

from fastnn import jobs, reference
from fastnn.engine.loop import CompiledLoop

SIZES = (7, 20, 9, 4)
N, N_VAL, BATCH, BLOCK_ROWS = 60, 37, 12, 16
BLOCKS = -(-N_VAL // BLOCK_ROWS)
LOOPS = [CompiledLoop, reference.TrainingLoop]


def problem(dtype, seed=0):
    """Return layers, and rows that can be learnt, to train on and to validate by."""
    random = np.random.RandomState(seed)
    layers = [
        ((random.randn(K, M) / np.sqrt(K)).astype(dtype), np.zeros(M, dtype))
        for K, M in itertools.pairwise(SIZES)
    ]
    centres = random.randn(SIZES[-1], SIZES[0])
    sources = []
    for n in (N, N_VAL):
        y = random.randint(0, SIZES[-1], n)
        X = (centres[y] + random.randn(n, SIZES[0])).astype(dtype)
        sources.append(jobs.Source(X, y))
    return layers, *sources


def loop_of(cls, dtype, threads=1, **options):
    layers, train, val = problem(dtype)
    job = jobs.Job(
        *(jobs.Architecture(SIZES), layers, jobs.Settings(**options), train, val),
        batch_sizes=(BATCH,),
        block_size=BLOCK_ROWS,
        evaluate_loss=False,
        keep_best=True,
        threads=threads,
    )
    return cls(job)


def items_of(kinds, begins, counts, **columns):
    """Return items, the steps of which are numbered from 0 on."""
    kinds = np.array(kinds)
    given = {
        "steps": np.cumsum(kinds < jobs.BLOCK) - 1,
        "epochs": 0,
        "keys": 0,
        "rates": 0.5,
        "decays": 1.0,
        "alphas": 0.0,
        "epsilons": 0.0,
        "divisors": float(BATCH),
        "listed": None,
    }
    return jobs.Items(kinds, np.array(begins), np.array(counts), **(given | columns))


def epochs_of(epochs):
    """Return epochs of three steps, each followed by the validation set, whose best are kept."""
    random = np.random.RandomState(1)
    kinds = ([jobs.STEP] * 3 + [jobs.BLOCK] * BLOCKS) * epochs
    begins = np.array([[0, 0, 0, *range(0, N_VAL, BLOCK_ROWS)]] * epochs)
    begins[:, :3] = np.arange(3 * epochs).reshape(epochs, 3) * BATCH
    counts = np.where(np.array(kinds) == jobs.STEP, BATCH, 0).reshape(epochs, -1)
    counts[:, 3:] = np.minimum(BLOCK_ROWS, N_VAL - begins[:, 3:])
    keeps = np.zeros_like(counts)
    keeps[:, -1] = 1
    return items_of(
        *(kinds, begins.ravel(), counts.ravel()),
        epochs=np.repeat(np.arange(epochs), 3 + BLOCKS),
        divisors=np.where(np.array(kinds) == jobs.STEP, float(BATCH), float(N_VAL)),
        listed=random.randint(0, N, 3 * epochs * BATCH),
        keeps=keeps.ravel(),
    )


def flat(layers):
    return np.concatenate([part.ravel() for layer in layers for part in layer])


# ------------------------------------------------------------------------------- rows of a list


def checked_items():
    """Return a step, and checks on listed rows of either source and on rows in order."""
    listed = np.random.RandomState(3).randint(0, N_VAL, 70)
    listed[40:56] += N - N_VAL  # beyond the validation set
    return items_of(
        [jobs.STEP, jobs.TRAIN_BLOCK, jobs.LISTED_BLOCK, jobs.LISTED_BLOCK, jobs.BLOCK, jobs.STEP],
        [0, 40, 12, 24, 4, 58],
        [BATCH, 16, 12, 16, 10, BATCH],
        epochs=np.array([0, 0, 1, 1, 2, 0]),
        listed=listed,
    )


@pytest.mark.parametrize("cls", LOOPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_of_listed_rows(cls, dtype):
    items, (_, train, val) = checked_items(), problem(dtype)
    results = []
    for threads in (1, 2, 3) if cls is CompiledLoop else (1,):
        loop, records = loop_of(cls, dtype, threads), jobs.Records(2, 3)
        loop.run(items.part(0, 1), records)
        loop.store()
        chosen = [(train, items.listed[40:56]), (val, items.listed[12:40]), (val, range(4, 14))]
        activations = ("relu",) * (len(loop.layers) - 1)
        scores = [
            reference.network.scores(activations, loop.layers, s.X[rows]) for s, rows in chosen
        ]
        right = [
            np.count_nonzero(S.argmax(axis=1) == s.y[rows]) for S, (s, rows) in zip(scores, chosen)
        ]
        loop.run(items.part(1, None), records)
        loop.store()
        np.testing.assert_array_equal(records.val_correct, right)
        results.append([*(part.tobytes() for part in records), flat(loop.layers).tobytes()])
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize(("place", "row"), [(30, N_VAL), (30, -1), (5, N), (45, N), (60, -5)])
def test_rows_beyond_their_source_are_refused(place, row):
    items = checked_items()
    items.listed[place] = row
    loop, records = loop_of(CompiledLoop, np.float32), jobs.Records(2, 3)
    with pytest.raises(IndexError, match=rf"drew rows of 0..{(N_VAL if place == 30 else N) - 1} "):
        loop.run(items, records)
    assert not records.losses.any()
    loop.store()
    np.testing.assert_array_equal(flat(loop.layers), flat(problem(np.float32)[0]))


# -------------------------------------------------------------------------- the best parameters

EPOCHS = 12


def best_of(cls, dtype, threads=1, best=0.0, pieces=1):
    """Return the best parameters, the records, and the parameters at the end."""
    loop, records = loop_of(cls, dtype, threads), jobs.Records(3 * EPOCHS, EPOCHS)
    records.best[:] = best
    items = epochs_of(EPOCHS)
    for first, stop in itertools.pairwise(np.linspace(0, len(items.kinds), pieces + 1).astype(int)):
        loop.run(items.part(first, stop), records)
    loop.store()
    return loop.best(), records, flat(loop.layers)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cls", LOOPS)
def test_the_best_parameters_are_those_of_the_first_highest_score(cls, dtype):
    best, records, end = best_of(cls, dtype)
    epoch = records.val_correct.argmax()
    assert 0 < epoch < EPOCHS - 1, "the test needs a training that gets worse again"
    assert np.count_nonzero(records.val_correct == records.val_correct[epoch]) > 1
    assert records.best[0] == records.val_correct[epoch] / N_VAL
    loop = loop_of(cls, dtype)
    items = epochs_of(EPOCHS).part(0, (epoch + 1) * (3 + BLOCKS))
    loop.run(items, jobs.Records(3 * EPOCHS, EPOCHS))
    loop.store()
    np.testing.assert_array_equal(flat(best), flat(loop.layers))
    assert not np.array_equal(flat(best), end)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_best_parameters_are_the_twin_s(dtype):
    best, records, _ = best_of(CompiledLoop, dtype)
    expected, wanted, _ = best_of(reference.TrainingLoop, dtype)
    np.testing.assert_array_equal(records.val_correct, wanted.val_correct)
    tolerance = 1e-3 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(flat(best), flat(expected), tolerance, tolerance)


def test_the_best_parameters_are_the_same_bits_for_any_number_of_threads_and_calls():
    best, records, _ = best_of(CompiledLoop, np.float32)
    for threads, pieces in itertools.product((1, 2, 3, 5), (1, 4, 60)):
        other, again, _ = best_of(CompiledLoop, np.float32, threads, pieces=pieces)
        np.testing.assert_array_equal(flat(other), flat(best))
        assert again.best == records.best


@pytest.mark.parametrize("cls", LOOPS)
def test_nothing_is_kept_that_is_no_better_than_before(cls):
    _, records, _ = best_of(cls, np.float64)
    highest = records.best[0]
    _, records, _ = best_of(cls, np.float64, best=highest)
    assert records.best[0] == highest
    _, records, _ = best_of(cls, np.float64, best=np.nextafter(highest, 0))
    assert records.best[0] == highest


# ---------------------------------------------------------------------- a dropout that is given


def masks_of(random, dtype, keep=0.7):
    """Return the factors on the hidden layers' outputs of a batch."""
    return [((random.rand(BATCH, units) < keep) / keep).astype(dtype) for units in SIZES[1:-1]]


def masked_of(cls, dtype, threads=1, steps=20):
    """Return the losses of some steps, each with masks of its own, and the parameters."""
    loop, records = loop_of(cls, dtype, threads, masked=True), jobs.Records(steps, 1)
    random = np.random.RandomState(2)
    for step in range(steps):
        items = items_of([jobs.STEP], [0], [BATCH], steps=step)
        items = items._replace(listed=random.randint(0, N, BATCH), masks=masks_of(random, dtype))
        loop.run(items, records)
    # Other rows are predicted without any.
    loop.run(items_of([jobs.BLOCK], [0], [BLOCK_ROWS], divisors=1.0), records)
    loop.store()
    return records, flat(loop.layers)


def test_masks_multiply_activations_and_gradients():
    dtype = np.float64
    records, params = masked_of(CompiledLoop, dtype)
    layers, train, val = problem(dtype)
    random, losses = np.random.RandomState(2), []
    for _ in range(len(records.losses)):
        rows = random.randint(0, N, BATCH)
        A, inputs, masks = train.X[rows], [], masks_of(random, dtype)
        for (W, b), mask in zip(layers, masks):
            inputs.append(A)
            A = np.maximum(A @ W + b, 0) * mask
        inputs.append(A)
        P = np.exp(A @ layers[-1][0] + layers[-1][1])
        P /= P.sum(axis=1, keepdims=True)
        losses.append(-np.log(P[np.arange(BATCH), train.y[rows]]).mean())
        P[np.arange(BATCH), train.y[rows]] -= 1
        P /= BATCH
        for depth in range(len(layers) - 1, -1, -1):
            W, b = layers[depth]
            gradient = inputs[depth].T @ P, P.sum(axis=0)
            if depth:
                P = P @ W.T * masks[depth - 1] * (inputs[depth] > 0)
            W -= 0.5 * gradient[0]
            b -= 0.5 * gradient[1]
    np.testing.assert_allclose(records.losses, losses, rtol=1e-10)
    np.testing.assert_allclose(params, flat(layers), 1e-9, 1e-11)
    X, y = val.X[:BLOCK_ROWS], val.y[:BLOCK_ROWS]
    scores = reference.network.scores(("relu",) * (len(layers) - 1), layers, X)
    assert records.val_correct[0] == np.count_nonzero(scores.argmax(axis=1) == y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masked_steps_are_the_twin_s(dtype):
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    expected, params = masked_of(reference.TrainingLoop, dtype)
    for threads in (1, 2, 3):
        records, other = masked_of(CompiledLoop, dtype, threads)
        np.testing.assert_allclose(records.losses, expected.losses, tolerance)
        np.testing.assert_allclose(other, params, tolerance, tolerance)
        if threads == 1:
            first = other
        np.testing.assert_array_equal(other, first)
