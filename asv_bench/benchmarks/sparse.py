"""Training steps on sparse and uint8 input, beside the same numbers as dense arrays."""

from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

import fastnn

from .common import BRIGHT, Batch, Threads, chance_of_digits, described, ratio
from .models import network_of_images, optimizer_of

#: Rows of a minibatch, and hidden units.
ROWS, UNITS = 200, 100


class Data(NamedTuple):
    """Numbers of which most are zero, and how they are trained on."""

    columns: int
    density: float  #: share of X that is not zero
    optimizer: str


DATA = {
    f"{name}, {optimizer}": Data(columns, density, optimizer)
    for name, columns, density in (("digits", 784, BRIGHT), ("20,000 columns", 20_000, 0.01))
    for optimizer in ("sgd", "adam")
}
#: How the same numbers are passed: as a CSR matrix; as a dense array; as a dense array whose zeros
#: are skipped.
WAYS = ["sparse", "dense", "zeros skipped"]


@lru_cache(maxsize=1)
def numbers_of(columns, density):
    """Return X; zeros lie at the border, as in images of digits, or anywhere."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((10 * ROWS, columns), dtype=np.float32)
    chance = chance_of_digits(density) if columns == 784 else np.full(columns, density)
    X *= rng.random(X.shape, dtype=np.float32) < chance
    return X


def fitted(way, data, epochs):
    """Train a new network; return its trainer."""
    X = numbers_of(data.columns, data.density)
    if way == "sparse":
        from scipy.sparse import csr_matrix

        X = csr_matrix(X)
    network = fastnn.Network((data.columns, UNITS, 10), random_state=0)
    trainer = fastnn.Trainer(
        network,
        optimizer_of(data.optimizer),
        batch_size=ROWS,
        max_iter=epochs,
        skip_zeros=way == "zeros skipped",
        random_state=0,
    )
    return trainer, X, np.arange(X.shape[0]) % 10


@lru_cache(maxsize=2)
def step_of(way, name):
    """Return training steps, warm."""
    if not hasattr(fastnn, "Trainer"):
        raise NotImplementedError("this commit has no Trainer")  # asv skips it
    if way == "sparse" and find_spec("scipy") is None:
        raise NotImplementedError("needs SciPy")
    data, epochs = DATA[name], 3
    trainer, X, y = fitted(way, data, epochs)

    def train():
        trainer.fit(X, y)

    train()
    return Batch(train, 1, epochs * len(y) // ROWS)


class SparseStep:
    """A step of D-100-10 on batches of 200 rows, one thread."""

    params = (WAYS, list(DATA))
    param_names = ("way", "data")

    def setup(self, way, data):
        self.threads = Threads(1)
        self.chosen = step_of(way, data)
        self.timer = self.chosen.clock

    def teardown(self, way, data):
        self.threads.restore()

    @described("Sparse input: time of a step")
    def time_step(self, way, data):
        """Seconds a step of the same numbers as a CSR matrix, and dense."""
        self.chosen.run()


class SparseRatio:
    """The sparse step's time over that of the other ways."""

    params = (WAYS[1:], list(DATA))
    param_names = ("way", "data")

    def setup(self, way, data):
        self.threads = Threads(1)
        self.both = step_of(way, data), step_of("sparse", data)

    def teardown(self, way, data):
        self.threads.restore()

    @described("Sparse input: step, sparse / other way", unit="sparse / other")
    def track_ratio(self, way, data):
        """The time of a step on a CSR matrix over that on a dense array, measured in turns."""
        return ratio(*self.both, rounds=3)


