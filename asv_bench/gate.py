"""Compare two commits, and report a slowdown only where it is larger than the noise.

    python asv_bench/gate.py main HEAD

Each commit is installed in a folder of its own and runs in several processes, which all live at the
same time and take turns. What is measured is the processor's time, which other programs do not add
to as they do to the clock's. The quickest turn of each process counts, as everything else can only
add; how much the processes of one commit still differ (caches, addresses, the clock rate) is the
noise. A benchmark is slower only if each process of the new commit was slower than each of the old,
by more than the noise and 5 per cent, and if fresh processes find the same again.
"""

import argparse
import io
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from itertools import product
from pathlib import Path
from statistics import median
from typing import NamedTuple

from peer_libraries.child import THREAD_VARIABLES

HERE = Path(__file__).parent
#: Processes of each commit, and the least change that is worth a report.
PROCESSES, FLOOR = 3, 0.05
#: Turns of each process: so many at least, and more until those of one commit agree so well.
TURNS, MOST_TURNS, AGREEMENT = 5, 25, 0.03
#: What is compared where `--bench` is not given: each kind of work once, in some two minutes.
SELECTION = [
    r"kernels\.(AffineHidden|AffineBackwardSGD|AdamUpdate|Gelu|SoftmaxGradient)\S*"
    r"\(784-100-10, float32\)",
    r"kernels\.AffineScores\S*\(4-10-3, float32\)",
    r"training\.TrainingStep\.time_step\((4-10-3|784-100-10|3072-50-10), float32\)",
    r"training\.TrainingStep\.time_step\(784-100-10, float64\)",
    r"predict\.Predict\.time_predict\(4-10-3, float32, 1\)",
    r"optimizers\.OptimizerStep\.time_step\(adam\)",
    r"deep\.NetworkStep\.time_step\(4-32-16-4 tanh, Adam, all rows\)",
    r"sparse\.SparseStep\.time_step\(sparse, digits, sgd\)",
    r"many_fits\.ManyFits\.time_all\(1\)",
]


class GateError(Exception):
    """What ends the comparison, in words for the user."""


# -------------------------------------------------------------------------------- commits installed


def git(*arguments):
    """Return the bytes that git writes."""
    done = subprocess.run(["git", *arguments], cwd=HERE.parent, capture_output=True)
    if done.returncode:
        raise GateError(done.stderr.decode().strip())
    return done.stdout


def install(commit, folder):
    """Install fastnn as a commit has it in a folder, without its dependencies."""
    if folder.exists():
        return
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(fileobj=io.BytesIO(git("archive", commit))) as archive:
            archive.extractall(scratch, filter="data")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        command += ["--disable-pip-version-check", "--target", str(folder), scratch]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise GateError(f"{commit} was not installed: {done.stderr.strip()}")


