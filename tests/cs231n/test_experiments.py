"""The course's experiments, as examples/cs231n.py has them, on images that are made here."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from fastnn import cs231n, reference

from .problems import assert_equal

EXAMPLE = Path(__file__).parents[2] / "examples" / "cs231n.py"
CLASSES = 10


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("cs231n_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def images():
    """Return images of ten classes with the range of CIFAR-10's without their mean."""
    random = np.random.RandomState(0)
    centres, data = 12 * random.randn(CLASSES, 32, 32, 3), {}
    for part, n in (("train", 4000), ("val", 200)):
        y = random.randint(0, CLASSES, n)
        data[f"X_{part}"] = (centres[y] + 60 * random.randn(n, 32, 32, 3)).astype(np.float32)
        data[f"y_{part}"] = y
    return data


@pytest.mark.parametrize("layers", [3, 5])
def test_fifty_images_are_learnt_by_heart(example, images, layers):
    ours, plain = (example.overfit(module, images, layers) for module in (cs231n, reference.cs231n))
    assert ours.train_acc_history[-1] == 1
    assert len(ours.loss_history) == 40
    assert_equal(ours, plain)


def test_update_rules_are_compared_over_300_steps(example, images):
    ours, plain = (
        example.compare_rules(module, images, num_epochs=8) for module in (cs231n, reference.cs231n)
    )
    assert list(ours) == list(reference.cs231n.UPDATE_RULES)
    for rule, solver in ours.items():
        assert len(solver.loss_history) == 320
        assert solver.best_val_acc > 0.3
        assert_equal(solver, plain[rule])


def test_the_best_network_and_the_picture(example, images, tmp_path, capsys):
    best = example.best_model(cs231n, images, num_epochs=2)
    assert best.best_val_acc > 0.5
    assert "(Epoch 2 / 2) train acc: " in capsys.readouterr().out
    example.draw({"3 layers": best}, {"adam": best}, best, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
