"""``fastnn sweep``."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fastnn import get_num_threads
from fastnn.cli import console, experiment, saving
from fastnn.cli.errors import INTERRUPTED, Deferred
from fastnn.cli.experiment import Outcome, Settings
from fastnn.cli.options import ManyValuesCommand, training_options
from fastnn.cli.train import prepare, report
from fastnn.data import Dataset


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

    The best is that of the highest validation accuracy. For example:

        fastnn sweep DATA --learning-rate 1e-2 1e-3 --reg 0.4 0.5 0.6

    --threads is the number of networks trained at a time, each on one core. Ctrl-C keeps the best
    so far.
    """
    dataset, settings, folder = prepare(data, out, "fastnn-{}-sweep", threads, given)
    combinations = experiment.grid(settings, hidden=hidden, learning_rate=learning_rate, reg=reg)
    workers = min(get_num_threads(), len(combinations))
    for combination in combinations:
        experiment.check_memory(dataset, combination, workers)
    outcomes: list[Outcome] = []
    with Deferred() as runs:
        _run(dataset, combinations, workers, folder, outcomes)
    outcomes.sort(key=experiment.rank, reverse=True)
    best = outcomes[0] if outcomes and outcomes[0].accuracy else None
    written: list[Path] = []
    with Deferred() as saved:
        if best is not None:
            written.extend(saving.save_outcome(best, dataset, folder))
    _print(data, outcomes)
    if best is not None and dataset.X_test is not None:
        test_accuracy = experiment.accuracy(best.net, dataset, "test")
        console.say(f"Test accuracy of the best: {test_accuracy:.4f}")
    report(written, saved)
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
    dataset: Dataset,
    combinations: Sequence[Settings],
    workers: int,
    folder: Path,
    outcomes: list[Outcome],
) -> None:
    """Append the outcomes as they come; the best so far is in its file before it is printed."""
    total = sum(each.steps(len(dataset.X_train)) for each in combinations)
    best = -1.0
    with console.counting_bar("Steps", total) as (progress, task):
        runs = experiment.sweep(
            dataset, combinations, workers, lambda steps: progress.advance(task, steps)
        )
        with contextlib.closing(runs):
            for outcome in runs:
                outcomes.append(outcome)
                if experiment.rank(outcome) > best:
                    best = experiment.rank(outcome)
                    with contextlib.suppress(OSError):  # reported where it is written at the end
                        outcome.net.save(folder / saving.MODEL)
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
    state = " (interrupted)" if outcome.interrupted else ""
    return f"validation {outcome.accuracy['val']:.4f}{state}"


def _print(data: str, outcomes: Sequence[Outcome]) -> None:
    columns = ("Hidden", "Learning rate", "Reg", "Final loss", "Validation accuracy")
    rows = [
        (
            str(each.settings.hidden),
            f"{each.settings.learning_rate:g}",
            f"{each.settings.reg:g}",
            f"{each.history['loss_history'][-1]:.4f}" if each.steps else "",
            _result(each).removeprefix("validation "),
        )
        for each in outcomes
    ]
    if rows:
        console.print_table(f"fastnn sweep {data}", columns, rows, best=0)
