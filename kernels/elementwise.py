"""Elementary functions of whole arrays: the vectors of vector_math, one after the other.

Each result is within 2 units in the last place of the exact one, over all numbers of the type.
"""

from typing import NamedTuple

from ._jit import kernel
from .llvm import vector_math
from .llvm.functions import outlined
from .llvm.intrinsics import address_of


class Elements(NamedTuple):
    """Elements of one array, and where a function of each of them goes."""

    X: int  #: address
    out: int  #: address, that of X or of memory that does not overlap it
    elements: int


def _outlined(name):
    """Return a function that writes the function of that name of each element."""
    function = getattr(vector_math, name)

    def each(emit, f):
        def apply(load, store, carried):
            store(function(emit, load(f.X)), f.out)
            return carried

        emit.vectors(f.elements, [], apply)
        emit.returns()

    each.__name__ = f"each_{name}"
    return outlined(Elements)(each)


_exp, _log, _tanh, _logistic, _erf = map(_outlined, ("exp", "log", "tanh", "logistic", "erf"))


@kernel
def exp(X, out):
    """Write the exponential of each element of `X` into `out`.

    Too large results are inf, too small ones subnormal and then 0; a NaN stays one.

    Parameters
    ----------
    X : ndarray of any shape but ()
        float32 or float64, C-contiguous; only read.
    out : ndarray of the shape and dtype of `X`
        C-contiguous; `X` itself, or memory that does not overlap it.
    """
    _exp(X.dtype.type(0), Elements(address_of(X), address_of(out), X.size))


@kernel
def log(X, out):
    """Write the natural logarithm of each element of `X` into `out`.

    It is -inf at 0 and at -0, and NaN below; a NaN stays one.

    Parameters
    ----------
    X : ndarray of any shape but ()
        float32 or float64, C-contiguous; only read.
    out : ndarray of the shape and dtype of `X`
        C-contiguous; `X` itself, or memory that does not overlap it.
    """
    _log(X.dtype.type(0), Elements(address_of(X), address_of(out), X.size))


@kernel
def tanh(X, out):
    """Write the hyperbolic tangent of each element of `X` into `out`.

    The sign of a zero is kept; a NaN stays one.

    Parameters
    ----------
    X : ndarray of any shape but ()
        float32 or float64, C-contiguous; only read.
    out : ndarray of the shape and dtype of `X`
        C-contiguous; `X` itself, or memory that does not overlap it.
    """
    _tanh(X.dtype.type(0), Elements(address_of(X), address_of(out), X.size))


@kernel
def logistic(X, out):
    """Write ``1 / (1 + exp(-x))`` for each element of `X` into `out`.

    It does not overflow: below about -100 in float32 it is subnormal, and then 0; a NaN stays one.

    Parameters
    ----------
    X : ndarray of any shape but ()
        float32 or float64, C-contiguous; only read.
    out : ndarray of the shape and dtype of `X`
        C-contiguous; `X` itself, or memory that does not overlap it.
    """
    _logistic(X.dtype.type(0), Elements(address_of(X), address_of(out), X.size))


@kernel
def erf(X, out):
    """Write the error function of each element of `X` into `out`.

    ``erf(x) = 2 / sqrt(pi)`` times the integral of ``exp(-t^2)`` from 0 to x. The sign of a zero is
    kept; a NaN stays one.

    Parameters
    ----------
    X : ndarray of any shape but ()
        float32 or float64, C-contiguous; only read.
    out : ndarray of the shape and dtype of `X`
        C-contiguous; `X` itself, or memory that does not overlap it.
    """
    _erf(X.dtype.type(0), Elements(address_of(X), address_of(out), X.size))
