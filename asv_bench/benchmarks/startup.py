"""What a user waits for before the first step: imports and compilation.

Nothing here imports fastnn itself: each measurement starts a Python of its own.
"""

import os
import statistics
import subprocess
import sys
import tempfile

from .common import described

#: A cold start compiles for seconds; three of them agree within a few per cent.
ROUNDS = 3

FIRST_TRAINING = """
import numba, numpy as np, time
start = time.process_time()
import fastnn
X, y = np.zeros((20, 4)), np.zeros(20, np.int64)
fastnn.TwoLayerNet(4, 10, 3).train(X, y, X, y, num_iters=1, batch_size=5)
print(time.process_time() - start)
"""


def output_of(code, cache):
    """Run `code` in a fresh Python, with its Numba cache in `cache`; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_CACHE_DIR": cache},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


class Import:
    """fastnn's import is numba's, and a little more."""

    params = ("numpy", "numba", "fastnn")
    param_names = ("package",)

    @described("Import: time")
    def timeraw_import(self, package):
        """Seconds to import a package in a fresh process."""
        return f"import {package}"


class FirstTraining:
    """From ``import fastnn`` to the end of the first step, once numba is imported."""

    params = ("warm", "empty")
    param_names = ("cache",)
    timeout = 600

    @described("First training: time", unit="seconds")
    def track_first_training(self, cache):
        """Seconds of the processor, with the machine code in Numba's cache, and with none."""
        times = []
        with tempfile.TemporaryDirectory() as shared:
            if cache == "warm":
                output_of(FIRST_TRAINING, shared)
            for _ in range(ROUNDS):
                with tempfile.TemporaryDirectory() as fresh:
                    folder = shared if cache == "warm" else fresh
                    times.append(float(output_of(FIRST_TRAINING, folder)))
        return statistics.median(times)
