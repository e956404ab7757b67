"""Elementary functions of arrays, the twins of kernels.elementwise and kernels.finite."""

import math

import numpy as np


def exp(X, out):
    """Write the exponential of each element of `X` into `out`."""
    with np.errstate(over="ignore", under="ignore"):
        np.exp(X, out=out)


def log(X, out):
    """Write the natural logarithm of each element of `X` into `out`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        np.log(X, out=out)


def tanh(X, out):
    """Write the hyperbolic tangent of each element of `X` into `out`."""
    np.tanh(X, out=out)


def logistic(X, out):
    """Write ``1 / (1 + exp(-x))`` for each element of `X` into `out`; nothing overflows."""
    with np.errstate(under="ignore"):
        z = np.exp(-abs(X))
        np.divide(np.where(X >= 0, 1, z), 1 + z, out=out)


def erf(X, out):
    """Write the error function of each element of `X` into `out`."""
    out[...] = np.vectorize(math.erf, otypes=[X.dtype])(X)


def all_finite(X):
    """Tell whether every element of `X` is finite."""
    return bool(np.isfinite(X).all())
