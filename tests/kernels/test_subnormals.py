"""Subnormal numbers count as 0 where that is asked for, and nowhere else."""

import numpy as np
import pytest

from fastnn.kernels._jit import kernel
from fastnn.kernels.llvm.processor import X86
from fastnn.kernels.llvm.subnormals import flush_subnormals, restore_subnormals

DTYPES = [np.float32, np.float64]


@kernel
def half_and_twice(values, wanted, out):
    """Write down half of the first value and twice the second, and half of the first afterwards."""
    before = flush_subnormals(wanted)
    out[0] = values[0] * values[2]
    out[1] = values[1] + values[1]
    restore_subnormals(before)
    out[2] = values[0] * values[2]


@pytest.mark.parametrize("wanted", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_results_and_operands_are_flushed_between_the_two(dtype, wanted):
    info = np.finfo(dtype)
    # A result that is subnormal, and an operand whose result is not.
    values = np.array([info.tiny, info.tiny * dtype(0.75), 0.5], dtype)
    expected = [info.tiny / 2, info.tiny * dtype(1.5), info.tiny / 2]
    if wanted and X86:
        expected[:2] = 0, 0
    out = np.full(3, 7, dtype)
    half_and_twice(values, wanted, out)
    np.testing.assert_array_equal(out, np.array(expected, dtype))
    # And this thread's own arithmetic is as it was.
    assert values[0] * values[2] > 0
