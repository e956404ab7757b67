"""fastnn against NumPy, for airspeed velocity. One file an area."""

import sys
from pathlib import Path

from .numba_cache import use_cache_of_these_kernels

# Before any benchmark imports numba, which reads the setting once.
use_cache_of_these_kernels()
# asv imports this folder alone; how other libraries train is told beside it.
sys.path.append(str(Path(__file__).parents[1]))
