"""The activations of hidden layers, in place, and the way back through them.

A ReLU's forward pass may also be the floor of the product, in registers.
"""

import math
from collections.abc import Callable
from numbers import Real
from typing import NamedTuple

from ._jit import kernel
from .llvm.functions import outlined
from .llvm.intrinsics import address_of, cast_like, lanes_of, on_stack
from .llvm.processor import VECTOR_BYTES
from .llvm.values import Value
from .llvm.vector_math import as_written, erf, exp, exp_nonpositive, logistic_pair, tanh
from .sums import ScaledCopy, scaled_copy

#: The slope of a leaky ReLU below 0.
LEAKY_SLOPE = 0.01
#: Where logistic(-|z|), and where exp(-z^2 / 2) too, is certain to be 0: beyond it, z is not
#: multiplied by them, because infinity times 0 is NaN.
_SILU_REACH = {4: 104.0, 8: 746.0}
_GELU_REACH = 40.0
#: Room on the stack.
TWO_VECTORS = (0.0,) * (2 * VECTOR_BYTES // 8)


# ------------------------------------------------------------------------------------- equations


class Equation(NamedTuple):
    """An activation f and its derivative, as emissions for one vector.

    The derivative comes in one of two ways. Where it can be told from a = f(z) alone, nothing but
    the activations has to be kept for the way back; where it cannot, it is computed with f(z), from
    what that has computed, and kept.
    """

    #: ``forward(emit, z)`` returns f(z), and a function that emits f'(z).
    forward: Callable
    #: ``backward(emit, a, g)`` returns ``g f'(z)`` from the output a and the gradient g by it; None
    #: where a does not tell z.
    backward: Callable | None = None


def codes_from_output(equations):
    """Return the codes of those whose derivative is told from the output alone."""
    for name, equation in equations.items():
        if not isinstance(equation, Equation):
            raise TypeError(f"`{name}` in EQUATIONS is {equation}: write Equation(forward)")
    return {code for code, equation in enumerate(equations.values()) if equation.backward}


def _identity(emit, z):
    return z, lambda: emit.constant(1.0)


def _identity_backward(emit, a, g):
    return g


def _is_closed(z):
    """Return where a ReLU is 0; it is open at NaN, which so lets the gradient through."""
    return z <= 0.0


def _relu(emit, z):
    closed = _is_closed(z)
    return emit.where(closed, 0.0, z), lambda: emit.where(closed, 0.0, emit.constant(1.0))


def _relu_backward(emit, a, g):
    # Where a ReLU is 0, even NaN becomes 0.
    return emit.where(_is_closed(a), 0.0, g)


def _leaky_relu(emit, z):
    closed = _is_closed(z)

    def derivative():
        return emit.where(closed, LEAKY_SLOPE, emit.constant(1.0))

    return emit.where(closed, LEAKY_SLOPE * z, z), derivative


def _leaky_relu_backward(emit, a, g):
    return emit.where(_is_closed(a), LEAKY_SLOPE * g, g)


def _tanh(emit, z):
    a = tanh(emit, z)
    return a, lambda: emit.fma(-a, a, 1.0)


def _tanh_backward(emit, a, g):
    return g * emit.fma(-a, a, 1.0)


def _logistic(emit, z):
    a, complement = logistic_pair(emit, z)
    return a, lambda: a * complement


def _logistic_backward(emit, a, g):
    return g * (a * (1.0 - a))


def _bounded(emit, z, reach):
    """Return z within [-reach, reach], and z without the upper bound; NaN stays."""
    raised = emit.at_least(z, -reach)
    return emit.at_most(raised, reach), raised


def _silu(emit, z):
    inside, raised = _bounded(emit, z, _SILU_REACH[emit.size])
    share, complement = logistic_pair(emit, z)
    return raised * share, lambda: emit.fma(inside * complement, share, share)


def _gelu(emit, z):
    inside, raised = _bounded(emit, z, _GELU_REACH)
    share = emit.fma(0.5, erf(emit, z * math.sqrt(0.5)), 0.5)

    def derivative():
        density = exp_nonpositive(emit, inside * inside * -0.5) * (1 / math.sqrt(2 * math.pi))
        return emit.fma(inside, density, share)

    return raised * share, derivative


#: Constants of a SELU, for which activations of mean 0 and variance 1 stay so.
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@as_written
def _selu(emit, z):
    slope = _SELU_SCALE * _SELU_ALPHA
    # exp(z) - 1 is tanh(z/2) (exp(z) + 1), which keeps its digits where z is small.
    e = exp(emit, emit.at_most(z, 0.0))
    negative = slope * (tanh(emit, 0.5 * z) * (e + 1.0))
    value = emit.where(z > 0.0, _SELU_SCALE * z, negative)
    return value, lambda: emit.where(z > 0.0, emit.constant(_SELU_SCALE), slope * e)


def _selu_backward(emit, a, g):
    slope = _SELU_SCALE * _SELU_ALPHA
    return g * emit.where(a > 0.0, emit.constant(_SELU_SCALE), a + slope)


@as_written
def _mish(emit, z):
    inside, raised = _bounded(emit, z, _SILU_REACH[emit.size])
    # tanh(log(1 + exp(z))) as a quotient of polynomials of w = exp(-|z|), which is at most 1.
    w = exp_nonpositive(emit, -abs(z))
    positive, square = z >= 0.0, w * w
    numerator = emit.where(positive, 1.0 + 2.0 * w, square + 2.0 * w)
    t = numerator / (numerator + emit.where(positive, 2.0 * square, 2.0))

    def derivative():
        share, _ = logistic_pair(emit, z)
        return emit.fma(inside * share, emit.fma(-t, t, 1.0), t)

    return raised * t, derivative


#: The activations by name: an activation's code is its place here.
EQUATIONS = {
    "identity": Equation(_identity, _identity_backward),
    "relu": Equation(_relu, _relu_backward),
    "leaky_relu": Equation(_leaky_relu, _leaky_relu_backward),
    "tanh": Equation(_tanh, _tanh_backward),
    "logistic": Equation(_logistic, _logistic_backward),
    "silu": Equation(_silu),
    "gelu": Equation(_gelu),
    "selu": Equation(_selu, _selu_backward),
    "mish": Equation(_mish),
}
ACTIVATIONS = {name: code for code, name in enumerate(EQUATIONS)}
IDENTITY, RELU = ACTIVATIONS["identity"], ACTIVATIONS["relu"]
FROM_OUTPUT = codes_from_output(EQUATIONS)


# ------------------------------------------------------------------------------- whole arrays


def evaluate(name, forward, emit, z):
    """Emit f(z) of an activation; return it, and the function that emits f'(z)."""
    match forward(emit, z):
        case value, derivative if callable(derivative):
            value = register(emit, value, f"f(z) of `{name}`")
            return value, lambda: register(emit, derivative(), f"the derivative of `{name}`")
    raise TypeError(
        f"the equation of `{name}` does not return what it needs to, f(z) and a function that "
        f"emits f'(z): end it with `return value, derivative`, and let derivative take no arguments"
    )


def register(emit, result, origin):
    """Return what a part of an equation returned, which has to be a vector of numbers."""
    if isinstance(result, Value) and result.ir.type == emit.vector:
        return result
    if isinstance(result, Real):
        raise TypeError(f"{origin} returned {result}: write emit.constant({float(result)})")
    shown = result.ir.type if isinstance(result, Value) else result
    needed = "a register of numbers is needed, as emit.where(condition, 1.0, 0.0) is"
    raise TypeError(f"{origin} returned {shown}: {needed}")


class Activate(NamedTuple):
    """What :func:`activate` takes."""

    activation: int  #: code
    Z: int  #: address of the elements, modified
    derivatives: int  #: address that receives f'(z), or 0
    elements: int  #: whole vectors of them


@outlined(Activate)
def activate(emit, f):
    """Replace each z of some elements by f(z), and write f'(z) where there is room for it.

    f(0) and f'(0) are finite: the zeros that pad rows go through it too, and what becomes of them
    is multiplied by zeros. Beyond that, f(z) is finite where z is and the result no larger than the
    largest number, and NaN stays NaN; SiLU and GELU are -0 at -infinity.
    """
    equations = list(EQUATIONS.items())
    for code in emit.cases(f.activation, reversed(range(len(equations))), "activate"):

        def apply(i, code=code):
            name, equation = equations[code]
            value, derivative = evaluate(name, equation.forward, emit, emit.load(f.Z + i))
            # In the loop, not around two of them, and whole vectors alone: else a seventh of the
            # assembly of the training loop would be this function.
            with emit.only_if(f.derivatives != 0):
                emit.store(derivative(), f.derivatives + i)
            emit.store(value, f.Z + i)

        emit.steps(0, f.elements * emit.size, VECTOR_BYTES, apply)
        emit.returns()


class Backward(NamedTuple):
    """What :func:`activation_backward` takes."""

    activation: int  #: code, one of FROM_OUTPUT
    A: int  #: address of the activations
    dA: int  #: address of the gradient by them, modified
    elements: int


@outlined(Backward)
def activation_backward(emit, f):
    """Take a gradient back through an activation: ``dA <- dA f'(z)``, told from A = f(Z) alone."""
    equations = list(EQUATIONS.items())
    for code in emit.cases(f.activation, sorted(FROM_OUTPUT, reverse=True), "backward"):

        def apply(load, store, carried, code=code):
            name, equation = equations[code]
            gradient = equation.backward(emit, load(f.A), load(f.dA))
            store(register(emit, gradient, f"the way back of `{name}`"), f.dA)
            return carried

        if code != IDENTITY:
            emit.vectors(f.elements, [], apply)
        emit.returns()


class BackwardStored(NamedTuple):
    """What :func:`multiply_in_place` takes."""

    derivatives: int  #: address
    dA: int  #: address of the gradient, modified
    elements: int


@outlined(BackwardStored)
def multiply_in_place(emit, f):
    """Take a gradient back through derivatives that were kept: ``dA <- dA f'(z)``."""

    def apply(load, store, carried):
        store(load(f.dA) * load(f.derivatives), f.dA)
        return carried

    emit.vectors(f.elements, [], apply)
    emit.returns()


# ---------------------------------------------------------------------------- the public kernels


@kernel
def activation(Z, code, D):
    """Replace each z of `Z` by f(z), and write f'(z) into `D` where it has room.

    With L(z) = 1 / (1 + exp(-z)), Phi the distribution function of the normal distribution [1]_,
    s = 1.0507 and a = 1.6733 [2]_, and T(z) = tanh(log(1 + exp(z))) [3]_:

    ============== ========================== ==============================
    name           f(z)                       f'(z)
    ============== ========================== ==============================
    identity       z                          1
    relu           max(z, 0)                  z > 0
    leaky_relu     z or 0.01 z                1 or 0.01, where z <= 0
    tanh           tanh(z)                    1 - tanh(z)^2
    logistic       L(z)                       L(z) L(-z)
    silu           z L(z)                     L(z) (1 + z L(-z))
    gelu           z Phi(z)                   Phi(z) + z Phi'(z)
    selu           s z or s a (exp(z) - 1)    s, or s a exp(z) where z <= 0
    mish           z T(z)                     T(z) + z (1 - T(z)^2) L(z)
    ============== ========================== ==============================

    Parameters
    ----------
    Z : ndarray of any shape but ()
        float32 or float64, C-contiguous; modified in place. A NaN stays one.
    code : int
        Place of the activation in this table, counted from 0.
    D : ndarray of the shape of `Z`, or of shape (0,)
        C-contiguous, of the dtype of `Z`, not overlapping it: the derivatives, if there is room.

    References
    ----------
    .. [1] Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", 2016.
    .. [2] Klambauer, Unterthiner, Mayr and Hochreiter, "Self-Normalizing Neural Networks", 2017.
    .. [3] Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", BMVC 2020.
    """
    like, place, derivatives = Z.dtype.type(0), address_of(Z), address_of(D) if D.size > 0 else 0
    left = Z.size % lanes_of(like)
    activate(like, Activate(code, place, derivatives, Z.size - left))
    if left:
        # The last ones go through a vector that is whole.
        behind, one = (Z.size - left) * Z.itemsize, cast_like(like, 1.0)
        room = on_stack(TWO_VECTORS)
        scaled_copy(like, ScaledCopy(place + behind, left, room, one))
        activate(like, Activate(code, room, room + VECTOR_BYTES, lanes_of(like)))
        scaled_copy(like, ScaledCopy(room, left, place + behind, one))
        if derivatives:
            scaled_copy(like, ScaledCopy(room + VECTOR_BYTES, left, derivatives + behind, one))


@kernel
def relu_backward(A, dA):
    """Zero, in place, the gradient `dA` wherever the activation `A` is not positive.

    Parameters
    ----------
    A : ndarray of shape (n, H)
        Activations, the output of a ReLU; only read. A NaN lets the gradient through.
    dA : ndarray of shape (n, H)
        Gradient of the loss by `A`, modified in place; float32 or float64. Each row of both is
        contiguous.
    """
    n, H = A.shape
    if H == 0:
        return
    for i in range(n):
        rows = address_of(A) + i * A.strides[0], address_of(dA) + i * dA.strides[0]
        activation_backward(dA[0, 0], Backward(RELU, rows[0], rows[1], H))
