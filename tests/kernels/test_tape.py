"""The tape of operations: verified for any network and any run, and wrong tapes found out."""

import itertools
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn.kernels.activation import ACTIVATIONS, RELU, Activate
from fastnn.kernels.llvm.processor import CACHE_LINE, VECTOR_BYTES
from fastnn.kernels.llvm.tiles import MR, NR, MultiplyPanel, unroll
from fastnn.kernels.loop import blocking, marking
from fastnn.kernels.loop import operations as op
from fastnn.kernels.loop.accesses import Accesses
from fastnn.kernels.loop.tape import Tape
from fastnn.kernels.loop.task import BYTES, CSR, DENSE, Task
from fastnn.kernels.loop.verify import TapeError, verify
from fastnn.kernels.losses import HEADS
from fastnn.kernels.marked_products import MultiplyPair
from fastnn.kernels.rules import ACCUMULATE, GRADIENT, RULES
from fastnn.kernels.transpose import Transpose

TANH = ACTIVATIONS["tanh"]
widths = st.integers(1, 70) | st.sampled_from([1, 15, 16, 17, 48, 49, 96, 100, 130, 250])


@pytest.fixture(autouse=True, scope="module")
def zeros_of_units_are_skipped():
    with patch.object(marking, "HALF_PAYS", True):
        yield


@st.composite
def tasks(draw):
    """Return any task: any network, any options, any number of threads."""
    sizes = draw(st.lists(widths, min_size=2, max_size=5))
    n = draw(st.integers(1, 90) | st.sampled_from([128, 150, 250, 1024, 1030, 1500]))
    rest = draw(st.integers(0, n - 1))
    steps = draw(st.sampled_from([(), (n,), (n, rest) if rest else (n,)]))
    rule = draw(st.sampled_from([*range(len(RULES)), GRADIENT, ACCUMULATE]))
    block = draw(st.integers(1 if not steps else 0, 100))
    predicts = draw(st.booleans()) and not steps
    return Task(
        layer_sizes=tuple(sizes),
        activations=tuple(draw(st.sampled_from(list(ACTIVATIONS.values()))) for _ in sizes[2:]),
        head=draw(st.sampled_from(list(HEADS.values()))),
        dtype=np.dtype(draw(st.sampled_from(["f4", "f8"]))),
        threads=draw(st.integers(1, 5)),
        batch_sizes=steps,
        block_size=block,
        rule=rule,
        clip=draw(st.booleans()) and rule < len(RULES),
        dropout=draw(st.booleans()),
        masked=draw(st.booleans()),
        general_loss=draw(st.booleans()),
        penalty=draw(st.booleans()),
        input_kind=draw(st.sampled_from([DENSE, CSR, BYTES])),
        non_zeros=draw(st.sampled_from([0.0, 3.0, sizes[0] / 2])),
        marked_inputs=draw(st.booleans()),
        evaluate_batch=draw(st.booleans()),
        keep_best=draw(st.booleans()),
        weighted_block=draw(st.booleans()),
        evaluate_loss=draw(st.booleans()),
        output_head=draw(st.sampled_from(list(HEADS.values()))) if predicts else -1,
    )


@settings(derandomize=True, deadline=None, max_examples=250)
@given(tasks())
def test_the_tape_of_any_task_is_right(task):
    verify(Tape(task))


@settings(derandomize=True, deadline=None, max_examples=5)
@given(tasks())
def test_blocks_of_any_size_are_right(task):
    for near, panels in ((1 << 12, 1000), (1 << 10, 0)):
        constants = {"NEAR": near, "ROWS": 8, "MANY_PANELS": panels, "FEW_PANELS": panels}
        constants |= {"FIRST_LEVEL": near, "LONG_PART": 0}
        with patch.multiple(blocking, **constants):
            verify(Tape(task))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("threads", [1, 2])