class Process:
    """One state of fastnn at work: gate_child.py with that state before all others."""

    def __init__(self, folder):
        variables = dict.fromkeys(THREAD_VARIABLES, "1") | {"PYTHONPATH": str(folder)}
        self.child = subprocess.Popen(
            [sys.executable, str(HERE / "gate_child.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | variables,
        )
        imported = self.answer()["folder"]
        if not Path(imported).is_relative_to(folder):
            self.end()
            raise GateError(f"a process imported {imported}, and not what lies in {folder}")

    def ask(self, *question):
        """Return the child's answer."""
        try:
            self.child.stdin.write(json.dumps(question) + "\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            pass  # `answer` says what happened
        return self.answer()

    def answer(self):
        line = self.child.stdout.readline()
        if not line:
            raise GateError(f"a process ended with code {self.child.wait()}: see above")
        return json.loads(line)

    def end(self):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


# ----------------------------------------------------------------------------------- the comparison


class Comparison(NamedTuple):
    """The quickest turns of the processes of the old commit, and of the new one."""

    old: list
    new: list

    @property
    def change(self):
        """How much slower the new commit is: 0.15 is 15 per cent."""
        return median(self.new) / median(self.old) - 1

    @property
    def noise(self):
        """How much the processes of one commit differ, at most."""
        return max(max(times) / min(times) for times in self) - 1

    @property
    def slower(self):
        """Whether it is slower beyond doubt: see the module."""
        return min(self.new) > max(self.old) and self.change > max(FLOOR, self.noise)


def compare(folders, names, report):
    """Measure both commits in fresh processes; return a comparison for each name.

    Parameters
    ----------
    folders : tuple of Path
        Where the old commit and the new one are installed.
    names : list of str or callable
        Which cases; or a function that chooses some of all.
    report : callable
        Called with each name and comparison as soon as it is there.
    """
    sides, results, order = ([], []), {}, random.Random(0)
    try:
        for _, side in product(range(PROCESSES), (0, 1)):
            sides[side].append(Process(folders[side]))
        chosen = names(sides[1][0].ask("names")) if callable(names) else names
        for name in chosen:
            results[name] = measure(name, sides, order)
            report(name, results[name])
    finally:
        for process in sides[0] + sides[1]:
            process.end()
    return results


def measure(name, sides, order):
    """Let all processes take turns at one case; return the comparison, or None where one lacks it.

    The order of the turns is drawn anew for each round.
    """
    processes = sides[0] + sides[1]
    there = [process.ask("prepare", name) for process in processes]  # each has to be asked
    if not all(there):
        return None
    quickest = dict.fromkeys(processes, float("inf"))
    for turn in range(MOST_TURNS):
        for process in order.sample(processes, len(processes)):
            quickest[process] = min(quickest[process], process.ask("turn"))
        result = Comparison(*([quickest[process] for process in side] for side in sides))
        if turn + 1 >= TURNS and result.noise < AGREEMENT:
            break
    return result


def line(name, result):
    """Return a line of the report."""
    if result is None:
        return f"{name:66} one of the commits does not have it"
    old, new = (median(times) * 1e6 for times in result)
    mark = "  slower" if result.slower else ""
    return f"{name:66}{old:11,.4g}{new:11,.4g}{result.change:+8.1%}{result.noise:8.1%}{mark}"


# --------------------------------------------------------------------------------------- the script


def parse(arguments):
    """Return the options."""
    parser = argparse.ArgumentParser(prog="gate.py", description=__doc__.partition("\n")[0])
    parser.add_argument("old", help="commit to compare with")
    parser.add_argument("new", nargs="?", default="HEAD", help="commit (default: HEAD)")
    parser.add_argument(
        "--bench",
        nargs="+",
        default=SELECTION,
        metavar="REGEX",
        help="cases, by what their names begin with (default: each kind of work once)",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Compare and print; return 0 where nothing is slower, else 1, and 2 after an error."""
    options, begun = parse(arguments), time.monotonic()

    def select(names):
        found = [name for name in names if any(re.match(each, name) for each in options.bench)]
        if not found:
            raise GateError(f"no case has a name that begins with {' or '.join(options.bench)}")
        return found

    def show(name, result):
        print(line(name, result), flush=True)

    try:
        commits = [git("rev-parse", name).decode().strip() for name in (options.old, options.new)]
        # A folder for each side: a commit compared with itself must not share anything.
        folders = [
            HERE / "env" / "gate" / f"{side}-{commit[:12]}"
            for side, commit in zip(("old", "new"), commits)
        ]
        for commit, folder in zip(commits, folders):
            install(commit, folder)
        print(f"{'microseconds of the processor a step':66}{'old':>11}{'new':>11}  change   noise")
        first = compare(folders, select, show)
        slower = [name for name, result in first.items() if result and result.slower]
        if slower:
            print("Again, in fresh processes:")
            second = compare(folders, slower, show)
            slower = [name for name in slower if second[name].slower]
    except GateError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    verdict = f"slower: {', '.join(slower)}" if slower else "nothing is slower"
    print(f"{verdict} ({time.monotonic() - begun:.0f} s)")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
