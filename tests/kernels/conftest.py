"""Memory in which a write, or a read that counts, out of bounds shows; and a place to emit into."""

import numpy as np
import pytest
from llvmlite import ir
from numba import types

from fastnn.kernels.llvm.emitter import Emitter

#: One cache line: what the kernels ask of a workspace.
ALIGNMENT = 64
#: Bytes before and behind each array.
MARGIN = 1024
#: As a float it is NaN, as an index -1: who reads it shows it.
SENTINEL = 0xFF


class Guards:
    """Places arrays between sentinels, and looks whether these, and the inputs, are as before."""

    def __init__(self):
        self.places = []
        self.inputs = []

    def output(self, array):
        """Return an aligned copy of `array` that is surrounded by sentinels."""
        array = np.ascontiguousarray(array)
        raw = np.full(array.nbytes + 2 * MARGIN + ALIGNMENT, SENTINEL, np.uint8)
        first = MARGIN + -(raw.ctypes.data + MARGIN) % ALIGNMENT
        stop = first + array.nbytes
        placed = raw[first:stop].view(array.dtype).reshape(array.shape)
        placed[...] = array
        self.places.append((raw, first, stop))
        return placed

    def input(self, array):
        """Do the same for an array that must not change."""
        placed = self.output(array)
        self.inputs.append((placed, placed.copy()))
        return placed

    def strided(self, array):
        """Return a read-only copy whose rows have NaN before and behind them."""
        n, K = array.shape
        wide = np.full((n, K + 5), np.nan, array.dtype)
        wide[:, 2 : K + 2] = array
        view = self.input(wide)[:, 2 : K + 2]
        view.flags.writeable = False
        return view

    def workspace(self, size, dtype):
        """Return a workspace full of NaN."""
        return self.output(np.full(size, np.nan, dtype))

    def check(self):
        """Assert that nothing was written but outputs; then forget them."""
        for raw, first, stop in self.places:
            assert (raw[:first] == SENTINEL).all(), "written before the start of an array"
            assert (raw[stop:] == SENTINEL).all(), "written behind the end of an array"
        for placed, before in self.inputs:
            assert placed.tobytes() == before.tobytes(), "an input has changed"
        self.places.clear()
        self.inputs.clear()


@pytest.fixture
def guards():
    """Guards that are looked at when the test is over."""
    guards = Guards()
    yield guards
    guards.check()


@pytest.fixture
def emit():
    """Return an emitter of float32, in a function that nobody compiles."""
    function = ir.Function(ir.Module(), ir.FunctionType(ir.VoidType(), []), "nothing")
    return Emitter(ir.IRBuilder(function.append_basic_block()), types.float32)
