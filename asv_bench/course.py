"""The course's Solver on fastnn's compiled loop beside the same Solver in NumPy, on one thread.

In NumPy it trains two models: one made of layers as in the course's notebooks, each of which also
computes the gradient by its input, and fastnn's twin, which leaves that out for the images. Run
``python asv_bench/course.py``. Each line is a whole training: batches of 100 of 49,000 rows, as
CIFAR-10 has them in the course, with the accuracies on 1,000 training and 1,000 validation rows at
the end of each epoch; the toy's epochs are a single step on its five rows. All take turns on the
same data, and the fastest turn of each counts, as everything else that the machine does can only
add. Before that, the losses of the first epoch are compared: times of different work would say
nothing. Ratios are the times of either model over fastnn's; the last column is that of the layers
if fastnn's products ran at the peak of the core and all else took no time, which only less
arithmetic could pass. Unset ``OPENBLAS_CORETYPE`` first: it may hold NumPy to the kernels of an
older processor.
"""

import argparse

import numpy as np

from benchmarks.common import DTYPES, Threads
from benchmarks.solver import MODULES, PROBLEMS, UPDATE_RULES, solver_of, steps_of, training_of
from fastnn.benchmark import blas_kernels, peak_gflops
from fastnn.jobs import flops_per_row
from peer_libraries import training_flops

#: What the losses of the first steps may differ by, relative.
TOLERANCES = {"float32": 1e-3, "float64": 1e-9}


def compared(problem, dtype, rule):
    """Return the largest relative difference of fastnn's losses of up to a hundred steps."""
    few = problem._replace(epochs=100 if steps_of(problem) == problem.epochs else 1)
    losses = []
    for impl in MODULES:
        solver = solver_of(impl, few, dtype, rule)
        np.random.seed(1)
        solver.train()
        losses.append(np.array(solver.loss_history[:100]))
    return np.max(np.abs(losses[-1] / losses[:-1] - 1))


def measured(problem, dtype, rule, rounds):
    """Return the seconds of a step of each implementation, in their fastest turn."""
    fastest = dict.fromkeys(MODULES, float("inf"))
    trainings = {impl: training_of(impl, problem, dtype, rule) for impl in MODULES}
    for _ in range(rounds):
        for impl, training in trainings.items():
            fastest[impl] = min(fastest[impl], training.seconds())
    return fastest


def at_the_peak(problem, dtype):
    """Return the seconds of a step of nothing but products, at the peak of this core."""
    steps_per_epoch = steps_of(problem) / problem.epochs
    checked = 2 * min(problem.rows, 1000)
    flops = training_flops(problem.layer_sizes, problem.batch_size)
    flops += checked * flops_per_row(problem.layer_sizes) / steps_per_epoch
    return flops / peak_gflops(dtype) / 1e9


def ratio_text(ratio):
    """Return a ratio in three digits, or as a whole number."""
    return f"{ratio:#.3g}" if ratio < 100 else f"{ratio:,.0f}"


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--rules", nargs="+", choices=UPDATE_RULES, default=list(UPDATE_RULES))
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--rounds", type=int, default=2, help="turns of each (default 2)")
    parser.add_argument("--epochs", type=int, default=5, help="of a training (default 5)")
    parser.add_argument("--rows", type=int, default=49_000, help="to train on (default 49,000)")
    chosen = parser.parse_args(arguments)
    for name in ("rounds", "epochs", "rows"):
        if (value := getattr(chosen, name)) < 1:
            parser.error(f"--{name}: {value} is not at least 1")

    threads = Threads(1)
    print(f"One thread; NumPy computes on {blas_kernels()}.\n")
    titles = ("network", "batch", "precision", "rule", "layers us", "twin us", "fastnn us")
    print(f"| {' | '.join((*titles, 'layers', 'twin', 'at the peak'))} |")
    print(f"|---|--:|---|---|{'--:|' * 6}")
    for network in chosen.networks:
        problem = PROBLEMS[network]
        if problem.rows > problem.batch_size:
            problem = problem._replace(rows=chosen.rows, epochs=chosen.epochs)
        for dtype in chosen.dtypes:
            for rule in chosen.rules:
                difference = compared(problem, dtype, rule)
                if not difference <= TOLERANCES[dtype]:
                    raise SystemExit(f"{network}, {dtype}, {rule}: losses differ by {difference}")
                step = measured(problem, dtype, rule, chosen.rounds)
                peak = at_the_peak(problem, dtype)
                times = (f"{seconds * 1e6:.4g}" for seconds in step.values())
                layers, twin, ours = step.values()
                ratios = map(ratio_text, (layers / ours, twin / ours, layers / peak))
                print(
                    f"| {network} | {problem.batch_size} | {dtype} | {rule} | "
                    f"{' | '.join(times)} | {' | '.join(ratios)} |",
                    flush=True,
                )
    threads.restore()


if __name__ == "__main__":
    main()
