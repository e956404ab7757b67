"""What Numba cannot say by itself: vector instructions, register tiles, addresses and atomics."""
