"""One process of gate.py: it holds one state of fastnn, and times benchmarks when it is asked.

Questions come as lines of JSON on stdin, answers leave as lines of JSON on stdout.
"""

import itertools
import json
import sys
import time
from pathlib import Path

#: Processor time of a turn, at least: a clock that jumps by some microseconds is then no matter.
TURN_SECONDS = 0.03
HERE = Path(__file__).parent


class Cases:
    """The benchmarks of times, each with each choice of its parameters."""

    def __init__(self):
        from asv_runner.discovery import disc_benchmarks

        self.found = {}
        self.current = None
        # An old commit may lack what a whole file of benchmarks imports.
        for benchmark in disc_benchmarks(str(HERE / "benchmarks"), ignore_import_errors=True):
            if benchmark.type == "time" and "timeraw" not in benchmark.name:
                for name, index in names_of(benchmark):
                    self.found[name] = (benchmark, index)

    def names(self):
        """Return the names of all cases."""
        return list(self.found)

    def prepare(self, name):
        """Set a case up and warm it; return whether this commit has what it measures."""
        self.release()
        if name not in self.found:
            return False
        benchmark, index = self.found[name]
        benchmark.set_param_idx(index)
        if benchmark.do_setup():
            return False
        self.current = benchmark
        holder = getattr(benchmark.func, "__self__", None)
        # A batch repeats its call as often as it found fit, which differs from process to process.
        chosen = getattr(holder, "chosen", None)
        self.steps = chosen.count * chosen.steps if chosen is not None else 1
        self.repeats = 1
        while self.once() < TURN_SECONDS:
            self.repeats *= 2
        return True

    def once(self):
        """Run the case; return the seconds of the processor that it took."""
        call, params = self.current.func, self.current._current_params
        start = time.process_time()
        for _ in range(self.repeats):
            call(*params)
        return time.process_time() - start

    def turn(self):
        """Take a turn; return the seconds of the processor a step."""
        return self.once() / (self.repeats * self.steps)

    def release(self):
        """Tear the case at hand down."""
        if self.current is not None:
            self.current.do_teardown()
            self.current = None


def names_of(benchmark):
    """Yield the name and the index of each choice of parameters that times fastnn."""
    if not benchmark._params:
        yield benchmark.name, 0
        return
    for index, choice in enumerate(itertools.product(*benchmark._params)):
        values = dict(zip(benchmark.param_names, choice))
        if values.get("impl", "fastnn") == "fastnn":
            shown = ", ".join(str(value) for key, value in values.items() if key != "impl")
            yield (f"{benchmark.name}({shown})" if shown else benchmark.name), index


def main():
    """Answer until the questions end."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what benchmarks print is no answer
    import benchmarks  # noqa: F401  (chooses the cache of these kernels, before numba is imported)
    import fastnn

    cases = Cases()
    print(json.dumps({"folder": str(Path(fastnn.__file__).parent)}), file=answers, flush=True)
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        print(json.dumps(getattr(cases, method)(*arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main()
