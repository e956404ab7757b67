"""
CIFAR-10 in two minutes
=======================

A network of fully-connected layers is not what one would choose for photographs, but it gets
further than the course's fifty units: this one has two hidden layers, Adam, dropout and a cosine
schedule, and reads the images as the bytes that they are.

The data have to be fetched (CIFAR-10, *binary version*). With ``FASTNN_CIFAR10`` set to their
folder, this program trains and writes ``recorded_two_minutes.json``; without, it draws what that
file holds.
"""

import json
import os
import platform
import time
from datetime import date
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fastnn import Network, Trainer, get_num_threads, optimizers, schedules
from fastnn.data import load_dataset

FOLDER = os.environ.get("FASTNN_CIFAR10")
try:
    RECORDED = Path(__file__).with_name("recorded_two_minutes.json")
except NameError:  # while the book is built
    RECORDED = Path("recorded_two_minutes.json")


def record():
    data = load_dataset(FOLDER)
    net = Network(
        (3072, 512, 256, 10),
        input_mean=data.X_train.mean(axis=0),
        input_scale=64,
        init="he",
        random_state=0,
    )
    trainer = Trainer(
        net,
        optimizers.AdamW(learning_rate_init=1e-3, weight_decay=0.05),
        schedule=schedules.Cosine(warmup=0.05),
        batch_size=128,
        max_iter=30,
        dropout=0.2,
        label_smoothing=0.1,
        random_state=0,
    )
    seconds = []
    begun = time.perf_counter()
    history = trainer.fit(
        data.X_train,
        data.y_train,
        data.X_val,
        data.y_val,
        callback=lambda status: seconds.append(time.perf_counter() - begun),
    )
    facts = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {get_num_threads()} threads",
        "seconds": seconds,
        "loss": history["loss"].tolist(),
        "val_loss": history["val_loss"].tolist(),
        "val_score": history["val_score"].tolist(),
        "test": float(np.mean(net.predict(data.X_test) == data.y_test)),
    }
    RECORDED.write_text(json.dumps(facts) + "\n")


if FOLDER:
    record()

facts = json.loads(RECORDED.read_text())
print(f"recorded on {facts['date']}, {facts['machine']}")
print(f"{facts['seconds'][-1]:.0f} seconds, test accuracy {facts['test']:.3f}")

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axes[0].plot(facts["seconds"], facts["loss"], color="#8a8a8a", label="training, with dropout")
axes[0].plot(facts["seconds"], facts["val_loss"], color="#1f6fb4", label="validation")
axes[0].set(xlabel="Seconds", ylabel="Loss", title="Loss")
axes[1].plot(facts["seconds"], facts["val_score"], color="#1f6fb4")
axes[1].set(xlabel="Seconds", ylabel="Accuracy", title="Validation accuracy")
axes[0].legend(frameon=False)
for axis in axes:
    axis.grid(alpha=0.25)