def test_whole_panels_are_prefetched_before_they_are_multiplied_by(dtype, threads):
    sizes = (700, 250, 1500, 10)
    task = Task(
        sizes, activations=(TANH, TANH), dtype=np.dtype(dtype), batch_sizes=(600,), threads=threads
    )
    tape = Tape(task)
    for thread in range(threads):
        panels = [each for each in tape.operations(thread, 0) if isinstance(each, MultiplyPanel)]
        assert len(panels) > 50
        for panel, later in itertools.pairwise(panels):
            assert panel.following == later.panel
            tiles = range((panel.stop - panel.first) // MR)
            each = unroll(panel.vectors)
            steps = [tile * panel.K + p for tile in tiles for p in range(0, panel.K, each)]
            lines = later.K * later.vectors * VECTOR_BYTES // CACHE_LINE
            if len(steps) < lines:
                assert panel.pace == CACHE_LINE // each
            else:
                reached = {step * panel.pace // CACHE_LINE for step in steps}
                assert reached >= set(range(lines)), (panel, later)
                # Rounding up may lead into the panel behind, and no further.
                assert panel.pace == 1 or max(reached) < 2 * lines
        assert panels[-1].pace == 0


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_two_panels_prefetch_the_next_two(dtype):
    sizes = (700, 250, 1500, 10)
    tape = Tape(Task(sizes, activations=(RELU, RELU), dtype=np.dtype(dtype), batch_sizes=(600,)))
    pairs = 0
    products = [
        each for each in tape.operations(0, 0) if isinstance(each, (MultiplyPanel, MultiplyPair))
    ]
    for product, later in itertools.pairwise(products):
        assert product.following == later.panel
        if isinstance(product, MultiplyPair) and isinstance(later, MultiplyPair):
            assert product.following_beside == later.beside
            pairs += 1
    assert pairs > 20


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_gathered_inputs_are_prefetched_where_zeros_are_skipped(dtype):
    if VECTOR_BYTES // np.dtype(dtype).itemsize < MR:
        pytest.skip("the gradient skips no zeros with vectors of so few lanes")
    sizes, n = (3072, 200, 10), 100
    tape = Tape(Task(sizes, activations=(RELU,), dtype=np.dtype(dtype), batch_sizes=(n,)))
    updates = [each for each in tape.operations(0, 1) if isinstance(each, op.UpdatePanel)]
    updates = [each for each in updates if each.marks]
    blocks = [list(block) for _, block in itertools.groupby(updates, lambda each: each.k0)]
    assert len(blocks) > 3
    for block, following in itertools.pairwise(blocks):
        assert [each.fetches for each in block] == [0] * (len(block) - 1) + [1]
        assert block[-1].later == tape.tables[0].ctypes.data
        assert block[-1].ahead == following[0].k0 * np.dtype(dtype).itemsize


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_what_an_update_reads_is_prefetched_before(dtype, rule):
    sizes, n, wide = (700, 256, 1500, 10), 600, 1
    code = list(RULES).index(rule)
    task = Task(sizes, activations=(TANH, TANH), dtype=np.dtype(dtype), batch_sizes=(n,), rule=code)
    tape, size = Tape(task), np.dtype(dtype).itemsize
    inputs, gradients = (tape.tables[row].ctypes.data for row in (wide, len(sizes) - 1 + wide))
    weights = tape.buffers.parameter(tape.buffers.layers[wide].weights)
    updates = [each for each in tape.operations(0, 1) if isinstance(each, op.UpdatePanel)]
    updates = [each for each in updates if 0 <= each.weights - weights < 256 * 1500 * size]
    assert all(each.copies == 1 + RULES[rule].memories for each in updates)
    # Neither lies near, and columns of the inputs are gathered, the last ones first.
    blocks = [list(block) for _, block in itertools.groupby(updates, lambda each: each.k0)]
    assert len(blocks) > 1
    for block, following in itertools.zip_longest(blocks, blocks[1:]):
        lines = range(0, (block[0].k1 - block[0].k0) * size, CACHE_LINE)
        reached = {inputs: set(), gradients: set()}
        for each in block:
            assert each.spare == (each is not block[-1])
            reached[each.later] |= {(each.ahead + line) // CACHE_LINE for line in lines}
            if each.later == gradients:
                assert each.ahead - (each.dZ - block[0].dZ) == NR * VECTOR_BYTES
        assert reached[gradients] >= set(range(NR, 1500 * size * 3 // 4 // CACHE_LINE))
        if following:
            ends = following[0].k0 * size, following[0].k1 * size
            assert reached[inputs] >= set(range(ends[0] // CACHE_LINE, -(-ends[1] // CACHE_LINE)))
    np.testing.assert_array_equal(tape.tables[-1], np.arange(n) * CACHE_LINE)


def test_every_kind_is_written_down_and_read_back():
    for number, kind in enumerate(op.KINDS):
        operation = kind(*range(number, number + len(kind._fields)))
        encoded = op.encode(operation)
        assert len(encoded) <= op.ROW
        assert op.decode(np.array(encoded)) == operation
    assert len(set(op.KINDS)) == len(op.KINDS)


def test_the_accesses_of_every_kind_are_known():
    # Of these, only one thread's own memory or the user's data.
    private = {op.GatherCSR, op.SeekColumns, op.ClearSquares, op.Clip}
    for kind in set(op.KINDS) - private:
        assert "rule" in kind._fields or hasattr(Accesses, f"_of_{kind.__name__}"), kind


#: With more rows than units, so that each thread looks up its own, in the phase of its products.
TASK = Task(
    (30, 50, 20),
    activations=(ACTIVATIONS["tanh"],),
    threads=2,
    batch_sizes=(60,),
    block_size=10,
    rule=list(RULES).index("adam"),
)


def rows_of(tape, kind):
    """Yield the rows of the table that hold some kind of operation, of any thread."""
    for thread in range(TASK.threads):
        for encoded in tape.arrays.operations[thread, : tape.arrays.phases[thread, -1]]:
            if isinstance(op.decode(encoded), kind):
                yield encoded


def changed(encoded, **fields):
    row = op.encode(op.decode(encoded)._replace(**fields))
    encoded[: len(row)] = row


def update_twice(tape):
    first, second = itertools.islice(rows_of(tape, op.UpdateBias), 2)
    second[:] = first


def leave_one_out(tape):
    encoded = next(rows_of(tape, op.UpdatePanel))
    nothing = op.encode(op.ClearSquares(0, 0))
    encoded[: len(nothing)] = nothing


def write_too_much(tape):
    *_, last = rows_of(tape, op.UpdatePanel)
    operation = op.decode(last)
    changed(last, k1=operation.k1 + 8)


def one_vector_too_long(tape):
    buffers, last = tape.buffers, next(rows_of(tape, Activate))
    end = buffers.activations.ctypes.data + buffers.activations.nbytes
    elements = VECTOR_BYTES // buffers.size
    changed(last, Z=end - VECTOR_BYTES, elements=2 * elements)


def another_s_rows(tape):
    encoded = next(rows_of(tape, op.Loss))
    changed(encoded, stop=op.decode(encoded).stop + 4)


def a_row_left_out(tape):
    encoded = next(rows_of(tape, op.Gather))
    changed(encoded, stop=op.decode(encoded).stop - 1)


def rows_beyond_the_table(tape):
    encoded = next(rows_of(tape, MultiplyPanel))
    changed(encoded, known=op.decode(encoded).known + 1000)


def another_s_look_up(tape):
    encoded = next(rows_of(tape, MultiplyPanel))
    changed(encoded, known=op.decode(encoded).known + 1)


def another_s_gradient(tape):
    encoded = next(rows_of(tape, op.UpdatePanel))
    changed(encoded, gradient=op.KEPT, behind=0)
    changed(encoded, weights=op.decode(encoded).weights + 16 * VECTOR_BYTES)


def an_old_transpose(tape):
    encoded = next(rows_of(tape, Transpose))
    nothing = op.encode(op.ClearSquares(0, 0))
    encoded[: len(nothing)] = nothing


def a_square_too_many(tape):
    *_, last = rows_of(tape, op.UpdateBias)
    changed(last, squares=len(tape.buffers.squares))


def nowhere(tape):
    changed(next(rows_of(tape, MultiplyPanel)), out=1 << 40)


FAULTS = {
    "a weight updated twice": (update_twice, "is moved 2 times|another thread writes"),
    "a weight left out": (leave_one_out, "parameters are not moved"),
    "a tile too many": (write_too_much, "is moved 2 times|another thread writes|beyond"),
    "a write one vector too long": (one_vector_too_long, "64 bytes beyond the activations"),
    "rows of another thread": (another_s_rows, "writes of the activations what another thread"),
    "a row left out": (a_row_left_out, "not each of 60 rows is looked up once"),
    "rows beyond the table": (rows_beyond_the_table, "reads rows .* of a table"),
    "rows that another thread looks up": (another_s_look_up, "reads of the table of rows what"),
    "weights of another thread": (another_s_gradient, "another thread writes|moved 2 times"),
    "a transpose that is not renewed": (an_old_transpose, "of the transposes is not written"),
    "a sum of squares that is not there": (a_square_too_many, "has no sum of squares"),
    "nowhere": (nowhere, "which is in no buffer"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault):
    plant, message = FAULTS[fault]
    tape = Tape(TASK)
    verify(tape)
    plant(tape)
    if "64 bytes" in message:
        message = message.replace("64", str(VECTOR_BYTES))
    with pytest.raises(TapeError, match=message):
        verify(tape)
