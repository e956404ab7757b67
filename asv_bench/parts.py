"""The time of the parts of fastnn's training steps, on one thread, beside the peak of the core.

Run ``python asv_bench/parts.py``. A step is a list of operations; here those of each part are also
run by themselves, on the same data, in turns with the whole, and the fastest turn of each counts.
Alone, a part finds in the caches what the others would have displaced, so that the parts take a
little less than the whole.
"""

import argparse
import math
import time

from fastnn.benchmark import peak_gflops
from fastnn.jit import jit_disabled
from fastnn.jobs import flops_per_row
from fastnn.kernels.gather import GatherColumns
from fastnn.kernels.llvm.tiles import MultiplyGroup, MultiplyPanel
from fastnn.kernels.loop.operations import UpdateBias, UpdateGroup, UpdatePanel, decode
from fastnn.kernels.marked_products import MultiplyPair
from fastnn.kernels.transpose import CopyRows, Transpose
from peer_libraries import NETWORKS, RATE, order_of, training_flops
from peer_libraries.ours import Fastnn

#: What an operation belongs to by its kind; the products, by their weights; else to the rest, as
#: marks of what is not 0. Gradients that are turned count with the transposes.
KINDS = {
    **dict.fromkeys((GatherColumns, UpdatePanel, UpdateGroup, UpdateBias), "update"),
    **dict.fromkeys((Transpose, CopyRows), "transposes"),
}
PARTS = ("forward", "backward", "update", "transposes", "rest")
SECONDS = 0.1  #: of a turn, about


def part_of(operation, transposed):
    """Return the name of the part that an operation belongs to.

    Parameters
    ----------
    operation : NamedTuple
    transposed : range
        Addresses of the transposed weights, by which gradients are taken back.
    """
    if isinstance(operation, MultiplyPanel | MultiplyPair | MultiplyGroup):
        weights = operation.group if isinstance(operation, MultiplyGroup) else operation.panel
        return "backward" if weights in transposed else "forward"
    return KINDS.get(type(operation), "rest")


class Tape:
    """The operations of one thread, of which some may be left out for a while.

    Only of a loop that has run: where the rows of a batch lie is looked up by the rest.
    """

    def __init__(self, loop):
        arrays, weights = loop.tape.arrays, loop.buffers.transposed
        self.operations, self.phases = arrays.operations[0], arrays.phases[0]
        self._whole = self.operations.copy(), self.phases.copy()
        first = weights.ctypes.data
        transposed = range(first, first + weights.nbytes)
        self.parts = [
            part_of(decode(row), transposed) for row in self.operations[: self.phases[-1]]
        ]

    def keep(self, *parts):
        """Leave the operations of some parts, in their order, and no other."""
        operations, phases = self._whole
        kept = [number for number, part in enumerate(self.parts) if part in parts]
        self.operations[: len(kept)] = operations[kept]
        self.phases[:] = [sum(number < stop for number in kept) for stop in phases]


def measured(problem, rounds):
    """Return the seconds of a step and of each of its parts, and the peak in GFLOP/s."""
    peer = Fastnn(1)
    peer.build(problem, 0, RATE)
    steps = max(problem.steps_per_epoch, SECONDS * 1e11 / problem.flops)
    order = order_of(problem, math.ceil(steps / problem.steps_per_epoch))
    train, tape = peer.train(order), Tape(peer.loop)
    train()
    fastest, peak = dict.fromkeys(("step", *PARTS), math.inf), 0.0
    for _ in range(rounds):
        peak = max(peak, peak_gflops("float32"))
        for part in fastest:
            tape.keep(*(PARTS if part == "step" else [part]))
            start = time.process_time()
            train()
            fastest[part] = min(fastest[part], (time.process_time() - start) / order.steps)
    tape.keep(*PARTS)
    return fastest, peak


def cells(problem, seconds, peak):
    """Return a line of the table: shares of the peak, and microseconds of what has no products."""
    sizes, n = problem.layer_sizes, problem.n
    whole, forward = training_flops(sizes, n), n * flops_per_row(sizes)
    flops = {"step": whole, "forward": forward, "backward": whole - 2 * forward, "update": forward}
    shares = [f"{count / seconds[part] / peak / 1e9:.0%}" for part, count in flops.items()]
    step, *rest = (microseconds(seconds[part]) for part in ("step", "transposes", "rest"))
    return problem.sizes, problem.optimizer, str(n), step, *shares, *rest


def microseconds(seconds):
    """Return seconds as microseconds, in three digits or more."""
    value = seconds * 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=5, help="turns of each part (default: 5)")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds: {options.rounds} is not at least 1")
    if jit_disabled():
        parser.error("NUMBA_DISABLE_JIT is set, but this times the compiled loop: unset it")
    titles = ("network", "optimiser", "batch", "step, µs", "of peak", *PARTS[:3])
    print(f"| {' | '.join((*titles, 'transposes, µs', 'rest, µs'))} |")
    print(f"|{'---|' * 2}{'--:|' * 8}")
    highest = 0.0
    for name in options.networks:
        seconds, peak = measured(NETWORKS[name], options.rounds)
        highest = max(highest, peak)
        print(f"| {' | '.join(cells(NETWORKS[name], seconds, peak))} |", flush=True)
    print(f"\nPeak of one core: {highest:.1f} GFLOP/s in float32")


if __name__ == "__main__":
    main()
