"""
Share of the peak against width
===============================

How much of what the processor's multiply-add units can do does a training step use? The peak is
what a loop on registers alone reaches, measured in the same seconds. Narrow networks spend their
time on what is not a product: activations, the loss, meetings. Sizes that fill whole panels do
better than those in between.

On the machine that built this book, other programs may have run meanwhile: see *Speed* for tables
that were measured in quiet.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import TwoLayerNet, set_num_threads
from fastnn.benchmark import flops_per_step, peak_gflops, share_of_peak, time_step

set_num_threads(1)
widths, batch_size = (8, 16, 32, 48, 64, 100, 128, 192, 256, 384, 512), 128
rng = np.random.default_rng(0)
X, y = rng.standard_normal((2000, 256), dtype=np.float32), rng.integers(0, 10, 2000)

shares = []
for width in widths:
    net = TwoLayerNet(256, width, 10, std=0.01, dtype=np.float32, random_state=0)
    flops = flops_per_step(256, width, 10, batch_size)
    steps = int(2e9 / flops) + 2
    net.train(X, y, X[:5], y[:5], num_iters=2, batch_size=batch_size)
    seconds = min(time_step(net, X, y, steps, batch_size) for _ in range(4))
    shares.append(share_of_peak(flops / seconds, peak_gflops("float32", 0.05), 1))
set_num_threads(None)

figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
axes.plot(widths, shares, marker="o")
axes.set(
    xscale="log",
    ylim=(0, 1),
    xlabel="Hidden units",
    ylabel="Share of the peak",
    title="256 inputs, 10 classes, batches of 128, one thread, float32",
)
axes.set_xticks(widths, [str(width) for width in widths], minor=False)
axes.minorticks_off()
axes.grid(alpha=0.25)
