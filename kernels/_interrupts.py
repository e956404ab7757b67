"""Ctrl-C while numba compiles a kernel, or loads one: it stays a KeyboardInterrupt.

LLVM calls back into Python for the machine code that it makes and takes, and an exception cannot
leave such a call: by itself, Ctrl-C there is printed as ignored, and the training goes on, or fails
for want of the code that was not handed over.
"""

import contextlib
import functools
import signal
import sys
import threading


@contextlib.contextmanager
def deferred():
    """Let Ctrl-C wait for the end of the block."""
    known = signal.getsignal(signal.SIGINT)
    # The signal comes to the main thread alone. It is not Python's where it is ignored.
    if not callable(known) or threading.current_thread() is not threading.main_thread():
        yield
        return
    came = []
    signal.signal(signal.SIGINT, lambda *arguments: came.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, known)
        if came:
            known(*came[-1])


def kept(function):
    """Make a function raise, at its end, the KeyboardInterrupt that could not leave a callback.

    Not deferred: what is compiled for seconds may be left in the midst.
    """

    @functools.wraps(function)
    def raising(*arguments):
        if threading.current_thread() is not threading.main_thread():
            return function(*arguments)
        lost, hook = [], sys.unraisablehook

        def keep(unraisable):
            if isinstance(unraisable.exc_value, KeyboardInterrupt):
                lost.append(unraisable.exc_type)
            else:
                hook(unraisable)

        sys.unraisablehook = keep
        try:
            return function(*arguments)
        finally:
            sys.unraisablehook = hook
            if lost:
                raise KeyboardInterrupt from None

    return raising
