"""The step by one row that multiplies the next one: as a step and a product after each other."""

import itertools

import numpy as np
import pytest

from fastnn.kernels._jit import kernel
from fastnn.kernels.gradient_tiles import OuterPanel, outer_panel
from fastnn.kernels.layout import tile_height
from fastnn.kernels.llvm.intrinsics import address_of, on_stack
from fastnn.kernels.llvm.processor import VECTOR_BYTES
from fastnn.kernels.llvm.tiles import MR, NR, MultiplyPanel, multiply_panel
from fastnn.kernels.loop import operations as op
from fastnn.kernels.loop.tape import Tape
from fastnn.kernels.loop.task import BYTES, CSR, Task
from fastnn.kernels.loop.verify import TapeError, verify
from fastnn.kernels.rules import MOMENTUM, numbers_like
from fastnn.kernels.step_ahead import StepAhead, step_ahead

RATE, L2 = 0.1, 0.25


@kernel
def at_once(row, following, dZ, W, vectors, bias, relu, squares, out):
    """Step and multiply by the kernel."""
    like = W[0, 0]
    step = StepAhead(
        vectors=vectors,
        K=len(W),
        row=address_of(row),
        dZ=address_of(dZ),
        weights=address_of(W),
        numbers=on_stack(numbers_like(like, L2, RATE, 1.0, 0.0, 0.0, 0.0)),
        squares=address_of(squares) if len(squares) else 0,
        following=address_of(following),
        start=address_of(bias),
        relu=relu,
        out=address_of(out),
    )
    step_ahead(like, step)


@kernel
def in_turn(rows, dZ, W, vectors, bias, relu, squares, out, table):
    """Do the same tile by tile, and then the product."""
    like, K, k = W[0, 0], len(W), 0
    table[0], table[1] = address_of(rows), address_of(rows) + rows.strides[0]
    while k < K:
        height = tile_height(K - k)
        outer = OuterPanel(
            height=height,
            vectors=vectors,
            table=address_of(table),
            offset=k * W.itemsize,
            later=address_of(table),
            ahead=0,
            dZ=address_of(dZ),
            stride=0,
            rows=1,
            more=0,
            added=0,
            out=0,
            weights=address_of(W) + k * W.strides[0],
            numbers=on_stack(numbers_like(like, L2, RATE, 1.0, 0.0, 0.0, 0.0)),
            squares=address_of(squares) + k // MR * 8 if len(squares) else 0,
        )
        outer_panel(like, outer)
        k += height
    product = MultiplyPanel(
        table=address_of(table) + 8,
        first=0,
        stop=1,
        offset=0,
        panel=address_of(W),
        vectors=vectors,
        K=K,
        start=address_of(bias),
        start_stride=0,
        relu=relu,
        out=address_of(out),
        stride=0,
        gate=0,
        known=1,
        following=address_of(W),
        pace=0,
    )
    multiply_panel(like, product)


