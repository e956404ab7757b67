"""fastnn against its NumPy twin, and both against the arithmetic of the machine.

``fastnn bench`` prints what :func:`compare` measures here. Machines are noisy, and noise only ever
adds time: so the two are run in turns, in many short runs, and the fastest of each counts. Peak is
what a loop of fused multiply-adds on registers alone reaches, in the same process.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import TwoLayerNet, get_num_threads, reference, set_num_threads
from fastnn.jobs import flops_per_row
from fastnn.kernels.peak import flops_per_repetition, fma_loop
from fastnn.threads import FLOPS_PER_THREAD


class Network(NamedTuple):
    """A two-layer network, its batch, and the number of training rows to draw it from."""

    input_size: int
    hidden_size: int
    output_size: int
    batch_size: int
    num_train: int = 10_000

    def __str__(self) -> str:
        return f"{self.input_size}-{self.hidden_size}-{self.output_size}"

    @property
    def flops(self) -> int:
        """Floating-point operations of one training step: see :func:`flops_per_step`."""
        return flops_per_step(*self[:4])


NETWORKS = (
    # The toy of CS231n has five rows: an epoch of it, with its evaluation, is a single step.
    Network(4, 10, 3, 5, num_train=5),
    Network(64, 100, 10, 200),
    Network(784, 100, 10, 200),
    Network(3072, 50, 10, 200),
    Network(784, 512, 10, 128),
)


class Comparison(NamedTuple):
    """What :func:`compare` measured: seconds a step, and the peak of one core in GFLOP/s."""

    network: Network
    dtype: np.dtype
    threads: int
    numpy_seconds: float
    fastnn_seconds: float
    peak_gflops: float

    @property
    def ratio(self) -> float:
        """How many times as fast as NumPy fastnn is."""
        return self.numpy_seconds / self.fastnn_seconds

    @property
    def share_of_peak(self) -> float:
        """The useful arithmetic of fastnn, as a share of the peak of as many cores as threads."""
        return share_of_peak(
            self.network.flops / self.fastnn_seconds, self.peak_gflops, self.threads
        )


def flops_per_step(input_size: int, hidden_size: int, output_size: int, batch_size: int) -> int:
    """Return the floating-point operations of one training step, ``2 n (2 D H + 3 H C)``.

    Two for each multiplication and addition, of the products alone: the first layer has two (the
    affine map and the gradient of its weights), the second one more (the gradient of its input).
    """
    D, H, C = input_size, hidden_size, output_size
    return 2 * batch_size * (2 * D * H + 3 * H * C)


def threads_used(network: Network, limit: int) -> int:
    """Return how many of `limit` threads a training step may take; a small one takes one."""
    # As the training itself decides it, before it tries how many pay: a step is three times the
    # work of a forward pass.
    flops = 3 * network.batch_size * flops_per_row(network[:3])
    return max(1, min(limit, flops // FLOPS_PER_THREAD))


def share_of_peak(flops_per_second: float, peak_gflops: float, threads: int) -> float:
    """Return a speed as a share of that which `threads` cores reach at most."""
    return flops_per_second / (1e9 * peak_gflops * threads)


def peak_gflops(dtype: npt.DTypeLike, seconds: float = 0.1) -> float:
    """Measure the arithmetic of one core: fused multiply-adds on registers, in GFLOP/s.

    Parameters
    ----------
    dtype : dtype
        float32 or float64.
    seconds : float
        About how long to measure. The fastest of ten or more short runs counts.

    Returns
    -------
    float
        Billions of floating-point operations a second, an FMA being two.
    """
    dtype = np.dtype(dtype)
    x = np.asarray(0.5, dtype)[()]
    fma_loop(x, 1)  # compiles
    repetitions, elapsed = 1000, 0.0
    while elapsed < seconds / 20:
        repetitions *= 2
        elapsed = _timed_loop(x, repetitions)
    fastest = min(elapsed, *(_timed_loop(x, repetitions) for _ in range(10)))
    return repetitions * flops_per_repetition(dtype) / fastest / 1e9


def _timed_loop(x: Any, repetitions: int) -> float:
    started = time.perf_counter()
    fma_loop(x, repetitions)
    return time.perf_counter() - started


class Problem:
    """Random data for a network, and the two networks that learn them, warmed up.

    Parameters
    ----------
    network : Network
        The sizes.
    dtype : dtype
        Of the data and the parameters.
    """

    def __init__(self, network: Network, dtype: npt.DTypeLike) -> None:
        rng = np.random.default_rng(0)
        self.network = network
        self.X = rng.standard_normal((network.num_train, network.input_size)).astype(dtype)
        self.y = rng.integers(0, network.output_size, network.num_train)
        self.nets = {
            "numpy": reference.TwoLayerNet(*network[:3], std=1e-2, dtype=dtype),
            "fastnn": TwoLayerNet(*network[:3], std=1e-2, dtype=dtype, random_state=0),
        }
        for implementation in self.nets:
            self.time_step(implementation, num_iters=2)

    def time_step(self, implementation: str, num_iters: int) -> float:
        """Return :func:`time_step` of the network ``"numpy"`` or ``"fastnn"``."""
        net = self.nets[implementation]
        return time_step(net, self.X, self.y, num_iters, self.network.batch_size)


def time_step(net: Any, X: np.ndarray, y: np.ndarray, num_iters: int, batch_size: int) -> float:
    """Time one call of ``net.train`` and return the seconds a step.

    Parameters
    ----------
    net : TwoLayerNet
        fastnn's, or its NumPy twin :class:`fastnn.reference.TwoLayerNet`; it goes on from the
        parameters that it has.
    X : ndarray of shape (n_samples, n_features)
        Training rows, of the network's dtype. The first five are the validation rows too.
    y : ndarray of shape (n_samples,)
        Class indices.
    num_iters : int
        Number of steps. What a call does besides, checking the data and evaluating each epoch, is
        part of the time: take enough of them.
    batch_size : int
        Rows a step.

    Returns
    -------
    float
        Seconds a step.
    """
    started = time.perf_counter()
    net.train(X, y, X[:5], y[:5], learning_rate=1e-4, num_iters=num_iters, batch_size=batch_size)
    return (time.perf_counter() - started) / num_iters


#: Seconds between two turns: BLAS's threads go on spinning for up to 100 ms after a product, on the
#: cores that the next one needs. With one thread none of them spins.
PAUSE = 0.12


def compare(problem: Problem, threads: int, seconds: float = 4.0, rounds: int = 5) -> Comparison:
    """Measure a step of NumPy and of fastnn, in turns, with as many threads each.

    Parameters
    ----------
    problem : Problem
        What to train.
    threads : int
        For fastnn, and for NumPy's BLAS where :func:`numpy_threads` can set it.
    seconds : float
        About how long to measure, over all rounds.
    rounds : int
        How often each has its turn. The fastest round of each counts.

    Returns
    -------
    Comparison
    """
    dtype = problem.X.dtype
    turn = seconds / rounds / 2
    fastest = {"numpy": float("inf"), "fastnn": float("inf")}
    peak = 0.0
    before = get_num_threads()
    with numpy_threads(threads):
        try:
            set_num_threads(threads)
            num_iters = {name: _calibrate(problem, name, turn) for name in fastest}
            for _ in range(rounds):
                for name in fastest:
                    if threads > 1:
                        time.sleep(PAUSE)
                    problem.time_step(name, num_iters[name] // 3 + 1)  # wakes all cores
                    measured = problem.time_step(name, num_iters[name])
                    fastest[name] = min(fastest[name], measured)
                peak = max(peak, peak_gflops(dtype, seconds=turn / 10))
        finally:
            set_num_threads(before)
    return Comparison(problem.network, dtype, threads, fastest["numpy"], fastest["fastnn"], peak)


def _calibrate(problem: Problem, implementation: str, seconds: float) -> int:
    """Return the number of steps that takes about `seconds`."""
    num_iters, elapsed = 1, 0.0
    while elapsed < seconds / 10 and num_iters < 1_000_000:
        num_iters *= 4
        elapsed = num_iters * problem.time_step(implementation, num_iters)
    return max(1, round(num_iters * seconds / elapsed))


@contextlib.contextmanager
def numpy_threads(threads: int) -> Iterator[None]:
    """Limit the threads of NumPy's BLAS, where threadpoolctl is there to do it."""
    if not has_threadpoolctl():
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        yield


