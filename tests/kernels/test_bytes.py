"""Bytes on their way into a batch."""

import numpy as np
import pytest

from fastnn.kernels._jit import kernel
from fastnn.kernels.bytes import ScaleBytes, scale_bytes
from fastnn.kernels.llvm.intrinsics import address_of

DTYPES = ["float32", "float64"]
SIZES = [*range(1, 71), 127, 128, 129, 784]


@kernel
def scale(X, factor, summand, out):
    places = address_of(X), address_of(factor), address_of(summand), address_of(out)
    scale_bytes(out[0], ScaleBytes(places[0], X.size, places[1], places[2], places[3]))


def numbers(random, size, dtype):
    return (random.randn(2, size) / 50).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_scaled_at_every_size(guards, dtype):
    random = np.random.RandomState(0)
    eps = np.finfo(dtype).eps
    for size in SIZES:
        X = guards.input(random.randint(0, 256, size).astype(np.uint8))
        factor, summand = (guards.input(part) for part in numbers(random, size, dtype))
        out = guards.output(np.full(size, np.nan, dtype))
        assert scale(X, factor, summand, out) is None
        # In float64 the product of a byte and a float32 is exact; so is what is left to round.
        product = X * factor.astype(float)
        bound = eps * (abs(product) + abs(summand))
        assert (abs(out - (product + summand)) <= bound).all()
        guards.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_byte_by_exact_numbers(guards, dtype):
    X = guards.input(np.arange(256, dtype=np.uint8))
    factor, summand = np.full(256, 0.25, dtype), np.full(256, -3.0, dtype)
    out = guards.output(np.empty(256, dtype))
    scale(X, factor, summand, out)
    np.testing.assert_array_equal(out, np.arange(256) / 4 - 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_element_is_the_same_wherever_it_stands(guards, dtype):
    # Whole vectors and the elements that are left over round alike, from any start.
    random = np.random.RandomState(0)
    X = random.randint(0, 256, 100).astype(np.uint8)
    factor, summand = numbers(random, 100, dtype)
    whole = np.empty(100, dtype)
    scale(X, factor, summand, whole)
    for first in range(20):
        for stop in range(first + 1, 100, 7):
            part = slice(first, stop)
            out = guards.output(np.empty(stop - first, dtype))
            scale(X[part], factor[part], summand[part], out)
            np.testing.assert_array_equal(out, whole[part])
        guards.check()
