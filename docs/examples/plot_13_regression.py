"""
Regression, several outputs at once
===================================

A robot's arm with two joints: from the angles to the position of the hand and the size of its
torque. Three outputs share the hidden layers; targets are standardised, so that each counts the
same.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import Network, Trainer

rng = np.random.default_rng(0)
angles = rng.uniform(-np.pi, np.pi, (6000, 2))
first, second = angles[:, 0], angles.sum(axis=1)
Y = np.column_stack(
    [np.cos(first) + np.cos(second), np.sin(first) + np.sin(second), 10 * abs(np.cos(second))]
)
Y += rng.normal(0, [0.02, 0.02, 0.2], Y.shape)
mean, scale = Y[:5000].mean(axis=0), Y[:5000].std(axis=0)

net = Network((2, 128, 128, 3), activation="silu", head="identity", random_state=0)
trainer = Trainer(net, schedule="cosine", batch_size=100, max_iter=150, random_state=0)
trainer.fit(angles[:5000], (Y[:5000] - mean) / scale)
predicted = mean + scale * net.predict(angles[5000:])

figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for axis, name, truth, guess in zip(axes, ("x", "y", "torque"), Y[5000:].T, predicted.T):
    axis.scatter(truth, guess, s=4, alpha=0.5)
    axis.axline((0, 0), slope=1, color="black", linewidth=0.8)
    r2 = 1 - np.mean((truth - guess) ** 2) / np.var(truth)
    axis.set(title=f"{name}: R² {r2:.4f}", xlabel="measured", ylabel="predicted")
