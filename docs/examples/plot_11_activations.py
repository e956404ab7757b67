"""
Activations and their derivatives
=================================

All activations, drawn by the kernel that the training loop uses: ``fastnn.kernels.activation``
replaces each number by f of it, and writes the derivative beside.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import kernels
from fastnn.reference.activations import ACTIVATIONS

z = np.linspace(-4, 4, 400)
rows = -(-len(ACTIVATIONS) // 3)
figure, axes = plt.subplots(rows, 3, figsize=(9, 2.4 * rows), layout="constrained", sharex=True)
for code, (axis, name) in enumerate(zip(axes.flat, ACTIVATIONS)):
    values, derivatives = z.copy(), np.empty_like(z)
    kernels.activation(values, code, derivatives)
    axis.plot(z, values, label="f")
    axis.plot(z, derivatives, label="f'", linestyle="--")
    axis.set(title=name, ylim=(-1.5, 3))
    axis.grid(alpha=0.25)
for axis in axes.flat[len(ACTIVATIONS) :]:
    axis.set_visible(False)
legend = axes[0, 0].legend(frameon=False)
