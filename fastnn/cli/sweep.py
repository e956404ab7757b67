"""``fastnn sweep``."""

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fastnn import get_num_threads
from fastnn.cli import console, experiment, saving
from fastnn.cli.errors import INTERRUPTED, Deferred
from fastnn.cli.experiment import Outcome
from fastnn.cli.memory import check_memory
from fastnn.cli.options import ManyValuesCommand, training_options
from fastnn.cli.problem import Problem
from fastnn.cli.settings import Settings, grid
from fastnn.cli.train import prepare, prepare_problem, report_files, score_facts


@click.command(cls=ManyValuesCommand)
@training_options(many=True)
def sweep(
    data: str,
    out: Path | None,
    threads: int | None,
    hidden: Sequence[int],
    learning_rate: Sequence[float],
    reg: Sequence[float],
    **given: Any,
) -> None:
    """Train a network for each combination of values, side by side; keep the best.

    The best is that of the highest validation accuracy, or R^2. For example:

        fastnn sweep DATA --learning-rate 1e-2 1e-3 --reg 0.4 0.5 0.6

    --threads is the number of networks trained at a time, each on one core. Ctrl-C keeps the best
    so far.
    """
    dataset, settings, folder = prepare(data, out, "fastnn-{}-sweep", threads, given)
    combinations = grid(settings, hidden=hidden, learning_rate=learning_rate, reg=reg)
    workers = min(get_num_threads(), len(combinations))
    for combination in combinations:
        check_memory(dataset, combination, workers)
    problem = prepare_problem(dataset, settings.dtype)
    outcomes: list[Outcome] = []
    with Deferred() as runs:
        _run(problem, combinations, workers, folder, outcomes)
    outcomes.sort(key=lambda outcome: outcome.rank, reverse=True)
    best = outcomes[0] if outcomes and outcomes[0].scores else None
    written: list[Path] = []
    with Deferred() as saved:
        if best is not None:
            written.extend(saving.save_outcome(best, dataset, folder))
    _print(data, dataset.task, outcomes)
    if best is not None and dataset.X_test is not None:
        experiment.measure(best, dataset, ("test",))
        for name, text in score_facts("test", best.scores["test"]):
            console.say(f"{name} of the best: {text}")
    report_files(written, saved)
    if not isinstance(runs.error, KeyboardInterrupt):
        runs.raise_again()
    if len(outcomes) < len(combinations) or any(each.interrupted for each in outcomes):
        console.note("Interrupted; the best so far is kept.")
        raise click.exceptions.Exit(INTERRUPTED)
    if best is None:
        raise click.ClickException(
            f"all {len(outcomes)} runs diverged, and no model was written: lower --learning-rate"
        )


def _run(
    problem: Problem,
    combinations: Sequence[Settings],
    workers: int,
    folder: Path,
    outcomes: list[Outcome],
) -> None:
    """Append the outcomes as they come; the best so far is in its file before it is printed."""
    total, best = sum(each.epochs_begun(len(problem.X)) for each in combinations), -math.inf
    with (
        console.progress_bar(total) as bar,
        contextlib.closing(experiment.sweep(problem, combinations, workers, bar.advance)) as runs,
    ):
        for outcome in runs:
            outcomes.append(outcome)
            if outcome.rank > best:
                best = outcome.rank
                with contextlib.suppress(OSError):  # reported where it is written at the end
                    outcome.model.save(folder / saving.MODEL)
            console.say(f"{len(outcomes)}/{len(combinations)}  {_line(outcome)}")


def _line(outcome: Outcome) -> str:
    settings = outcome.settings
    values = (
        f"hidden {settings.hidden}  learning rate {settings.learning_rate:g}  reg {settings.reg:g}"
    )
    return f"{values}  {_result(outcome)}  ({outcome.seconds:.1f} s)"


def _result(outcome: Outcome) -> str:
    if outcome.diverged_at is not None:
        return "diverged"
    score = outcome.scores["val"]
    return f"validation {score.name} {score.text}{' (interrupted)' if outcome.interrupted else ''}"


def _print(data: str, task: str, outcomes: Sequence[Outcome]) -> None:
    name = "R^2" if task == "regression" else "accuracy"
    columns = ("Hidden", "Learning rate", "Reg", "Final loss", f"Validation {name}")
    rows = [
        (
            str(each.settings.hidden),
            f"{each.settings.learning_rate:g}",
            f"{each.settings.reg:g}",
            f"{each.history['step_loss'][-1]:.4f}" if each.steps else "",
            _result(each).removeprefix(f"validation {name} "),
        )
        for each in outcomes
    ]
    if rows:
        console.print_table(f"fastnn sweep {data}", columns, rows, best=0)
