"""One compilation a dtype: every network, optimiser, input and option runs the same machine code.

What varies is data to the compiled loop. A type that slips in (a literal, another integer, a
read-only array) would compile it anew, for seconds, in the midst of somebody's work.
"""

import json
import os
import subprocess
import sys
import textwrap

from numba.core.codegen import CPUCodeLibrary

from fastnn.kernels._jit import kernel

PROGRAM = """
    import importlib, json, pkgutil
    import numpy as np
    from numba.core.dispatcher import Dispatcher
    from scipy.sparse import csr_matrix
    import fastnn.kernels
    from fastnn import Network, Trainer, network, optimizers, set_num_threads, threads
    from fastnn.engine import inference

    # Small networks on several threads too, and packed for predictions too.
    threads.FLOPS_PER_THREAD, inference.PER_CALL = 1, -np.inf
    random = np.random.RandomState(0)
    schedules = "constant", "step", "invscaling", "adaptive", "cosine", "one_cycle"

    def use(number, dtype):
        depth = number % 4
        sizes = [random.randint(1, 70) for _ in range(depth + 1)]
        head = network.HEADS[number % 4]
        C = random.randint(2, 9) if head == "softmax" else random.randint(1, 9)
        X = random.randint(0, 3, (61, sizes[0]))
        X_val = random.randint(0, 3, (30, sizes[0]))
        if head == "softmax":
            y, y_val = random.randint(0, C, 61), random.randint(0, C, 30)
        else:
            y, y_val = random.randint(0, 2, (61, C)), random.randint(0, 2, (30, C))
        net = Network(
            [*sizes, C],
            list(network.ACTIVATIONS)[number % len(network.ACTIVATIONS)],
            head,
            dtype=dtype,
            random_state=number,
        )
        kind = (
            lambda X: X.astype(dtype),
            lambda X: X.astype(np.uint8),
            lambda X: csr_matrix(X.astype(dtype)),
            lambda X: csr_matrix(X),
        )[number % 5 % 4]
        X, X_val = kind(X), kind(X_val)
        if number % 6 == 0 and isinstance(X, np.ndarray):
            X.flags.writeable = False
        set_num_threads(1 + number % 3)
        options = {
            "optimizer": list(optimizers.OPTIMIZERS)[number % 5],
            "schedule": schedules[number % 6],
            "batch_size": random.randint(1, 80),
            "max_iter": 3,
            "alpha": (0, 0.01)[number // 2 % 2],
            "max_norm": (None, 1, 0.5)[number % 3],
            "dropout": (0, 0.3)[number // 3 % 2],
            "label_smoothing": 0.1 if number % 8 == 0 else 0,
            "class_weight": "balanced" if number % 12 == 0 else None,
            "early_stopping": number % 7 == 0,
            "replacement": number % 9 == 0,
            "shuffle": number % 10 != 0,
            "random_state": number,
        }
        weights = None if number % 4 < 2 else random.rand(61)
        validation = (X_val, y_val) if number % 2 else ()
        trainer = Trainer(net, **options)
        history = trainer.fit(X, y, *validation, sample_weight=weights)
        assert np.isfinite(history["step_loss"]).all(), options
        net.predict(X)
        net.decision_function(X)
        net.loss_and_gradient(X, y)

    def compilations():
        counts = {}
        for module in pkgutil.walk_packages(fastnn.kernels.__path__, "fastnn.kernels."):
            names = vars(importlib.import_module(module.name))
            for value in names.values():
                if isinstance(value, Dispatcher):
                    counts[value.py_func.__qualname__] = len(value.signatures)
        return counts

    for number in range(20):
        use(number, np.float32)
    counts = [compilations()]
    use(5, np.float64)
    counts.append(compilations())
    print(json.dumps(counts))
"""


def test_twenty_networks_are_one_compilation(tmp_path):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM)],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    one_dtype, two_dtypes = json.loads(run.stdout)
    assert one_dtype["train"] == 1
    assert two_dtypes["train"] == 2
    assert len(one_dtype) > 10
    assert {name: count for name, count in one_dtype.items() if count > 1} == {}
    assert {name: count for name, count in two_dtypes.items() if count > 2} == {}


def test_llvm_goes_through_a_kernel_once(monkeypatch):
    passages = []
    # Numba's own: were it gone, kernels would compile as slowly as without theirs.
    original = CPUCodeLibrary._optimize_functions
    monkeypatch.setattr(
        CPUCodeLibrary,
        "_optimize_functions",
        lambda self, module: (passages.append(self.name), original(self, module)),
    )

    def doubled(x):
        return x + x

    assert kernel(doubled)(21) == 42
    assert [name for name in passages if "doubled" in name] == []
