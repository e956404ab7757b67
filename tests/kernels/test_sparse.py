"""The kernels for sparse input against their twins, and against sums of integers.

Inputs are small integers where equality is exact: then every order of summation gives the same
number. Where they are not, the bits must not depend on the division into blocks of columns.
"""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import kernels, reference
from fastnn.kernels._jit import kernel
from fastnn.kernels.csr import (
    CHUNK,
    FAR,
    NEAR,
    CSRMultiply,
    CSROuter,
    CSRSeek,
    csr_block_columns,
    csr_multiply,
    csr_outer,
    csr_seek,
)
from fastnn.kernels.llvm.intrinsics import address_of, cast_like
from fastnn.kernels.llvm.processor import VECTOR_BYTES

DTYPES = ["float32", "float64"]
# Both sides of one vector, of a chunk of eight, and of two and more chunks.
WIDTHS = [1, 4, 7, 8, 16, 17, 48, 63, 65, 100, 128, 129, 144, 300]
# (n, K, N), with the share of non-zeros.
PROBLEMS = [(5, 23, N, 0.3) for N in WIDTHS] + [
    (1, 40, 10, 0.3),
    (9, 1, 10, 0.5),
    (1, 1, 1, 1.0),
    (6, 30, 17, 0.0),
    (7, 30, 33, 1.0),
    (3, 500, 20, 0.01),
    (40, 784, 100, 0.19),
    (8, 5000, 10, 0.01),
]

properties = settings(derandomize=True, deadline=None, max_examples=100)


class Problem(NamedTuple):
    """A sparse batch with the operands of its layer, all between guards."""

    dense: np.ndarray
    X: tuple
    rows: np.ndarray
    W: np.ndarray
    b: np.ndarray
    dZ: np.ndarray
    positions: np.ndarray
    padded: np.ndarray


def integers(random, shape):
    return random.randint(1, 4, shape) * random.choice([-1, 1], shape)


def normals(random, shape):
    return random.randn(*np.atleast_1d(shape))


def compress(dense, dtype, pointers=np.int32):
    """Return (indptr, indices, values) of a dense matrix."""
    stored = dense != 0
    indptr = np.concatenate([[0], np.cumsum(stored.sum(axis=1))]).astype(pointers)
    return indptr, np.nonzero(stored)[1].astype(np.int32), dense[stored].astype(dtype)


def columns_of(N, dtype):
    """Return N rounded up to a multiple of 64 bytes."""
    lanes = 64 // np.dtype(dtype).itemsize
    return -(-N // lanes) * lanes


def make(guards, problem, dtype, draw=integers, pointers=np.int32):
    """Return a batch of n rows that repeat, of a matrix with empty rows and a full last column."""
    n, K, N, share = problem
    random = np.random.RandomState([n, K, N])
    n_samples = n // 2 + 2
    dense = np.where(random.rand(n_samples, K) < share, draw(random, (n_samples, K)), 0)
    if share > 0:
        dense[:, -1] = draw(random, n_samples)
        dense[n_samples // 2] = 0
        dense[-1] = 0
    rows = random.randint(0, n_samples, n)
    rows[: min(n, 2)] = [0, n_samples - 1][: min(n, 2)]
    X = tuple(guards.input(part) for part in compress(dense, dtype, pointers))
    return Problem(
        dense,
        X,
        guards.input(rows.astype(np.int64)),
        guards.input(draw(random, (K, N)).astype(dtype)),
        guards.input(draw(random, N).astype(dtype)),
        guards.input(draw(random, (n, N)).astype(dtype)),
        guards.output(np.full((2, n), -1)),
        guards.output(np.full((K + n + 1, columns_of(N, dtype)), np.nan, dtype)),
    )


def blank(guards, shape, dtype):
    return guards.output(np.full(shape, np.nan, dtype))


def check_affine(guards, problem, relu):
    dense, X, rows, W, b, dZ, positions, padded = problem
    out, expected = blank(guards, dZ.shape, dZ.dtype), np.empty_like(dZ)
    assert kernels.csr_affine(X, rows, W, b, relu, positions, padded, out) is None
    reference.csr_affine(X, rows, W, b, relu, None, None, expected)
    np.testing.assert_array_equal(out, expected)
    sums = dense[rows].astype(np.int64) @ W.astype(np.int64) + b.astype(np.int64)
    np.testing.assert_array_equal(out, np.maximum(sums, 0) if relu else sums)


def check_weights(guards, problem):
    dense, X, rows, W, b, dZ, positions, padded = problem
    dW, db = blank(guards, W.shape, W.dtype), blank(guards, b.shape, b.dtype)
    expected = np.empty_like(W), np.empty_like(b)
    done = kernels.csr_affine_backward_weights(X, rows, dZ, positions, padded, dW, db)
    assert done is None
    reference.csr_affine_backward_weights(X, rows, dZ, None, None, *expected)
    np.testing.assert_array_equal(dW, expected[0])
    np.testing.assert_array_equal(db, expected[1])
    np.testing.assert_array_equal(dW, dense[rows].astype(np.int64).T @ dZ.astype(np.int64))


# --------------------------------------------------------------------------------- exact equality


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_kernels_equal_their_twins(guards, problem, dtype):
    problem = make(guards, problem, dtype)
    check_affine(guards, problem, relu=False)
    check_affine(guards, problem, relu=True)
    check_weights(guards, problem)


@pytest.mark.parametrize("dtype", DTYPES)
def test_int64_pointers_and_read_only_input(guards, dtype):
    problem = make(guards, (6, 30, 17, 0.4), dtype, pointers=np.int64)
    for part in problem.X:
        part.flags.writeable = False
    check_affine(guards, problem, relu=False)
    check_weights(guards, problem)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "K"), [(0, 9), (3, 0), (0, 0)])
