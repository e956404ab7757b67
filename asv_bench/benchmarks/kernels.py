"""Each kernel against its NumPy twin, at the shapes it meets in three networks, on one thread."""

import inspect
from functools import lru_cache, partial

from .common import DTYPES, IMPLS, Comparison, described, own_copy, ratio, warm, without_impl
from .kernel_cases import KERNEL_CASES, kernel_of

#: The toy, MNIST, and the course's case: overhead, products in the caches, products beyond them.
SHAPES = ["4-10-3", "784-100-10", "3072-50-10"]
#: The others have no operand that is much larger in the course's case.
FEW_SHAPES = SHAPES[:2]


@lru_cache(maxsize=2)
def batch_of(name, impl, network, dtype):
    case = KERNEL_CASES[name]
    return warm(partial(kernel_of(impl, case.kernel), *case.build(network, dtype)))


@without_impl
class _Kernel(Comparison):
    # Each subclass has the name of its entry in the table of cases.
    params = (IMPLS, SHAPES, DTYPES)
    param_names = ("impl", "network", "dtype")

    def __init_subclass__(cls, shapes=SHAPES):
        cls.params = (IMPLS, shapes, DTYPES)
        # asv shows a name and a source for each; those of the base would be the same for all.
        kernel = KERNEL_CASES[cls.__name__].kernel
        title = f"{kernel}: {cls.__doc__.rstrip('.')}"
        source = inspect.getsource(KERNEL_CASES[cls.__name__].arguments)
        shown = f"# {cls.__doc__}\n# fastnn.kernels.{kernel}, on these arguments:\n\n{source}"
        cls.time_call = own_copy(cls.time_call, pretty_name=title, pretty_source=shown)
        cls.track_ratio = own_copy(
            cls.track_ratio,
            pretty_name=f"{title}, fastnn / numpy",
            pretty_source=shown,
            params=cls.params[1:],
        )

    def batch(self, impl, network, dtype):
        return batch_of(type(self).__name__, impl, network, dtype)

    @described("time of a call")
    def time_call(self, impl, network, dtype):
        self.chosen.run()

    @described("time of a call over NumPy's", unit="fastnn / numpy")
    def track_ratio(self, network, dtype):
        return ratio(*self.both)


class AffineHidden(_Kernel):
    """X[rows] W1 + b1 and ReLU."""


class AffineScores(_Kernel, shapes=FEW_SHAPES):
    """A W2 + b2, few columns."""


class AffineBackwardInput(_Kernel, shapes=FEW_SHAPES):
    """S W2^T, a short inner dimension."""


class AffineBackwardWeights(_Kernel):
    """X[rows]^T dZ, written to memory."""


class AffineBackwardSGD(_Kernel):
    """X[rows]^T dZ, consumed by the update."""


class ReluBackward(_Kernel, shapes=FEW_SHAPES):
    """mask of the hidden layer."""


class SoftmaxGradient(_Kernel, shapes=FEW_SHAPES):
    """probabilities, loss and gradient."""


class SGDUpdate(_Kernel, shapes=FEW_SHAPES):
    """W1, from a gradient in memory."""


class MomentumUpdate(_Kernel, shapes=FEW_SHAPES):
    """W1, with Nesterov's momentum."""


class AdamUpdate(_Kernel, shapes=FEW_SHAPES):
    """W1, with decoupled decay."""


class Exp(_Kernel, shapes=FEW_SHAPES):
    """of each hidden activation."""


class Log(_Kernel, shapes=FEW_SHAPES):
    """of each hidden activation."""


class Tanh(_Kernel, shapes=FEW_SHAPES):
    """of each hidden activation."""


class Logistic(_Kernel, shapes=FEW_SHAPES):
    """of each hidden activation."""


class Erf(_Kernel, shapes=FEW_SHAPES):
    """of each hidden activation; the twin calls Python's."""


class AllFinite(_Kernel, shapes=FEW_SHAPES):
    """of the rows of ten minibatches."""


class CountNonzeros(_Kernel, shapes=FEW_SHAPES):
    """of the rows of ten minibatches."""


class CompressRows(_Kernel, shapes=FEW_SHAPES):
    """of the rows of ten minibatches, a fifth of them not zero."""


class Gelu(_Kernel, shapes=FEW_SHAPES):
    """gelu and its derivative."""


class Dropout(_Kernel, shapes=FEW_SHAPES):
    """of the hidden layer."""


class LogisticGradient(_Kernel, shapes=FEW_SHAPES):
    """loss and gradient."""


class SquaredErrorGradient(_Kernel, shapes=FEW_SHAPES):
    """loss and gradient."""


class PoissonGradient(_Kernel, shapes=FEW_SHAPES):
    """loss and gradient."""


class CsrAffine(_Kernel):
    """X[rows] W1 + b1 and ReLU, a fifth of X not zero."""


class CsrAffineBackwardWeights(_Kernel):
    """X[rows]^T dZ for such an X."""
