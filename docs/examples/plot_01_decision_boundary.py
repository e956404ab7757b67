"""
A decision boundary as it forms
===============================

Two half moons, sixteen tanh units. A callback looks at the network at the end of each epoch, and
keeps what it predicts all over the plane.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from fastnn import Network, Trainer, optimizers

X, y = make_moons(500, noise=0.2, random_state=0)
net = Network((2, 16, 2), activation="tanh", random_state=0)
x1, x2 = np.meshgrid(np.linspace(-1.8, 2.8, 150), np.linspace(-1.3, 1.8, 110))
plane = np.column_stack([x1.ravel(), x2.ravel()])

epochs, pictures = (1, 5, 15, 30, 60, 150), []


def look(status):
    if status.epoch in epochs:
        chance = net.predict_proba(plane)[:, 1].reshape(x1.shape)
        pictures.append((status.epoch, status.loss, chance))


trainer = Trainer(net, optimizers.Adam(0.01), batch_size=50, max_iter=150, random_state=0)
trainer.fit(X, y, callback=look)

figure, axes = plt.subplots(2, 3, figsize=(9, 5), layout="constrained", sharex=True, sharey=True)
for axis, (epoch, loss, chance) in zip(axes.flat, pictures):
    axis.contourf(x1, x2, chance, np.linspace(0, 1, 11), cmap="RdBu", alpha=0.7)
    axis.contour(x1, x2, chance, [0.5], colors="black", linewidths=1.2)
    axis.scatter(*X.T, c=y, s=6, cmap="RdBu", edgecolors="none")
    axis.set(title=f"epoch {epoch}: loss {loss:.2f}", xticks=[], yticks=[])
