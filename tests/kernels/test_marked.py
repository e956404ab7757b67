"""Marks of what is not 0, and products that visit nothing else: at every size, to the bit."""

import itertools

import numpy as np
import pytest

from fastnn.kernels._jit import kernel
from fastnn.kernels.layout import empty_aligned
from fastnn.kernels.llvm.intrinsics import address_of
from fastnn.kernels.llvm.processor import VECTOR_BYTES
from fastnn.kernels.llvm.tiles import NR, MultiplyPanel, multiply_panel
from fastnn.kernels.marked import (
    NARROWEST,
    WIDEST,
    WORD,
    CountMarks,
    Mark,
    MultiplyMarked,
    count_marks,
    mark,
    multiply_marked,
)
from fastnn.kernels.marked_products import (
    MultiplyPair,
    OuterMarked,
    OuterPair,
    multiply_pair,
    outer_marked,
    outer_pair,
)

DTYPES = ["float32", "float64"]
SIZES = [1, 2, 3, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200]


@kernel
def marked_rows(A, table, columns, marks):
    rows = len(A)
    what = Mark(address_of(table), 0, rows, columns, address_of(marks), marks.strides[0])
    mark(A[0, 0], what)
    return count_marks(A[0, 0], CountMarks(address_of(marks), marks.strides[0], rows, columns))


@kernel
def multiplied(A, table, marks, panel, beside, start, start_stride, relu, gate, out):
    opened = address_of(gate) if gate.size else 0
    vectors = out.shape[1] * out.itemsize // VECTOR_BYTES
    product = MultiplyMarked(
        rows=len(A),
        table=address_of(table),
        offset=0,
        marks=address_of(marks),
        words=marks.strides[0],
        terms=A.shape[1],
        B=address_of(panel),
        B_stride=panel.strides[0],
        beside=address_of(beside),
        beside_stride=beside.strides[0],
        vectors=vectors,
        start=address_of(start),
        start_stride=start_stride,
        relu=relu,
        out=address_of(out),
        stride=out.strides[0],
        gate=opened,
        each=3,
        later=0,
        ahead=address_of(panel),
        beside_ahead=address_of(beside),
    )
    multiply_marked(A[0, 0], product)


@kernel
def in_full(A, table, panel, start, start_stride, relu, gate, out):
    for i in range(len(A)):
        table[i] = address_of(A) + i * A.strides[0]
    opened = address_of(gate) if gate.size else 0
    product = MultiplyPanel(
        table=address_of(table),
        first=0,
        stop=len(A),
        offset=0,
        panel=address_of(panel),
        vectors=panel.shape[1] * panel.itemsize // VECTOR_BYTES,
        K=A.shape[1],
        start=address_of(start),
        start_stride=start_stride,
        relu=relu,
        out=address_of(out),
        stride=out.strides[0],
        gate=opened,
        known=len(A),
        following=address_of(panel),
        pace=0,
    )
    multiply_panel(A[0, 0], product)


def table_of(A):
    """Return the addresses of the rows of a matrix."""
    return A.ctypes.data + np.arange(len(A)) * A.strides[0]


def marked(guards, A, columns, marks):
    """Mark what is not 0, and return how much that is."""
    return marked_rows(A, guards.input(table_of(A)), columns, marks)


def with_zeros(random, shape, dtype, share):
    """Return random numbers of which a share is 0, of either sign."""
    A = random.randn(*shape).astype(dtype)
    A[random.uniform(size=shape) < share] = 0
    A[random.uniform(size=shape) < 0.05] = -0.0
    return A


