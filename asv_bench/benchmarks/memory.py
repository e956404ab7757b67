"""The largest memory of a process that trains, the training set included."""

import numpy as np

from .common import IMPLS, Threads, described
from .models import network_of_images
from .training import training_of


class PeakMemory:
    """Of a process that trains TwoLayerNet for some steps, on one thread."""

    params = (IMPLS, ["4-10-3", "784-100-10", "3072-50-10"], ["float32"])
    param_names = ("impl", "network", "dtype")

    def setup(self, impl, network, dtype):
        self.threads = Threads(1)

    def teardown(self, impl, network, dtype):
        self.threads.restore()

    @described("TwoLayerNet: peak memory of a training")
    def peakmem_train(self, impl, network, dtype):
        """Bytes, of which Numba takes about a hundred million."""
        training_of(impl, network, dtype)


class PeakMemoryOfImages:
    """Of a process that trains a Network on 20,000 images of 784 pixels."""

    params = (["bytes", "float32"],)
    param_names = ("pixels",)

    def setup(self, pixels):
        self.net = network_of_images(50)
        self.threads = Threads(1)
        images = np.random.default_rng(0).integers(0, 256, (20_000, 784), np.uint8)
        self.images = images if pixels == "bytes" else images.astype(np.float32)

    def teardown(self, pixels):
        self.threads.restore()

    @described("Network: peak memory of a training on images")
    def peakmem_train(self, pixels):
        """Bytes. Images of bytes are scaled row by row, without a copy of floating point."""
        from fastnn import Trainer

        Trainer(self.net, "sgd", max_iter=1).fit(self.images, np.arange(20_000) % 10)
