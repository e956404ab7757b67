"""Mean and deviation of columns of any magnitude; which of them count as constant."""

import numpy as np
import pytest

from fastnn.data.columns import measure

Z = np.random.default_rng(0).normal(size=3000)


@pytest.mark.parametrize("factor", [1.0, 5e-324 * 2**60, 1e-300, 1e-160, 1e-40, 1e40, 1e160, 1e307])
@pytest.mark.parametrize("sign", [1, -1])
def test_no_magnitude_overflows_or_vanishes(factor, sign):
    x = sign * factor * Z
    mean, scale, constant = measure(x[:, np.newaxis])
    assert not constant
    standardised = (x - mean) / scale
    assert standardised.mean() == pytest.approx(0, abs=1e-12)
    assert standardised.std() == pytest.approx(1, rel=1e-12)
    # The deviation is that of the numbers themselves, not only something that makes them 1.
    assert scale[0] / factor == pytest.approx(Z.std(), rel=1e-12)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "i8", "u8", "?"])
def test_as_numpy_has_it(dtype):
    X = np.floor(20 * np.abs(Z[: 2 * 1024 + 7, np.newaxis]) * [1, 0.1]).astype(dtype)
    columns = measure(X)
    np.testing.assert_allclose(columns.mean, X.mean(axis=0, dtype=float), rtol=1e-14)
    np.testing.assert_allclose(columns.scale, X.std(axis=0, dtype=float), rtol=1e-12)
    assert {columns.mean.dtype, columns.scale.dtype} == {np.dtype(np.float64)}


def test_first_row_may_be_an_outlier():
    x = np.concatenate([[1e12], Z])
    columns = measure(x[:, np.newaxis])
    assert columns.scale[0] == pytest.approx(x.std(), rel=1e-9)
    assert columns.mean[0] == pytest.approx(x.mean(), rel=1e-12)


def test_offset_leaves_the_digits_of_the_deviation():
    seconds = 60 * np.arange(1000) / 1000
    mean, scale, _ = measure(1.6e9 + seconds[:, np.newaxis])
    assert scale[0] == pytest.approx(seconds.std(), rel=1e-6)
    assert mean[0] - 1.6e9 == pytest.approx(seconds.mean(), abs=1e-6)


CONSTANT = {
    "zero": np.zeros(50),
    # 0.1 is no binary fraction: the mean of many is not exactly 0.1.
    "tenth": np.full(50, 0.1),
    "integers": np.full(50, 7),
    "largest": np.full(50, 1.7e308),
    "pressure of float32": (101325 * (1 + 1e-12 * Z)).astype("f4"),
    "last digit of float32": (101325 * (1 + 3e-8 * Z)).astype("f4"),
    "last digit of float64": 101325 * (1 + 1e-16 * Z),
    "last digit of float16": (300 + 0.05 * Z).astype("f2"),
    "large": (1e20 * (1 + 3e-8 * Z)).astype("f4"),
}


@pytest.mark.parametrize("x", CONSTANT.values(), ids=CONSTANT)
def test_constant_columns_stay_near_zero(x):
    columns = measure(x[:, np.newaxis])
    assert columns.constant
    assert columns.scale >= 1
    assert np.abs((x - columns.mean) / columns.scale).max() < 1e-3


VARYING = {
    "pressure of float64": 101325 * (1 + 1e-12 * Z),
    "ten digits of float32": 101325 + np.arange(50, dtype="f4") / 128,
    "kelvin of float16": (300 + Z).astype("f2"),
    "flag": np.arange(1000) == 3,
    "count": np.array([7] * 100000 + [8]),
    "tiny": np.array([0, 1e-45], "f4"),
}


@pytest.mark.parametrize("x", VARYING.values(), ids=VARYING)
def test_what_varies_gets_its_own_scale(x):
    columns = measure(x[:, np.newaxis])
    assert not columns.constant
    assert columns.scale[0] == pytest.approx(x.std(dtype=float), rel=1e-6)


def test_pixels_have_one_scale():
    X = np.column_stack([Z, 3 * Z, np.full(len(Z), 9.0)])
    columns = measure(X, is_image=True)
    np.testing.assert_allclose(columns.scale, Z.std() * np.sqrt(10 / 3))
    np.testing.assert_allclose(columns.mean, X.mean(axis=0))
    assert not columns.constant.any()
    np.testing.assert_allclose(measure(1e200 * X, is_image=True).scale, 1e200 * columns.scale)
    assert measure(np.full((5, 4), 200, np.uint8), is_image=True).constant.all()
