"""The one decorator of all kernels.

Compiled at the first call, cached on disk where that is possible, without the GIL. The
package never compiles at import.
"""

from numba import njit
from numba.core.dispatcher import Dispatcher
from numba.extending import register_jitable

from . import _interrupts
from ._cache import cache_of

#: Flags that let LLVM use fused multiply-add (`contract`), vectorise sums (`reassoc`) and ignore
#: the sign of zero (`nsz`). Never `nnan` or `ninf`: a NaN must stay visible in the loss.
FAST_MATH = {"contract", "reassoc", "nsz"}


def kernel(function):
    """Compile `function` lazily, with the settings that all kernels share.

    ``error_model="numpy"`` makes a division by zero give inf or NaN instead of raising, which
    also frees LLVM from a branch per division.
    """
    compiled = njit(
        nogil=True,
        error_model="numpy",
        fastmath=set(FAST_MATH),
        # Nobody calls them from C; a wrapper for it takes a tenth of the time to compile.
        no_cfunc_wrapper=True,
    )(function)
    # With NUMBA_DISABLE_JIT=1 it is the function itself.
    if isinstance(compiled, Dispatcher):
        compiled.compile = _interrupts.kept(compiled.compile)
        if (cache := cache_of(function)) is not None:
            compiled._cache = cache
    return compiled


def shared(function):
    """Let kernels use `function`, while Python calls it as it is, without compiling it."""
    return register_jitable(function)