def test_no_rows_or_no_columns(guards, n, K, dtype):
    X = compress(np.zeros((4, K)), dtype)
    rows, W, b = np.zeros(n, np.int64), np.ones((K, 5), dtype), np.arange(5).astype(dtype)
    dZ = np.ones((n, 5), dtype)
    workspaces = np.empty((2, n), np.int64), np.full((K + n + 1, 16), np.nan, dtype)
    out, dW, db = (
        blank(guards, (n, 5), dtype),
        blank(guards, (K, 5), dtype),
        blank(guards, 5, dtype),
    )
    kernels.csr_affine(X, rows, W, b, False, *workspaces, out)
    np.testing.assert_array_equal(out, np.tile(b, (n, 1)))
    kernels.csr_affine_backward_weights(X, rows, dZ, *workspaces, dW, db)
    assert not dW.any()
    np.testing.assert_array_equal(db, np.full(5, n))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_nan_shows_where_it_belongs(guards, dtype):
    X = compress(np.array([[0, 2, 0], [3, 0, 4], [0, 0, 0]]), dtype)
    X[2][1] = np.nan
    rows, W, b = np.arange(3), np.ones((3, 7), dtype), np.zeros(7, dtype)
    workspaces = np.empty((2, 3), np.int64), np.empty((7, 16), dtype)
    out, dW, db = np.empty((3, 7), dtype), np.empty((3, 7), dtype), np.empty(7, dtype)
    kernels.csr_affine(X, rows, W, b, True, *workspaces, out)
    np.testing.assert_array_equal(out[:, 0], [2, np.nan, 0])
    kernels.csr_affine_backward_weights(X, rows, np.ones_like(out), *workspaces, dW, db)
    np.testing.assert_array_equal(dW[:, 6], [np.nan, 2, 4])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", [(5, 9, 3, 0.5), (33, 784, 100, 0.2)], ids=str)
def test_rounding_errors_are_those_of_a_sum(guards, problem, dtype):
    problem = make(guards, problem, dtype, draw=normals)
    dense, X, rows, W, b, dZ, positions, padded = problem
    eps, batch = np.finfo(dtype).eps, dense[rows].astype(dtype).astype(np.float64)
    out = blank(guards, dZ.shape, dtype)
    kernels.csr_affine(X, rows, W, b, False, positions, padded, out)
    bound = eps * (len(W) + 2) * (abs(batch) @ abs(W) + abs(b))
    assert (abs(out - (batch @ W.astype(np.float64) + b)) <= bound).all()
    dW, db = blank(guards, W.shape, dtype), blank(guards, b.shape, dtype)
    kernels.csr_affine_backward_weights(X, rows, dZ, positions, padded, dW, db)
    bound = eps * (len(rows) + 2) * (abs(batch).T @ abs(dZ))
    assert (abs(dW - batch.T @ dZ.astype(np.float64)) <= bound).all()


# ------------------------------------------------------------------------------- blocks of columns


