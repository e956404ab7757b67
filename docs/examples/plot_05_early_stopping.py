"""
Early stopping
==============

A large network on few rows learns them by heart: its training loss goes on falling while that of
the validation rows rises again. Early stopping ends the training there, and restores the
parameters of the best epoch.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from fastnn import Network, Trainer

X, y = load_digits(return_X_y=True)
few, many = slice(0, 200), slice(200, None)


def fit(**options):
    net = Network((64, 400, 400, 10), input_scale=16, random_state=0)
    trainer = Trainer(net, batch_size=20, max_iter=60, random_state=0, **options)
    trainer.fit(X[few], y[few], X[many], y[many])
    return trainer


whole = fit()
stopped = fit(early_stopping=True, n_iter_no_change=8, tol=0.0)

figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
axes.plot(whole.history["loss"], label="training rows", color="#8a8a8a")
axes.plot(whole.history["val_loss"], label="validation rows", color="#1f6fb4")
axes.axvline(stopped.n_iter_ - 1, color="#e07b00", linestyle="--", label="stopped here")
axes.axvline(stopped.best_epoch_ - 1, color="#e07b00", label="these parameters kept")
axes.set(yscale="log", xlabel="Epoch", ylabel="Loss", title="200 rows, 190,000 parameters")
axes.grid(alpha=0.25)
legend = axes.legend(frameon=False)
print(f"best epoch {stopped.best_epoch_}, stopped after {stopped.n_iter_}")
