"""``fastnn plot`` and ``fastnn bench``."""

import re
from pathlib import Path

import numpy as np
import pytest

from fastnn import Network, TwoLayerNet, benchmark
from fastnn.kernels.peak import flops_per_repetition

PNG = b"\x89PNG"


def test_plot_guesses_the_shape_of_images(invoke, tmp_path):
    TwoLayerNet(64, 5, 10, random_state=0).save(tmp_path / "grey.safetensors")
    invoke("plot", "grey.safetensors")
    assert (tmp_path / "weights.png").read_bytes().startswith(PNG)
    TwoLayerNet(24, 5, 10, random_state=0).save(tmp_path / "colour.safetensors")
    invoke("plot", "colour.safetensors", "--image-shape", 2, 4, 3, "--out", "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(PNG)

    message = invoke("plot", "colour.safetensors", code=2).error
    assert "24 inputs, which make no square image: give --image-shape" in message
    message = invoke("plot", "colour.safetensors", "--image-shape", 8, 8, code=1).error
    assert "image_shape (8, 8) has 64 numbers, but the network has 24 inputs" in message


def test_plot_reads_networks(invoke, tmp_path):
    Network((64, 5, 4, 2), random_state=0).save(tmp_path / "net.safetensors")
    invoke("plot", "net.safetensors")
    assert (tmp_path / "weights.png").read_bytes().startswith(PNG)
    Network((7, 2), random_state=0).save(tmp_path / "net.safetensors")
    message = invoke("plot", "net.safetensors", code=2).error
    assert "7 inputs, which make no square image: give --image-shape" in message
    assert "plot draws images only; of a table, history.png shows the training" in message


@pytest.mark.parametrize("name", ["w.jpg", "w.svg", "w.pdf", "w.png.bak"])
def test_plot_writes_png_only(invoke, tmp_path, name):
    # Before anything else: there is no model either.
    message = invoke("plot", "grey.safetensors", "--out", name, code=2).error
    assert (
        f"--out: plot writes PNG, but the name is {name}: needed one that ends in .png" in message
    )
    assert list(tmp_path.iterdir()) == []


def test_plot_writes_png_of_any_name_that_says_nothing_else(invoke, tmp_path):
    TwoLayerNet(64, 5, 10, random_state=0).save(tmp_path / "grey.safetensors")
    for name in ("W.PNG", "weights"):
        invoke("plot", "grey.safetensors", "--out", name)
        assert (tmp_path / name).read_bytes().startswith(PNG)


def test_bench(invoke, monkeypatch):
    toy = benchmark.Network(4, 10, 3, 5, num_train=5)
    monkeypatch.setattr(benchmark, "NETWORKS", (toy,))
    output = invoke("bench", "--seconds", 0.05).stdout
    assert re.search(r"Peak of one core, float32: [\d.]+ GFLOP/s", output)
    assert f"NumPy {np.__version__}, BLAS: {benchmark.blas_kernels()}\n" in output
    rows = [line.split() for line in output.splitlines() if "4-10-3" in line]
    assert [row[:4] for row in rows] == [
        ["4-10-3", "5", dtype, "1"] for dtype in ("float32", "float64")
    ]
    numpy_time, fastnn_time, ratio = (float(value) for value in rows[0][4:7])
    assert ratio == pytest.approx(numpy_time / fastnn_time, rel=0.1)


def test_bench_names_the_kernels_of_blas(monkeypatch):
    import threadpoolctl

    openblas = {
        "user_api": "blas",
        "internal_api": "openblas",
        "version": "0.3",
        "filepath": "a.so",
    }
    libraries = [{"user_api": "openmp"}, openblas | {"architecture": "Haswell"}]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: libraries)
    assert benchmark.blas_kernels() == "openblas 0.3 Haswell"
    libraries[:] = [openblas | {"version": None}]
    assert benchmark.blas_kernels() == "openblas"
    libraries.clear()
    assert benchmark.blas_kernels() == "unknown"
    monkeypatch.setattr(benchmark, "has_threadpoolctl", lambda: False)
    assert benchmark.blas_kernels() == "unknown"


@pytest.mark.parametrize("own", ["numpy.libs/a.so", "numpy/.dylibs/a.dylib", "../../a.so"])
@pytest.mark.parametrize("order", [1, -1])
def test_bench_names_the_blas_of_numpy(monkeypatch, own, order):
    """Of several, whichever was loaded first: SciPy brings another."""
    import threadpoolctl

    packages = Path(np.__file__).parents[1]
    libraries = [
        {
            "user_api": "blas",
            "internal_api": "openblas",
            "version": version,
            "filepath": str(packages / path),
        }
        for version, path in (("1", own), ("2", "scipy.libs/b.so"), ("3", "scipy/.dylibs/b.dylib"))
    ]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: libraries[::order])
    assert benchmark.blas_kernels() == "openblas 1"


def test_bench_names_all_that_it_may_be(monkeypatch):
    import threadpoolctl

    libraries = [
        {"user_api": "blas", "internal_api": api, "version": "1", "filepath": f"/lib/{api}.so"}
        for api in ("openblas", "mkl", "mkl")
    ]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: libraries)
    assert benchmark.blas_kernels() == "mkl 1 or openblas 1"


def test_bench_names_the_blas_that_numpy_has_loaded():
    """The real ones, with SciPy's loaded first."""
    pytest.importorskip("scipy.linalg")
    wheel = Path(np.__file__).parents[1] / "numpy.libs"
    if not wheel.is_dir():
        pytest.skip("NumPy brings no BLAS of its own here")
    version = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["version"]
    assert benchmark.blas_kernels().startswith(f"openblas {version}")


def test_bench_arithmetic():
    network = benchmark.Network(3072, 50, 10, 200)
    assert network.flops == 2 * 200 * (2 * 3072 * 50 + 3 * 50 * 10)
    assert str(network) == "3072-50-10"
    measured = benchmark.Comparison(network, np.dtype("float32"), 2, 4e-3, 1e-3, 100.0)
    assert measured.ratio == 4
    assert measured.share_of_peak == pytest.approx(network.flops / 1e-3 / 200e9)
    assert benchmark.threads_used(network, 2) == 2
    assert benchmark.threads_used(benchmark.NETWORKS[0], 2) == 1
    assert benchmark.peak_gflops("float64", seconds=0.01) > 0.01
    assert flops_per_repetition(np.float32) == 2 * flops_per_repetition(np.float64)