@kernel
def multiply_blocks(X, cursor, end, bounds, first, stop, b, W, out):
    """Do rows first..stop, in the blocks of columns that `bounds` divides."""
    start = address_of(b)
    for block in range(len(bounds)):
        product = CSRMultiply(
            cursor=address_of(cursor),
            end=address_of(end),
            indices=address_of(X[1]),
            values=address_of(X[2]),
            first=first,
            stop=stop,
            k1=bounds[block],
            start=start,
            W=address_of(W),
            across=W.strides[0] // VECTOR_BYTES,
            out=address_of(out),
            stride=out.strides[0],
        )
        csr_multiply(W[0, 0], product)
        start = 0


@kernel
def outer_block(X, cursor, end, k0, k1, dZ, factor, target):
    """Do the block of columns k0..k1 for all rows; row k0 goes to the first row of `target`."""
    like = target[0, 0]
    outer = CSROuter(
        rows=len(cursor),
        cursor=address_of(cursor),
        end=address_of(end),
        indices=address_of(X[1]),
        values=address_of(X[2]),
        k0=k0,
        k1=k1,
        dZ=address_of(dZ),
        stride=dZ.strides[0],
        target=address_of(target),
        across=target.strides[0] // VECTOR_BYTES,
        factor=cast_like(like, factor),
    )
    csr_outer(like, outer)


@kernel
def seek(like, X, cursor, begin, end, k0):
    """Set the cursors to the first non-zeros not in front of column k0."""
    places = address_of(cursor), address_of(begin), address_of(end), address_of(X[1])
    csr_seek(like, CSRSeek(places[0], places[1], places[2], places[3], len(cursor), k0))


class Padded(NamedTuple):
    """A batch as the training loop holds it."""

    dense: np.ndarray
    X: tuple
    begin: np.ndarray
    end: np.ndarray
    W: np.ndarray
    b: np.ndarray
    dZ: np.ndarray


def padded_problem(guards, problem, dtype, draw=normals):
    """Return a batch with rows of whole vectors; rows of W of which no element is asked are NaN."""
    dense, X, rows, W, b, dZ, _, _ = make(guards, problem, dtype, draw)
    missing = columns_of(len(b), dtype) - len(b)

    def wider(array):
        return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])

    asked = (dense[rows] != 0).any(axis=0)
    W = np.where(asked[:, None], wider(W), np.nan).astype(dtype)
    begin, end = (X[0][rows + side].astype(np.int64) for side in (0, 1))
    numbers = (guards.input(array) for array in (begin, end, W, wider(b), wider(dZ)))
    return Padded(dense[rows], X, *numbers)


def divisions(K):
    """Return several divisions of K columns, by their ends; the last may lie behind K."""
    random = np.random.RandomState(K)
    chosen = [[K], [K + 100], range(1, K + 1), [*range(7, K, 7), K], [*range(64, K, 64), K]]
    chosen += [[*np.sort(random.randint(0, K + 1, 5)), K] for _ in range(3)]
    return [np.array(ends, np.int64) for ends in chosen]


