"""
Schedules of the learning rate
==============================

What each schedule makes of the learning rate, and of the training. A falling rate lets the
network settle where a constant one goes on jumping; a warm-up spares it the first, longest steps.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from fastnn import Network, Trainer, optimizers, schedules

X, y = load_digits(return_X_y=True)
choices = {
    "constant": schedules.Constant(),
    "step": schedules.StepDecay(every=10, factor=0.3),
    "inverse scaling": schedules.InverseScaling(power_t=0.1),
    "adaptive": schedules.Adaptive(divisor=3, n_iter_no_change=2, tol=0.02),
    "cosine, warm-up": schedules.Cosine(warmup=0.1),
    "one cycle": schedules.OneCycle(),
}

figure, axes = plt.subplots(2, 1, figsize=(7.5, 6), layout="constrained", sharex=True)
for name, schedule in choices.items():
    net = Network((64, 100, 10), input_scale=16, random_state=0)
    trainer = Trainer(
        net, optimizers.SGD(0.4), schedule=schedule, batch_size=50, max_iter=30, random_state=0
    )
    history = trainer.fit(X[:1200], y[:1200], X[1200:], y[1200:])
    epochs = range(1, len(history["loss"]) + 1)
    axes[0].plot(epochs, history["learning_rate"], label=name)
    axes[1].plot(epochs, history["val_loss"])
axes[0].set(ylabel="Learning rate", title="Gradient descent on the digits")
axes[1].set(xlabel="Epoch", ylabel="Validation loss", ylim=(0.2, 0.5))
axes[0].legend(frameon=False, ncols=2, loc="upper right")
for axis in axes:
    axis.grid(alpha=0.25)
