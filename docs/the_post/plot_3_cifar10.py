"""
3. CIFAR-10
===========

Fifty thousand colour images of 32x32 pixels in ten classes, and a network of 3,072 inputs and
fifty hidden units: the last and the longest part of the post. The data have to be fetched (its
*binary version*, 163 MB), so what is shown here was recorded. This page is the program that did
it:

.. code-block:: sh

    FASTNN_CIFAR10=cifar-10-batches-bin python docs/the_post/plot_3_cifar10.py

With the variable set to the folder of the data, it trains and writes ``recorded_cifar10.npz``;
without, it draws what that file holds.
"""

import json
import os
import platform
from datetime import date
from pathlib import Path

import numpy as np

from fastnn import TwoLayerNet, get_num_threads, reference, set_num_threads
from fastnn.benchmark import blas_kernels, numpy_threads, peak_gflops, time_step
from fastnn.data import load_dataset
from fastnn.plotting import plot_history, plot_weights

FOLDER = os.environ.get("FASTNN_CIFAR10")
try:
    HERE = Path(__file__).parent
except NameError:  # while the book is built
    HERE = Path.cwd()
RECORDED = HERE / "recorded_cifar10.npz"

# %%
# The data
# --------
#
# 49,000 images to learn from, 1,000 for validation and 1,000 for the test, with the mean image
# subtracted: numbers of float64 from -255 to 255, 1.2 GB of them.


def load(dtype):
    data = load_dataset(FOLDER)
    mean = data.X_train.mean(axis=0)
    parts = (data.X_train, data.X_val, data.X_test[:1000])
    X_train, X_val, X_test = ((part - mean).astype(dtype, copy=False) for part in parts)
    return (X_train, data.y_train), (X_val, data.y_val), (X_test, data.y_test[:1000])


# %%
# The first try, and the grid
# ---------------------------
#
# The post's first network is trained for 1,000 steps with a learning rate of 1e-4, and reaches
# 0.287 on the validation images. Then it tries learning rates of 1e-2 and 1e-3 with penalties of
# 0.4, 0.5 and 0.6, for 2,000 steps each, and reaches 0.497 on validation and 0.496 on test images.
# At 1e-2 the training diverges: after some three hundred steps the loss is infinite. The grid
# survives that, with a warning.


def first_try(train, val):
    np.random.seed(0)
    net = TwoLayerNet(3072, 50, 10)
    history = net.train(
        *train,
        *val,
        num_iters=1000,
        batch_size=200,
        learning_rate=1e-4,
        learning_rate_decay=0.95,
        reg=0.5,
    )
    return net, history


def grid(train, val):
    best, results = None, []
    for learning_rate in (1e-2, 1e-3):
        for reg in (0.4, 0.5, 0.6):
            np.random.seed(0)
            net = TwoLayerNet(3072, 50, 10)
            with np.errstate(all="ignore"):
                history = net.train(
                    *train,
                    *val,
                    num_iters=2000,
                    batch_size=200,
                    learning_rate=learning_rate,
                    learning_rate_decay=0.95,
                    reg=reg,
                )
            accuracy = float((net.predict(val[0]) == val[1]).mean())
            diverged = not np.isfinite(history["loss_history"][-1])
            results.append((learning_rate, reg, accuracy, diverged))
            if best is None or accuracy > best[0]:
                best = accuracy, net, history
    return best[1], best[2], results


# %%
# The time of a step
# ------------------
#
# NumPy's twin and the compiled loop in turns, on the same rows, with as many threads each: the
# fastest of several turns counts.


def time_both(data, threads):
    before, (X, y) = get_num_threads(), data[0]
    nets = {}
    for name, kind in (("NumPy", reference.TwoLayerNet), ("fastnn", TwoLayerNet)):
        np.random.seed(0)
        nets[name] = kind(3072, 50, 10, dtype=X.dtype)
    fastest = dict.fromkeys(nets, np.inf)
    set_num_threads(threads)
    with numpy_threads(threads):
        for _ in range(7):
            for name, net in nets.items():
                fastest[name] = min(fastest[name], time_step(net, X, y, 100, 200))
    set_num_threads(before)
    return [X.dtype.name, threads, fastest["NumPy"], fastest["fastnn"]]


# %%
# Recording
# ---------


def images(net):
    """Return the first weights as bytes, each unit scaled by itself."""
    W = net.params["W1"]
    low, high = W.min(axis=0), W.max(axis=0)
    return np.round((W - low) / (high - low) * 255).astype(np.uint8)


def record():
    train, val, test = data = load(np.float64)
    first, first_history = first_try(train, val)
    best, best_history, results = grid(train, val)
    facts = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"{peak_gflops('float64'):.0f} GFLOP/s a core in float64",
        "numpy": f"NumPy {np.__version__} on {blas_kernels()}",
        "first": float((first.predict(val[0]) == val[1]).mean()),
        "grid": results,
        "val": float((best.predict(val[0]) == val[1]).mean()),
        "test": float((best.predict(test[0]) == test[1]).mean()),
        "times": [],
    }
    for dtype in ("float64", "float32"):
        data = data if dtype == "float64" else load(np.float32)
        for threads in range(1, min(2, get_num_threads()) + 1):
            facts["times"].append(time_both(data, threads))
    arrays = {"first.W1": images(first), "best.W1": images(best)}
    for name, history in (("first", first_history), ("best", best_history)):
        for key, values in history.items():
            arrays[f"{name}.{key}"] = np.asarray(values, np.float32)
    np.savez_compressed(RECORDED, facts=json.dumps(facts), **arrays)


if FOLDER:
    record()

# %%
# What was recorded
# -----------------

with np.load(RECORDED) as kept:
    kept = dict(kept)
facts = json.loads(str(kept["facts"]))
print("recorded on", facts["date"])
print(facts["machine"])
print(facts["numpy"])


def history_of(name):
    keys = ("loss_history", "train_acc_history", "val_acc_history")
    return {key: kept[f"{name}.{key}"] for key in keys}


def network_of(name):
    net = TwoLayerNet(3072, 50, 10)
    net.params["W1"] = kept[f"{name}.W1"].astype(float)
    return net


print(f"first try: validation accuracy {facts['first']:.3f} (the post: 0.287)")
figure = plot_history(history_of("first"))

# %%
# The first weights hardly differ from each other: blurred pictures of what most images have in
# common.

figure = plot_weights(network_of("first"), (32, 32, 3))

# %%
# The grid, and the best of it.

for learning_rate, reg, accuracy, diverged in facts["grid"]:
    result = "diverged" if diverged else f"validation accuracy {accuracy:.3f}"
    print(f"learning rate {learning_rate:<6g} reg {reg:<4g} {result}")
print(f"best: validation {facts['val']:.3f}, test {facts['test']:.3f} (the post: 0.497 and 0.496)")
figure = plot_history(history_of("best"))

# %%
# The units have become different: colours, edges, and here and there a car.

figure = plot_weights(network_of("best"), (32, 32, 3))

# %%
# And the time of a step, in milliseconds.

print("precision  threads   NumPy  fastnn   ratio")
for dtype, threads, slow, fast in facts["times"]:
    print(f"{dtype:11}{threads:7}{1e3 * slow:8.2f}{1e3 * fast:8.2f}{slow / fast:8.2f}")
