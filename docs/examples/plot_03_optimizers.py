"""
Learning curves of the optimisers
=================================

The same network, the same first weights and the same batches, under each of the six optimisers,
with a learning rate that suits each.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from fastnn import Network, Trainer, optimizers

X, y = load_digits(return_X_y=True)
choices = {
    "SGD": optimizers.SGD(0.1),
    "momentum": optimizers.Momentum(0.02),
    "Nesterov": optimizers.Momentum(0.02, nesterovs_momentum=True),
    "Adam": optimizers.Adam(2e-3),
    "AdamW": optimizers.AdamW(2e-3, weight_decay=0.05),
    "Lion": optimizers.Lion(4e-4, weight_decay=0.1),
}

figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
for name, optimizer in choices.items():
    net = Network((64, 100, 10), input_scale=16, random_state=0)
    trainer = Trainer(net, optimizer, batch_size=50, max_iter=25, random_state=0)
    losses = trainer.fit(X, y)["step_loss"]
    smooth = np.convolve(losses, np.full(36, 1 / 36), "valid")  # the mean over an epoch
    axes.plot(np.arange(len(smooth)) / 36 + 1, smooth, label=name)
axes.set(yscale="log", xlabel="Epoch", ylabel="Loss", title="Digits, 64-100-10, batches of 50")
axes.grid(alpha=0.25)
legend = axes.legend(frameon=False, ncols=2)
