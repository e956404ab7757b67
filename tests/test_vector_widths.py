"""The same training with the vectors of older processors: tiles, padding and groups differ."""

import os
import platform
import subprocess
import sys
import textwrap

import pytest

from fastnn.kernels.llvm.processor import vector_registers

AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+popcnt"
PROCESSORS = {"haswell": (AVX2, 32), "x86-64": ("+sse,+sse2", 16)}

PROGRAM = """
    import numpy as np
    from fastnn import TwoLayerNet, reference
    from fastnn.kernels.loop import buffers, tape
    from fastnn.kernels.llvm.processor import VECTOR_BYTES

    raws = []

    def guarded(size, dtype):
        count = size * np.dtype(dtype).itemsize
        raw = np.full(count + 8192 + 64, 0xFF, np.uint8)
        first = 4096 + -(raw.ctypes.data + 4096) % 64
        raw[first : first + count] = 0
        raws.append((raw, first, first + count))
        return raw[first : first + count].view(dtype)

    tape.empty_aligned = buffers.empty_aligned = guarded
    random = np.random.RandomState(0)
    sizes = (4, 10, 3), (17, 19, 21), (70, 50, 10), (130, 33, 5), (40, 97, 18), (50, 1, 3)
    for D, H, C in (*sizes, (1, 1, 1)):
        for dtype, tolerance in ((np.float64, 1e-9), (np.float32, 1e-3),):
            X, y = random.randn(60, D).astype(dtype), random.randint(0, C, 60)
            losses = []
            for cls in (TwoLayerNet, reference.TwoLayerNet):
                np.random.seed(1)
                net = cls(D, H, C, std=0.1, dtype=dtype)
                history = net.train(X, y, X, y, 0.1, reg=0.01, num_iters=40, batch_size=23)
                losses.append(history["loss_history"])
            np.testing.assert_allclose(*losses, rtol=tolerance, atol=1e-12)
    assert len(raws) > 12
    for raw, first, stop in raws:
        assert (raw[:first] == 0xFF).all() and (raw[stop:] == 0xFF).all()
    print(VECTOR_BYTES)
"""

EVERY_ACTIVATION = """
    from fastnn import kernels

    for code, name in enumerate(reference.activations.ACTIVATIONS):
        for dtype in (np.float64, np.float32):
            eps, largest = np.finfo(dtype).eps, np.finfo(dtype).max
            far = [0, 10, -10, 200, -200, 2000, -2000, largest, -largest, np.inf, -np.inf, np.nan]
            Z = np.concatenate([3 * random.randn(129), far]).astype(dtype)
            A, D, expected, expected_D = Z.copy(), np.empty_like(Z), Z.copy(), np.empty_like(Z)
            kernels.activation(A, code, D)
            reference.activation(expected, code, expected_D)
            np.testing.assert_allclose(A, expected, 8 * eps, 4 * eps, err_msg=name)
            np.testing.assert_allclose(D, expected_D, 8 * eps, 4 * eps, err_msg=name)
"""

x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 only")


def run(program, **settings):
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr or f"ended by signal {-result.returncode}"
    return result.stdout


@x86
@pytest.mark.parametrize("name", PROCESSORS)
def test_training_follows_the_twin_on(name):
    features, vector_bytes = PROCESSORS[name]
    printed = run(PROGRAM + EVERY_ACTIVATION, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features)
    assert int(printed) == vector_bytes


@pytest.mark.parametrize("raises", [True, False])
def test_training_follows_the_twin_where_llvm_does_not_know_the_processor(raises):
    # It raises on some systems, and lists nothing on others.
    program = f"""
    import llvmlite.binding as llvm
    from llvmlite.binding.targets import FeatureMap

    def unknown():
        if not {raises}:
            return FeatureMap()
        raise RuntimeError("failed to get host cpu features.")

    llvm.get_host_cpu_features = unknown
    {PROGRAM.replace("(np.float64, 1e-9), ", "")}
    """
    assert int(run(program)) == 16


@x86
def test_no_vectors_of_avx_where_numba_avoids_it():
    program = "from fastnn.kernels.llvm.processor import VECTOR_BYTES; print(VECTOR_BYTES)"
    assert int(run(program, NUMBA_ENABLE_AVX="0")) == 16


@pytest.mark.parametrize(
    ("triple", "features", "registers"),
    [
        ("aarch64-unknown-linux-gnu", set(), 32),
        ("aarch64-unknown-linux-gnu", {"neon"}, 32),
        ("arm64-apple-darwin24.1.0", set(), 32),
        ("aarch64-pc-windows-msvc", set(), 32),
        ("armv7l-unknown-linux-gnueabihf", {"neon"}, 16),
        ("x86_64-unknown-linux-gnu", {"avx", "avx2", "avx512f"}, 32),
        ("x86_64-unknown-linux-gnu", {"avx", "avx2"}, 16),
        ("x86_64-unknown-linux-gnu", set(), 16),
    ],
)
def test_vector_registers(triple, features, registers):
    assert vector_registers(triple, features) == registers
