"""One training step of the same network in fastnn, NumPy, scikit-learn, PyTorch and JAX.

Run ``python asv_bench/peers.py``; docs/speed.md says what is measured, and how to read it.

Each library works in a process of its own, which has as many cores as threads are asked for: JAX
knows no other limit. All stay alive and take turns, so that a change of the processor's speed meets
all of them; the fastest turn of each counts, as everything else that the machine does can only add.
Before that, all train the same few steps, and their losses are compared: times of different work
would say nothing.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from peer_libraries import NETWORKS, PEERS, PeerError, Problem
from peer_libraries.child import children_of, cores_at_hand

#: Turns of each library.
ROUNDS = 8
INTERRUPTED = 130  # 128 + SIGINT, as the shells report it


# ---------------------------------------------------------------------------------- the comparison


@dataclass
class Row:
    """What was measured of a network with a number of threads; parts of it after Ctrl-C."""

    problem: Problem
    threads: int
    seconds: dict = field(default_factory=dict)  #: a step, by library
    disagreement: dict = field(default_factory=dict)  #: of the losses with NumPy's, by library
    peak_gflops: float = 0.0  #: of one core

    @property
    def share_of_peak(self):
        """The useful arithmetic of fastnn, as a share of what all threads' cores reach."""
        if not (self.peak_gflops and "fastnn" in self.seconds):
            return math.nan
        speed = self.problem.flops / self.seconds["fastnn"]
        return speed / (1e9 * self.peak_gflops * self.threads)

    def as_dict(self):
        """Return it for JSON; what was not measured is null."""
        share = self.share_of_peak
        return {
            **self.problem._asdict(),
            "threads": self.threads,
            "microseconds": {
                name: 1e6 * self.seconds[name] if name in self.seconds else None for name in PEERS
            },
            "disagreement": self.disagreement,
            "peak_gflops": self.peak_gflops or None,
            "share_of_peak": None if math.isnan(share) else share,
        }


def disagreements(losses):
    """Compare the losses of all libraries with NumPy's, relative to those.

    Parameters
    ----------
    losses : dict of ndarray of shape (epochs,)
        By library.

    Returns
    -------
    dict of float
        The largest difference of each.

    Raises
    ------
    PeerError
        If one is above the library's tolerance, or no number.
    """
    expected = losses["numpy"]
    found = {
        name: float(np.max(np.abs(value - expected) / np.abs(expected)))
        for name, value in losses.items()
        if name != "numpy"
    }
    for name, difference in found.items():
        if not difference <= PEERS[name].tolerance:
            raise PeerError(
                f"{PEERS[name].title} computes something else: after the same steps its loss is "
                f"{losses[name][-1]:.6g}, but NumPy's is {expected[-1]:.6g}; the losses differ by "
                f"{difference:.2g}, and {PEERS[name].tolerance:g} is allowed. No time was taken"
            )
    return found


def measure(row, children, seconds, note: Callable[[str], None]):
    """Check that the libraries agree, then time them in turns; fill `row` on the way."""
    from fastnn.benchmark import PAUSE

    problem = row.problem
    children = {name: child for name, child in children.items() if PEERS[name].takes(problem)}
    row.disagreement = disagreements(
        {name: child.ask("losses", problem, 0) for name, child in children.items()}
    )
    largest = max(row.disagreement, key=row.disagreement.__getitem__)
    note(
        f"{problem.sizes} {problem.optimizer}, threads: {row.threads}. The losses agree within "
        f"{row.disagreement[largest]:.1e} ({PEERS[largest].title})"
    )
    for child in children.values():
        child.ask("prepare", problem, seconds / ROUNDS)
    for _ in range(ROUNDS):
        for name, child in children.items():
            time.sleep(PAUSE)  # the threads of the one before may still spin
            step = child.ask("step_seconds")
            row.seconds[name] = min(step, row.seconds.get(name, math.inf))
        row.peak_gflops = max(row.peak_gflops, children["fastnn"].ask("peak", 0.05))


# -------------------------------------------------------------------------------------- the output


def columns():
    titles = (peer.title for peer in PEERS.values())
    return ("Network", "Optimiser", "Batch", "Threads", *titles, "Of peak")


def cells(row):
    """Return a line of the table."""
    problem, share = row.problem, row.share_of_peak
    head = "" if problem.head == "softmax" else ", squared error"
    return (
        f"{problem.sizes} {problem.activation}{head}",
        {"sgd": "SGD", "adam": "Adam"}[problem.optimizer],
        f"{problem.n:,}",
        str(row.threads),
        *(microseconds(row.seconds[name]) if name in row.seconds else "-" for name in PEERS),
        "-" if math.isnan(share) else f"{share:.0%}",
    )


