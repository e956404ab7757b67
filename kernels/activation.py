"""The activations of hidden layers, in place, and the way back through them.

A ReLU's forward pass may also be the `floor` of the product, in registers.
"""

import math

from ._jit import kernel
from .emitter import integer, outlined
from .machine import address_of
from .vector_math import erf, exp_nonpositive, logistic_pair, tanh

#: The activations, by code: z; max(z, 0); z or 0.01 z; tanh(z); 1 / (1 + exp(-z)); z times that;
#: z Phi(z), where Phi is the distribution function of the normal distribution.
IDENTITY, RELU, LEAKY_RELU, TANH, LOGISTIC, SILU, GELU = range(7)
ACTIVATIONS = {
    "identity": IDENTITY,
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "tanh": TANH,
    "logistic": LOGISTIC,
    "silu": SILU,
    "gelu": GELU,
}

#: The slope of a leaky ReLU below 0.
LEAKY_SLOPE = 0.01
#: Where logistic(-|z|), and where exp(-z^2 / 2) too, is certain to be 0: beyond it, z is not
#: multiplied by them, because infinity times 0 is NaN.
_SILU_REACH = {4: 104.0, 8: 746.0}
_GELU_REACH = 40.0


def _clamped(emit, z, reach):
    """Return z within [-reach, reach], and what it is without the upper bound; NaN stays."""
    builder, top = emit.builder, emit.constant(reach)
    raised = emit.at_least(z, emit.constant(-reach))
    return builder.select(builder.fcmp_ordered(">", raised, top), top, raised), raised


def _is_closed(emit, z):
    """Return where a ReLU is 0; it is open at NaN, which so lets the gradient through."""
    return emit.builder.fcmp_ordered("<=", z, emit.constant(0.0))


def _identity(emit, z):
    return z, lambda: emit.constant(1.0)


def _relu(emit, z):
    builder, zero, one = emit.builder, emit.constant(0.0), emit.constant(1.0)
    closed = _is_closed(emit, z)
    return builder.select(closed, zero, z), lambda: builder.select(closed, zero, one)


def _leaky_relu(emit, z):
    builder, slope, one = emit.builder, emit.constant(LEAKY_SLOPE), emit.constant(1.0)
    closed = _is_closed(emit, z)
    value = builder.select(closed, builder.fmul(slope, z), z)
    return value, lambda: builder.select(closed, slope, one)


def _tanh(emit, z):
    value = tanh(emit, z)
    return value, lambda: emit.fma(emit.builder.fneg(value), value, emit.constant(1.0))


def _logistic(emit, z):
    value, complement = logistic_pair(emit, z)
    return value, lambda: emit.builder.fmul(value, complement)


def _silu(emit, z):
    builder = emit.builder
    inside, raised = _clamped(emit, z, _SILU_REACH[emit.size])
    value, complement = logistic_pair(emit, z)

    def derivative():
        return emit.fma(builder.fmul(inside, complement), value, value)

    return builder.fmul(raised, value), derivative


def _gelu(emit, z):
    builder, half = emit.builder, emit.constant(0.5)
    inside, raised = _clamped(emit, z, _GELU_REACH)
    share = emit.fma(half, erf(emit, builder.fmul(z, emit.constant(math.sqrt(0.5)))), half)

    def derivative():
        exponent = builder.fmul(builder.fmul(inside, inside), emit.constant(-0.5))
        density = builder.fmul(
            exp_nonpositive(emit, exponent), emit.constant(1 / math.sqrt(2 * math.pi))
        )
        return emit.fma(inside, density, share)

    return builder.fmul(raised, share), derivative


#: Emitters of f(z), and of a function that emits f'(z) from what f(z) has computed; by code.
_FUNCTIONS = _identity, _relu, _leaky_relu, _tanh, _logistic, _silu, _gelu


def _cases(emit, code, count, name):
    """Emit a switch on codes 0..count - 1, positioning the builder in each case in turn."""
    builder = emit.builder
    blocks = [builder.append_basic_block(f"{name}.{c}") for c in range(count)]
    choice = builder.switch(code, blocks[0])
    for c in range(1, count):
        choice.add_case(integer(c), blocks[c])
    for c, block in enumerate(blocks):
        builder.position_at_end(block)
        yield c


