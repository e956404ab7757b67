"""The experiments of CS231n's notebook on fully-connected networks, and its picture of each.

    python examples/cs231n.py FOLDER_WITH_CIFAR10 [PICTURE.png]

FOLDER_WITH_CIFAR10 holds the binary version of CIFAR-10, in ``cifar-10-batches-bin``. The picture
needs matplotlib. All is as in a notebook of the course, but for the line that imports the classes.
"""

import sys
import time
from pathlib import Path

import numpy as np

from fastnn import cs231n  # was: from cs231n.classifiers.fc_net import FullyConnectedNet, ...
from fastnn.data import load_dataset

#: The update rules that are compared, and the learning rate of each.
RATES = {"sgd": 5e-3, "sgd_momentum": 5e-3, "rmsprop": 1e-4, "adam": 1e-3}


def cifar10(folder):
    """Return the course's CIFAR-10: 49,000 images to train on and 1,000 to validate by."""
    read, data = load_dataset(folder), {}
    for part in ("train", "val"):
        images = getattr(read, f"X_{part}") - read.inputs.mean.astype(np.float32)
        data[f"X_{part}"] = images.reshape(-1, *read.image_shape)
        data[f"y_{part}"] = getattr(read, f"y_{part}")
    return data


def first(data, count):
    """Return data with so many images to train on."""
    few = {name: data[name][:count] for name in ("X_train", "y_train")}
    return data | few


def overfit(module, data, layers=3, verbose=False):
    """Overfit fifty images: whatever can learn learns them by heart."""
    np.random.seed(231)
    scale, rate = (1e-2, 1e-2) if layers == 3 else (1e-1, 2e-3)
    model = module.FullyConnectedNet([100] * (layers - 1), weight_scale=scale, dtype=np.float64)
    solver = module.Solver(
        model,
        first(data, 50),
        optim_config={"learning_rate": rate},
        num_epochs=20,
        batch_size=25,
        print_every=10,
        verbose=verbose,
    )
    solver.train()
    return solver


def compare_rules(module, data, num_epochs=5, verbose=False):
    """Train a network of six layers on 4,000 images by each update rule, from the same weights."""
    solvers = {}
    for rule, rate in RATES.items():
        np.random.seed(231)
        model = module.FullyConnectedNet([100] * 5, weight_scale=5e-2, dtype=np.float64)
        solvers[rule] = module.Solver(
            model,
            first(data, 4000),
            update_rule=rule,
            optim_config={"learning_rate": rate},
            num_epochs=num_epochs,
            batch_size=100,
            verbose=verbose,
        )
        solvers[rule].train()
    return solvers


def best_model(module, data, num_epochs=15, verbose=True):
    """Train the best network: more than half of the validation images are to be right."""
    np.random.seed(231)
    model = module.FullyConnectedNet([200, 100, 50], weight_scale=2e-2, reg=3e-2)
    solver = module.Solver(
        model,
        data,
        update_rule="adam",
        optim_config={"learning_rate": 5e-4},
        lr_decay=0.9,
        num_epochs=num_epochs,
        batch_size=100,
        print_every=490,
        verbose=verbose,
    )
    solver.train()
    return solver


def draw(overfitted, by_rule, best, path):
    """Draw the losses, and the accuracies on the training and on the validation images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 10), layout="constrained")
    grid = figure.subplots(3, 3)
    rows = [
        ("Fifty images", overfitted, "o"),
        ("Update rules, 4,000 images", by_rule, "o"),
        ("Best network, 49,000 images", {"adam": best}, "."),
    ]
    histories = ("loss_history", "train_acc_history", "val_acc_history")
    for axes, (title, solvers, marker) in zip(grid, rows):
        names = ("training loss", "training accuracy", "validation accuracy")
        for ax, name, history in zip(axes, names, histories):
            for label, solver in solvers.items():
                style = {"marker": marker, "linestyle": "none" if name == names[0] else "-"}
                ax.plot(getattr(solver, history), label=label, **style)
            ax.set_title(f"{title}\n{name}")
            ax.set_xlabel("iteration" if name == names[0] else "epoch")
            ax.grid(alpha=0.3)
            ax.legend()
    grid[0, 0].set_yscale("log")
    grid[2, 2].axhline(0.5, color="grey", linewidth=0.8)
    figure.savefig(path, dpi=80)


def main(folder, path="cs231n.png"):
    """Run all experiments, tell of them, and write the picture."""
    data = cifar10(folder)
    overfitted = {f"{n} layers": overfit(cs231n, data, n) for n in (3, 5)}
    for name, solver in overfitted.items():
        print(f"fifty images, {name}: training accuracy {solver.train_acc_history[-1]:.2f}")
    by_rule = compare_rules(cs231n, data)
    for rule, solver in by_rule.items():
        print(f"4,000 images, {rule}: validation accuracy {solver.best_val_acc:.3f}")
    begun = time.perf_counter()
    best = best_model(cs231n, data)
    seconds = time.perf_counter() - begun
    print(f"best network: validation accuracy {best.best_val_acc:.3f}, in {seconds:.0f} s")
    draw(overfitted, by_rule, best, path)
    print(f"wrote {Path(path).resolve()}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