def microseconds(seconds):
    """Return microseconds in three digits or more."""
    value = seconds * 1e6
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:,.{digits}f}"


def markdown(rows):
    """Return the table in Markdown."""
    marks = ["---", "---", *["--:"] * (len(columns()) - 2)]
    lines = [columns(), marks, *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def print_table(rows):
    """Print the table, with rich if it is there."""
    if find_spec("rich") is None:
        print(markdown(rows))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    title = "Microseconds a training step, float32"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for position, column in enumerate(columns()):
        table.add_column(column, justify="right" if position > 1 else "left", no_wrap=True)
    for row in rows:
        table.add_row(*cells(row))
    console = Console(highlight=False)
    # A file is as wide as the table.
    console.width = max(console.width, 150)
    console.print(table)


def note(message):
    """Print a line beside the results, to stderr."""
    print(message, file=sys.stderr, flush=True)


# --------------------------------------------------------------------------------------- the script


def parse(arguments):
    """Return the options; the networks as a list of problems."""
    parser = argparse.ArgumentParser(prog="peers.py", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--networks",
        nargs="+",
        default=list(NETWORKS),
        metavar="NETWORK",
        help=f"sizes, or sizes and optimiser: {', '.join(NETWORKS)} (default: all)",
    )
    cores = len(cores_at_hand()) or os.cpu_count() or 1
    parser.add_argument(
        "--threads",
        nargs="+",
        type=int,
        default=[1, 2][:cores],
        metavar="N",
        help="numbers of threads, one table row for each (default: 1 2)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        help="time for each library, network and number of threads (default: 2)",
    )
    parser.add_argument(
        "--libraries",
        nargs="+",
        choices=list(PEERS)[1:],
        default=list(PEERS)[1:],
        help="what to measure besides fastnn and NumPy (default: all that are installed)",
    )
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, too")
    options = parser.parse_args(arguments)
    chosen = []
    for name in options.networks:
        found = [each for key, each in NETWORKS.items() if name in (key, each.sizes)]
        if not found:
            parser.error(f"--networks: there is no {name}; there are {', '.join(NETWORKS)}")
        chosen += found
    options.problems = list(dict.fromkeys(chosen))
    for threads in options.threads:
        if not 1 <= threads <= cores:
            parser.error(f"--threads: {threads} is not within 1..{cores}, the cores at hand")
    if not 0 < options.seconds < math.inf:
        parser.error(f"--seconds: {options.seconds:g} is not above 0")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {options.json.parent}")
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        parser.error("NUMBA_DISABLE_JIT is set, but this times the compiled loop: unset it")
    return options


def installed(names):
    """Return those of some libraries that are there; say which are not."""
    there = []
    for name in names:
        if not PEERS[name].is_there():
            title, package = PEERS[name].title, PEERS[name].package
            note(f"{title} is not installed, and is left out: python -m pip install {package}")
        else:
            there.append(name)
    return there


def main(arguments=None):
    """Measure and print; return the exit code."""
    options = parse(arguments)
    # NumPy's losses are those that all others have to have.
    wanted = [name for name in PEERS if name in ("fastnn", "numpy", *options.libraries)]
    names, versions, rows, code = installed(wanted), {}, [], 0
    if not cores_at_hand():
        note("This system does not let one choose cores: JAX may use more threads than asked for")
    try:
        for threads in dict.fromkeys(options.threads):
            with children_of(names, threads) as children:
                for name, child in children.items():
                    versions[name] = child.answer()
                for problem in options.problems:
                    rows.append(Row(problem, threads))
                    measure(rows[-1], children, options.seconds, note)
    except KeyboardInterrupt:
        note("Interrupted: this is what was measured so far")
        code = INTERRUPTED
    except PeerError as error:
        note(f"Error: {error}")
        code = 1
    from fastnn.benchmark import blas_kernels

    rows = [row for row in rows if row.seconds]
    rows.sort(key=lambda row: options.problems.index(row.problem))
    if options.json:  # before anything is printed, which may fail
        result = {"versions": versions, "rows": [row.as_dict() for row in rows]}
        try:
            options.json.write_text(json.dumps(result, indent=2) + "\n")
        except OSError as error:
            note(f"Error: {options.json} was not written: {error.strerror}")
            code = code or 1
    if rows:
        if options.markdown:
            print(markdown(rows))
        else:
            print_table(rows)
        peak = max(row.peak_gflops for row in rows)
        facts = [f"{PEERS[name].title} {version}" for name, version in versions.items()]
        note(f"{', '.join(facts)}; NumPy's BLAS: {blas_kernels()}")
        note(f"Peak of one core: {peak:.1f} GFLOP/s in float32")
    return code


if __name__ == "__main__":
    sys.exit(main())
