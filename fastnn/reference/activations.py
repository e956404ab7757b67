"""The activations and their derivatives, by name: the twin of the table in kernels.activation."""

import math

import numpy as np

from .elementary import erf, logistic


def _logistic(Z):
    out = np.empty_like(Z)
    logistic(Z, out)
    return out


def _normal(Z):
    """Return the standard normal distribution function."""
    out = np.empty_like(Z)
    erf(Z / Z.dtype.type(math.sqrt(2)), out)
    return (1 + out) / 2


def _bounded(Z):
    """Return Z without infinities: times 0 they would be NaN, where the product's limit is 0."""
    return np.clip(Z, -1000, 1000)


def _slope(Z, left):
    return np.where(Z <= 0, Z.dtype.type(left), Z.dtype.type(1))


def _gelu_derivative(Z, A):
    Z = _bounded(Z)
    return _normal(Z) + Z * np.exp(-Z * Z / 2) / Z.dtype.type(math.sqrt(2 * math.pi))


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _selu(Z):
    real = Z.dtype.type
    negative = real(_SELU_SCALE * _SELU_ALPHA) * np.expm1(np.minimum(Z, 0))
    with np.errstate(over="ignore"):  # of the largest numbers
        return np.where(Z > 0, real(_SELU_SCALE) * Z, negative)


def _selu_derivative(Z, A):
    real = Z.dtype.type
    return np.where(Z > 0, real(_SELU_SCALE), A + real(_SELU_SCALE * _SELU_ALPHA))


def _tanh_softplus(Z):
    with np.errstate(invalid="ignore"):  # of a NaN, which stays one
        return np.tanh(np.logaddexp(Z, Z.dtype.type(0)))


def _mish_derivative(Z, A):
    T = _tanh_softplus(Z)
    return T + _bounded(Z) * (1 - T * T) * _logistic(Z)


#: What hidden layers may compute, and its derivative by Z and A = f(Z), in the order of the codes.
ACTIVATIONS = {
    "identity": (lambda Z: Z, lambda Z, A: np.ones_like(Z)),
    "relu": (lambda Z: np.maximum(Z, 0), lambda Z, A: _slope(Z, 0)),
    "leaky_relu": (lambda Z: Z * _slope(Z, 0.01), lambda Z, A: _slope(Z, 0.01)),
    "tanh": (np.tanh, lambda Z, A: 1 - A * A),
    "logistic": (_logistic, lambda Z, A: A * _logistic(-Z)),
    "silu": (
        lambda Z: np.maximum(Z, -1000) * _logistic(Z),
        lambda Z, A: _logistic(Z) * (1 + _bounded(Z) * _logistic(-Z)),
    ),
    "gelu": (lambda Z: np.maximum(Z, -1000) * _normal(Z), _gelu_derivative),
    "selu": (_selu, _selu_derivative),
    "mish": (lambda Z: np.maximum(Z, -1000) * _tanh_softplus(Z), _mish_derivative),
}