@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_are_those_of_a_step_and_a_product_after_each_other(guards, dtype, penalised):
    random, lanes = np.random.RandomState(0), VECTOR_BYTES // np.dtype(dtype).itemsize
    for K, vectors, relu in itertools.product((1, 2, 3, 7, 8, 23, 64), range(1, NR + 1), (0, 1)):
        rows, bias = random.randn(2, K).astype(dtype), random.randn(vectors * lanes).astype(dtype)
        dZ, W = random.randn(vectors * lanes).astype(dtype), random.randn(K, vectors * lanes)
        before = W.astype(dtype)
        squares = np.arange(-(-K // MR) * penalised, dtype=float)
        expected, sums, product = before.copy(), squares.copy(), np.empty_like(bias)
        arguments = dZ, expected, vectors, bias, relu, sums, product, np.empty(2, np.int64)
        in_turn(rows, *arguments)
        weights, total = guards.output(before), guards.output(squares)
        out = guards.output(np.ones_like(bias))
        operands = (guards.input(each) for each in (*rows, dZ))
        at_once(*operands, weights, vectors, guards.input(bias), relu, total, out)
        assert weights.tobytes() == expected.tobytes() != before.tobytes()
        assert total.tobytes() == sums.tobytes()
        assert out.tobytes() == product.tobytes()
        guards.check()
        # Both against NumPy.
        g = np.outer(rows[0], dZ) + L2 * penalised * before
        np.testing.assert_allclose(weights, before - RATE * g, rtol=1e-5, atol=1e-5)
        z = bias + rows[1].astype(float) @ weights
        np.testing.assert_allclose(out, np.maximum(z, 0) if relu else z, rtol=1e-4, atol=1e-4)
        if penalised:
            grown = (total - squares).sum()
            np.testing.assert_allclose(grown, (weights.astype(float) ** 2).sum(), rtol=1e-5)


# ------------------------------------------------------------------------------ who looks ahead

TASK = Task((70, 50, 40, 3), (1, 1), batch_sizes=(1,))


@pytest.mark.parametrize("sizes", [(70, 50, 3), (4, 10, 3), (5, 1000, 1), (784, 128, 64, 10)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("options", [{}, {"penalty": False}, {"dropout": True, "keep_best": True}])
def test_steps_of_one_row_by_sgd_look_ahead(sizes, dtype, options):
    activations = (1,) * (len(sizes) - 2)
    task = TASK._replace(layer_sizes=sizes, activations=activations, dtype=np.dtype(dtype))
    tape = Tape(task._replace(evaluate_batch=True, block_size=7, **options))
    if tape.buffers.layers[0].columns == 0:
        pytest.skip("all columns lie in groups with vectors of so many lanes")
    verify(tape)
    # A beginning, which the step before may do; from there to the loss; the update.
    assert (len(tape.steps[0]), len(tape.step_ahead)) == (3, 3)
    assert (tape.before, tape.half) == (1, 2)
    updates = [each for each in tape.operations(0, tape.step_ahead[-1]) if hasattr(each, "rule")]
    ahead = [each for each in updates if isinstance(each, op.UpdateAhead)]
    assert len(ahead) == tape.buffers.layers[0].panels
    # Biases of the first layer come before, and all that reads its outputs.
    assert updates[-len(ahead) :] == ahead or tape.buffers.layers[0].groups > 0
    weights = tape.buffers.parameter(tape.buffers.layers[0].weights)
    assert ahead[0].weights == weights


@pytest.mark.parametrize(
    "other",
    [
        *({"batch_sizes": (2,)}, {"batch_sizes": (2, 1)}, {"batch_sizes": (), "block_size": 5}),
        *({"rule": MOMENTUM}, {"clip": True}, {"input_kind": BYTES}, {"threads": 2}),
        *({"input_kind": CSR, "non_zeros": 3.0}, {"marked_inputs": True}),
        # Its only layer's output is where the gradient is; too many inputs for a single sweep.
        *({"layer_sizes": (70, 50), "activations": ()}, {"layer_sizes": (10**6, 16, 2)}),
    ],
    ids=str,
)
def test_other_steps_do_not(other):
    task = TASK._replace(**{"activations": (1,), "layer_sizes": (70, 50, 3)} | other)
    assert not Tape(task).step_ahead


def test_a_fault_in_a_look_ahead_is_found():
    messages = {"out": "no buffer", "K": "moved 2 times|beyond", "bias": "no buffer"}
    for field, message in messages.items():
        tape = Tape(TASK)
        first, _ = tape.arrays.phases[0, tape.step_ahead[-1] :][:2]
        for row in tape.arrays.operations[0, first:]:
            update = op.decode(row)
            if isinstance(update, op.UpdateAhead):
                wrong = 1 << 40 if field != "K" else update.K + 8
                encoded = op.encode(update._replace(**{field: wrong}))
                row[: len(encoded)] = encoded
                break
        with pytest.raises(TapeError, match=message):
            verify(tape)