def blas_kernels() -> str:
    """Name NumPy's BLAS and the processor whose kernels it runs, where threadpoolctl can tell.

    Where several libraries may be the one, all are named. A comparison must say which: held to
    those of a Haswell by ``OPENBLAS_CORETYPE``, OpenBLAS took half as long again on a Zen 5 core.
    """
    if not has_threadpoolctl():
        return "unknown"
    from threadpoolctl import threadpool_info

    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    places = [Path(library["filepath"]).resolve().parents for library in libraries]
    # NumPy's wheels bring theirs in one of these two, and SciPy's bring another.
    numpy_folder = Path(np.__file__).resolve().parent
    wheel = numpy_folder, numpy_folder.with_name("numpy.libs")
    own = [any(folder in place for folder in wheel) for place in places]
    if not any(own):  # the system's: no package's
        own = [numpy_folder.parent not in place for place in places]
    if not any(own):
        own = [True] * len(libraries)
    names = {_name_of(library) for library in itertools.compress(libraries, own)}
    return " or ".join(sorted(names)) or "unknown"


def _name_of(library: dict[str, Any]) -> str:
    names = library["internal_api"], library["version"], library.get("architecture")
    return " ".join(str(name) for name in names if name)


def has_threadpoolctl() -> bool:
    """Tell whether :func:`numpy_threads` can limit NumPy's threads."""
    try:
        import threadpoolctl  # noqa: F401
    except ImportError:
        return False
    return True
