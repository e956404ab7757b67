"""The compiled loop against its twin: any network, optimiser, option and kind of input."""

import itertools
import sys

import numpy as np
import pytest

import fastnn
from fastnn import Network, jobs, reference
from fastnn.checks.sparse import Sparse
from fastnn.engine import tapes
from fastnn.engine.inference import BlockOrder
from fastnn.engine.loop import CompiledLoop, run_threads
from fastnn.jobs import Job
from fastnn.kernels.activation import ACTIVATIONS as CODES
from fastnn.kernels.activation import RELU
from fastnn.kernels.gather import PIECE
from fastnn.kernels.llvm.processor import VECTOR_BYTES, X86
from fastnn.kernels.llvm.tiles import MR, NR
from fastnn.kernels.loop import blocking, buffers, marking, tape
from fastnn.kernels.loop import operations as op
from fastnn.kernels.loop.task import Task
from fastnn.kernels.loop.verify import verify
from fastnn.kernels.losses import SOFTMAX
from fastnn.kernels.marked import HALF_PAYS, NARROWEST, Mark, wide_tiles
from fastnn.kernels.marked_products import MultiplyPair, OuterPair
from fastnn.reference.activations import ACTIVATIONS

DTYPES = [np.float32, np.float64]
HEADS = ("softmax", "logistic", "identity", "exponential")
#: Names of optimisers with beta_1, beta_2, epsilon and the factor on the weights.
OPTIMIZERS = {
    "sgd": ("sgd", 0.0, 0.0, 0.0, 1.0),
    "momentum": ("momentum", 0.9, 0.0, 0.0, 1.0),
    "nesterov": ("nesterov", 0.9, 0.0, 0.0, 1.0),
    "adam": ("adam", 0.9, 0.999, 1e-8, 1.0),
    "adamw": ("adam", 0.9, 0.999, 1e-2, 0.999),
    "lion": ("lion", 0.9, 0.99, 0.0, 0.999),
    "rmsprop": ("rmsprop", 0.0, 0.99, 1e-3, 1.0),
}
OPTIONS = {
    "plain": {},
    "clipping": {"max_norm": 0.3},
    "dropout": {"dropout": 0.3},
    "smoothing": {"label_smoothing": 0.1},
    "weights": {"weighted": True},
    "clipped losses": {"clipped": True, "loss_factor": 0.5},
    "weights, clipped losses": {"clipped": True, "weighted": True, "loss_factor": 2.0},
    "all": {"max_norm": 0.1, "dropout": 0.5, "label_smoothing": 0.2, "weighted": True},
}
KINDS = ("dense", "bytes", "csr")
SCALING = 3.0, 50.0


@pytest.fixture(autouse=True)
def threads_as_set(many_threads):
    yield
    fastnn.set_num_threads(None)


# -------------------------------------------------------------------------------- what is trained


def random_layers(sizes, dtype, seed=0):
    random = np.random.RandomState(seed)
    return [
        ((random.randn(K, N) / np.sqrt(K)).astype(dtype), (0.1 * random.randn(N)).astype(dtype))
        for K, N in itertools.pairwise(sizes)
    ]


def scaling_of(D, dtype):
    """Return what bytes become: another factor and summand for each input."""
    mean, std = SCALING[0] + np.arange(D), SCALING[1] + np.arange(D)
    return jobs.Scaling((1 / std).astype(dtype), (-mean / std).astype(dtype))


def random_targets(random, n, outputs, head, dtype):
    if head == "softmax":
        return random.randint(0, outputs, n)
    return {
        "logistic": lambda: random.randint(0, 2, (n, outputs)),
        "identity": lambda: random.randn(n, outputs),
        "exponential": lambda: random.poisson(2, (n, outputs)),
    }[head]().astype(dtype)


def sparse_of(X):
    """Return the non-zeros of a dense array."""
    there = X != 0
    indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return Sparse(X.shape, indptr, np.nonzero(there)[1].astype(np.int32), X[there])


