"""What files cost: to save and to read a model, and to keep a training after each epoch."""

import tempfile
from functools import lru_cache
from pathlib import Path

import fastnn
from peer_libraries import Problem

from .common import Batch, Threads, described, ratio
from .models import fit


@lru_cache(maxsize=1)
def model():
    """Return a network of 670,000 parameters, 2.7 MB of float32."""
    if not hasattr(fastnn, "Network"):
        raise NotImplementedError("this commit has no Network")  # asv skips it
    return fastnn.Network((784, 512, 512, 10), random_state=0)


class ModelFile:
    """A Network of 784-512-512-10, 2.7 MB."""

    def setup(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "model.safetensors"
        self.model = model()
        self.model.save(self.path)

    def teardown(self):
        self.folder.cleanup()

    @described("Network.save: time")
    def time_save(self):
        """Seconds to write the file, whole, beside the old one, and to move it there."""
        self.model.save(self.path)

    @described("Network.load: time")
    def time_load(self):
        """Seconds to read the file and to check all of it."""
        fastnn.Network.load(self.path)


class CheckpointCost:
    """A training of 64-256-10 with a checkpoint after each of ten epochs, and without."""

    def setup(self):
        if not hasattr(fastnn, "Trainer"):
            raise NotImplementedError("this commit has no Trainer")
        self.threads = Threads(1)
        self.folder = tempfile.TemporaryDirectory()
        path, problem = (
            Path(self.folder.name) / "run.safetensors",
            Problem((64, 256, 10), "relu", "softmax", "adam", 100),
        )
        self.plain = Batch(lambda: fit(problem, 10), 1)
        self.kept = Batch(lambda: fit(problem, 10, checkpoint=path), 1)
        self.plain.seconds(), self.kept.seconds()

    def teardown(self):
        self.threads.restore()
        self.folder.cleanup()

    @described("Checkpoint each epoch: time over none", unit="with / without")
    def track_ratio(self):
        """The time of a training that keeps itself over that of one that does not."""
        return ratio(self.plain, self.kept, rounds=3)