BLOCK_PROBLEMS = [(7, 30, N, 0.4) for N in (1, 16, 100, 129, 300)]
BLOCK_PROBLEMS += [(1, 1, 1, 1.0), (5, 30, 10, 0.0), (30, 784, 100, 0.19), (3, 784, 17, 0.01)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", BLOCK_PROBLEMS, ids=str)
def test_any_division_into_blocks_gives_the_same_bits(guards, problem, dtype):
    dense, X, begin, end, W, b, dZ = padded_problem(guards, problem, dtype)
    n, K = dense.shape
    results = []
    for ends in divisions(K):
        out, cursor = blank(guards, dZ.shape, dtype), guards.output(begin)
        multiply_blocks(X, cursor, end, ends, 0, n, b, W, out)
        np.testing.assert_array_equal(cursor, end)
        cursor = guards.output(begin)
        into_weights = guards.output(np.ones_like(W))
        by_tiles = guards.output(np.ones_like(W))
        k0 = 0
        for k1 in np.minimum(ends, K):
            tile = guards.output(np.ones((k1 - k0, W.shape[1]), dtype))
            for target in (into_weights[k0:], tile):
                seek(W[0, 0], X, cursor, begin, end, k0)
                if k1 > k0:
                    outer_block(X, cursor, end, k0, k1, dZ, -0.3, target)
            by_tiles[k0:k1] = tile
            k0 = k1
        np.testing.assert_array_equal(cursor, end)
        results.append((out, into_weights, by_tiles))
    for result in results:
        assert np.isfinite(result[0]).all()
        for array, first in zip(result, results[0]):
            assert array.tobytes() == first.tobytes()
        assert result[1].tobytes() == result[2].tobytes()
    batch, weights = dense.astype(dtype), np.nan_to_num(W)
    eps = np.finfo(dtype).eps
    size = abs(batch) @ abs(weights) + abs(b)
    assert (abs(results[0][0] - (batch @ weights + b)) <= 2 * eps * (K + 2) * size).all()
    size = 1 + 0.3 * abs(batch).T @ abs(dZ)
    step = 1 - 0.3 * batch.astype(np.float64).T @ dZ
    assert (abs(results[0][1] - step) <= eps * (n + 4) * size).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_depend_on_nothing_but_themselves(guards, dtype):
    _, X, begin, end, W, b, dZ = padded_problem(guards, (9, 60, 100, 0.3), dtype)
    ends = np.array([20, 60])
    together, apart = blank(guards, dZ.shape, dtype), blank(guards, dZ.shape, dtype)
    multiply_blocks(X, guards.output(begin), end, ends, 0, 9, b, W, together)
    cursor = guards.output(begin)
    for first, stop in [(0, 4), (4, 4), (4, 5), (5, 9)]:
        multiply_blocks(X, cursor, end, ends, first, stop, b, W, apart)
        np.testing.assert_array_equal(cursor[stop:], begin[stop:])
        assert np.isnan(apart[stop:]).all()
    assert together.tobytes() == apart.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_rows_with_a_non_zero_are_touched(guards, dtype):
    dense, X, begin, end, W, _, dZ = padded_problem(guards, (4, 300, 40, 0.02), dtype)
    target = guards.output(np.full_like(W, np.nan))
    outer_block(X, guards.output(begin), end, 0, 300, np.ones_like(dZ), 1.0, target)
    assert np.isnan(target).all()
    asked = (dense != 0).any(axis=0)
    target = guards.output(np.where(asked[:, None], 0, np.full_like(W, -0.0)))
    outer_block(X, guards.output(begin), end, 0, 300, dZ, 1.0, target)
    assert np.signbit(target[~asked]).all()
    assert np.isfinite(target).all()


@properties
@given(
    columns=st.lists(st.lists(st.integers(0, 40), unique=True), min_size=1, max_size=6),
    k0=st.integers(-1, 42),
)
def test_seek_finds_the_first_column(columns, k0):
    rows = [sorted(row) for row in columns]
    stops = np.cumsum([len(row) for row in rows])
    indices = np.array([k for row in rows for k in row], np.int32)
    X = stops, indices, indices.astype(np.float32)
    begin, end = np.concatenate([[0], stops[:-1]]), stops
    cursor = np.full(len(rows), -1)
    seek(np.float32(0), X, cursor, begin, end, k0)
    expected = [start + np.searchsorted(row, k0) for start, row in zip(begin, rows)]
    np.testing.assert_array_equal(cursor, expected)


# -------------------------------------------------------------------------- the width of the blocks


@pytest.mark.parametrize("across", [1, 2, 7, 8, 9, 33, 100])
@pytest.mark.parametrize("K", [1, 10, 784, 20_000, 1_000_000])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.19, 1.0])
def test_blocks_fit_a_cache_and_hold_enough_or_are_everything(share, K, across):
    width = csr_block_columns(share * K, K, across)
    assert 1 <= width <= K
    if width < K:
        # Wider rows are visited in even chunks.
        row = -(-across // -(-across // CHUNK)) * VECTOR_BYTES
        assert width * min(across, CHUNK // 2) * VECTOR_BYTES <= FAR
        # Blocks are evened out: the narrowest is little more than half of what fits.
        assert share * 2 * width >= 5
        if width * row > NEAR:
            assert share * 2 * width >= 10


def test_digits_are_visited_in_small_blocks_and_words_at_once():
    across = 100 * 4 // VECTOR_BYTES + 1
    width = csr_block_columns(150, 784, across)
    # A chunk of each row of a block stays in the first-level cache; all rows would not.
    chunk = -(-across // -(-across // CHUNK)) * VECTOR_BYTES
    assert width * chunk <= NEAR < 784 * chunk
    assert csr_block_columns(20, 20_000, across) == 20_000
    assert csr_block_columns(0.0, 0, 1) == 1
