"""A process for each library, with as many cores as threads: asked, and answering, by a pipe."""

import multiprocessing
import os
import signal
from contextlib import contextmanager

from . import PEERS
from .peer import PeerError

#: What the environment calls the threads of the libraries' BLAS.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Child:
    """A peer in a process of its own, with so many cores."""

    def __init__(self, name, threads):
        context = multiprocessing.get_context("spawn")
        self.title = PEERS[name].title
        self.connection, far_end = context.Pipe()
        self.process = context.Process(target=serve, args=(far_end, name, threads), daemon=True)
        with limits(threads):
            self.process.start()
        far_end.close()

    def ask(self, method, *arguments):
        """Call a method of the peer; return what it returns."""
        try:
            self.connection.send((method, arguments))
        except OSError:
            self._has_ended()
        return self.answer()

    def answer(self):
        try:
            good, value = self.connection.recv()
        except (EOFError, OSError):
            self._has_ended()
        if not good:
            raise PeerError(f"{self.title}: {value}")
        return value

    def _has_ended(self):
        self.process.join()
        raise PeerError(
            f"{self.title}: its process ended with code {self.process.exitcode}; what it said is "
            "above"
        ) from None

    def end(self):
        # It may be in the middle of a turn.
        self.process.terminate()
        self.process.join()
        self.connection.close()


def serve(connection, name, threads):
    """Answer the questions of a :class:`Child`, the version of the library first."""
    try:
        peer = PEERS[name](threads)
        connection.send((True, peer.version()))
        while True:
            method, arguments = connection.recv()
            connection.send((True, getattr(peer, method)(*arguments)))
    except EOFError:  # the parent is gone
        pass
    except Exception as error:
        connection.send((False, f"{type(error).__name__}: {error}"))


@contextmanager
def limits(threads):
    """Have what starts inside inherit so many cores and threads, and no Ctrl-C: that is for us.

    All of it must stand before the child imports anything: libraries start their threads early.
    """
    variables = {name: str(threads) for name in THREAD_VARIABLES} | {"JAX_PLATFORMS": "cpu"}
    before = {name: os.environ.get(name) for name in variables}
    cores = cores_at_hand()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        os.environ.update(variables)
        if cores:
            os.sched_setaffinity(0, cores[:threads])
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.signal(signal.SIGINT, handler)


def cores_at_hand():
    """Return the cores of this process; none where the system does not let one choose."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@contextmanager
def children_of(names, threads):
    """Start a child for each library, all at once; end them at the end."""
    children: dict[str, Child] = {}
    try:
        for name in names:
            children[name] = Child(name, threads)
        yield children
    finally:
        for child in children.values():
            child.end()
