"""The one decorator of all kernels.

Compiled at the first call, cached on disk where that is possible, without the GIL. The
package never compiles at import.
"""

import functools
import gc

from numba import njit
from numba.core.compiler import Compiler
from numba.core.dispatcher import Dispatcher
from numba.extending import register_jitable

from . import _interrupts
from ._cache import cache_of

#: Flags that let LLVM use fused multiply-add (`contract`), vectorise sums (`reassoc`) and ignore
#: the sign of zero (`nsz`). Never `nnan` or `ninf`: a NaN must stay visible in the loss.
FAST_MATH = {"contract", "reassoc", "nsz"}


class _OnePassage(Compiler):
    """Numba's compiler, by which LLVM goes through a kernel once.

    By itself, numba first has each function improved alone, before functions are inlined and all of
    it is done again. The training loop takes a seventh less time to compile without the first
    passage, and as long to run (7.0 -> 6.0 s in turns, Zen 4).
    """

    def define_pipelines(self):
        """Return numba's own passes; they are left a library that has nothing to do but once."""
        state = self.state
        state.library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        # As numba does where it makes the library.
        state.library.enable_object_caching()
        state.library._optimize_functions = lambda module: None
        return super().define_pipelines()


def kernel(function):
    """Compile `function` lazily, with the settings that all kernels share.

    ``error_model="numpy"`` makes a division by zero give inf or NaN instead of raising, which
    also frees LLVM from a branch per division.
    """
    # The first one has numba set up what it compiles for: not by half.
    with _interrupts.deferred():
        compiled = njit(
            nogil=True,
            error_model="numpy",
            fastmath=set(FAST_MATH),
            # Nobody calls them from C; a wrapper for it takes a tenth of the time to compile.
            no_cfunc_wrapper=True,
            # They make no arrays and keep none: with its count of owners switched off, numba
            # writes no atomic instructions for each view of an array, and has a tenth less to
            # compile.
            _nrt=False,
            pipeline_class=_OnePassage,
        )(function)
    # With NUMBA_DISABLE_JIT=1 it is the function itself.
    if isinstance(compiled, Dispatcher):
        compiled.compile = _interrupts.kept(_without_collector(compiled.compile))
        if (cache := cache_of(function)) is not None:
            compiled._cache = cache
    return compiled


def part(function):
    """Compile `function` as if it were written where it is used, and nowhere else.

    An ordinary kernel that another kernel calls is compiled again for each of its callers: the
    training loop takes twice as long to compile when its parts are kernels.
    """
    return njit(inline="always", nogil=True, error_model="numpy", fastmath=set(FAST_MATH))(function)


def _without_collector(function):
    """Let Python's garbage collector rest while `function` runs.

    Numba makes millions of objects of which nearly all live until a kernel is compiled: to walk
    through them again and again is a tenth of the time, and frees nothing.
    """

    @functools.wraps(function)
    def resting(*arguments):
        if not gc.isenabled():
            return function(*arguments)
        gc.disable()
        try:
            return function(*arguments)
        finally:
            gc.enable()

    return resting


def shared(function):
    """Let kernels use `function`, while Python calls it as it is, without compiling it."""
    return register_jitable(function)
