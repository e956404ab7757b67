"""Tiles of a weight gradient at every height and width: kept, or followed while in registers."""

import itertools

import numpy as np
import pytest

from fastnn.kernels._jit import kernel
from fastnn.kernels.gradient_tiles import OuterPanel, outer_panel
from fastnn.kernels.llvm.intrinsics import address_of, on_stack
from fastnn.kernels.llvm.processor import VECTOR_BYTES
from fastnn.kernels.llvm.tiles import HEIGHTS, NR
from fastnn.kernels.rules import SGD, OptimizerStep, numbers_like, optimizer_step

RATE, L2 = 0.1, 0.25
#: What becomes of the sums: they are written; or SGD's step is taken, without a penalty or with it.
KEPT, PLAIN, PENALISED = range(3)


@kernel
def summed(A, dZ, height, vectors, first, fate, table, weights, squares, others, out):
    """Sum over the rows from `first` on, going on from `out` if these are not all.

    The sums of `others` are added at the end, if there are any.
    """
    like = A[0, 0]
    for i in range(len(A)):
        table[i] = address_of(A) + i * A.strides[0]
    outer = OuterPanel(
        height=height,
        vectors=vectors,
        table=address_of(table) + first * 8,
        offset=0,
        later=address_of(table),
        ahead=0,
        dZ=address_of(dZ) + first * dZ.strides[0],
        stride=dZ.strides[0],
        rows=len(A) - first,
        more=1 if first else 0,
        added=address_of(others) if len(others) else 0,
        out=address_of(out),
        weights=address_of(weights) if fate != KEPT else 0,
        numbers=on_stack(numbers_like(like, L2, RATE, 1.0, 0.0, 0.0, 0.0)),
        squares=address_of(squares) if fate == PENALISED else 0,
    )
    outer_panel(like, outer)


@kernel
def stepped(weights, gradient, l2):
    """Return the sum of squares after the same step, taken from memory."""
    like = gradient[0, 0]
    numbers = on_stack(numbers_like(like, l2, RATE, 1.0, 0.0, 0.0, 0.0))
    place, given = address_of(weights), address_of(gradient)
    step = OptimizerStep(SGD, place, place, given, weights.size, 0, 0, numbers)
    return optimizer_step(like, step)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_tile_equals_numpys_at_every_size(guards, dtype):
    random, lanes = np.random.RandomState(0), VECTOR_BYTES // np.dtype(dtype).itemsize
    eps = float(np.finfo(dtype).eps)
    for height, vectors, rows in itertools.product(HEIGHTS, range(1, NR + 1), (1, 2, 5)):
        shape = height, vectors * lanes
        A, dZ = random.randn(rows, height).astype(dtype), random.randn(rows, shape[1]).astype(dtype)
        begun, table = random.randn(*shape).astype(dtype), np.empty(rows, np.int64)
        nothing, stored = np.empty(0, dtype), random.randn(*shape).astype(dtype)
        for first, others in itertools.product({0, rows // 2}, (stored[:0], stored)):
            out = guards.output(begun)
            arguments = guards.input(A), guards.input(dZ), height, vectors, first
            summed(*arguments, KEPT, table, nothing, np.empty(0), guards.input(others), out)
            before = begun.astype(float) * (first > 0)
            expected = before + A[first:].astype(float).T @ dZ[first:]
            scale = abs(before) + abs(A[first:]).astype(float).T @ abs(dZ[first:])
            if len(others):
                expected, scale = expected + others, scale + abs(others)
            assert (abs(out - expected) <= 8 * eps * scale).all()
            guards.check()


@pytest.mark.parametrize("fate", [PLAIN, PENALISED])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_from_registers_is_that_from_memory(guards, dtype, fate):
    random, lanes = np.random.RandomState(0), VECTOR_BYTES // np.dtype(dtype).itemsize
    for height, vectors, rows in itertools.product(HEIGHTS, range(1, NR + 1), (1, 2, 7)):
        shape = height, vectors * lanes
        A, dZ = random.randn(rows, height).astype(dtype), random.randn(rows, shape[1]).astype(dtype)
        W, begun, stored = random.randn(3, *shape).astype(dtype)
        for first, others in itertools.product({0, rows // 2}, (stored[:0], stored)):
            arguments = guards.input(A), guards.input(dZ), height, vectors, first
            table, expected = np.empty(rows, np.int64), W.copy()
            gradient, squares = begun.copy(), guards.output(np.array([3.0]))
            summed(*arguments, KEPT, table, expected, squares, others, gradient)
            total = stepped(expected, gradient, L2 if fate == PENALISED else 0.0)
            assert squares == [3]
            weights = guards.output(W)
            summed(*arguments, fate, table, weights, squares, others, guards.input(begun))
            assert weights.tobytes() == expected.tobytes()
            assert squares == [3 + (fate == PENALISED) * total]
            guards.check()
