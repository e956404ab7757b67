"""What a training needs of the machine's memory, reckoned before it is asked for."""

import contextlib
import math
import os
from pathlib import Path

import numpy as np

from fastnn.cli.settings import Settings
from fastnn.data import Dataset


def check_memory(dataset: Dataset, settings: Settings, runs: int = 1) -> None:
    """Raise a MemoryError for a training that the machine's memory cannot hold.

    The system would grant the memory all the same, and kill the process once it is used.

    Parameters
    ----------
    dataset : Dataset
    settings : Settings
    runs : int
        How many such trainings there are at a time.
    """
    D, H, C, n = dataset.n_features, settings.hidden, dataset.n_outputs, len(dataset.X_train)
    n_bytes = np.dtype(settings.dtype).itemsize
    size, steps = settings.rows_per_step(n), settings.steps(n)
    limit = "--epochs" if settings.num_iters is None else "--num-iters"
    needed = {
        # Drawn in float64, kept, and packed for the kernels.
        f"--hidden {H}": (D + C) * H * (8 + 2 * n_bytes),
        f"--batch-size {size}": size * (8 + n_bytes * (H + C)),
        # A loss and a learning rate of each step, while they are made, kept and joined.
        f"{limit}, which are {steps:,} steps": 64 * steps,
    }
    total, largest = runs * sum(needed.values()), max(needed, key=needed.__getitem__)
    if total > (available := _memory_of_machine()):
        raise MemoryError(
            f"the training would take about {total / 1e9:,.0f} GB, and most of it for {largest}, "
            f"but there are {available / 1e9:,.0f} GB: give a smaller number"
        )


def _memory_of_machine() -> float:
    """Return the memory of this machine or container in bytes; infinity where it is not known."""
    sizes = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(ValueError, OSError):
        sizes.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(sizes)