def _activate(emit, code, A, D, count):
    builder = emit.builder

    def loop(function, with_derivative):
        def apply(load, store, carried):
            value, derivative = function(emit, load(A))
            if with_derivative:
                store(derivative(), D)
            store(value, A)
            return carried

        emit.vectors(count, [], apply)
        builder.ret_void()

    wanted = builder.icmp_signed("!=", D, integer(0))
    for c in _cases(emit, code, len(_FUNCTIONS), "activate"):
        with builder.if_then(wanted):
            loop(_FUNCTIONS[c], True)
        loop(_FUNCTIONS[c], False)


#: ``activate(like, (code, A, D, count))`` replaces each z of the `count` elements at A by f(z), f
#: being the activation of that code. Where D is not 0, it is an address to which f'(z) is written.
#: f(0) = 0 but for the logistic function, f(z) is finite where z is, and NaN stays NaN; SiLU and
#: GELU are -0 at -infinity.
activate = outlined("activate", 4, set(), _activate)


def _activation_backward(emit, code, A, dA, count):
    builder, zero, one = emit.builder, emit.constant(0.0), emit.constant(1.0)

    def through(c, a, g):
        if c == RELU:
            return builder.select(_is_closed(emit, a), zero, g)
        if c == LEAKY_RELU:
            return builder.select(
                _is_closed(emit, a), builder.fmul(emit.constant(LEAKY_SLOPE), g), g
            )
        if c == TANH:
            return builder.fmul(g, emit.fma(builder.fneg(a), a, one))
        return builder.fmul(g, builder.fmul(a, builder.fsub(one, a)))

    for c in _cases(emit, code, LOGISTIC + 1, "backward"):

        def apply(load, store, carried, c=c):
            store(through(c, load(A), load(dA)), dA)
            return carried

        if c != IDENTITY:
            emit.vectors(count, [], apply)
        builder.ret_void()


#: ``activation_backward(like, (code, A, dA, count))`` multiplies the `count` elements at dA by the
#: derivative of the activation, which it computes from the activations at A alone: for the codes up
#: to LOGISTIC, as those of SiLU and GELU do not tell z. Where a ReLU is 0, even NaN becomes 0.
activation_backward = outlined("activation_backward", 4, set(), _activation_backward)


def _multiply_in_place(emit, D, dA, count):
    def apply(load, store, carried):
        store(emit.builder.fmul(load(dA), load(D)), dA)
        return carried

    emit.vectors(count, [], apply)
    emit.builder.ret_void()


#: ``multiply_in_place(like, (D, dA, count))`` multiplies the `count` elements at dA by those at D.
multiply_in_place = outlined("multiply_in_place", 3, set(), _multiply_in_place)


@kernel
def activation(Z, code, D):
    """Replace each z of `Z` by f(z), and write f'(z) into `D` where it has room.

    With L(z) = 1 / (1 + exp(-z)) and Phi the distribution function of the normal distribution [1]_:

    ==== ========== ============= =====================
    code name       f(z)          f'(z)
    ==== ========== ============= =====================
    0    identity   z             1
    1    relu       max(z, 0)     z > 0
    2    leaky_relu z or 0.01 z   1 or 0.01, where z <= 0
    3    tanh       tanh(z)       1 - tanh(z)^2
    4    logistic   L(z)          L(z) L(-z)
    5    silu       z L(z)        L(z) (1 + z L(-z))
    6    gelu       z Phi(z)      Phi(z) + z Phi'(z)
    ==== ========== ============= =====================

    Parameters
    ----------
    Z : ndarray of any shape but ()
        float32 or float64, C-contiguous; modified in place. A NaN stays one.
    code : int
        0..6: of the activation.
    D : ndarray of the shape of `Z`, or of shape (0,)
        C-contiguous, of the dtype of `Z`, not overlapping it: the derivatives, if there is room.

    References
    ----------
    .. [1] Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", 2016.
    """
    elements = Z.ravel()
    if elements.size > 0:
        derivatives = address_of(D) if D.size > 0 else 0
        activate(elements[0], (code, address_of(Z), derivatives, elements.size))


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
        activation_backward(dA[0, 0], (RELU, rows[0], rows[1], H))
