"""``fastnn bench``."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import click
import numpy as np

from fastnn import get_num_threads
from fastnn.cli.console import note, print_table, progress_bar, say
from fastnn.cli.errors import Deferred
from fastnn.cli.options import FiniteFloat
from fastnn.cli.streams import Streams


@click.command()
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(["float32", "float64"]),
    multiple=True,
    default=["float32", "float64"],
    show_default=True,
    help="Precision; may be given twice.",
)
@click.option(
    "--seconds",
    type=FiniteFloat(min=1e-3, max=3600),
    default=4.0,
    show_default=True,
    help="Time for each row of the table.",
)
@click.pass_obj
def bench(streams: Streams, dtypes: Sequence[str], seconds: float) -> None:
    """Compare the time of a training step with NumPy's and with the machine's arithmetic.

    Two minutes or less; other programs disturb it. NumPy gets as many threads as fastnn
    may take.
    """
    from fastnn import benchmark
    from fastnn.jit import jit_disabled

    if jit_disabled():
        raise click.ClickException(
            "NUMBA_DISABLE_JIT is set, but bench measures the compiled kernels: unset it"
        )
    for dtype in dict.fromkeys(dtypes):
        say(f"Peak of one core, {dtype}: {benchmark.peak_gflops(dtype):.1f} GFLOP/s")
    say(f"NumPy {np.__version__}, BLAS: {benchmark.blas_kernels()}")
    if not benchmark.has_threadpoolctl():
        note("NumPy uses its own number of threads; to set it: python -m pip install threadpoolctl")
    if streams.failed:
        return  # minutes of work that nobody would see
    results: list[Any] = []
    with Deferred() as measured:
        _measure(dtypes, seconds, results)
    _print(results)
    measured.raise_again()


def _measure(dtypes: Sequence[str], seconds: float, results: list[Any]) -> None:
    """Append the comparisons as they come."""
    from fastnn import benchmark

    # A row for one thread, and one for all of them where the network is large enough to use them.
    rows = [
        (dtype, network, threads)
        for dtype, network in itertools.product(dtypes, benchmark.NETWORKS)
        for threads in sorted({1, benchmark.threads_used(network, get_num_threads())})
    ]
    with progress_bar(len(rows)) as bar:
        for (dtype, network), group in itertools.groupby(rows, key=lambda row: row[:2]):
            problem = benchmark.Problem(network, dtype)
            for *_, threads in group:
                text = f"{network}  {dtype}  {threads} thread{'s' if threads > 1 else ''}"
                bar.update(len(results), text)
                results.append(benchmark.compare(problem, threads, seconds))


def _print(results: Sequence[Any]) -> None:
    columns = ("Network", "Batch", "Precision", "Threads", "NumPy", "fastnn", "Ratio", "Of peak")
    rows = [
        (
            str(each.network),
            str(each.network.batch_size),
            str(each.dtype),
            str(each.threads),
            _microseconds(each.numpy_seconds),
            _microseconds(each.fastnn_seconds),
            f"{each.ratio:.2f}",
            f"{each.share_of_peak:.0%}",
        )
        for each in results
    ]
    print_table("Microseconds a training step", columns, rows)


def _microseconds(seconds: float) -> str:
    value = seconds * 1e6
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:,.{digits}f}"
