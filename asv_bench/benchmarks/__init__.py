"""fastnn against NumPy, for airspeed velocity. One file an area."""

from .numba_cache import use_cache_of_these_kernels

# Before any benchmark imports numba, which reads the setting once.
use_cache_of_these_kernels()
