"""The affine map and its backward forms against their twins.

Most inputs here are small integers, and the factors powers of two: then every order of summation
gives the same number, and a kernel has to equal its twin exactly.
"""

import os
import subprocess
import sys
import textwrap
from typing import NamedTuple

import numpy as np
import pytest

from fastnn import kernels, reference

DTYPES = ["float32", "float64"]
LAYOUTS = ["contiguous", "strided"]
#: Shapes drawn at random, each for every kernel, dtype and layout.
FUZZ_SHAPES = 300

# Both sides of the widths of vectors (4, 8, 16), of three of them (24, 48), and of two panels.
WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 23, 24, 25, 31, 32, 33, 40, 47, 48, 49, 50]
WIDTHS += [51, 63, 64, 65, 95, 96, 97, 100, 101, 112, 113, 144, 145]
# Both sides of the tile heights (1, 4, 8).
HEIGHTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 24, 25, 33]
# (n, K, N): the middle sizes have tails themselves.
SHAPES = sorted(
    {(5, 9, N) for N in WIDTHS}
    | {(9, 131, N) for N in WIDTHS}
    | {(7, K, 10) for K in WIDTHS}
    | {(4, K, 50) for K in [*WIDTHS, 127, 128, 129, 200, 255, 256, 257]}
    | {(7, K, N) for K in (1, 2, 4, 5, 8, 9, 16, 17, 31, 32, 33, 65) for N in (1, 3, 6)}
    | {(n, 19, 21) for n in HEIGHTS}
    | {(n, 70, 1) for n in (1, 3, 4, 5, 8, 9)}
    | {(n, 130, 100) for n in HEIGHTS}
    | {(1, 1, 1), (1, 1, 50), (1, 128, 1), (200, 64, 100), (200, 100, 10), (37, 784, 100)}
)


class Problem(NamedTuple):
    """An affine map, a batch and a gradient, all between guards."""

    X: np.ndarray
    rows: np.ndarray
    W: np.ndarray
    b: np.ndarray
    dZ: np.ndarray
    workspace: np.ndarray


def integers(random, shape, dtype):
    return random.randint(-3, 4, shape).astype(dtype)


def normals(random, shape, dtype):
    return random.randn(*shape).astype(dtype)


def make(guards, shape, dtype, layout, seed=0, draw=integers):
    """Return a problem of n rows that repeat, K inputs and N outputs."""
    n, K, N = shape
    random = np.random.RandomState([*shape, seed])
    n_samples = n // 2 + 2
    rows = random.randint(0, n_samples, n)
    rows[: min(n, 2)] = [n_samples - 1, 0][: min(n, 2)]
    X = draw(random, (n_samples, K), dtype)
    return Problem(
        guards.strided(X) if layout == "strided" else guards.input(X),
        guards.input(rows.astype(np.int64)),
        guards.input(draw(random, (K, N), dtype)),
        guards.input(draw(random, (N,), dtype)),
        guards.input(draw(random, (n, N), dtype)),
        guards.workspace(len(kernels.empty_workspace(n, K, N, dtype)), dtype),
    )


def blank(guards, shape, dtype):
    return guards.output(np.full(shape, np.nan, dtype))


def check_affine(guards, problem, relu):
    X, rows, W, b, dZ, workspace = problem
    out, expected = blank(guards, dZ.shape, dZ.dtype), np.empty_like(dZ)
    assert kernels.affine(X, rows, W, b, relu, workspace, out) is None
    reference.affine(X, rows, W, b, relu, None, expected)
    np.testing.assert_array_equal(out, expected)


def check_input(guards, problem):
    _, rows, W, _, dZ, workspace = problem
    shape = (len(rows), len(W))
    out, expected = blank(guards, shape, W.dtype), np.empty(shape, W.dtype)
    assert kernels.affine_backward_input(dZ, W, workspace, out) is None
    reference.affine_backward_input(dZ, W, None, expected)
    np.testing.assert_array_equal(out, expected)


def check_weights(guards, problem):
    X, rows, W, b, dZ, workspace = problem
    dW, db = blank(guards, W.shape, W.dtype), blank(guards, b.shape, b.dtype)
    expected = np.empty_like(W), np.empty_like(b)
    assert kernels.affine_backward_weights(X, rows, dZ, workspace, dW, db) is None
    reference.affine_backward_weights(X, rows, dZ, None, *expected)
    np.testing.assert_array_equal(dW, expected[0])
    np.testing.assert_array_equal(db, expected[1])


