"""
Many networks at once: an ensemble
==================================

Twenty networks from twenty seeds, trained side by side in threads that share the data. Where they
agree, the ensemble is sure; far from all data they differ, and their spread says so.
"""

from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import numpy as np

from fastnn import Network, Trainer, set_num_threads

rng = np.random.default_rng(1)
x = np.concatenate([rng.uniform(-3, -0.7, 120), rng.uniform(0.5, 2.5, 120)])
X, y = x[:, None], np.sin(2 * x) + rng.normal(0, 0.15, x.size)


def member(seed):
    net = Network((1, 50, 50, 1), activation="tanh", head="identity", random_state=seed)
    Trainer(net, batch_size=40, max_iter=300, random_state=seed).fit(X, y)
    return net


set_num_threads(1)  # one thread for each network: no meetings
with ThreadPoolExecutor() as pool:
    members = list(pool.map(member, range(20)))
set_num_threads(None)

grid = np.linspace(-4.5, 4.5, 300)
curves = np.array([net.predict(grid[:, None]) for net in members])
figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
axes.plot(grid, curves.T, color="#1f6fb4", alpha=0.25, linewidth=0.8)
axes.plot(grid, curves.mean(axis=0), color="#1f6fb4", linewidth=2, label="mean of 20")
axes.fill_between(
    grid,
    curves.mean(axis=0) - 2 * curves.std(axis=0),
    curves.mean(axis=0) + 2 * curves.std(axis=0),
    color="#1f6fb4",
    alpha=0.12,
    label="two standard deviations",
)
axes.scatter(x, y, s=8, color="#e07b00", label="data")
axes.set(ylim=(-2.5, 2.5), xlabel="x", ylabel="y")
legend = axes.legend(frameon=False, loc="upper left")
