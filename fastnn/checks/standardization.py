"""What a network does to its inputs before anything else: a shift and a scale of each column."""

from typing import NamedTuple

import numpy as np

from .arguments import check_numbers, place_of
from .feature_names import names_of_statistics

#: Rows that are standardised at a time.
CHUNK = 1024


class Standardization(NamedTuple):
    """What a network subtracts from its inputs and then divides them by, float64 (n_features,)."""

    mean: np.ndarray
    scale: np.ndarray

    def or_none(self):
        """Return None where this is the identity, else itself."""
        return self if self.mean.any() or (self.scale != 1).any() else None

    def affine(self, dtype):
        """Return the factors and the summands that it is of, in `dtype`."""
        with np.errstate(over="ignore"):  # in float32, for scales that bytes never need
            return (1 / self.scale).astype(dtype), (-self.mean / self.scale).astype(dtype)

    def apply(self, X, dtype):
        """Return ``(X - mean) / scale`` in `dtype`, computed in float64 (or wider) before."""
        wide = np.result_type(X.dtype, np.float64)
        out = np.empty(X.shape, dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(X), CHUNK):
                rows = slice(start, start + CHUNK)
                out[rows] = (X[rows].astype(wide) - self.mean) / self.scale
        return out


def check_standardization(mean, scale, n_features):
    """Return the Standardization of some features, of read-only arrays, and their names or None."""
    known = Standardization(
        check_numbers(mean, "input_mean", n_features),
        check_numbers(scale, "input_scale", n_features),
    )
    if not (known.scale > 0).all():
        wrong = np.asarray(scale, float)
        raise ValueError(
            f"input_scale holds {place_of(wrong <= 0, wrong, scale)}, but inputs are "
            "divided by it: pass numbers above 0, and 1 for a column that is constant"
        )
    for array in known:
        array.flags.writeable = False
    return known, names_of_statistics(mean, scale)
