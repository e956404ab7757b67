"""What importing costs and needs, and how the package runs where Numba cannot work as usual."""

import gc
import json
import os
import pickle
import re
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import TypingError

import fastnn
from fastnn import Network, reference
from fastnn.kernels import _jit

TRAINING = """
    import numpy as np
    from fastnn import TwoLayerNet
    np.random.seed(0)
    net = TwoLayerNet(6, 5, 3, std=0.1)
    X, y = np.random.randn(40, 6), np.random.randint(0, 3, 40)
    history = net.train(X, y, X, y, 0.1, num_iters=30, batch_size=7)
"""


def python(source, **environment):
    """Run a program in a process of its own and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_takes_nothing_but_numpy():
    out = python("import sys, fastnn; print(*sys.modules)")
    loaded = {name.split(".")[0] for name in out.split()}
    extras = {"sklearn", "scipy", "matplotlib", "rich", "click", "pandas", "asv", "pytest"}
    assert not loaded & (extras | {"numba", "llvmlite"})


def test_folders_and_files_are_attributes_without_an_import_of_their_own():
    names = ["benchmark", "cs231n", "data", "kernels", "plotting", "reference", "sklearn"]
    out = python(
        f"""
        import sys, fastnn
        for name in {names}:
            assert name in dir(fastnn)
            assert getattr(fastnn, name) is sys.modules[f"fastnn.{{name}}"]
        fastnn.data.load_xy, fastnn.plotting.plot_history, fastnn.cs231n.Solver
        print(hasattr(fastnn, "plots"))
        """
    )
    assert out == "False\n"


def test_training_takes_no_extra(tmp_path):
    absent = {"sklearn", "matplotlib", "rich", "click", "threadpoolctl"}
    python(
        f"""
        import sys
        for name in {sorted(absent)}:
            sys.modules[name] = None  # importing it fails
        {TRAINING}
        path = {str(tmp_path / "model.safetensors")!r}
        net.save(path)
        assert (TwoLayerNet.load(path).predict(X) == net.predict(X)).all()
        """.replace(TRAINING, textwrap.indent(textwrap.dedent(TRAINING), " " * 8))
    )


def test_a_warm_start_loads_nothing_but_its_kernels():
    for _ in range(2):  # the first may have to compile
        modules = python(TRAINING + "    import sys; print(*sys.modules)").split()
    assert "numba" in modules
    assert "scipy.linalg" not in modules  # whose BLAS numba imports before it compiles


def test_few_rows_are_predicted_without_numba(tmp_path):
    Network((6, 5, 3), random_state=0).save(tmp_path / "net.safetensors")
    out = python(
        f"""
        import sys, numpy as np
        from fastnn import Network, TwoLayerNet
        X = np.random.randn(40, 6)
        Network.load({str(tmp_path / "net.safetensors")!r}).predict_proba(X)
        TwoLayerNet(6, 5, 3).predict(X)
        print("numba" in sys.modules)
        """
    )
    assert out == "False\n"


def test_few_rows_are_predicted_by_an_estimator_without_numba(tmp_path):
    pytest.importorskip("sklearn")
    X, y = np.random.RandomState(0).randn(40, 6), np.arange(40) % 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = fastnn.MLPClassifier((5,), max_iter=2).fit(X, y)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(estimator))
    out = python(
        f"""
        import pickle, sys
        from pathlib import Path
        import numpy as np
        from fastnn import MLPClassifier
        estimator = pickle.loads(Path({str(tmp_path / "model.pickle")!r}).read_bytes())
        assert isinstance(estimator, MLPClassifier)
        estimator.predict(np.random.randn(40, 6))
        print("numba" in sys.modules)
        """
    )
    assert out == "False\n"


def test_one_compilation_a_dtype_serves_all_shapes():
    out = python(
        """
        import numpy as np
        from fastnn import TwoLayerNet
        from fastnn.kernels.loop.train import train
        for dtype in (np.float32, np.float64):
            for D, H, C in ((1, 1, 1), (4, 10, 3), (70, 49, 10), (300, 17, 2)):
                X, y = np.zeros((9, D), dtype), np.zeros(9, int)
                writable = TwoLayerNet(D, H, C, dtype=dtype)
                writable.train(X, y, X, y, num_iters=3)
                X.flags.writeable = False
                writable.train(X.T.copy().T, y.tolist(), X, y, num_iters=3)
        print(len(train.signatures))
        """
    )
    assert out == "2\n"


def test_without_jit_the_twin_trains():
    source = textwrap.dedent(TRAINING) + (
        "import json\nprint(json.dumps([history, net.predict(X).tolist()]))\n"
    )
    history, predicted = json.loads(python(source, NUMBA_DISABLE_JIT="1"))
    np.random.seed(0)
    net = reference.TwoLayerNet(6, 5, 3, std=0.1)
    X, y = np.random.randn(40, 6), np.random.randint(0, 3, 40)
    expected = net.train(X, y, X, y, 0.1, num_iters=30, batch_size=7)
    np.testing.assert_allclose(history["loss_history"], expected["loss_history"], rtol=1e-12)
    assert history["val_acc_history"] == expected["val_acc_history"]
    assert predicted == net.predict(X).tolist()


def test_without_jit_the_kernels_are_their_twins():
    out = python(
        """
        import numpy as np
        from fastnn import kernels, reference
        S, y = np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([0, 1])
        twin = S.copy()
        assert kernels.softmax_gradient(S, y) == reference.softmax_gradient(twin, y)
        assert (S == twin).all()
        workspace = kernels.empty_workspace(2, 2, 2, float)
        kernels.affine(S, y, S, y, True, workspace, twin)
        print((twin == np.maximum(S @ S + y, 0)).all())
        """,
        NUMBA_DISABLE_JIT="1",
    )
    assert out == "True\n"


def test_a_kernel_that_cannot_be_cached_compiles_all_the_same():
    namespace = {}
    exec("def twice(x):\n    return 2 * x", namespace)  # in no file, so that no cache can name it
    twice = _jit.kernel(namespace["twice"])
    assert twice(21) == 42
    assert twice.targetoptions["nogil"] is True


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(enabled):
    @_jit.kernel
    def twice(x):
        return 2 * x

    @_jit.kernel
    def impossible(x):
        return not_defined(x)  # noqa: F821

    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        assert twice(21) == 42
        assert gc.isenabled() is enabled
        with pytest.raises(TypingError, match="not_defined"):
            impossible(21)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


def test_training_without_any_folder_to_cache_in(tmp_path):
    # As of a read-only install by a user without a home: every place that numba tries refuses.
    prevent = """
        import numba.core.caching as caching
        def refuse(self):
            raise OSError("read-only")
        for locator in caching.CacheImpl._locator_classes:
            locator.ensure_cache_path = refuse
    """
    check = """
        from fastnn.kernels.loop.train import train
        assert not train.stats.cache_path
        print(len(history["loss_history"]))
    """
    source = "\n".join(map(textwrap.dedent, (prevent, TRAINING, check)))
    assert python(source) == "30\n"


def test_public_names():
    assert set(fastnn.__all__) <= set(dir(fastnn))
    for name in fastnn.__all__:
        assert getattr(fastnn, name).__doc__
    assert fastnn.__version__.count(".") == 2


def test_kernels_that_a_training_does_without_are_imported_where_one_asks_for_them():
    # Of one name, kernels and modules: whatever comes first, a name gives the kernel.
    check = """
        import sys
        import fastnn.kernels as kernels
        rest = ("heads", "nonzeros", "peak", "sparse", "update")
        assert not [name for name in rest if f"fastnn.kernels.{name}" in sys.modules]
        import fastnn.kernels.update
        assert set(kernels.__all__) <= set(dir(kernels))
        names = [getattr(kernels, name).__name__ for name in kernels.__all__]
        assert names == kernels.__all__
        from fastnn.kernels import *
        assert adam_update is fastnn.kernels.update.adam_update
        try:
            kernels.no_kernel
        except AttributeError as error:
            print(error)
    """
    source = "\n".join(map(textwrap.dedent, (TRAINING, check)))
    assert "has no attribute 'no_kernel'" in python(source)


@pytest.mark.parametrize(
    "listing",
    [
        "fastnn/network.py",
        "fastnn/sklearn/estimators.py",
        "docs/start.md",
        "docs/guides/scikit-learn.md",
    ],
)
def test_what_lists_the_activations_lists_all_of_them(listing):
    words = (Path(__file__).parents[1] / listing).read_text(encoding="utf-8")
    # scikit-learn's own go without saying.
    added = reference.activations.ACTIVATIONS.keys() - {"identity", "relu", "tanh", "logistic"}
    missing = sorted(name for name in added if not re.search(rf"\b{name}\b", words))
    assert not missing, f"{listing} says nothing of the activations {missing}"
