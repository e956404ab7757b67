"""MLPClassifier of fastnn's beside scikit-learn's: the table of docs/guides/scikit-learn.md.

Run ``python asv_bench/estimators.py``; with ``--write`` it writes the table into the guide, and the
lines of it that README.md shows.

Both train on the same data, of the same dtype, from the same seeds, and take turns in one process,
so that a change of the processor's speed meets both; the fastest turn of each counts. The BLAS of
scikit-learn has as many threads as fastnn. After the turns the losses are compared: times of
different work would say nothing. The last column is the ratio that there would be if fastnn's
products ran at the peak of the cores and all else took no time, which only less arithmetic could
pass.
"""

import argparse
import math
import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

# Before NumPy is imported: it would hold OpenBLAS to the kernels of an older processor.
os.environ.pop("OPENBLAS_CORETYPE", None)

# isort: split

import numpy as np
import sklearn

import fastnn
from benchmarks.common import DTYPES, PAUSE, Threads
from benchmarks.estimators import (
    ESTIMATORS,
    FITS,
    GRID,
    PARTIAL_FITS,
    PREDICTIONS,
    WAYS,
    data_of,
    fit,
    partial_fit_of,
    prediction_of,
    search,
)
from fastnn.benchmark import blas_kernels, peak_gflops
from fastnn.threads import available_cores

ROOT = Path(__file__).resolve().parents[1]
#: The lines of the table that a file shows: all, or those of the named rows on one thread.
FILES = {
    "docs/guides/scikit-learn.md": None,
    "README.md": [
        *("10,000 x 20, defaults", "digits, defaults"),
        "20,000 digits of 784 pixels, hidden 100",
    ],
}
BEGIN, END = "<!-- table of asv_bench/estimators.py -->", "<!-- end of the table -->"
#: What the losses may differ by, relative.
TOLERANCES = {"float32": 1e-2, "float64": 1e-6}


class Row(NamedTuple):
    """The seconds that both took."""

    what: str
    dtype: str
    threads: str
    seconds: dict
    limit: float = 0.0  #: seconds of nothing but fastnn's products at the peak, 0 if not known

    def cells(self):
        """Return a line of the table."""
        theirs, ours = (self.seconds[impl] for impl in ESTIMATORS)
        at_the_peak = f"{theirs / self.limit:.1f}" if self.limit else ""
        times = time_text(theirs), time_text(ours)
        return (self.what, self.dtype, self.threads, *times, f"{theirs / ours:.1f}", at_the_peak)


def seconds_at_peak(flops, dtype, cores):
    """Return how long products take at the peak of some cores."""
    return flops / peak_gflops(dtype) / 1e9 / cores


def time_text(seconds):
    """Return seconds with a unit, in three digits."""
    unit, factor = next(
        (unit, factor)
        for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6))
        if seconds * factor >= 1 or unit == "µs"
    )
    value = seconds * factor
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f} {unit}"


