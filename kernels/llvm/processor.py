"""The processor that is compiled for: its vectors, its registers, its caches. No instructions."""

from pathlib import Path

import llvmlite.binding as llvm
from numba import config
from numba.core.codegen import get_host_cpu_features


def _features():
    """Return the names of what numba compiles for: what this processor has, or what it is told."""
    listed = config.CPU_FEATURES
    if listed is None:
        # Numba's own reading: empty where LLVM does not know, no AVX where numba avoids it.
        listed = get_host_cpu_features()
    return {name[1:] for name in listed.split(",") if name.startswith("+")}


def vector_registers(triple, features):
    """Return how many vector registers a processor has, by LLVM's names of it and its features.

    By the name on ARM: all of 64 bits have 32, whether or not the system lists ``neon``; those of
    32 bits list it and have 16.
    """
    return 32 if triple.startswith(("aarch64", "arm64")) or "avx512f" in features else 16


def _cache(index):
    """Return the level and the bytes of a cache of data, as Linux tells them: 0 for any other."""
    try:
        level, kind, size = ((index / name).read_text() for name in ("level", "type", "size"))
        if kind.strip() in ("Data", "Unified"):
            return int(level), int(size.strip().removesuffix("K")) << 10
    except (OSError, ValueError):
        pass
    return 0, 0


FEATURES = _features()
#: Whether it is one of Intel's line, whoever makes it.
X86 = llvm.get_process_triple().startswith(("x86_64", "i386", "i686"))
#: Vector registers of the processor that is compiled for.
VECTOR_REGISTERS = vector_registers(llvm.get_process_triple(), FEATURES)
#: Bytes in one vector.
VECTOR_BYTES = 64 if "avx512f" in FEATURES else 32 if "avx" in FEATURES else 16
#: Bytes that a processor's caches move at a time; no vector is longer.
CACHE_LINE = 64
_CACHES = dict(map(_cache, Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")))
#: Bytes of a core's caches of data; where the system does not say, as most cores have at least.
FIRST_LEVEL, SECOND_LEVEL = _CACHES.get(1) or 32 << 10, _CACHES.get(2) or 512 << 10
