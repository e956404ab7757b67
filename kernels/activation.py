"""The ReLU's backward pass; its forward pass is the `floor` of the product, in registers."""

from ._jit import kernel
from .machine import cast_like


@kernel
def relu_backward(A, dA):
    """Zero, in place, the gradient `dA` wherever the activation `A` is not positive.

    Parameters
    ----------
    A : ndarray of shape (n, H)
        Activations, the output of a ReLU; only read. A NaN lets the gradient through.
    dA : ndarray of shape (n, H)
        Gradient of the loss by `A`, modified in place; float32 or float64, C-contiguous.
    """
    relu_backward_flat(A.ravel(), 0, dA.ravel(), 0, A.size)


@kernel
def relu_backward_flat(A, A_start, dA, dA_start, count):
    """Do it for `count` elements from the given starts of two flat buffers."""
    for i in range(count):
        # A store on either side keeps the loop free of branches, so that it vectorises.
        gradient = dA[dA_start + i]
        dA[dA_start + i] = cast_like(gradient, 0.0) if A[A_start + i] <= 0 else gradient
