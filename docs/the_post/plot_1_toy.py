"""
1. A toy: scores, loss and gradients
====================================

Five rows, four inputs, ten hidden units, three classes. On a network as small as this, every
number can be checked by hand, and the assignment begins with that.
"""

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np

from fastnn import TwoLayerNet

input_size, hidden_size, num_classes, num_inputs = 4, 10, 3, 5


def init_toy_model(**options):
    np.random.seed(0)
    return TwoLayerNet(input_size, hidden_size, num_classes, std=1e-1, **options)


def init_toy_data():
    np.random.seed(1)
    X = 10 * np.random.randn(num_inputs, input_size)
    return X, np.array([0, 1, 2, 2, 1])


net = init_toy_model()
X, y = init_toy_data()

# %%
# The scores
# ----------
#
# The forward pass is two affine maps with a ReLU between them,
#
# .. math:: A = \max(0,\ X W_1 + b_1), \qquad S = A W_2 + b_2,
#
# for all rows at once: X is (n, D), A (n, H), and S (n, C) holds a score for each class. The post's
# table of scores is what the weights of seed 0 give, and its difference from ours is rounding.

scores = net.loss(X)
post = np.array(
    [
        [-0.81233741, -1.27654624, -0.70335995],
        [-0.17129677, -1.18803311, -0.47310444],
        [-0.51590475, -1.01354314, -0.8504215],
        [-0.15419291, -0.48629638, -0.52901952],
        [-0.00618733, -0.12435261, -0.15226949],
    ]
)
print(scores)
print("largest difference from the post:", abs(scores - post).max())
assert abs(scores - post).max() < 1e-7

# %%
# The loss, and its two conventions
# ---------------------------------
#
# The loss is the mean cross-entropy of the softmax of the scores, plus a penalty on the weights,
#
# .. math::
#
#    L = \frac{1}{n} \sum_i -\log \frac{e^{S_{i y_i}}}{\sum_j e^{S_{ij}}}
#        + p\ \mathrm{reg} \left( \sum W_1^2 + \sum W_2^2 \right).
#
# The post has p = 0.5, so that the gradient of the penalty is ``reg * W``. The course itself has
# p = 1 from 2017 on, and its numbers differ from the post's: on this problem by 0.0189654196, by
# which many readers have found out. ``reg_factor`` says which of the two is meant.

loss, grads = net.loss(X, y, reg=0.1)
print(f"the post,   reg=0.1,  reg_factor=0.5: {loss:.12f}")
course = init_toy_model(reg_factor=1.0)
print(f"the course, reg=0.05, reg_factor=1:   {course.loss(X, y, reg=0.05)[0]:.12f}")
mistaken, _ = net.loss(X, y, reg=0.05)
print(f"the one mistaken for the other:       {mistaken:.12f}")
print(f"which is off by                       {loss - mistaken:.10f}")
assert abs(loss - 1.30378789133) < 1e-11
assert abs(loss - mistaken - 0.0189654196) < 1e-10

# %%
# The gradients
# -------------
#
# ``loss`` also returns the gradient of the loss by each parameter. To check it, shift one parameter
# by a little, in both directions, and look how the loss changes: the central difference
# :math:`(L(w + h) - L(w - h)) / 2h` is the same number by another way. The assignment asks for a
# relative error below 1e-8; *How a step works* derives the formulas.


def numerical_gradient(f, x, h=1e-5):
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        kept = x[place]
        x[place] = kept + h
        above = f()
        x[place] = kept - h
        below = f()
        x[place] = kept
        gradient[place] = (above - below) / (2 * h)
    return gradient


for name in ("W2", "b2", "W1", "b1"):
    numerical = numerical_gradient(lambda: net.loss(X, y, reg=0.1)[0], net.params[name])
    size = np.maximum(1e-8, abs(numerical) + abs(grads[name]))
    error = (abs(numerical - grads[name]) / size).max()
    print(f"{name}: largest relative error {error:.2e}")
    assert error < 1e-8

# %%
# Training
# --------
#
# One hundred steps of stochastic gradient descent, each on a batch drawn with replacement. (The
# expected numbers are those of the course, hence ``reg_factor=1``.)

net = init_toy_model(reg_factor=1.0)
history = net.train(X, y, X, y, learning_rate=1e-1, reg=5e-6, num_iters=100)
losses = history["loss_history"]
print(f"first loss {losses[0]:.13f}, last loss {losses[-1]:.15f}")
assert abs(losses[-1] - 0.017149607938732093) < 1e-12

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
axes.plot(losses)
axes.set(title="Loss on the toy problem", xlabel="Step", ylabel="Loss")
axes.grid(alpha=0.25)

# %%
# The time of a step
# ------------------
#
# The same training, by the twin in plain NumPy and by the compiled loop. Here nearly all of NumPy's
# time is Python: some thirty calls for a few hundred multiplications.

from fastnn import reference  # noqa: E402
from fastnn.benchmark import time_step  # noqa: E402

np.random.seed(0)
plain = reference.TwoLayerNet(input_size, hidden_size, num_classes, std=1e-1, reg_factor=1.0)
again = plain.train(X, y, X, y, learning_rate=1e-1, reg=5e-6, num_iters=100)
print("largest difference of the losses:", abs(np.subtract(losses, again["loss_history"])).max())

slow = min(time_step(plain, X, y, 500, 5) for _ in range(5))
fast = min(time_step(net, X, y, 20_000, 5) for _ in range(5))
print(f"NumPy:  {1e6 * slow:6.2f} microseconds a step")
print(f"fastnn: {1e6 * fast:6.2f} microseconds a step, {slow / fast:.0f} times as fast")