def random_source(sizes, head, dtype, n, kind="dense", weighted=False, seed=0):
    """Make rows with their targets and, if asked for, weights, one of which is 0."""
    random = np.random.RandomState(seed)
    D, outputs = sizes[0], sizes[-1]
    if kind == "bytes":
        X = random.randint(0, 256, (n, D)).astype(np.uint8)
    else:
        X = random.randn(n, D).astype(dtype)
    if kind == "csr":
        # An empty row and an empty column at each end, where there is room, and others by chance.
        X[random.uniform(size=X.shape) < 0.7] = 0
        X[[0, -1]] = 0
        if D > 2:
            X[:, [0, -1]] = 0
        X = sparse_of(X)
    y = random_targets(random, n, outputs, head, dtype)
    weights = None
    if weighted:
        weights = random.uniform(0, 2, n).astype(dtype)
        weights[n // 2] = 0
    return jobs.Source(X, y, weights)


def epochs_of(train, val, batch_size, block_size, epochs, optimizer, rate, l2=0.0):
    """Make the items of shuffled epochs, each followed by the blocks of the validation set.

    Where `batch_size` does not divide the rows, an epoch ends with a smaller batch, whose penalty
    is the stronger. Without a last batch the first step of each epoch is evaluated.
    """
    _, beta_1, beta_2, epsilon, decay = OPTIMIZERS[optimizer]
    random, n, n_val = np.random.RandomState(5), len(train), 0 if val is None else len(val)
    kinds, begins, counts, steps, numbers, divisors, listed = [], [], [], [], [], [], []
    step, evaluates = 0, n % batch_size == 0
    for epoch in range(epochs):
        rows = random.permutation(n)
        for first in range(0, n, batch_size):
            count = min(batch_size, n - first)
            kind = jobs.STEP if count == batch_size else jobs.LAST_STEP
            kinds.append(jobs.EVALUATED_STEP if evaluates and first == 0 else kind)
            begins.append(epoch * n + first)
            weights = train.weights
            chosen = rows[first : first + count]
            divisors.append(count if weights is None else weights[chosen].sum(dtype=float))
            counts.append(count)
            steps.append(step)
            numbers.append(epoch)
            step += 1
        for first in range(0, n_val, block_size or 1):
            kinds.append(jobs.BLOCK)
            begins.append(first)
            divisors.append(1.0)
            counts.append(min(block_size, n_val - first))
            steps.append(0)
            numbers.append(epoch)
        listed.append(rows)
    steps = np.array(steps)
    rates = np.full(len(steps), rate)
    if optimizer in ("adam", "adamw"):
        rates *= np.sqrt(1 - beta_2 ** (steps + 1.0)) / (1 - beta_1 ** (steps + 1.0))
    return jobs.Items(
        kinds=np.array(kinds),
        begins=np.array(begins),
        counts=np.array(counts),
        steps=steps,
        epochs=np.array(numbers),
        keys=steps * 7919 + 12345,
        rates=rates,
        decays=np.full(len(steps), decay),
        alphas=l2 * batch_size / np.array(counts),
        epsilons=epsilon * (1 + steps % 3),
        divisors=np.array(divisors, float),
        listed=np.concatenate(listed),
    )


class Run:
    """A training of one loop: its records and its parameters afterwards."""

    def __init__(
        self,
        cls,
        sizes,
        dtype,
        *,
        activation="relu",
        head="softmax",
        optimizer="sgd",
        kind="dense",
        n=61,
        n_val=29,
        batch_size=13,
        block_size=16,
        epochs=4,
        rate=0.01,
        l2=0.01,
        weighted=False,
        weighted_val=None,
        threads=1,
        pieces=1,
        place=None,
        **settings,
    ):
        self.layers = random_layers(sizes, dtype)
        train = random_source(sizes, head, dtype, n, kind, weighted)
        weighted_val = weighted if weighted_val is None else weighted_val
        val = random_source(sizes, head, dtype, n_val, kind, weighted_val, 1) if n_val else None
        if place is not None:
            train, val = place(train), place(val)
        name, *betas, _, _ = OPTIMIZERS[optimizer]
        last = n % batch_size
        self.loop = cls(
            Job(
                jobs.Architecture(tuple(sizes), activation, head),
                self.layers,
                jobs.Settings(name, l2 != 0, *betas, **settings),
                train,
                val,
                batch_sizes=(batch_size, last) if last else (batch_size,),
                block_size=block_size if n_val else 0,
                evaluate_batch=not last,
                scaling=scaling_of(sizes[0], dtype),
                threads=threads,
            )
        )
        if cls is CompiledLoop and threads is not None:
            assert self.loop.threads == threads
        items = epochs_of(train, val, batch_size, block_size, epochs, optimizer, rate, l2)
        self.records = jobs.Records(items.steps.max() + 1, epochs)
        borders = np.linspace(0, len(items.kinds), pieces + 1).astype(int).tolist()
        for first, stop in itertools.pairwise(borders):
            self.loop.run(items.part(first, stop), self.records)
        self.loop.store()
        self.params = np.concatenate([part.ravel() for layer in self.layers for part in layer])

    def bits(self):
        """Return all results as bytes."""
        results = [*self.records, self.loop.predicted, self.params]
        return [result.tobytes() for result in results]


def assert_follows_the_twin(sizes, dtype, tolerance, threads=(1,), **arguments):
    expected = Run(reference.TrainingLoop, sizes, dtype, **arguments)
    for count in threads:
        run = Run(CompiledLoop, sizes, dtype, threads=count, **arguments)
        records, wanted = run.records, expected.records
        np.testing.assert_allclose(records.losses, wanted.losses, tolerance, tolerance)
        np.testing.assert_allclose(records.val_losses, wanted.val_losses, tolerance, tolerance)
        np.testing.assert_allclose(run.params, expected.params, tolerance, tolerance)
        # In float32, a row whose two best scores are all but equal may count on either side.
        slack = 1e-9 if dtype == np.float64 else 2 if arguments.get("weighted") else 1
        assert np.abs(records.train_correct - wanted.train_correct).max() <= slack
        assert np.abs(records.val_correct - wanted.val_correct).max() <= slack
        if run.loop.constants.head == SOFTMAX:
            assert np.count_nonzero(run.loop.predicted != expected.loop.predicted) <= slack
    begin = np.concatenate([p.ravel() for layer in random_layers(sizes, dtype) for p in layer])
    assert abs(expected.params - begin).max() > 1e-4, "the training has moved nothing"


# ------------------------------------------------------------------------------- as the twin does

#: Three heads of the four for each activation and optimiser: every two meet, several times.
COMBINATIONS = [
    (activation, head, optimizer)
    for (i, activation), (j, head), (k, optimizer) in itertools.product(
        enumerate(ACTIVATIONS), enumerate(HEADS), enumerate(OPTIMIZERS)
    )
    if (i + j + k) % len(HEADS) > 0
]


@pytest.mark.parametrize(("activation", "head", "optimizer"), COMBINATIONS)
def test_combinations_follow_the_twin(activation, head, optimizer):
    arguments = {"activation": activation, "head": head, "optimizer": optimizer}
    # 40 epochs of four batches of 13 and one of 9 are 200 steps.
    assert_follows_the_twin((11, 17, 9, 4), np.float64, 1e-8, epochs=40, **arguments)


@pytest.mark.parametrize(("activation", "head", "optimizer"), COMBINATIONS[::7])
def test_float32_follows_the_twin(activation, head, optimizer):
    arguments = {"activation": activation, "head": head, "optimizer": optimizer}
    assert_follows_the_twin((11, 17, 9, 4), np.float32, 5e-3, epochs=40, **arguments)


@pytest.mark.parametrize("option", ["plain", "dropout"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pair", list(itertools.pairwise([*ACTIVATIONS, "identity"])))
def test_an_activation_for_each_layer_follows_the_twin(pair, kind, option):
    arguments = {"activation": pair, "kind": kind, "optimizer": "adam", **OPTIONS[option]}
    assert_follows_the_twin((11, 17, 9, 4), np.float64, 1e-8, (3,), **arguments)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "gelu"])
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_follows_the_twin(option, activation, optimizer):
    # Threads change no activation.
    threads = (1, 3) if activation == "relu" else (1,)
    assert_follows_the_twin(
        *((11, 17, 9, 4), np.float64, 1e-8, threads),
        **OPTIONS[option],
        activation=activation,
        optimizer=optimizer,
        epochs=4,
    )


@pytest.mark.parametrize("head", HEADS[1:])
@pytest.mark.parametrize("option", ["clipping", "dropout", "weights"])
def test_every_option_of_the_other_heads_follows_the_twin(option, head):
    assert_follows_the_twin(
        *((11, 17, 9, 4), np.float64, 1e-8, (1, 3)),
        **OPTIONS[option],
        activation="silu",
        head=head,
        optimizer="adam",
        epochs=4,
    )


@pytest.mark.parametrize("sizes", [(11, 4), (3, 1, 1, 2), (70, 100, 50, 33, 5)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", ["plain", "all"])
def test_every_kind_of_input_follows_the_twin(option, kind, sizes):
    for optimizer in ("sgd", "nesterov", "adamw"):
        assert_follows_the_twin(
            *(sizes, np.float64, 1e-8, (1, 3)),
            **OPTIONS[option],
            kind=kind,
            optimizer=optimizer,
            activation="leaky_relu",
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", HEADS)
def test_right_answers_on_a_batch_and_on_the_validation_set(head, dtype):
    # Batches that divide the rows: the first of each epoch is evaluated after its step.
    for kind in KINDS:
        assert_follows_the_twin(
            *((11, 17, 2), dtype, 1e-8 if dtype == np.float64 else 2e-3, (1, 3)),
            head=head,
            kind=kind,
            n=64,
            batch_size=16,
            epochs=6,
            weighted=kind == "csr",
            weighted_val=kind != "dense",
        )
    run = Run(CompiledLoop, (11, 17, 2), dtype, head=head, n=64, batch_size=16)
    counted = run.records.train_correct.sum() + run.records.val_correct.sum()
    # A regression has none.
    assert (counted > 0) == (head in ("softmax", "logistic"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("K", [50, 64, 100])
def test_batches_of_more_weights_are_halved_where_no_update_skips_zeros(K, dtype):
    plain = Task((K, 100, 1), (CODES["tanh"],), dtype=np.dtype(dtype))
    relu, marked = plain._replace(activations=(RELU,)), plain._replace(marked_inputs=True)
    closed = HALF_PAYS and wide_tiles(K // (VECTOR_BYTES // plain.dtype.itemsize))
    # Weights are the half of the activations in twice as many rows as inputs, about.
    for task, shards in ((plain, (0, 2, 2)), (marked, (0, 0, 2)), (relu, (0, 2 * (not closed), 2))):
        for rows, expected in zip((1.9, 3, 4.1), shards, strict=True):
            assert task._replace(batch_sizes=(round(rows * (K + 2)),)).shards == expected


@pytest.mark.parametrize("option", ["plain", "clipping", "dropout", "all"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_batches_in_shards_follow_the_twin(optimizer, option):
    # The last batch has a shard for each of few rows, and shards without any.
    for n, shards, rest in ((1100, 16, 0), (1100, 16, 37), (150, 2, 0), (150, 2, 3), (150, 2, 37)):
        assert Task((11, 17, 9, 4), batch_sizes=(n,)).shards == shards
        for activation in ("relu", "gelu"):
            assert_follows_the_twin(
                *((11, 17, 9, 4), np.float64, 1e-8, (1, 2, 5)),
                **OPTIONS[option],
                activation=activation,
                optimizer=optimizer,
                n=2 * n + rest,
                batch_size=n,
                epochs=2,
                block_size=300,
            )


#: Constants that divide the products of these tests: their sums; rows, columns and sums; columns,
#: gathered or not; rows of an update; each into the smallest blocks.
BLOCKINGS = {
    "sums": {"ROWS": 1 << 20},
    "all": {"NEAR": 8 << 10, "ROWS": 16, "FEW_PANELS": 1000},
    "gathered": {"NEAR": 64 << 10, "MANY_PANELS": 0, "FEW_PANELS": 0},
    "gathered in long pieces": {"NEAR": 192 << 10, "MANY_PANELS": 0, "FEW_PANELS": 0},
    "parts": {"FIRST_LEVEL": 24 << 10, "LONG_PART": 40},
    "smallest": {
        "NEAR": 0,
        "FIRST_LEVEL": 0,
        "LONG_PART": 0,
        "MANY_PANELS": 0,
        "FEW_PANELS": 0,
    },
}


@pytest.mark.parametrize("sizes", [(500, 60, 10), (20, 230, 300, 5), (40, 260, 1)], ids=str)
@pytest.mark.parametrize("option", ["plain", "all"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=["f4", "f8"])
def test_products_in_blocks_are_those_in_one_piece_to_the_bit(
    option, sizes, kind, dtype, monkeypatch
):
    arguments = {"kind": kind, "activation": "silu", "epochs": 2, **OPTIONS[option]}
    arguments["optimizer"] = "sgd" if kind == "dense" else "adamw"
    if sizes[-1] == 1:
        arguments["head"] = "identity"
    arguments.update(n=141, batch_size=122, n_val=101, block_size=101)

    def bits(threads, **constants):
        with monkeypatch.context() as patch:
            for name, value in constants.items():
                patch.setattr(blocking, name, value)
            run = Run(CompiledLoop, sizes, dtype, threads=threads, **arguments)
            return run.bits(), run.loop.tape.arrays.phases[0, -1]

    whole, fewest = bits(1, NEAR=1 << 40)
    for constants in BLOCKINGS.values():
        one, count = bits(1, **constants)
        assert one == whole
        assert bits(3, **constants)[0] == whole
        assert kind == "csr" or count > fewest or "FIRST_LEVEL" in constants


#: Networks and options of which some layers' zeros are skipped, forwards, backwards or both.
WITH_ZEROS = {
    "two layers": ((150, 100, 10), {}),
    "one output": ((200, 130, 70, 1), {"head": "identity", "optimizer": "adamw"}),
    "dropout": ((100, 110, 103, 3), {"dropout": 0.4, "optimizer": "momentum"}),
    "clipping": ((150, 97, 100, 5), {"max_norm": 0.3, "optimizer": "rmsprop"}),
    "weights": ((20, 128, 200, 4), {"weighted": True, "optimizer": "nesterov"}),
    "halves": ((100, 20, 3), {"n": 1100, "batch_size": 1100}),
    "deep, in halves": ((97, 110, 103, 3), {"n": 1030, "batch_size": 900, "optimizer": "adam"}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=["f4", "f8"])
@pytest.mark.parametrize("case", WITH_ZEROS)
def test_zeros_that_are_skipped_change_no_bit(case, dtype, kind, monkeypatch):
    monkeypatch.setattr(marking, "HALF_PAYS", True)
    sizes, options = WITH_ZEROS[case]
    arguments = {"kind": kind, "n": 300, "batch_size": 170, "epochs": 2, "rate": 0.001, **options}

    def run_of(threads, **constants):
        with monkeypatch.context() as patch:
            for name, value in constants.items():
                patch.setattr(blocking, name, value)
            run = Run(CompiledLoop, sizes, dtype, threads=threads, **arguments)
        kinds = {type(op.decode(row)) for row in run.loop.tape.arrays.operations[0] if row.any()}
        return run.bits(), kinds

    skipped, kinds = run_of(1)
    if VECTOR_BYTES // np.dtype(dtype).itemsize >= MR:  # else panels are narrow, gradients in full
        deep = len(sizes) > 3
        # Of a CSR matrix, the first layer's gradient is that of its own non-zeros.
        assert (Mark in kinds) == (kind != "csr" or deep)
        assert (MultiplyPair in kinds) == deep
    assert run_of(2)[0] == run_of(3)[0] == skipped
    assert run_of(2, **BLOCKINGS["smallest"])[0] == skipped
    monkeypatch.setattr(marking, "HALF_PAYS", False)
    in_full, kinds = run_of(1)
    assert not kinds & {Mark, MultiplyPair}
    assert in_full == skipped


def zeroed(source):
    """Return a source of which seven inputs in ten are 0, and a column and a row are."""
    X = np.where(np.random.RandomState(5).uniform(size=source.X.shape) < 0.7, 0, source.X)
    X[:, 1] = X[2] = 0
    return jobs.Source(X.astype(source.X.dtype), *source[1:])


def unshifted(D, dtype):
    """Return what bytes become where 0 stays 0."""
    return jobs.Scaling((1 / (SCALING[1] + np.arange(D))).astype(dtype), np.zeros(D, dtype))


@pytest.mark.parametrize("kind", ["dense", "bytes"])
@pytest.mark.parametrize("dtype", DTYPES, ids=["f4", "f8"])
@pytest.mark.parametrize(
    ("sizes", "n"),
    [
        *(((130, 100, 10), 90), ((64, 130, 3), 90), ((70, 200, 99, 1), 90), ((3, 97, 2), 90)),
        ((40, 100, 3), 1100),  # in halves
    ],
)
def test_zeros_of_inputs_that_are_skipped_change_no_bit(sizes, n, dtype, kind, monkeypatch):
    monkeypatch.setitem(globals(), "scaling_of", unshifted)
    head = "identity" if sizes[-1] == 1 else "softmax"
    arguments = {"n": n + 110, "batch_size": n, "n_val": 70, "rate": 0.001}
    arguments |= {"head": head, "kind": kind}

    def run_of(threads, **constants):
        with monkeypatch.context() as patch:
            for name, value in constants.items():
                patch.setattr(blocking, name, value)
            run = Run(CompiledLoop, sizes, dtype, threads=threads, place=zeroed, **arguments)
        tape = run.loop.tape
        operations = [op.decode(row) for row in tape.arrays.operations[0] if row.any()]
        inputs = tape.tables[0].ctypes.data
        return run.bits(), {
            type(each)
            for each in operations
            if getattr(each, "table", 0) == inputs or isinstance(each, OuterPair)
        }

    skipped, kinds = run_of(1)
    assert {Mark, MultiplyPair} <= kinds
    # By the gradient, too, where that does not skip the zeros of the layer's units.
    narrow = sizes[0] < NARROWEST * VECTOR_BYTES // np.dtype(dtype).itemsize
    assert OuterPair in kinds or not narrow
    assert run_of(2)[0] == run_of(3)[0] == skipped
    assert run_of(2, **BLOCKINGS["smallest"])[0] == skipped
    monkeypatch.setattr("fastnn.engine.loop.has_zeros", lambda *data: False)
    in_full, kinds = run_of(1)
    assert not kinds & {Mark, MultiplyPair, OuterPair}
    assert in_full == skipped


@pytest.mark.parametrize("bias", [-3.0, 0.0, 3.0])
def test_units_that_are_always_or_never_open_follow_the_twin(bias, monkeypatch):
    monkeypatch.setattr(marking, "HALF_PAYS", True)
    # Some panels have no zeros worth skipping, others have nothing else.
    unbiased = random_layers

    def biased(sizes, dtype, seed=0):
        layers = unbiased(sizes, dtype, seed)
        for _, b in layers[:-1]:
            b[: len(b) // 2] += dtype(bias)
        return layers

    monkeypatch.setitem(globals(), "random_layers", biased)
    sizes = (130, 200, 210, 4)
    assert_follows_the_twin(sizes, np.float64, 1e-8, (1, 2), n=300, batch_size=150, rate=1e-3)


@pytest.mark.parametrize(("rows", "K", "size"), [(200, 3072, 8), (512, 2048, 4), (1, 100_000, 4)])
def test_blocks_fit_the_second_level_cache(rows, K, size):
    for start, stop in blocking.sum_blocks(K, size):
        panels = 2 * NR * VECTOR_BYTES * (stop - start)
        assert panels + blocking.ROWS * (stop - start) * size <= blocking.NEAR
        for first, last in blocking.row_blocks(0, rows, stop - start, size):
            assert panels + (last - first) * (stop - start) * size <= blocking.NEAR


@pytest.mark.parametrize(
    ("vector", "level"), [(16, 1 << 15), (32, 1 << 15), (32, 1 << 16), (64, 0)]
)
def test_parts_of_rows_fit_the_first_level_cache_unless_vectors_are_long(
    vector, level, monkeypatch
):
    monkeypatch.setattr(blocking, "FIRST_LEVEL", level)
    monkeypatch.setattr(blocking, "VECTOR_BYTES", vector)
    for rows in (1, 128, 1000, 1001):
        part = blocking.row_part(rows)
        count = -(-rows // part)
        assert part * count - rows < count

        def fits(some):
            columns, panel = blocking.CHUNK // 4, NR * vector
            lines = -(-panel // blocking.CACHE_LINE) * blocking.CACHE_LINE
            return some * (blocking.CHUNK + lines) + 2 * columns * panel <= level

        # As few parts as can be, and even ones.
        if vector == 64:
            assert part <= blocking.LONG_PART
            assert rows > blocking.LONG_PART * (count - 1)
        else:
            assert fits(part)
            assert count == 1 or not fits(-(-rows // (count - 1)))


def test_columns_are_gathered_in_pieces_that_the_second_level_cache_holds():
    for rows in (1, 100, 200, 512, 100_000):
        length = blocking.gathered_bytes(rows)
        assert length % PIECE == 0
        assert PIECE <= length <= blocking.LONGEST
        assert length == PIECE or 2 * rows * length <= blocking.NEAR
        assert length == blocking.LONGEST or 2 * rows * (length + PIECE) > blocking.NEAR


def test_columns_are_gathered_where_they_collide_or_are_read_often():
    many, few = blocking.MANY_PANELS, blocking.FEW_PANELS
    for rows, K, panels, expected in (
        (2000, 1024, few, True),
        (2000, 1024, few - 1, False),
        (2000, 1000, many - 1, False),
        (2000, 1000, many, True),
        (20, 1024, many, False),  # all of them lie near
    ):
        assert blocking.gathers(rows, K, K * 4, panels, 4) == expected


def test_the_penalty_and_the_decay_leave_biases_alone():
    # Targets that the scores of zero weights meet already: only penalty and decay move anything.
    W, b = np.ones((3, 2)), np.ones(2)
    source = jobs.Source(np.zeros((4, 3)), np.ones((4, 2)))
    for optimizer in ("sgd", "adamw"):
        name, *betas, _, decay = OPTIMIZERS[optimizer]
        layers = [(W.copy(), b.copy())]
        l2 = 0.5 if name == "sgd" else 0.0
        loop = CompiledLoop(
            Job(
                jobs.Architecture((3, 2), "relu", "identity"),
                layers,
                jobs.Settings(name, l2 != 0, *betas),
                source,
                batch_sizes=(4,),
                evaluate_batch=True,
                threads=1,
            )
        )
        items = epochs_of(source, None, 4, 0, 1, optimizer, 0.1, l2)
        loop.run(items, jobs.Records(1, 1))
        loop.store()
        expected = 1 - 0.1 * 0.5 if name == "sgd" else decay
        np.testing.assert_allclose(layers[0][0], expected, rtol=1e-15)
        np.testing.assert_array_equal(layers[0][1], 1.0)


@pytest.mark.parametrize("head", HEADS)
def test_a_batch_that_weighs_nothing_moves_nothing(head):
    X, y, _ = random_source((11, 17, 4), head, np.float64, 16)
    source = jobs.Source(X, y, np.zeros(16))
    layers = random_layers((11, 17, 4), np.float64)
    loop = CompiledLoop(
        Job(
            *(jobs.Architecture((11, 17, 4), "tanh", head), layers, jobs.Settings("sgd"), source),
            batch_sizes=(16,),
            evaluate_batch=True,
            threads=1,
        )
    )
    items = epochs_of(source, None, 16, 0, 1, "sgd", 0.1)._replace(divisors=np.array([np.inf]))
    records = jobs.Records(1, 1)
    loop.run(items, records)
    loop.store()
    assert records.losses[0] == 0
    for layer, before in zip(layers, random_layers((11, 17, 4), np.float64)):
        for part, same in zip(layer, before):
            np.testing.assert_array_equal(part, same)


def test_a_diverged_training_shows():
    for option in ("plain", "clipping", "all"):
        run = Run(CompiledLoop, (11, 17, 4), np.float32, rate=1e30, **OPTIONS[option])
        assert not np.isfinite(run.records.losses[-1]), option
        assert not np.isfinite(run.params).all(), option


# ------------------------------------------------------------------------------- subnormal numbers


@pytest.mark.skipif(not X86, reason="subnormal numbers cost little here")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimizer", ["momentum", "nesterov", "adam"])
def test_what_is_remembered_of_dead_weights_ends_as_zero(optimizer, threads):
    sizes, options = (17, 9, 4), {"optimizer": optimizer, "l2": 0.0, "threads": threads}
    run = Run(CompiledLoop, sizes, np.float32, **options)
    dead = run.loop.data[0].X[:, :6]
    assert all(np.abs(memory[0][0][:6]).min() > 1e-30 for memory in run.loop.memories())
    # From here on no gradient reaches their weights.
    dead[:] = 0
    items = epochs_of(run.loop.data[0], None, 13, 0, 300, optimizer, 0.001)
    run.loop.run(items, jobs.Records(items.steps.max() + 1, 300))
    velocity = run.loop.memories()[0][0][0]
    # As it is, a tenth less of a few units in the last place would be as many for good.
    assert np.float32(0.9) * np.finfo(np.float32).smallest_subnormal > 0
    np.testing.assert_array_equal(velocity[:6], 0)
    assert np.abs(velocity[6:]).max() > 1e-30


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_run_leaves_subnormal_numbers_of_others_alone(dtype):
    def halved():
        return np.finfo(dtype).tiny * np.array([0.5], dtype)

    assert halved() > 0
    Run(CompiledLoop, (5, 4, 3), dtype, optimizer="adam", threads=2)
    assert halved() > 0


# --------------------------------------------------------------------------------------- same bits

SIZES = [(11, 3), (17, 9, 4), (33, 50, 21, 10), (5, 70, 1, 3)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_same_bits_for_any_number_of_threads(optimizer, kind):
    for sizes, dtype in zip(SIZES, DTYPES + DTYPES):
        for option, activation in (("plain", "relu"), ("all", "gelu"), ("clipping", "tanh")):
            arguments = {
                "activation": activation,
                "optimizer": optimizer,
                "kind": kind,
                "epochs": 2,
            }
            arguments.update(OPTIONS[option])
            first, *others = (
                Run(CompiledLoop, sizes, dtype, threads=threads, **arguments).bits()
                for threads in (1, 2, 3, 5)
            )
            for other in others:
                assert other == first, (sizes, dtype, option)


#: Networks whose first layer has columns that belong to one thread: left over are a panel and
#: groups, a part of a panel, nothing.
OWNED = [(60, 230, 5), (100, 300, 40, 3), (90, 288, 1)]


class HalfLoop(CompiledLoop):
    """A loop that takes item by item, and each step in halves."""

    def run(self, items, records):
        for number in range(len(items.kinds)):
            self.take(number, items.part(number, number + 1), records)

    def take(self, number, item, records):
        if item.kinds[0] in (jobs.STEP, jobs.LAST_STEP):
            self.run_in_halves(item, records)
        else:
            super().run(item, records)


class ChangingLoop(HalfLoop):
    """A loop that takes each item with another number of threads."""

    def take(self, number, item, records):
        self.crew.best = number % len(self.crew.counts)
        self._follow_crew()
        super().take(number, item, records)


@pytest.mark.parametrize("kind", ["dense", "bytes", "zeroed"])
@pytest.mark.parametrize("sizes", OWNED, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=["f4", "f8"])
def test_the_same_bits_where_threads_own_columns(dtype, sizes, kind, monkeypatch):
    monkeypatch.setattr(marking, "HALF_PAYS", True)
    place = None
    if kind == "zeroed":
        kind, place = "dense", zeroed
    cases = (
        *(
            ("plain", "relu", "sgd", 13),
            ("all", "gelu", "adamw", 13),
            ("clipping", "tanh", "adam", 13),
        ),
        *(("plain", "relu", "momentum", 1), ("plain", "relu", "adam", 66)),
    )
    for option, activation, optimizer, batch_size in cases:
        arguments = {
            "activation": activation,
            "head": "identity" if sizes[-1] == 1 else "softmax",
            "optimizer": optimizer,
            "kind": kind,
            "n": 5 * batch_size + (batch_size > 1),
            "batch_size": batch_size,
            "epochs": 2,
            "rate": 0.001,
            "place": place,
            **OPTIONS[option],
        }
        first = Run(CompiledLoop, sizes, dtype, **arguments).bits()
        for threads in (2, 3, 5):
            run = Run(CompiledLoop, sizes, dtype, threads=threads, **arguments)
            verify(run.loop.tape)
            assert run.loop.tape.owned > 0 or threads > 2
            assert run.bits() == first, (option, batch_size, threads)
        changing = Run(ChangingLoop, sizes, dtype, threads=4, **arguments)
        assert changing.loop.crew.counts == [4, 2, 1]
        assert changing.bits() == first, (option, batch_size)


@pytest.mark.parametrize("activation", ["relu", "silu"])
@pytest.mark.parametrize("sizes", [(17, 50, 4), (60, 130, 40, 3), (3, 64, 1)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=["f4", "f8"])
def test_the_same_bits_where_steps_look_ahead(dtype, sizes, activation):
    options = {
        "plain": {"l2": 0.0},
        "penalised": {"l2": 0.1},
        "dropout, smoothing": {"dropout": 0.5, "label_smoothing": 0.2},
        "without evaluations": {"n_val": 0, "l2": 0.0},
    }
    head = "identity" if sizes[-1] == 1 else "softmax"
    for option, chosen in options.items():
        arguments = {"activation": activation, "head": head, "n": 23, "batch_size": 1, **chosen}
        runs = {
            name: Run(cls, sizes, dtype, threads=threads, pieces=pieces, **arguments)
            for name, cls, threads, pieces in (
                ("step by step", HalfLoop, 1, 1),
                ("at once", CompiledLoop, 1, 1),
                ("in pieces", CompiledLoop, 1, 7),
                ("two threads", CompiledLoop, 2, 1),
                ("more and fewer threads", ChangingLoop, 4, 1),
            )
        }
        assert runs["at once"].loop.tape.step_ahead
        assert not runs["two threads"].loop.tape.step_ahead
        wanted = runs["step by step"].bits()
        for name, run in runs.items():
            assert run.bits() == wanted, (option, name)
        tolerance = 1e-9 if dtype == np.float64 else 1e-4
        assert_follows_the_twin(sizes, dtype, tolerance, **arguments)


@pytest.mark.parametrize(("optimizer", "limit"), [("sgd", 1), ("adam", 3)])
def test_what_the_optimiser_remembers_is_work_for_threads(optimizer, limit, monkeypatch):
    monkeypatch.setattr("fastnn.threads.FLOPS_PER_THREAD", 1_000_000)
    fastnn.set_num_threads(16)
    sizes = (784, 128, 10)
    arguments = {"optimizer": optimizer, "n": 4, "n_val": 0, "batch_size": 1, "epochs": 1}
    run = Run(CompiledLoop, sizes, np.float32, threads=None, **arguments)
    assert run.loop.task.threads == limit


@pytest.mark.parametrize("threads", [1, 2])
def test_half_a_step_knows_its_loss_and_has_changed_no_weights(threads):
    seen = []

    class Watched(HalfLoop):
        def run(self, items, records):
            self.records = records
            super().run(items.part(0, 1), records)

        def begin(self):
            seen.append((self.buffers.params.copy(), self.records.losses[0]))
            super().begin()

    Run(Watched, OWNED[0], np.float32, threads=threads)
    # Before the first half, after it, and before the second.
    (before, nothing), (after, loss), _ = seen
    np.testing.assert_array_equal(before, after)
    assert nothing == 0 < loss


def test_threads_that_cannot_be_had_change_no_bit_in_the_middle_of_a_step(monkeypatch):
    whole, calls = Run(CompiledLoop, OWNED[0], np.float32, threads=4).bits(), []

    def start(run_threads):
        def started(function, threads, *arguments):
            calls.append(threads)
            # Two calls for a step: in the second half of the third one, then in the first of one.
            if (len(calls), threads) in ((6, 4), (10, 2)):
                raise RuntimeError("can't start new thread")
            run_threads(function, threads, *arguments)

        return started

    monkeypatch.setattr("fastnn.engine.loop.run_threads", start(run_threads))
    run = Run(HalfLoop, OWNED[0], np.float32, threads=4)
    assert run.loop.threads == 1
    assert calls[4:12] == [4, 4, 2, 2, 2, 2, 1, 1]
    assert run.bits() == whole


@pytest.mark.parametrize("kind", ["dense", "bytes"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_same_bits_for_batches_in_parts(optimizer, kind):
    # One part alone, parts and a smaller last one, and a batch that is no multiple of a part.
    toy, deep, flat = (4, 10, 3), (11, 17, 9, 4), (5, 3)
    many = [(toy, 1100, 1100), (toy, 2203, 1100), (deep, 2300, 1100), (flat, 2203, 1100)]
    halved = [(toy, 301, 150), (deep, 299, 149), (flat, 503, 250), ((20, 60, 50, 3), 560, 270)]
    for sizes, n, batch_size in many + halved:
        task = Task(sizes, batch_sizes=(batch_size,))
        assert task.shards == (16 if batch_size == 1100 else 2)
        for option in ("plain", "all"):
            arguments = {"n": n, "batch_size": batch_size, "epochs": 2, "n_val": 0}
            arguments |= OPTIONS[option]
            first, *others = (
                Run(
                    *(CompiledLoop, sizes, np.float32),
                    optimizer=optimizer,
                    kind=kind,
                    threads=threads,
                    **arguments,
                ).bits()
                for threads in (1, 2, 3, 5, 16)
            )
            for other in others:
                assert other == first, (sizes, n, option)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_for_any_division_into_calls(kind, threads):
    for optimizer, option in (("sgd", "plain"), ("nesterov", "clipping"), ("adamw", "all")):
        first, *others = (
            Run(
                *(CompiledLoop, (17, 9, 4), np.float32),
                optimizer=optimizer,
                kind=kind,
                threads=threads,
                pieces=pieces,
                **OPTIONS[option],
            ).bits()
            for pieces in (1, 2, 5, 28)
        )
        for other in others:
            assert other == first, (optimizer, option)


def test_what_a_run_goes_on_with_changes_no_bit():
    for optimizer, kind in itertools.product(OPTIMIZERS, KINDS):
        arguments = {"optimizer": optimizer, "kind": kind, "max_norm": 0.3, "dropout": 0.2}
        whole = Run(CompiledLoop, (17, 50, 4), np.float32, n=60, batch_size=12, **arguments)
        half = Run(
            *(CompiledLoop, (17, 50, 4), np.float32),
            n=60,
            batch_size=12,
            epochs=2,
            **arguments,
        )
        layers = [(W.copy(), b.copy()) for W, b in half.layers]
        train, val = half.loop.data
        again = CompiledLoop(
            Job(
                *(jobs.Architecture((17, 50, 4)), layers),
                jobs.Settings(
                    OPTIMIZERS[optimizer][0],
                    *(True, *OPTIMIZERS[optimizer][1:3]),
                    max_norm=0.3,
                    dropout=0.2,
                ),
                *(train, val),
                batch_sizes=(12,),
                block_size=16,
                evaluate_batch=True,
                scaling=scaling_of(17, np.float32),
                threads=1,
            )
        )
        again.restore(half.loop.state())
        items = epochs_of(train, val, 12, 16, 4, optimizer, 0.01, 0.01)
        middle = len(items.kinds) // 2
        records = jobs.Records(20, 4)
        again.run(items.part(middle, None), records)
        again.store()
        params = np.concatenate([part.ravel() for layer in layers for part in layer])
        np.testing.assert_array_equal(params, whole.params)
        np.testing.assert_array_equal(records.losses[10:], whole.records.losses[10:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_tape_that_others_have_used_is_as_good_as_new(dtype, kind):
    options = {"kind": kind, "optimizer": "adam", "max_norm": 0.3, "dropout": 0.2, "weighted": True}
    first = Run(CompiledLoop, (17, 50, 4), dtype, epochs=2, **options)
    tape = first.loop.tape
    # Whatever is left in it, even NaN where a training has diverged.
    for array in (tape.buffers.copies, tape.buffers.squares, tape.arrays.activations):
        array[...] = np.nan
    first.loop.release()
    again = Run(CompiledLoop, (17, 50, 4), dtype, epochs=2, **options)
    assert again.loop.tape is tape
    assert again.bits() == first.bits()


@pytest.mark.parametrize("head", ["softmax", "identity"])
@pytest.mark.parametrize("wrong", ["columns", "few targets", "narrow", "wide", "few weights"])
@pytest.mark.parametrize("goes_on", [False, True])
def test_sources_that_do_not_fit_the_network_are_refused(head, wrong, goes_on):
    # Whoever makes a job has checked them; a loop reads them by address.
    X, weights, sizes = np.zeros((20, 5)), np.ones(20), (5, 4, 3)
    y = np.zeros(20, np.int64) if head == "softmax" else np.zeros((20, 3))
    job = Job(
        jobs.Architecture(sizes, "relu", head),
        random_layers(sizes, np.float64),
        train=jobs.Source(X, y, weights),
        batch_sizes=(10,),
    )
    loop = CompiledLoop(job)
    sources = {
        "columns": (X[:, :4], y, weights),  # as far apart, and so of the same kind
        "few targets": (X, y[:-1], weights),
        "narrow": (X, np.zeros((20, 1)), weights),
        "wide": (X, np.zeros((20, 4)), weights),
        "few weights": (X, y, weights[:-1]),
    }
    job = job._replace(train=jobs.Source(*sources[wrong]))
    make = loop.go_on if goes_on else CompiledLoop
    with pytest.raises(ValueError, match=r"a network of layers \(5, 4, 3\) cannot read rows of"):
        make(job)


def test_two_loops_never_share_a_tape():
    loops = [Run(CompiledLoop, (17, 50, 4), np.float64).loop for _ in range(2)]
    assert loops[0].tape is not loops[1].tape
    for loop in loops:
        loop.release()
        loop.release()
    loops = [Run(CompiledLoop, (17, 50, 4), np.float64).loop for _ in range(3)]
    assert len({id(loop.tape) for loop in loops}) == 3


def put(shelf, task):
    """Take a tape for a task, and put it back."""
    tape, crew = tapes.tape_of(shelf, task)
    shelf.put(task, (tape, crew), tape.size)


def test_tapes_that_wait_are_few(monkeypatch):
    shelf = tapes.Shelf()
    monkeypatch.setattr(tapes, "MOST_BYTES", 3 << 20)
    for width in range(50, 150):
        task = Task((17, width, 4), (RELU,), batch_sizes=(100,))
        put(shelf, task)
    assert shelf._bytes <= 3 << 20
    assert 0 < len(shelf._waiting) < 100
    waiting = [tape for each in shelf._waiting.values() for (tape, _), _ in each]
    assert shelf._bytes == sum(tape.size for tape in waiting)
    # The latest are kept; one that is too large never is.
    assert Task((17, 149, 4), (RELU,), batch_sizes=(100,)) in shelf._waiting
    before = shelf._bytes
    task = Task((1000, 5000, 4), (RELU,), batch_sizes=(10,))
    put(shelf, task)
    assert shelf._bytes == before


def use(shelf):
    """Put and take, with more than there is room for."""
    for kind, thing, size in (("a", 1, 1), ("b", 2, 1), ("b", 3, 1), ("c", 4, 2)):
        shelf.put(kind, thing, size)
    for kind in "abc":
        shelf.take(kind)


def test_ctrl_c_in_the_midst_of_a_shelf_leaves_it_of_use(monkeypatch):
    monkeypatch.setattr(tapes, "MOST_BYTES", 3)
    methods = {tapes.Shelf.put.__code__, tapes.Shelf.take.__code__}
    lines = []

    def count(frame, event, argument):
        if frame.f_code not in methods:
            return None
        if event == "line":
            lines.append(frame.f_lineno)
            if len(lines) == last:
                raise KeyboardInterrupt
        return count

    # Before each line in turn, until there are no more.
    last, is_cut = 0, True
    while is_cut:
        last += 1
        shelf, before = tapes.Shelf(), sys.gettrace()
        lines.clear()
        try:
            sys.settrace(count)
            use(shelf)
            is_cut = False
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        for _ in range(4):
            use(shelf)
        shelf.put("b", 5, 1)
        assert shelf.take("b") == 5
    assert last > 40


# ------------------------------------------------------------------------------------------ kinds


def results_of(data, y, N, optimizer, l2, threads=2, **settings):
    """Train on some data; return the losses and the parameters."""
    name, *betas, _, _ = OPTIMIZERS[optimizer]
    sizes, n = (data.shape[1], N, 4), data.shape[0]
    layers, source = random_layers(sizes, np.float64), jobs.Source(data, y)
    loop = CompiledLoop(
        Job(
            jobs.Architecture(sizes, "tanh"),
            layers,
            jobs.Settings(name, l2 != 0, *betas, **settings),
            *(source, source),
            batch_sizes=(16, n % 16),
            block_size=20,
            threads=threads,
        )
    )
    items = epochs_of(source, source, 16, 20, 5, optimizer, 0.05, l2)
    records = jobs.Records(items.steps.max() + 1, 5)
    loop.run(items, records)
    loop.store()
    parts = [part.ravel() for layer in layers for part in layer]
    return records.losses, records.val_losses, np.concatenate(parts)


def both_kinds(X, *arguments, **settings):
    """Train on X as it is and by its non-zeros; return losses and parameters of both."""
    return [results_of(data, *arguments, **settings) for data in (X, sparse_of(X))]


@pytest.mark.parametrize("max_norm", [0.0, 0.1])
@pytest.mark.parametrize("l2", [0.0, 0.01])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_sparse_input_follows_the_dense_one(optimizer, l2, max_norm):
    random = np.random.RandomState(0)
    X = random.randn(75, 400) * (random.uniform(size=(75, 400)) < 0.05)
    X[[0, 10, 11, 74]] = 0
    X[:, [0, 7, 8, 399]] = 0
    y = random.randint(0, 4, 75)
    for N in (1, 17, 100, 300):
        for dense, sparse in zip(*both_kinds(X, y, N, optimizer, l2, max_norm=max_norm)):
            np.testing.assert_allclose(sparse, dense, rtol=1e-10, atol=1e-10)


def test_rows_without_zeros_and_a_matrix_without_any():
    random = np.random.RandomState(0)
    y = random.randint(0, 4, 75)
    for X in (random.randn(75, 130), np.zeros((75, 130))):
        for optimizer in ("sgd", "adam"):
            for dense, sparse in zip(*both_kinds(X, y, 50, optimizer, 0.0)):
                np.testing.assert_allclose(sparse, dense, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("max_norm", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_many_columns_follow_the_dense_ones(optimizer, max_norm):
    random = np.random.RandomState(0)
    X = random.randn(75, 5003) * (random.uniform(size=(75, 5003)) < 0.01)
    y = random.randint(0, 4, 75)
    # A tile of the gradient is several units of work, and then only a part of one.
    for l2, N in ((0.0, 17), (0.01, 17), (0.01, 300)):
        for dense, sparse in zip(*both_kinds(X, y, N, optimizer, l2, max_norm=max_norm)):
            np.testing.assert_allclose(sparse, dense, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("max_norm", [0.0, 0.1])
@pytest.mark.parametrize("N", [17, 300])
def test_many_columns_give_the_same_bits_for_any_number_of_threads(N, max_norm):
    random = np.random.RandomState(0)
    X = sparse_of(random.randn(75, 5003) * (random.uniform(size=(75, 5003)) < 0.01))
    y = random.randint(0, 4, 75)
    expected = results_of(X, y, N, "adam", 0.01, threads=1, max_norm=max_norm)
    assert expected[0][0] != expected[0][-1]
    for threads in (2, 3, 5):
        results = results_of(X, y, N, "adam", 0.01, threads=threads, max_norm=max_norm)
        for result, first in zip(results, expected):
            np.testing.assert_array_equal(result, first)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_bytes_follow_their_scaled_copy(optimizer):
    scaling = scaling_of(37, np.float64)

    def scaled(source):
        X, y, weights = source
        return jobs.Source(X * scaling.factor + scaling.summand, y, weights)

    arguments = {"optimizer": optimizer, "kind": "bytes", **OPTIONS["all"]}
    sizes = (37, 17, 4)
    run = Run(CompiledLoop, sizes, np.float64, **arguments)
    expected = Run(CompiledLoop, sizes, np.float64, place=scaled, **arguments)
    np.testing.assert_allclose(run.params, expected.params, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(run.records.losses, expected.records.losses, rtol=1e-10)
    np.testing.assert_allclose(run.records.val_losses, expected.records.val_losses, rtol=1e-10)


def test_parameters_that_a_loop_holds_are_not_packed_again(monkeypatch):
    packed = []
    load = buffers.Buffers.load

    def noted(self, depth, W, b):
        packed.append(depth)
        load(self, depth, W, b)

    monkeypatch.setattr(buffers.Buffers, "load", noted)
    sizes, dtype = (17, 50, 4), np.float32
    run = Run(CompiledLoop, sizes, dtype, n=60, batch_size=12, n_val=0)
    assert packed == [0, 1]
    train, _ = run.loop.data
    job = Job(
        *(jobs.Architecture(sizes), run.layers),
        jobs.Settings("sgd", True),
        train,
        batch_sizes=(12,),
        evaluate_batch=True,
        scaling=scaling_of(17, dtype),
        threads=1,
    )
    items = epochs_of(train, None, 12, 0, 1, "sgd", 0.01, 0.01)
    records = jobs.Records(5, 1)

    def bits_of(loop):
        loop.run(items, records)
        loop.store()
        return [part.tobytes() for part in (records.losses, *itertools.chain(*run.layers))]

    for change in (0.0, 1e-3):
        run.loop.rest()
        run.layers[1][1][2] += dtype(change)
        before = [(W.copy(), b.copy()) for W, b in run.layers]
        packed.clear()
        assert run.loop.go_on(job)
        assert packed == ([0, 1] if change else [])
        again = bits_of(run.loop)
        for parts, others in zip(run.layers, before):
            for part, other in zip(parts, others):
                part[...] = other
        assert bits_of(CompiledLoop(job)) == again
    # What has been trained, and not stored, is not what the arrays hold.
    run.loop.run(items, records)
    run.loop.rest()
    packed.clear()
    assert run.loop.go_on(job)
    assert packed == [0, 1]


# -------------------------------------------------------------------------------------- its memory


class Guarded:
    """Hands out memory between sentinels: as a float NaN, as an index -1."""

    MARGIN, SENTINEL = 4096, 0xFF

    def __init__(self):
        self.raws = []

    def empty(self, size, dtype):
        """Take the place of empty_aligned."""
        count = size * np.dtype(dtype).itemsize
        raw = np.full(count + 2 * self.MARGIN + 64, self.SENTINEL, np.uint8)
        first = self.MARGIN + -(raw.ctypes.data + self.MARGIN) % 64
        raw[first : first + count] = 0
        self.raws.append((raw, first, first + count))
        return raw[first : first + count].view(dtype)

    def copy(self, array):
        """Return a copy of an array between sentinels."""
        placed = self.empty(array.size, array.dtype).reshape(array.shape)
        placed[...] = array
        return placed

    def rows(self, array):
        """Return a copy whose every row lies between sentinels, and is no multiple of a line."""
        wide = np.full((len(array), (array.shape[1] + 5) * array.itemsize), 0xFF, np.uint8)
        view = self.copy(wide.view(array.dtype))[:, 2 : array.shape[1] + 2]
        view[...] = array
        return view

    def source(self, source):
        """Place the arrays of a source; what lies beyond them is NaN, an unknown class, or 255."""
        X, y, weights = source
        if isinstance(X, Sparse):
            X = Sparse(X.shape, *(self.copy(part) for part in X[1:]))
        else:
            X = self.rows(X)
        y = self.rows(y) if y.ndim == 2 else self.copy(y)
        return jobs.Source(X, y, None if weights is None else self.copy(weights))

    def check(self, case):
        """Assert that nothing was written but what was handed out; then forget it."""
        for raw, first, stop in self.raws:
            assert (raw[:first] == self.SENTINEL).all(), case
            assert (raw[stop:] == self.SENTINEL).all(), case
        self.raws.clear()


class GuardedLoop(CompiledLoop):
    """A loop whose other buffers lie between sentinels too."""

    guarded = Guarded()

    def __init__(self, job):
        super().__init__(job)
        arrays = self.tape.arrays
        names = ("labels", "weights", "spans", "cursors", "losses", "correct")
        placed = {name: self.guarded.copy(getattr(arrays, name)) for name in names}
        self.tape.arrays = arrays._replace(**placed)
        self.predicted = self.guarded.copy(self.predicted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_written_outside_of_the_buffers(monkeypatch, kind, seed):
    guarded = Guarded()
    monkeypatch.setattr(tape, "empty_aligned", guarded.empty)
    monkeypatch.setattr(buffers, "empty_aligned", guarded.empty)
    monkeypatch.setattr(GuardedLoop, "guarded", guarded)
    random = np.random.RandomState([seed, KINDS.index(kind)])

    def one_of(choices):
        return choices[random.randint(len(choices))]

    for number in range(5):
        widths = [1, 3, 8, 17, 31, 48, 50, 64, 97, 130]
        sizes = [one_of(widths) for _ in range(random.randint(2, 5))]
        batch_size, n = random.randint(1, 70), random.randint(70, 150)
        if number == 0:
            # Few weights and many rows: a batch in shards.
            sizes, batch_size, n = [one_of(widths[:3]) for _ in range(3)], 1030, 1070
            assert Task(sizes, batch_sizes=(batch_size,)).shards == 16
        if number == 1:
            sizes, batch_size, n = [one_of(widths[:4]) for _ in range(3)], 140, 150
            assert Task(sizes, batch_sizes=(batch_size,)).shards == 2
        case = {
            "activation": one_of(list(ACTIVATIONS)),
            "head": one_of(HEADS),
            "optimizer": one_of(list(OPTIMIZERS)),
            "dropout": one_of([0.0, 0.4]),
            "max_norm": one_of([0.0, 0.2]),
            "weighted": one_of([False, True]),
            "l2": one_of([0.0, 0.01]),
            "kind": kind,
            "n": n,
            "batch_size": batch_size,
            "n_val": random.randint(1, 90),
            "block_size": random.randint(1, 100),
            "threads": random.randint(1, 5),
            "epochs": 2,
            "rate": 1e-3,
        }
        dtype = DTYPES[number % 2]
        run = Run(GuardedLoop, sizes, dtype, place=guarded.source, **case)
        # A row beyond the data, or an element beyond a row, would bring its NaN into a loss.
        for result in (run.records.losses, run.records.val_losses, run.params):
            assert np.isfinite(result).all(), (sizes, case)
        guarded.check((sizes, case))
        # And bytes, which know no NaN, would change it.
        assert run.bits() == Run(CompiledLoop, sizes, dtype, **case).bits(), (sizes, case)
        guarded.raws.clear()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", HEADS)
def test_predictions_are_written_inside_of_their_array(head, dtype):
    guarded = Guarded()
    for outputs, n, block_size in ((1, 1, 1), (3, 29, 8), (17, 31, 31), (50, 40, 100)):
        sizes = 11, 9, outputs
        X = random_source(sizes, "identity", dtype, n).X
        layers = random_layers(sizes, dtype)
        loop = CompiledLoop(
            Job(
                *(jobs.Architecture(sizes, "relu", head), layers, jobs.Settings(), None),
                jobs.Source(X),
                block_size=block_size,
                output_head=head,
                threads=2,
            )
        )
        loop.outputs = guarded.copy(loop.outputs)
        loop.constants = loop.constants._replace(output=loop.outputs.ctypes.data)
        order = BlockOrder(n, block_size)
        loop.run(order.items(0, order.total), jobs.Records(0, 1))
        S = reference.network.scores(("relu",) * (len(layers) - 1), layers, X)
        tolerance = 1e-12 if dtype == np.float64 else 2e-5
        expected = reference.heads.predictions(head, S)
        np.testing.assert_allclose(loop.outputs, expected, rtol=tolerance, atol=tolerance)
        guarded.check((sizes, n))


# -------------------------------------------------------------------------------------- gradients


def numerical_gradient(net, h=1e-5, **arguments):
    """Return the central differences of the loss by each parameter."""
    gradient = np.empty_like(net.params)
    for i, value in enumerate(net.params.copy()):
        sides = []
        for side in (value + h, value - h):
            net.params[i] = side
            sides.append(net.loss_and_gradient(**arguments)[0])
        net.params[i] = value
        gradient[i] = (sides[0] - sides[1]) / (2 * h)
    return gradient


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_by_central_differences(activation, head):
    sizes = (5, 7, 6, 3)
    net = Network(sizes, activation, head, dtype=np.float64, random_state=0)
    X, y, weights = random_source(sizes, head, np.float64, 23, weighted=True)
    arguments = {"X": X, "y": y, "alpha": 0.1, "sample_weight": weights}
    if head == "softmax":
        arguments["label_smoothing"] = 0.1
    _, gradient = net.loss_and_gradient(**arguments)
    assert abs(gradient).max() > 1e-2
    np.testing.assert_allclose(gradient, numerical_gradient(net, **arguments), rtol=0, atol=1e-8)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 511, 512, 513, 1300])
def test_full_gradient_is_that_of_the_twin(n, kind, head):
    sizes, dtype = (23, 17, 4), np.float64
    source = random_source(sizes, head, dtype, n, kind, weighted=n > 1)
    standardization = {} if kind == "csr" else {"input_mean": 3, "input_scale": 50}
    net = Network(sizes, "silu", head, dtype=dtype, random_state=0, **standardization)
    smoothing = 0.1 if head == "softmax" else 0.0
    X = source.X
    if kind == "csr":
        sparse = pytest.importorskip("scipy.sparse")
        X = sparse.csr_array((X.data, X.indices, X.indptr), X.shape)
    loss, gradient = net.loss_and_gradient(X, source.y, 0.1, source.weights, smoothing)

    divisor = float(n if source.weights is None else source.weights.sum())
    layers = [(W.copy(), b.copy()) for W, b in net.layers]
    if kind == "dense":
        source = jobs.Source((X - 3) / 50, source.y, source.weights)
    twin = reference.TrainingLoop(
        Job(
            *(net.architecture, layers),
            jobs.Settings("gradient", True, label_smoothing=smoothing),
            source,
            batch_sizes=(n,),
            scaling=net.scaling,
        )
    )
    X, y, weights = twin.rows(source, np.arange(n))
    expected = twin.step(X, y, weights, 0, 0.0, 1.0, 0.1, 0.0, divisor)
    assert loss == pytest.approx(expected, rel=1e-12)
    parts = [part.ravel() for layer in twin.gradients() for part in layer]
    assert abs(gradient).max() > 1e-3
    np.testing.assert_allclose(gradient, np.concatenate(parts), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["dense", "bytes"])
def test_full_gradient_is_the_same_for_any_number_of_threads(many_threads, kind, dtype):
    X, y, weights = random_source((23, 17, 4), "softmax", dtype, 1300, kind, weighted=True)
    net = Network((23, 17, 4), "gelu", dtype=dtype, random_state=0)
    results = []
    for threads in (1, 2, 3, 5):
        fastnn.set_num_threads(threads)
        loss, gradient = net.loss_and_gradient(X, y, 0.1, weights, 0.1)
        results.append((loss, gradient.tobytes()))
    for result in results[1:]:
        assert result == results[0]


def test_full_gradient_changes_nothing():
    X, y, weights = random_source((23, 17, 4), "softmax", np.float64, 600, weighted=True)
    net = Network((23, 17, 4), dtype=np.float64, random_state=0)
    arrays = X, y, weights, net.params
    before = [array.copy() for array in arrays]
    for array in arrays[:3]:
        array.flags.writeable = False
    net.loss_and_gradient(X, y, 0.1, weights)
    for array, copy in zip(arrays, before):
        np.testing.assert_array_equal(array, copy)
