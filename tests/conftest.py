"""Settings that must be in place before the first test module is imported."""

from benchmarks.numba_cache import use_cache_of_these_kernels

# Before any test imports numba, which reads the setting once.
use_cache_of_these_kernels()
