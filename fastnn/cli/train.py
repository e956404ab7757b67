"""``fastnn train``, and what it shares with ``fastnn sweep``."""

import warnings
from pathlib import Path
from typing import Any

import click

from fastnn import EpochStatus, Network, get_num_threads, set_num_threads
from fastnn.cli import console, experiment, saving
from fastnn.cli.errors import INTERRUPTED, Deferred
from fastnn.cli.experiment import Outcome
from fastnn.cli.memory import check_memory
from fastnn.cli.options import training_options
from fastnn.cli.problem import Problem, problem_of
from fastnn.cli.scores import Score
from fastnn.cli.settings import Settings, settings_for
from fastnn.data import Dataset, load_dataset
from fastnn.engine.position import describe

TITLES = {"train": "Training", "val": "Validation", "test": "Test"}


@click.command()
@training_options(many=False)
def train(data: str, out: Path | None, threads: int | None, **given: Any) -> None:
    """Train a network on DATA; write the model and its plots.

    The model takes the data, and gives the targets of a regression, as they are in the file: their
    standardisation is part of it. Ctrl-C ends the training and keeps what was learnt. What a long
    one has learnt is in unfinished.safetensors, a minute old at most, until it ends.
    """
    dataset, settings, folder = prepare(data, out, "fastnn-{}", threads, given)
    check_memory(dataset, settings)
    problem = prepare_problem(dataset, settings.dtype)
    # A loss that is not finite is reported below, once the plot that shows it is written.
    with (
        warnings.catch_warnings(),
        console.progress_bar(settings.epochs_begun(len(problem.X))) as bar,
    ):
        warnings.simplefilter("ignore", RuntimeWarning)

        def report(status: EpochStatus) -> None:
            bar.update(status.epoch, describe(status))

        def keep(model: Network) -> None:
            saving.save_unfinished(model, folder)

        outcome = experiment.run(problem, settings, report, keep)
    written: list[Path] = []
    with Deferred() as saved:
        written.extend(saving.save_outcome(outcome, dataset, folder))
    with Deferred() as measured:
        experiment.measure(outcome, dataset)
    if outcome.diverged_at is None:
        console.print_facts(f"fastnn train {data}", _facts(outcome, dataset))
    report_files(written, saved)
    if outcome.diverged_at is not None:
        raise click.ClickException(_divergence(outcome))
    measured.raise_again()
    if outcome.interrupted:
        steps = settings.steps(len(problem.X))
        console.note(
            f"Interrupted after {outcome.steps} of {steps} steps; what was learnt is saved."
        )
        raise click.exceptions.Exit(INTERRUPTED)


# --------------------------------------------------------------------- what train and sweep share


def prepare(
    data: str, out: Path | None, default: str, threads: int | None, given: dict[str, Any]
) -> tuple[Dataset, Settings, Path]:
    """Read the data, complete the settings and make the folder."""
    if given["epochs"] is not None and given["num_iters"] is not None:
        raise click.UsageError("--epochs and --num-iters say the same thing: give one of them")
    if threads is not None:
        set_num_threads(threads)
    with console.spinner(f"Reading {data}"):
        dataset = load_dataset(data, task=given.pop("task"), random_state=given["seed"])
    for text in dataset.notes:
        console.note(f"Note: {text}")
    # Before the training, so that a folder that cannot be written costs no time.
    folder = out or Path(default.format(dataset.name))
    saving.prepare_folder(folder)
    return dataset, settings_for(dataset.kind, dataset.task, **given), folder


def prepare_problem(dataset: Dataset, dtype: str) -> Problem:
    """Standardise the data and compile the kernels."""
    problem = problem_of(dataset, dtype)
    with console.spinner("Compiling"):
        experiment.warm_up(dtype)
    return problem


def report_files(written: list[Path], saved: Deferred) -> None:
    """Say what is written, and raise what kept the rest from being so."""
    for path in written:
        console.say(f"Wrote {path}")
    if isinstance(saved.error, ImportError):
        console.note(f"No plots: {saved.error}")
    else:
        saved.raise_again()


def score_facts(split: str, score: Score) -> list[tuple[str, str]]:
    """Return the names and values of a score, for a table."""
    return [(f"{TITLES[split]} {name}", text) for name, text in score.facts()]


def _divergence(outcome: Outcome) -> str:
    settings = outcome.settings
    remedy = f"Lower --learning-rate, which was {settings.learning_rate:g}"
    if outcome.diverged_at == 0:  # no weight has changed yet
        remedy = "Lower --std or --reg, or look for extreme values in the data"
    return (
        f"training diverged: the loss is not finite from step {outcome.diverged_at} on, and no "
        f"model was written. {remedy}"
    )


def _facts(outcome: Outcome, dataset: Dataset) -> list[tuple[str, str]]:
    from fastnn import benchmark
    from fastnn.jit import jit_disabled

    settings, n = outcome.settings, len(dataset.X_train)
    size = settings.rows_per_step(n)
    network = benchmark.Network(dataset.n_features, settings.hidden, dataset.n_outputs, size)
    facts = [fact for item in outcome.scores.items() for fact in score_facts(*item)]
    facts.append(("Steps", f"{outcome.steps:,}"))
    facts.append(("Epochs", console.rounded(outcome.steps / settings.steps_per_epoch(n))))
    facts.append(("Time", f"{outcome.seconds:.2f} s"))
    samples_per_second = outcome.steps * size / outcome.seconds
    facts.append(("Samples a second", console.quantity(samples_per_second)))
    threads = benchmark.threads_used(network, get_num_threads())
    facts.append(("Threads, at most", str(threads)))
    if jit_disabled():
        return facts  # what the kernels reach is not known without them
    peak = benchmark.peak_gflops(settings.dtype)
    facts.append(("Peak of one core", f"{peak:.0f} GFLOP/s"))
    flops_per_second = outcome.steps * network.flops / outcome.seconds
    share = benchmark.share_of_peak(flops_per_second, peak, threads)
    facts.append(("Share of peak", f"{share:.1%}"))
    return facts
