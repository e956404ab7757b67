"""The table of kernel cases: on which arguments each kernel is timed.

`KERNEL_CASES` drives the benchmarks of the kernels and the test that compares each of them with its
NumPy twin, so that nothing is timed that computes something else.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import fastnn.kernels
from fastnn import reference

from .common import BRIGHT, NETWORKS, normal


class KernelCase(NamedTuple):
    """A kernel, and how to build its arguments from a shape, a dtype and a generator."""

    kernel: str
    arguments: Callable

    def build(self, network, dtype, seed=0):
        """Return fresh arguments, the same for the same seed."""
        return self.arguments(NETWORKS[network], np.dtype(dtype), np.random.default_rng(seed))


def code_of(activation):
    """Return the code of an activation: its place in the table of the twins."""
    names = list(getattr(getattr(reference, "activations", None), "ACTIVATIONS", ()))
    if activation not in names:
        raise NotImplementedError(f"this commit has no activation {activation}")  # asv skips it
    return names.index(activation)


def minibatch(shape, dtype, rng):
    """Return a training set of ten minibatches, and the rows of one."""
    examples = 10 * shape.n
    return normal(rng, dtype, examples, shape.D), rng.integers(0, examples, shape.n)


def affine_hidden(shape, dtype, rng):
    X, rows = minibatch(shape, dtype, rng)
    W, b = normal(rng, dtype, shape.D, shape.H), normal(rng, dtype, shape.H)
    workspace = fastnn.kernels.empty_workspace(shape.n, shape.D, shape.H, dtype)
    return X, rows, W, b, True, workspace, np.empty((shape.n, shape.H), dtype)


def affine_scores(shape, dtype, rng):
    A = normal(rng, dtype, shape.n, shape.H)
    W, b = normal(rng, dtype, shape.H, shape.C), normal(rng, dtype, shape.C)
    workspace = fastnn.kernels.empty_workspace(shape.n, shape.H, shape.C, dtype)
    return A, np.arange(shape.n), W, b, False, workspace, np.empty((shape.n, shape.C), dtype)


def affine_backward_input(shape, dtype, rng):
    dZ, W = normal(rng, dtype, shape.n, shape.C), normal(rng, dtype, shape.H, shape.C)
    workspace = fastnn.kernels.empty_workspace(shape.n, shape.H, shape.C, dtype)
    return dZ, W, workspace, np.empty((shape.n, shape.H), dtype)


def affine_backward_weights(shape, dtype, rng):
    X, rows = minibatch(shape, dtype, rng)
    dZ = normal(rng, dtype, shape.n, shape.H)
    workspace = fastnn.kernels.empty_workspace(shape.n, shape.D, shape.H, dtype)
    return X, rows, dZ, workspace, np.empty((shape.D, shape.H), dtype), np.empty(shape.H, dtype)


def affine_backward_sgd(shape, dtype, rng):
    X, rows = minibatch(shape, dtype, rng)
    dZ = normal(rng, dtype, shape.n, shape.H)
    W, b = normal(rng, dtype, shape.D, shape.H), normal(rng, dtype, shape.H)
    workspace = fastnn.kernels.empty_workspace(shape.n, shape.D, shape.H, dtype)
    return X, rows, dZ, 1e-3, 1e-3, workspace, W, b


def all_finite(shape, dtype, rng):
    return (minibatch(shape, dtype, rng)[0],)


def mostly_zeros(shape, dtype, rng):
    X = minibatch(shape, dtype, rng)[0]
    return X * (rng.random(X.shape) < BRIGHT)


def count_nonzeros(shape, dtype, rng):
    return (mostly_zeros(shape, dtype, rng),)


def compress_rows(shape, dtype, rng):
    X = mostly_zeros(shape, dtype, rng)
    places = np.count_nonzero(X) + 1
    return X, np.empty(len(X) + 1, np.int64), np.empty(places, np.int32), np.empty(places, dtype)


def relu_backward(shape, dtype, rng):
    return normal(rng, dtype, shape.n, shape.H), normal(rng, dtype, shape.n, shape.H)


def softmax_gradient(shape, dtype, rng):
    return normal(rng, dtype, shape.n, shape.C), rng.integers(0, shape.C, shape.n)


def sgd_update(shape, dtype, rng):
    W, dW = normal(rng, dtype, shape.D, shape.H), normal(rng, dtype, shape.D, shape.H)
    return W, dW, 1e-3, 1e-3


def momentum_update(shape, dtype, rng):
    W, dW = normal(rng, dtype, shape.D, shape.H), normal(rng, dtype, shape.D, shape.H)
    return W, dW, 1e-3, 1e-3, 0.9, True, np.zeros_like(W)


def adam_update(shape, dtype, rng):
    W, dW = normal(rng, dtype, shape.D, shape.H), normal(rng, dtype, shape.D, shape.H)
    return W, dW, 1e-3, 1e-3, 1e-2, (0.9, 0.999), 1e-8, 10, np.zeros((2, *W.shape), W.dtype)


def elementwise(shape, dtype, rng):
    X = normal(rng, dtype, shape.n, shape.H)
    return np.abs(X), np.empty_like(X)


def gelu(shape, dtype, rng):
    Z = normal(rng, dtype, shape.n, shape.H)
    return Z, code_of("gelu"), np.empty_like(Z)


def dropout(shape, dtype, rng):
    # Any other rate would scale what is kept up, call after call; none takes another time.
    return normal(rng, dtype, shape.n, -(-shape.H // 16) * 16), 0.0, 12345


def targets(shape, dtype, rng):
    S, Y = normal(rng, dtype, shape.n, shape.C), rng.random((shape.n, shape.C), dtype=dtype)
    return S, Y, np.ones(shape.n, dtype), np.empty(shape.n, np.int64)


def csr_rows(shape, dtype, rng):
    """Return a CSR matrix of ten minibatches, a fifth of it non-zero, and the rows of one."""
    examples, count = 10 * shape.n, max(shape.D // 5, 1)
    columns = [np.sort(rng.choice(shape.D, count, replace=False)) for _ in range(examples)]
    indptr, indices = np.arange(examples + 1) * count, np.concatenate(columns).astype(np.int32)
    rows = rng.integers(0, examples, shape.n)
    positions = np.empty((2, shape.n), np.int64)
    padded = np.empty((shape.D + shape.n + 1, -(-shape.H // 16) * 16), dtype)
    return (indptr, indices, normal(rng, dtype, len(indices))), rows, positions, padded


def csr_affine(shape, dtype, rng):
    X, rows, positions, padded = csr_rows(shape, dtype, rng)
    W, b = normal(rng, dtype, shape.D, shape.H), normal(rng, dtype, shape.H)
    return X, rows, W, b, True, positions, padded, np.empty((shape.n, shape.H), dtype)


def csr_affine_backward_weights(shape, dtype, rng):
    X, rows, positions, padded = csr_rows(shape, dtype, rng)
    dZ = normal(rng, dtype, shape.n, shape.H)
    dW, db = np.empty((shape.D, shape.H), dtype), np.empty(shape.H, dtype)
    return X, rows, dZ, positions, padded, dW, db


#: By the name of the benchmark class. The kernels that work in place are timed on what their last
#: call left: it stays finite, and the time of none of them depends on the values.
KERNEL_CASES = {
    "AffineHidden": KernelCase("affine", affine_hidden),
    "AffineScores": KernelCase("affine", affine_scores),
    "AffineBackwardInput": KernelCase("affine_backward_input", affine_backward_input),
    "AffineBackwardWeights": KernelCase("affine_backward_weights", affine_backward_weights),
    "AffineBackwardSGD": KernelCase("affine_backward_sgd", affine_backward_sgd),
    "ReluBackward": KernelCase("relu_backward", relu_backward),
    "SoftmaxGradient": KernelCase("softmax_gradient", softmax_gradient),
    "SGDUpdate": KernelCase("sgd_update", sgd_update),
    "MomentumUpdate": KernelCase("momentum_update", momentum_update),
    "AdamUpdate": KernelCase("adam_update", adam_update),
    "Exp": KernelCase("exp", elementwise),
    "Log": KernelCase("log", elementwise),
    "Tanh": KernelCase("tanh", elementwise),
    "Logistic": KernelCase("logistic", elementwise),
    "Erf": KernelCase("erf", elementwise),
    "AllFinite": KernelCase("all_finite", all_finite),
    "Gelu": KernelCase("activation", gelu),
    "Dropout": KernelCase("dropout", dropout),
    "LogisticGradient": KernelCase("logistic_gradient", targets),
    "SquaredErrorGradient": KernelCase("squared_error_gradient", targets),
    "PoissonGradient": KernelCase("poisson_gradient", targets),
    "CountNonzeros": KernelCase("count_nonzeros", count_nonzeros),
    "CompressRows": KernelCase("compress_rows", compress_rows),
    "CsrAffine": KernelCase("csr_affine", csr_affine),
    "CsrAffineBackwardWeights": KernelCase(
        "csr_affine_backward_weights", csr_affine_backward_weights
    ),
}


def kernel_of(impl, name):
    """Return the function of that name: the kernel, or its NumPy twin."""
    function = getattr({"numpy": reference, "fastnn": fastnn.kernels}[impl], name, None)
    if not callable(function):  # a module of that name may be there before the function is
        raise NotImplementedError(f"this commit has no kernel {name}")  # asv skips it
    return function
