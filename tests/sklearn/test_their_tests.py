"""scikit-learn's own tests of its perceptrons, of the installed release, through both doors."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("sklearn.neural_network.tests")

import sklearn.neural_network.tests as theirs

FOLDER = Path(theirs.__file__).parent
IMPORT = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
#: What two predictions, of float32 and of float64, may differ by: early releases ask for less than
#: the rounding of a sum that is near 0, and pass by the order in which their BLAS adds; later ones
#: ask for the bound below.
BOUND = "assert_allclose(pred_64, pred_32, rtol={})"

PROGRAM = """
import sys, pytest
import fastnn
from fastnn.sklearn import training

fits, fit = [], training.fit
training.fit = lambda *args: (fits.append(1), fit(*args))[1]
if {patches}:
    fastnn.patch_sklearn()
code = pytest.main({arguments})
from sklearn.neural_network import MLPClassifier
assert len(fits) > 50
assert hasattr(MLPClassifier._fit_stochastic, "fastnn") == {patches}
sys.exit(code)
"""


def run(folder, files, patches):
    """Run some of their tests in a process of its own; return the count of those that passed."""
    for file in files:
        # A copy: inside of scikit-learn, its fixtures would be found twice.
        if not (folder / file).exists():
            text = (FOLDER / file).read_text(encoding="utf-8")
            (folder / file).write_text(bounded(text), encoding="utf-8")
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "sklearn.conftest", "-c", "pytest.ini"]
    (folder / "pytest.ini").write_text("[pytest]\n")
    program = PROGRAM.format(patches=patches, arguments=arguments + files)
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    last = result.stdout.strip().splitlines()[-1]
    assert "failed" not in last
    assert "error" not in last
    return int(re.search(r"(\d+) passed", last)[1])


def bounded(text):
    return text.replace(BOUND.format("1e-04"), BOUND.format("5e-04"))


def test_with_one_changed_import(tmp_path):
    text = (FOLDER / "test_mlp.py").read_text(encoding="utf-8")
    assert text.count(IMPORT) == 1
    replaced = text.replace(IMPORT, "from fastnn import MLPClassifier, MLPRegressor")
    (tmp_path / "test_mlp.py").write_text(bounded(replaced), encoding="utf-8")
    assert run(tmp_path, ["test_mlp.py"], patches=False) >= 50


def test_unchanged_under_the_patch(tmp_path):
    files = ["test_mlp.py", "test_base.py", "test_stochastic_optimizers.py"]
    assert run(tmp_path, files, patches=True) >= 60