@lru_cache(maxsize=2)
def image_step_of(pixels):
    """Return training steps on images of 784 pixels, warm."""
    network = network_of_images(UNITS, scale=1 if pixels == "float32" else 255)
    random = np.random.default_rng(0)
    images = random.integers(1, 256, (4000, 784), np.uint8)
    if pixels == "bytes, a fifth not 0":
        images *= random.random(images.shape) < 0.2
    X = images.astype(np.float32) / 255 if pixels == "float32" else images
    epochs = 10  # enough to pay for a copy without zeros
    trainer = fastnn.Trainer(network, optimizer_of("sgd"), batch_size=ROWS, max_iter=epochs)
    y = np.arange(len(X)) % 10

    def train():
        trainer.fit(X, y)

    train()
    return Batch(train, 1, epochs * len(X) // ROWS)


class ByteStep:
    """A step of 784-100-10 on images of bytes, scaled while they are read, and of float32."""

    params = (["bytes", "float32", "bytes, a fifth not 0"],)
    param_names = ("pixels",)

    def setup(self, pixels):
        self.threads = Threads(1)
        self.chosen = image_step_of(pixels)
        self.timer = self.chosen.clock

    def teardown(self, pixels):
        self.threads.restore()

    @described("uint8 input: time of a step")
    def time_step(self, pixels):
        """Seconds a step."""
        self.chosen.run()


#: A network whose hidden units are open for some share of the rows, and the rows of a minibatch.
OPEN_NETWORK, OPEN_ROWS = (256, 512, 512, 10), 256


@lru_cache(maxsize=2)
def open_step_of(percent, dtype):
    """Return training steps of a network whose hidden units are open for a share of the rows."""
    if not hasattr(fastnn, "Trainer"):
        raise NotImplementedError("this commit has no Trainer")
    network = fastnn.Network(OPEN_NETWORK, random_state=0, dtype=dtype)
    X = np.random.default_rng(0).standard_normal((8 * OPEN_ROWS, OPEN_NETWORK[0])).astype(dtype)
    rows = X
    for depth in range(len(OPEN_NETWORK) - 2):
        scores = rows @ network.coefs_[depth]
        network.intercepts_[depth] = -np.quantile(scores, 1 - percent / 100, axis=0).astype(dtype)
        rows = np.maximum(scores + network.intercepts_[depth], 0)
    trainer = fastnn.Trainer(network, optimizer_of("sgd"), batch_size=OPEN_ROWS, max_iter=3)
    y = np.arange(len(X)) % 10

    def train():
        trainer.fit(X, y)

    train()
    return Batch(train, 1, 3 * len(X) // OPEN_ROWS)


class OpenUnitsStep:
    """A step of 256-512-512-10 with a ReLU, by the percentage of rows that a unit is open for."""

    params = ([10, 30, 50, 70, 90], ["float32", "float64"])
    param_names = ("percent", "dtype")

    def setup(self, percent, dtype):
        self.threads = Threads(1)
        self.chosen = open_step_of(percent, dtype)
        self.timer = self.chosen.clock

    def teardown(self, percent, dtype):
        self.threads.restore()

    @described("Zeros of a ReLU: time of a step")
    def time_step(self, percent, dtype):
        """Seconds a step; what is 0 behind a ReLU is skipped."""
        self.chosen.run()


@lru_cache(maxsize=2)
def half_zero_step_of(percent, network):
    """Return training steps on dense data of which a share is not 0, warm."""
    if not hasattr(fastnn, "Trainer"):
        raise NotImplementedError("this commit has no Trainer")
    epochs = 20
    X = numbers_of(network[0], percent / 100)
    trainer = fastnn.Trainer(
        fastnn.Network(network, random_state=0),
        optimizer_of("sgd"),
        batch_size=ROWS,
        max_iter=epochs,
        skip_zeros=False,
    )
    y = np.arange(len(X)) % 10

    def train():
        trainer.fit(X, y)

    train()
    return Batch(train, 1, epochs * len(X) // ROWS)


class HalfZerosStep:
    """A step on dense data that keep their zeros, by the percentage that is not 0."""

    params = ([30, 50, 70], [(64, 100, 10), (784, 512, 10)])
    param_names = ("percent", "network")

    def setup(self, percent, network):
        self.threads = Threads(1)
        self.chosen = half_zero_step_of(percent, network)
        self.timer = self.chosen.clock

    def teardown(self, percent, network):
        self.threads.restore()

    @described("Zeros of dense data: time of a step")
    def time_step(self, percent, network):
        """Seconds a step; products skip zeros where they are enough."""
        self.chosen.run()
