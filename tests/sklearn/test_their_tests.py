"""scikit-learn's own tests of its perceptrons, of the installed release, through both doors."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("sklearn.neural_network.tests")

import sklearn.neural_network.tests as theirs

FOLDER = Path(theirs.__file__).parent
IMPORT = "from sklearn.neural_network import MLPClassifier, MLPRegressor"

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
            shutil.copy(FOLDER / file, folder)
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


def test_with_one_changed_import(tmp_path):
    text = (FOLDER / "test_mlp.py").read_text(encoding="utf-8")
    assert text.count(IMPORT) == 1
    replaced = text.replace(IMPORT, "from fastnn import MLPClassifier, MLPRegressor")
    (tmp_path / "test_mlp.py").write_text(replaced, encoding="utf-8")
    assert run(tmp_path, ["test_mlp.py"], patches=False) >= 50


def test_unchanged_under_the_patch(tmp_path):
    files = ["test_mlp.py", "test_base.py", "test_stochastic_optimizers.py"]
    assert run(tmp_path, files, patches=True) >= 60