def check_sgd(guards, problem):
    X, rows, W, b, dZ, workspace = problem
    new_W, new_b = guards.output(W), guards.output(b)
    expected = W.copy(), b.copy()
    assert kernels.affine_backward_sgd(X, rows, dZ, 0.25, 0.5, workspace, new_W, new_b) is None
    reference.affine_backward_sgd(X, rows, dZ, 0.25, 0.5, None, *expected)
    np.testing.assert_array_equal(new_W, expected[0])
    np.testing.assert_array_equal(new_b, expected[1])


# --------------------------------------------------------------------------------- exact equality


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kernels_equal_their_twins(guards, shape, dtype, layout):
    problem = make(guards, shape, dtype, layout)
    check_affine(guards, problem, relu=False)
    check_affine(guards, problem, relu=True)
    check_input(guards, problem)
    check_weights(guards, problem)
    check_sgd(guards, problem)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_equal_their_twins_for_random_shapes(guards, dtype, layout):
    random = np.random.RandomState(20)
    for seed in range(FUZZ_SHAPES):
        # Uniform in the logarithm: small sizes, where most cases are, come often.
        shape = tuple(int(size) for size in np.exp(random.uniform(0, np.log([40, 400, 200]))))
        problem = make(guards, shape, dtype, layout, seed)
        try:
            check_affine(guards, problem, relu=bool(seed % 2))
            check_input(guards, problem)
            check_weights(guards, problem)
            check_sgd(guards, problem)
            guards.check()
        except AssertionError as error:
            raise AssertionError(f"for (n, K, N) = {shape}, seed {seed}: {error}") from error


@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_batch_leaves_only_the_penalty(guards, dtype):
    problem = make(guards, (0, 9, 5), dtype, "contiguous")
    check_affine(guards, problem, relu=True)
    check_input(guards, problem)
    check_weights(guards, problem)
    check_sgd(guards, problem)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_workspace_serves_all_kernels_again_and_again(guards, dtype):
    problem = make(guards, (9, 33, 50), dtype, "contiguous")
    smaller = make(guards, (3, 7, 10), dtype, "contiguous")._replace(workspace=problem.workspace)
    for one in (problem, smaller, problem):
        check_sgd(guards, one)
        check_affine(guards, one, relu=True)
        check_weights(guards, one)
        check_input(guards, one)


