"""The ReLU's backward pass; its forward pass is the `floor` of the product, in registers."""

from ._jit import kernel
from .emitter import outlined
from .machine import address_of


def _relu_mask(emit, A, dA, count):
    builder, zero = emit.builder, emit.constant(0.0)

    def mask(load, store, carried):
        closed = builder.fcmp_ordered("<=", load(A), zero)
        store(builder.select(closed, zero, load(dA)), dA)
        return carried

    emit.vectors(count, [], mask)
    builder.ret_void()


#: ``relu_mask(like, (A, dA, count))`` zeroes each of the `count` elements at dA whose counterpart
#: at A is not positive; a NaN lets the gradient through.
relu_mask = outlined("relu_mask", 3, set(), _relu_mask)


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
        relu_mask(dA[0, 0], (rows[0], rows[1], H))
