"""
Counts: a Poisson head
======================

How many events an hour, by the time of the day and the temperature? Counts are never negative,
and their variance grows with their mean. ``head="exponential"`` predicts the rate, and is trained
on half of the Poisson deviance; squared errors would be ruled by the busiest hours.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import Network, Trainer

rng = np.random.default_rng(0)
hour, warmth = rng.uniform(0, 24, 4000), rng.normal(15, 6, 4000)


def rate_of(hour, warmth):
    rush = np.exp(-((hour - 8) ** 2) / 3) + np.exp(-((hour - 18) ** 2) / 5)
    return (0.3 + 8 * rush) * np.exp((warmth - 15) / 12)


counts = rng.poisson(rate_of(hour, warmth))
X = np.column_stack([hour, warmth])
net = Network(
    (2, 64, 64, 1),
    activation="tanh",
    head="exponential",
    input_mean=X.mean(axis=0),
    input_scale=X.std(axis=0),
    random_state=0,
)
trainer = Trainer(net, batch_size=100, max_iter=200, early_stopping=True, random_state=0)
history = trainer.fit(X, counts)
best = history["val_score"][trainer.best_epoch_ - 1]
print(f"share of the deviance explained, on validation rows: {best:.3f}")

figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
hours = np.linspace(0, 24, 200)
for degrees, color in ((5, "#1f6fb4"), (15, "#2e7d32"), (25, "#e07b00")):
    rows = np.column_stack([hours, np.full(200, float(degrees))])
    axes.plot(hours, net.predict(rows), color=color, label=f"predicted at {degrees} degrees")
    axes.plot(hours, rate_of(hours, degrees), color=color, linestyle=":", linewidth=1)
near = abs(warmth - 15) < 2
axes.scatter(hour[near], counts[near], s=5, color="#8a8a8a", alpha=0.5, label="counts near 15")
axes.set(xlabel="Hour", ylabel="Events an hour", title="Predicted rates, and the true ones dotted")
legend = axes.legend(frameon=False)
