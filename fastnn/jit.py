"""Whether kernels are compiled at all."""


def jit_disabled():
    """Tell whether ``NUMBA_DISABLE_JIT=1`` asks for plain Python: the twin then does the work."""
    from numba import config

    return bool(config.DISABLE_JIT)
