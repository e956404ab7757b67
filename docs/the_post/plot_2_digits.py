"""
2. Images: the same network on digits
=====================================

The post goes on with CIFAR-10, which has to be fetched. Before that, here is its whole programme
on images that come with scikit-learn: 1,797 handwritten digits of 8x8 pixels. The next page has
the results on CIFAR-10.
"""

import numpy as np
from sklearn.datasets import load_digits

from fastnn import TwoLayerNet, reference
from fastnn.plotting import plot_history, plot_weights

X, y = load_digits(return_X_y=True)
order = np.random.RandomState(0).permutation(len(X))
X, y = X[order], y[order]

# %%
# Split and centre
# ----------------
#
# Rows to learn from, rows to choose by (validation), and rows to tell the truth at the end (test).
# The mean image of the first is subtracted from all: what is left says how an image differs from
# the others. Pixels are divided by 16, their largest value.

X_train, y_train = X[:1400], y[:1400]
X_val, y_val = X[1400:1600], y[1400:1600]
X_test, y_test = X[1600:], y[1600:]
mean_image = X_train.mean(axis=0)
X_train, X_val, X_test = ((part - mean_image) / 16 for part in (X_train, X_val, X_test))
print("training rows", X_train.shape, "validation rows", X_val.shape, "test rows", X_test.shape)

# %%
# A first try
# -----------
#
# The weights begin very small (``std=1e-4``), so that all scores are alike, and so are the
# gradients of all units: for a hundred steps, nothing seems to happen. Then the loss falls, and
# training and validation accuracy rise together. A network of which the two still agree has learnt
# nothing by heart, and may be given more: a larger rate, more steps, less penalty.

np.random.seed(0)
net = TwoLayerNet(64, 50, 10)
history = net.train(
    X_train,
    y_train,
    X_val,
    y_val,
    num_iters=300,
    batch_size=200,
    learning_rate=0.5,
    learning_rate_decay=0.95,
    reg=0.01,
)
print(f"validation accuracy: {(net.predict(X_val) == y_val).mean():.3f}")
figure = plot_history(history)

# %%
# The weights of the hidden units as images: a unit responds to images that look like its weights.
# Each still looks like noise with a little of a digit in it.

figure = plot_weights(net, (8, 8))

# %%
# Choosing hyper-parameters
# -------------------------
#
# Which learning rate, which penalty? The post tries a grid of them and keeps what does best on the
# validation rows. A training of 2,000 steps takes a fraction of a second here, so the grid may be
# larger than the post's. (In a terminal, ``fastnn sweep`` does the same on all cores.)

best, results = None, []
for learning_rate in (0.03, 0.1, 0.3, 1.0, 3.0):
    for reg in (0.0, 1e-4, 1e-3, 1e-2):
        np.random.seed(0)
        candidate = TwoLayerNet(64, 50, 10, std=0.1)
        candidate.train(
            X_train, y_train, X_val, y_val, learning_rate, reg=reg, num_iters=2000, batch_size=200
        )
        accuracy = (candidate.predict(X_val) == y_val).mean()
        results.append((learning_rate, reg, accuracy))
        if best is None or accuracy > best[0]:
            best = accuracy, candidate, learning_rate, reg
accuracy, net, learning_rate, reg = best
print(f"best: learning rate {learning_rate:g}, reg {reg:g}, validation accuracy {accuracy:.3f}")
print(f"test accuracy of that one: {(net.predict(X_test) == y_test).mean():.3f}")

# %%
# The weights of the best network: strokes and curves, where the first were noise.

figure = plot_weights(net, (8, 8))

# %%
# The time of a step
# ------------------
#
# The same training in NumPy, from the same seed: the same losses, but for rounding.

from fastnn.benchmark import blas_kernels, time_step  # noqa: E402

losses, seconds = {}, {}
for name, kind in (("NumPy", reference.TwoLayerNet), ("fastnn", TwoLayerNet)):
    np.random.seed(0)
    model = kind(64, 50, 10, std=0.1)
    history = model.train(X_train, y_train, X_val, y_val, 0.3, num_iters=300, batch_size=200)
    losses[name] = np.array(history["loss_history"])
    seconds[name] = min(time_step(model, X_train, y_train, 300, 200) for _ in range(5))
print(f"largest difference of the losses: {abs(losses['NumPy'] - losses['fastnn']).max():.1e}")
print("NumPy's BLAS:", blas_kernels())
for name, step in seconds.items():
    print(f"{name:7}{1e6 * step:7.1f} microseconds a step")
print(f"ratio {seconds['NumPy'] / seconds['fastnn']:.1f}")
assert np.allclose(losses["NumPy"], losses["fastnn"])