def markdown(rows):
    """Return the table in Markdown."""
    titles = ("What", "Precision", "Threads", *ESTIMATORS, "Ratio", "At the peak")
    marks = ("---", "---", *["--:"] * 5)
    lines = [titles, marks, *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ------------------------------------------------------------------------------------ measurements


def in_turns(batches, rounds):
    """Return the seconds of the fastest turn of each."""
    best = dict.fromkeys(batches, math.inf)
    for _ in range(rounds):
        for impl, batch in batches.items():
            time.sleep(PAUSE)  # the threads of the one before may still spin
            best[impl] = min(best[impl], batch())
    return best


def fits(rounds, threads):
    """Yield the rows of whole fits."""
    for case, problem in FITS.items():
        for dtype in DTYPES:
            data, losses = data_of(case, dtype), {}

            def timed(impl, problem=problem, data=data, losses=losses):
                start = time.perf_counter()
                fitted = fit(problem.estimator(impl), *data)
                seconds = time.perf_counter() - start
                losses[impl] = getattr(fitted, "loss_curve_", fitted.loss_)
                return seconds

            for impl in ESTIMATORS:
                timed(impl)
            best = in_turns({impl: lambda i=impl: timed(i) for impl in ESTIMATORS}, rounds)
            np.testing.assert_allclose(*losses.values(), rtol=TOLERANCES[dtype])
            limit = seconds_at_peak(problem.flops, dtype, threads)
            yield Row(f"fit: {case}", dtype, str(threads), best, limit)


def served(rounds):
    """Yield the rows of predictions and of partial fits, on one thread."""
    for dtype in DTYPES:
        for case in PREDICTIONS:
            batches = {impl: prediction_of(impl, case, dtype).seconds for impl in ESTIMATORS}
            yield Row(f"predict: {case}", dtype, "1", in_turns(batches, 3 * rounds))
        for case in PARTIAL_FITS:
            batches = {impl: partial_fit_of(impl, case, dtype).seconds for impl in ESTIMATORS}
            yield Row(f"partial_fit: {case}", dtype, "1", in_turns(batches, 3 * rounds))


def searches(rounds):
    """Yield the rows of the grid search, each against scikit-learn's fastest way."""
    for dtype in DTYPES:
        results, times = {}, {}

        def timed(impl, way, dtype=dtype, results=results):
            start = time.perf_counter()
            results[impl, way] = search(impl, way, dtype)
            return time.perf_counter() - start

        ways = [(impl, way) for impl in ESTIMATORS for way in WAYS]
        for impl, way in ways:
            timed(impl, way)
        times = in_turns({key: lambda key=key: timed(*key) for key in ways}, rounds)
        wanted = results["scikit-learn", "sequential"]
        for key, found in results.items():
            if dtype == "float64" or key[0] == "scikit-learn":
                assert found.best_params_ == wanted.best_params_, key
                scores = (each.cv_results_["mean_test_score"] for each in (found, wanted))
                np.testing.assert_allclose(*scores, rtol=1e-12, err_msg=str(key))
        theirs, fastest = min((times["scikit-learn", way], way) for way in WAYS)
        # Each fold is trained on by the fits of the two others, at all points.
        points = math.prod(len(values) for values in GRID.values())
        flops = 2 * points * FITS["digits, defaults"].flops
        limit = seconds_at_peak(flops, dtype, 2)
        for way in WAYS:
            seconds = {"scikit-learn": theirs, "fastnn": times["fastnn", way]}
            what = f"search: 12 points, 3 folds, digits; {way} (scikit-learn: {fastest})"
            yield Row(what, dtype, "2 cores", seconds, limit)


# -------------------------------------------------------------------------------------- the output


def facts():
    """Return where it was measured."""
    return (
        f"fastnn {fastnn.__version__}, scikit-learn {sklearn.__version__}, NumPy {np.__version__} "
        f"on {blas_kernels()}, Python {platform.python_version()}."
    )


def write_into(text, table, path):
    """Return the text of a file with the table between its marks."""
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    if len(re.findall(pattern, text, re.DOTALL)) != 1:
        raise SystemExit(f"{path} has not one place for the table, between {BEGIN} and {END}")
    return re.sub(pattern, lambda _: f"{BEGIN}\n{table}\n{END}", text, flags=re.DOTALL)


def main(arguments=None):
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default: 5)")
    parser.add_argument(
        "--write", action="store_true", help="write the table into the guide and README.md"
    )
    parser.add_argument(
        "--only", nargs="+", choices=("fits", "served", "searches"), help="parts (default: all)"
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds: {options.rounds} is not at least 1")
    parts, rows, cores = options.only or ("fits", "served", "searches"), [], available_cores()

    def note(row):
        rows.append(row)
        print(" | ".join(row.cells()), file=sys.stderr, flush=True)

    if cores < 2:
        print("One core is at hand: rows of two threads are left out", file=sys.stderr)
    for threads in (1, 2)[:cores]:
        if "fits" not in parts and threads > 1:
            break
        limits = Threads(threads)
        try:
            if "fits" in parts:
                for row in fits(options.rounds, threads):
                    note(row)
            if threads == 1 and "served" in parts:
                for row in served(options.rounds):
                    note(row)
        finally:
            limits.restore()
    if "searches" in parts and cores > 1:
        for row in searches(max(options.rounds // 2, 1)):
            note(row)
    print(markdown(rows))
    print(f"\n{facts()}")
    if options.write:
        for name, chosen in FILES.items():
            path = ROOT / name
            shown = rows
            if chosen is not None:
                names = {f"fit: {each}" for each in chosen}
                shown = [row for row in rows if row.what in names and row.threads == "1"]
            table = f"{markdown(shown)}\n\n{facts()}"
            path.write_text(write_into(path.read_text(encoding="utf-8"), table, path), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
