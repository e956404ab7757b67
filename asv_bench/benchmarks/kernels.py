"""Each kernel against its NumPy twin, at the shapes it meets in five networks, on one thread."""

from functools import lru_cache, partial

from .common import (
    DTYPES,
    IMPLS,
    KERNEL_CASES,
    NETWORKS,
    Comparison,
    kernel_of,
    ratio,
    warm,
    without_impl,
)


@lru_cache(maxsize=2)
def batch_of(name, impl, network, dtype):
    case = KERNEL_CASES[name]
    return warm(partial(kernel_of(impl, case.kernel), *case.build(network, dtype)))


@without_impl
class _Kernel(Comparison):
    # Each subclass has the name of its entry in the table of cases.
    params = (IMPLS, list(NETWORKS), DTYPES)
    param_names = ("impl", "network", "dtype")

    def batch(self, impl, network, dtype):
        return batch_of(type(self).__name__, impl, network, dtype)

    def time_call(self, impl, network, dtype):
        self.chosen.run()

    def track_ratio(self, network, dtype):
        return ratio(*self.both)


class AffineHidden(_Kernel):
    """X[rows] W1 + b1 and ReLU."""


class AffineScores(_Kernel):
    """A W2 + b2: few columns."""


class AffineBackwardInput(_Kernel):
    """S W2^T: a short inner dimension."""


class AffineBackwardWeights(_Kernel):
    """X[rows]^T dZ, written to memory."""


class AffineBackwardSGD(_Kernel):
    """X[rows]^T dZ, consumed by the update."""


class ReluBackward(_Kernel):
    """The mask of the hidden layer."""


class SoftmaxGradient(_Kernel):
    """Softmax, loss and gradient."""


class SGDUpdate(_Kernel):
    """The update of W1 from a gradient in memory."""


class MomentumUpdate(_Kernel):
    """The same with Nesterov's momentum."""


class AdamUpdate(_Kernel):
    """The same with AdamW."""


class Exp(_Kernel):
    """Of each hidden activation, as the following."""


class Log(_Kernel):
    """The natural logarithm."""


class Tanh(_Kernel):
    """The hyperbolic tangent."""


class Logistic(_Kernel):
    """The logistic function."""


class Erf(_Kernel):
    """The error function; its twin calls Python's for each element."""


class Gelu(_Kernel):
    """An activation with its derivative."""


class Dropout(_Kernel):
    """Of the hidden layer."""


class LogisticGradient(_Kernel):
    """The logistic head's loss and gradient."""


class SquaredErrorGradient(_Kernel):
    """The identity head's loss and gradient."""


class PoissonGradient(_Kernel):
    """The exponential head's loss and gradient."""


class CsrAffine(_Kernel):
    """X[rows] W1 + b1 and ReLU, a fifth of X non-zero; its twin is a loop over rows."""


class CsrAffineBackwardWeights(_Kernel):
    """X[rows]^T dZ for such an X."""