def words_of(A):
    """Return the marks of rows as a plain loop has them."""
    words = np.zeros((len(A), -(-A.shape[1] // WORD)), np.uint64)
    for i, j in zip(*np.nonzero(A), strict=True):
        words[i, j // WORD] |= np.uint64(1) << np.uint64(j % WORD)
    return words.view(np.int64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", SIZES)
def test_marks_at_every_size(guards, columns, dtype):
    random = np.random.RandomState(columns)
    for rows, share in itertools.product((1, 2, 5), (0.0, 0.5, 1.0)):
        A = with_zeros(random, (rows, columns), dtype, share)
        A[random.uniform(size=A.shape) < 0.1] = np.nan
        A[random.uniform(size=A.shape) < 0.1] = np.finfo(dtype).smallest_subnormal
        marks = guards.output(np.full((rows, -(-columns // WORD)), 7, np.int64))
        assert marked(guards, guards.input(A), columns, marks) == np.count_nonzero(A)
        np.testing.assert_array_equal(marks, words_of(A))
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_part_of_a_wider_matrix_is_marked(guards, dtype):
    random = np.random.RandomState(0)
    A = guards.input(with_zeros(random, (6, 150), dtype, 0.5))
    before = random.randint(0, 99, (7, 4))
    marks = guards.output(before)
    assert marked(guards, A[1:5, 30:], 100, marks[2:, 1:]) == np.count_nonzero(A[1:5, 30:130])
    before[2:6, 1:3] = words_of(A[1:5, 30:130])
    np.testing.assert_array_equal(marks, before)
    guards.check()


def aligned(array):
    """Return a copy of an array that starts at a multiple of a line."""
    copy = empty_aligned(array.size, array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.parametrize("way", ["plain", "relu", "gate", "goes on"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_are_those_that_skip_nothing_to_the_bit(guards, dtype, way):
    random, lanes = np.random.RandomState(0), VECTOR_BYTES // np.dtype(dtype).itemsize
    widths, shares = range(NARROWEST, WIDEST + 1), (0.0, 0.5, 0.9, 1.0)
    for vectors, share, K in itertools.product(widths, shares, (1, 2, 31, 63, 64)):
        rows, columns = random.randint(1, 9), vectors * lanes
        A = guards.input(with_zeros(random, (rows, K), dtype, share))
        B = random.randn(K, columns).astype(dtype)
        # What is skipped may be anything.
        B[~(A != 0).any(axis=0)] = np.nan
        panel, beside = (
            guards.input(np.ascontiguousarray(part)) for part in np.split(B, [NR * lanes], axis=1)
        )
        gate = random.randn(rows, columns).astype(dtype)
        gate[random.uniform(size=gate.shape) < 0.2] = 0
        gate[random.uniform(size=gate.shape) < 0.1] = np.nan
        gate = guards.input(gate if way == "gate" else gate[:0])
        begun = random.randn(rows, columns).astype(dtype)
        out = guards.output(begun)
        start, start_stride = guards.input(begun[0].copy()), 0
        if way == "goes on":
            start, start_stride = out, out.strides[0]
        relu = int(way == "relu")
        marks = guards.input(words_of(A))
        table = guards.input(table_of(A))
        multiplied(A, table, marks, panel, beside, start, start_stride, relu, gate, out)
        guards.check()
        expected, table = begun.copy(), np.empty(rows, np.int64)
        finite = np.nan_to_num(B)
        for part in (slice(0, NR * lanes), slice(NR * lanes, columns)):
            W, target = aligned(finite[:, part]), expected[:, part]
            place = expected[:, part] if way == "goes on" else begun[0, part].copy()
            in_full(A, table, W, place, start_stride, relu, gate[:, part], target)
        assert out.tobytes() == expected.tobytes(), (vectors, share, K)


@pytest.mark.parametrize("dtype", DTYPES)
def test_marks_beyond_the_terms_are_not_visited(guards, dtype):
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    A, marks = np.ones((2, 5), dtype), np.full((2, 1), -1)
    panel, beside = (np.ones((5, count * lanes), dtype) for count in (NR, 1))
    out = guards.output(np.zeros((2, NARROWEST * lanes), dtype))
    table = guards.input(table_of(A := guards.input(A)))
    arguments = (guards.input(each) for each in (marks, panel, beside, out[0].copy()))
    multiplied(A, table, *arguments, 0, 0, A[:0], out)
    assert (out == 5).all()
    guards.check()


@kernel
def paired(like, first, table, K, marks, panels, beside, start, relu, gate, out):
    opened = address_of(gate) if gate.size else 0
    product = MultiplyPair(
        table=address_of(table),
        first=first,
        stop=len(table),
        offset=0,
        panel=address_of(panels),
        vectors=out.shape[1] * out.itemsize // VECTOR_BYTES,
        K=K,
        start=address_of(start),
        start_stride=0,
        relu=relu,
        out=address_of(out),
        stride=out.strides[0],
        gate=opened,
        known=len(table),
        following=address_of(panels),
        pace=8,
        beside=address_of(beside),
        following_beside=address_of(beside),
        marks=address_of(marks),
        words=marks.strides[0],
    )
    multiply_pair(like, product)


@pytest.mark.parametrize("way", ["plain", "relu", "gate"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pairs_of_panels_follow_numpy_and_skip_no_term(guards, dtype, way):
    random, lanes = np.random.RandomState(1), VECTOR_BYTES // np.dtype(dtype).itemsize
    widths, sums = range(NARROWEST, WIDEST + 1), (1, 63, 64, 65, 130)
    for vectors, K, share in itertools.product(widths, sums, (0.1, 0.9)):
        rows, columns, first = random.randint(2, 20), vectors * lanes, random.randint(2)
        A = guards.input(with_zeros(random, (rows, K), dtype, share))
        W = random.randn(K, columns).astype(dtype)
        panels = [
            guards.input(np.ascontiguousarray(part)) for part in np.split(W, [NR * lanes], axis=1)
        ]
        start = guards.input(random.randn(columns).astype(dtype))
        gate = random.randn(rows, columns).astype(dtype)
        out = guards.output(np.full((rows, columns), 7, dtype))
        table, marks = guards.input(table_of(A)), guards.input(words_of(A))
        opened = guards.input(gate if way == "gate" else gate[:0])
        relu = int(way == "relu")
        paired(A[0, 0], first, table, K, marks, *panels, start, relu, opened, out)
        guards.check()
        expected = A.astype("f8") @ W.astype("f8") + start
        if way == "relu":
            expected = np.maximum(expected, 0)
        if way == "gate":
            expected = np.where(gate > 0, expected, 0)
        tolerance = (1e-4 if dtype == "float32" else 1e-12) * np.sqrt(K)
        np.testing.assert_allclose(out[first:], expected[first:], rtol=0, atol=tolerance)
        assert (out[:first] == 7).all()


@kernel
def outer(like, table, marks, X, across, zeros, tiles):
    what = OuterMarked(
        units=len(table),
        table=address_of(table),
        offset=0,
        marks=address_of(marks),
        words=marks.strides[0],
        rows=len(X),
        X=address_of(X),
        X_stride=X.strides[0],
        across=across,
        zeros=address_of(zeros),
        out=address_of(tiles),
        fetches=0,
        later=address_of(table),
        ahead=0,
    )
    outer_marked(like, what)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 5, 63, 64, 65, 130])
def test_gradients_of_marked_units_follow_numpy(guards, rows, dtype):
    random, lanes = np.random.RandomState(rows), VECTOR_BYTES // np.dtype(dtype).itemsize
    for panel, across in itertools.product(range(1, NR + 1), range(NARROWEST, WIDEST + 1)):
        units, width = panel * lanes, across * lanes
        dZ = guards.input(with_zeros(random, (units, rows), dtype, 0.5))
        X = guards.input(random.randn(rows, width).astype(dtype))
        tiles = guards.output(np.full((2, width * units), np.nan, dtype))
        zeros = guards.input(np.zeros(WIDEST * lanes, dtype))
        table, marks = guards.input(table_of(dZ)), guards.input(words_of(dZ))
        outer(X[0, 0], table, marks, X, across, zeros, tiles)
        guards.check()
        expected = X.T.astype("f8") @ dZ.T.astype("f8")
        tolerance = (1e-4 if dtype == "float32" else 1e-12) * np.sqrt(rows)
        gradient = tiles[0].reshape(width, units)
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance)


@kernel
def outer_of_two(like, table, marks, dZ, vectors, zeros, sums, out):
    what = OuterPair(
        inputs=len(table),
        table=address_of(table),
        marks=address_of(marks),
        words=marks.strides[0],
        rows=len(dZ),
        dZ=address_of(dZ),
        stride=dZ.strides[0],
        vectors=vectors,
        zeros=address_of(zeros),
        sums=address_of(sums),
        out=address_of(out),
    )
    outer_pair(like, what)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 5, 63, 64, 65, 130])
def test_gradients_by_marked_inputs_follow_numpy(guards, rows, dtype):
    random, lanes = np.random.RandomState(rows), VECTOR_BYTES // np.dtype(dtype).itemsize
    for inputs, vectors in itertools.product((1, 7, 64), range(NARROWEST, WIDEST + 1)):
        turned = guards.input(with_zeros(random, (inputs, rows), dtype, 0.5))
        wide = guards.input(random.randn(rows, (vectors + 2) * lanes).astype(dtype))
        dZ = wide[:, lanes : (vectors + 1) * lanes]
        sums, out = (
            guards.output(np.full(inputs * vectors * lanes, np.nan, dtype)) for _ in range(2)
        )
        zeros = guards.input(np.zeros(WIDEST * lanes, dtype))
        table, marks = guards.input(table_of(turned)), guards.input(words_of(turned))
        outer_of_two(dZ[0, 0], table, marks, dZ, vectors, zeros, sums, out)
        guards.check()
        expected = turned.astype("f8") @ dZ.astype("f8")
        tolerance = (1e-4 if dtype == "float32" else 1e-12) * np.sqrt(rows)
        half = NR * lanes
        first, second = out[: inputs * half], out[inputs * half :]
        for got, columns in ((first, expected[:, :half]), (second, expected[:, half:])):
            got = got.reshape(columns.shape)
            np.testing.assert_allclose(got, columns, rtol=0, atol=tolerance)
