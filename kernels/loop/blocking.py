"""How products are divided, so that what is used again lies in the cache that it is read from.

Sizes of caches decide, and nothing else: which block comes first changes no bit, since each sum
goes on from its stored value, in the same order.
"""

from ..gather import PIECE
from ..layout import round_up
from ..llvm.processor import CACHE_LINE, FIRST_LEVEL, SECOND_LEVEL, VECTOR_BYTES
from ..llvm.tiles import GROUP_VECTORS, MR, NR
from ..marked import WORD

#: Bytes of the second-level cache that the operands of a product may fill.
NEAR = SECOND_LEVEL * 3 // 4
#: Least rows that share one passage of the weights through the second-level cache: a tile of MR
#: rows then takes 2 bytes of them a cycle from the level behind.
ROWS = 64
#: Bytes that fall into the same set of the first-level cache, on processors of any make.
WAY = 4096
#: Panels from which on gathering columns costs less than reading them in place, however the rows
#: lie; from two panels on it does so where they collide. In float64, 3072-50-10 (two panels, rows
#: 24 KiB apart) took 11 % less time with gathered columns, 784-512-10 of 1024 rows (22 panels) 10 %
#: less; in float32, 3072-50-10 (one panel) took 5 % more (Zen 5).
MANY_PANELS, FEW_PANELS = 8, 2
#: Most bytes of a row to gather at a time: the processor foresees lines that follow each other. In
#: float64, 3072-50-10 takes 1 to 4 % less time with 1 KiB than with 256 bytes, with more as long.
#: Whole pieces, which are as wide as a tile that skips zeros in vectors of 64 bytes.
LONGEST = 1152
#: Bytes of a row whose weights are updated together, by a gradient that the first level holds.
CHUNK = 4 * CACHE_LINE
#: Rows of the batch that are summed over at a time where vectors have 64 bytes.
LONG_PART = 128


def _even_blocks(first, stop, most, multiple):
    """Divide a range into even blocks of whole multiples, of at most `most` or one multiple."""
    most = max(most // multiple, 1) * multiple
    count = max(-(-(stop - first) // most), 1)
    step = max(round_up(-(-(stop - first) // count), multiple), multiple)
    return [(i, min(i + step, stop)) for i in range(first, stop, step)]


def sum_blocks(K, size):
    """Divide a sum over K terms: return (start, stop) of each part.

    ROWS rows and two panels, the one at hand and the next, fit into `NEAR` with one part of each.
    Parts begin with a word of marks.
    """
    most = NEAR // (ROWS * size + 2 * NR * VECTOR_BYTES)
    return _even_blocks(0, K, most, WORD) or [(0, 0)]


def row_blocks(first, stop, K, size):
    """Divide rows that are multiplied by all panels in turn: return (first, stop) of each block.

    A block fills what two panels, of K rows each, leave of `NEAR`.
    """
    return _even_blocks(first, stop, (NEAR - 2 * NR * VECTOR_BYTES * K) // max(K * size, 1), MR)


def stretch(size):
    """Return how many elements of a group of columns are updated together."""
    return GROUP_VECTORS * VECTOR_BYTES // size


def near(rows, columns, size):
    """Tell whether rows of so many columns stay in the second-level cache beside all else."""
    return rows * columns * size <= NEAR // 2


def column_block(rows, K, size):
    """Return how many of K columns of so many rows to sum over for all panels in turn."""
    across = stretch(size)
    if near(rows, K, size):
        return max(round_up(K, across), 1)
    return max(NEAR // 2 // (rows * size) // across, 1) * across


def row_part(rows):
    """Return how many rows of the batch to sum over for all tiles of some columns in turn.

    The first-level cache holds a chunk of so many rows, as many of a panel of the outputs'
    gradient, and the sums of the chunk beside its weights: steps of three to five layers take 0.86
    of the time that they take without parts (AVX2 on a Zen 5), and up to 5 % less than with chunks
    that fill three fifths of the cache by themselves (AVX2 on a Zen 4).

    Where vectors have 64 bytes, a tile computes for so long that the second level keeps up: there
    it is LONG_PART rows, as a part costs something to begin. Tiles with their optimiser's steps
    reach 91 % of the peak after parts of 50 rows, 93 % after 100 or 128 (Zen 5); 784-512-10 in
    batches of 128 takes 1 % less time than with two parts, 784-100-10 and 3072-50-10 in float64 1
    to 2 % less than with three (Zen 4).
    """
    most = LONG_PART
    if VECTOR_BYTES < 64:
        sums = CHUNK // 4 * NR * VECTOR_BYTES
        most = (FIRST_LEVEL - 2 * sums) // (CHUNK + round_up(NR * VECTOR_BYTES, CACHE_LINE))
    blocks = _even_blocks(0, rows, most, 1)
    return max((stop - first for first, stop in blocks), default=1)


def gathered_bytes(rows):
    """Return how many bytes of each of so many rows to gather at a time: half of `NEAR`."""
    return max(min(NEAR // 2 // rows, LONGEST) // PIECE, 1) * PIECE


def gathers(rows, K, stride, panels, size):
    """Tell whether columns of so many rows are gathered before they meet so many panels.

    Not where all rows lie near anyway.
    """
    if near(rows, K, size) or panels < FEW_PANELS:
        return False
    return panels >= MANY_PANELS or collide(rows, stride)


def collide(rows, stride):
    """Tell whether the lines of one column of so many rows fall into too few sets of the cache."""
    if stride % CACHE_LINE:
        return False
    sets = WAY // CACHE_LINE
    step = stride // CACHE_LINE % sets
    distinct = next(count for count in range(1, sets + 1) if count * step % sets == 0)
    return rows > distinct * (FIRST_LEVEL // WAY)