# ---------------------------------------------------------------------------------------- rounding


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 4, 3), (7, 50, 10), (33, 100, 50), (50, 784, 100)], ids=str)
def test_rounding_errors_are_those_of_a_sum(guards, shape, dtype):
    X, rows, W, b, dZ, workspace = make(guards, shape, dtype, "contiguous", draw=normals)
    exact = [array.astype(np.float64) for array in (X[rows], W, b, dZ)]
    batch, W64, b64, dZ64 = exact
    size = [abs(array) for array in exact]
    eps = np.finfo(dtype).eps

    out = blank(guards, dZ.shape, dtype)
    kernels.affine(X, rows, W, b, False, workspace, out)
    bound = eps * (len(W) + 2) * (size[0] @ size[1] + size[2])
    assert (abs(out - (batch @ W64 + b64)) <= bound).all()

    out = blank(guards, batch.shape, dtype)
    kernels.affine_backward_input(dZ, W, workspace, out)
    bound = eps * (W.shape[1] + 2) * (size[3] @ size[1].T)
    assert (abs(out - dZ64 @ W64.T) <= bound).all()

    dW, db = blank(guards, W.shape, dtype), blank(guards, b.shape, dtype)
    kernels.affine_backward_weights(X, rows, dZ, workspace, dW, db)
    assert (abs(dW - batch.T @ dZ64) <= eps * (len(rows) + 2) * (size[0].T @ size[3])).all()
    assert (abs(db - dZ64.sum(axis=0)) <= eps * (len(rows) + 2) * size[3].sum(axis=0)).all()

    rate, l2 = 0.1, 0.01
    new_W, new_b = guards.output(W), guards.output(b)
    kernels.affine_backward_sgd(X, rows, dZ, rate, l2, workspace, new_W, new_b)
    expected = W64 - rate * (batch.T @ dZ64 + l2 * W64)
    bound = eps * (len(rows) + 6) * (size[1] + rate * (size[0].T @ size[3] + l2 * size[1]))
    assert (abs(new_W - expected) <= bound).all()
    bound = eps * (len(rows) + 6) * (size[2] + rate * size[3].sum(axis=0))
    assert (abs(new_b - (b64 - rate * dZ64.sum(axis=0))) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_learning_rate_changes_nothing(guards, dtype):
    X, rows, W, b, dZ, workspace = make(guards, (9, 33, 50), dtype, "contiguous", draw=normals)
    new_W, new_b = guards.output(W), guards.output(b)
    kernels.affine_backward_sgd(X, rows, dZ, 0.0, 0.5, workspace, new_W, new_b)
    np.testing.assert_array_equal(new_W, W)
    np.testing.assert_array_equal(new_b, b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_the_same_bits_as_a_step_of_minus_one_from_zero(guards, dtype):
    X, rows, W, b, dZ, workspace = make(guards, (9, 33, 50), dtype, "contiguous", draw=normals)
    dW, db = blank(guards, W.shape, dtype), blank(guards, b.shape, dtype)
    kernels.affine_backward_weights(X, rows, dZ, workspace, dW, db)
    new_W, new_b = np.zeros_like(W), np.zeros_like(b)
    kernels.affine_backward_sgd(X, rows, dZ, -1.0, 0.0, workspace, new_W, new_b)
    np.testing.assert_array_equal(dW, new_W)
    np.testing.assert_array_equal(db, new_b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_of_the_output_depends_on_its_own_row_only(guards, dtype):
    problem = make(guards, (29, 77, 53), dtype, "contiguous", draw=normals)
    X, rows, W, b, _, workspace = problem
    together = blank(guards, (29, 53), dtype)
    kernels.affine(X, rows, W, b, True, workspace, together)
    for i in range(29):
        alone = blank(guards, (1, 53), dtype)
        kernels.affine(X, rows[i : i + 1], W, b, True, workspace, alone)
        np.testing.assert_allclose(
            alone[0], together[i], rtol=1e-5 if dtype == "float32" else 1e-13
        )


# ------------------------------------------------------------------------------------ NaN and inf


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(5, 9, 10), (9, 70, 50), (12, 131, 100)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_that_are_not_finite_stay_visible(guards, dtype, shape, value, relu):
    n, K, N = shape
    random = np.random.RandomState(1)
    # No zero among the weights: inf times zero is NaN in one order of summation as in another,
    # but the point is where it shows.
    W = guards.input(random.choice([-2.0, -1.0, 1.0, 2.0], (K, N)).astype(dtype))
    b = guards.input(integers(random, N, dtype))
    for column in (0, K // 2, K - 1):
        X = integers(random, (n, K), dtype)
        X[n // 2, column] = value
        X, rows = guards.input(X), guards.input(np.arange(n))
        workspace = guards.workspace(len(kernels.empty_workspace(n, K, N, dtype)), dtype)
        out, expected = blank(guards, (n, N), dtype), np.empty((n, N), dtype)
        kernels.affine(X, rows, W, b, relu, workspace, out)
        with np.errstate(invalid="ignore"):
            reference.affine(X, rows, W, b, relu, None, expected)
        assert np.isfinite(np.delete(expected, n // 2, axis=0)).all()
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_nan_gradient_reaches_every_parameter_it_belongs_to(guards, dtype):
    X, rows, W, b, dZ, workspace = make(guards, (9, 33, 50), dtype, "contiguous")
    dZ = dZ.copy()
    dZ[4, 49] = np.nan
    new_W, new_b = guards.output(W), guards.output(b)
    kernels.affine_backward_sgd(X, rows, dZ, 0.25, 0.5, workspace, new_W, new_b)
    assert np.isnan(new_W[:, 49]).all()
    assert np.isnan(new_b[49])
    assert np.isfinite(new_W[:, :49]).all()
    assert np.isfinite(new_b[:49]).all()


# ----------------------------------------------------------------------------------------- bounds

INACCESSIBLE_PAGES = """
    import ctypes
    import mmap

    import numpy as np

    from fastnn import kernels, reference

    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    PAGE = mmap.PAGESIZE
    keep = []


    def between_walls(array, at_end):
        # An access to the page before or behind the array's ends this process.
        pages = -(-array.nbytes // PAGE)
        memory = mmap.mmap(-1, (pages + 2) * PAGE)
        raw = np.frombuffer(memory, np.uint8)
        for wall in (0, (pages + 1) * PAGE):
            if libc.mprotect(raw.ctypes.data + wall, PAGE, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        first = (pages + 1) * PAGE - array.nbytes if at_end else PAGE
        placed = raw[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
        placed[...] = array
        keep.append(memory)
        return placed


    def strided(array, at_end):
        # The last row ends where the memory ends.
        n, K = array.shape
        flat = between_walls(np.full((n - 1) * (K + 3) + K, np.nan, array.dtype), at_end)
        size = flat.itemsize
        view = np.lib.stride_tricks.as_strided(flat, (n, K), ((K + 3) * size, size))
        view[...] = array
        view.flags.writeable = False
        return view


    random = np.random.RandomState(0)
    shapes = [(1, 1, 1), (3, 4, 10), (5, 33, 50), (9, 70, 17), (8, 131, 100), (17, 130, 49)]
    for n, K, N in shapes:
        for dtype in ("float32", "float64"):
            for at_end in (True, False):
                for lay in (between_walls, strided):
                    numbers = lambda *shape: random.randint(-3, 4, shape).astype(dtype)
                    place = lambda array: between_walls(array, at_end)
                    X = lay(numbers(n, K), at_end)
                    rows = place(random.permutation(n).astype(np.int64))
                    W, b, dZ = place(numbers(K, N)), place(numbers(N)), place(numbers(n, N))
                    workspace = place(np.full_like(kernels.empty_workspace(n, K, N, dtype), np.nan))
                    out, dX = place(numbers(n, N)), place(numbers(n, K))
                    dW, db = place(numbers(K, N)), place(numbers(N))
                    expected, batch = X[rows] @ W + b, X[rows]
                    kernels.affine(X, rows, W, b, False, workspace, out)
                    assert (out == expected).all()
                    kernels.affine_backward_input(dZ, W, workspace, dX)
                    assert (dX == dZ @ W.T).all()
                    kernels.affine_backward_weights(X, rows, dZ, workspace, dW, db)
                    assert (dW == batch.T @ dZ).all()
                    assert (db == dZ.sum(axis=0)).all()
                    expected = W - (batch.T @ dZ + W)
                    kernels.affine_backward_sgd(X, rows, dZ, 1.0, 1.0, workspace, W, b)
                    assert (W == expected).all()
                    y = place(random.randint(0, N, n))
                    kernels.softmax_gradient(out, y)
                    assert np.isfinite(out).all()
                    kernels.relu_backward(dX, place(numbers(n, K)))
                    kernels.sgd_update(W, dW, 0.5, 0.5)
    print("survived")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it")
def test_nothing_out_of_bounds_is_touched():
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(INACCESSIBLE_PAGES)],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr or f"ended by signal {-result.returncode}"
    assert result.stdout == "survived\n"


# -------------------------------------------------------------------------------------- workspaces


@pytest.mark.parametrize("dtype", DTYPES)
def test_workspace_starts_a_cache_line_and_has_the_dtype(dtype):
    for shape in SHAPES[::7]:
        workspace = kernels.empty_workspace(*shape, dtype)
        assert workspace.dtype == dtype
        assert workspace.ndim == 1
        assert workspace.flags.c_contiguous
        assert workspace.flags.writeable
        assert workspace.ctypes.data % 64 == 0


@pytest.mark.parametrize("shape", [(3, 40, 50), (5, 129, 67)])
def test_weights_may_lie_apart(shape):
    n, K, N = shape
    random = np.random.RandomState(0)
    X, W, b = (integers(random, size, "float32") for size in ((n, K), (K, N), N))
    dZ, rows = integers(random, (n, N), "float32"), np.arange(n)
    other = np.zeros((2 * K, 2 * N), "float32")[::2, ::2]
    other[:] = W
    workspace = kernels.empty_workspace(n, K, N, "float32")
    out, dX = np.empty((n, N), "float32"), np.empty((n, K), "float32")
    kernels.affine(X, rows, other, b, False, workspace, out)
    kernels.affine_backward_input(dZ, other, workspace, dX)
    np.testing.assert_array_equal(out, X @ W + b)
    np.testing.assert_array_equal(dX, dZ @ W.T)
    kernels.affine_backward_sgd(X, rows, dZ, 0.5, 0.0, workspace, other, b)
    np.testing.assert_array_equal(other, W - 0.5 * (X.T @ dZ))
