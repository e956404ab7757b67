"""What the ``fastnn`` command looks like in a terminal: its errors, bars and tables."""

import errno
import math
import sys
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

INTERRUPTED = 130  # 128 + SIGINT, as the shells report it

T = TypeVar("T")


# ------------------------------------------------------------------------------------------ errors


class FriendlyGroup(click.Group):
    """Report what users can mend, wrong values and files, in one line and not as a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, TypeError, ImportError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # `fastnn predict ... | head`; click ends quietly
                raise
            raise click.ClickException(_describe(error)) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


def _describe(error: OSError) -> str:
    if error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


# ------------------------------------------------------------------------------------ progress bars


def note(message: str) -> None:
    """Print a line beside the results, to stderr."""
    click.echo(message, err=True)


class _Speed(ProgressColumn):
    """Loss, accuracies and samples a second of a training run."""

    def render(self, task: Task) -> Text:
        reached = task.fields.get("reached")
        if reached is None:
            return Text("")
        parts = [f"loss {reached.loss:.4f}"]
        # No accuracy is known before the first evaluation.
        if not math.isnan(reached.val_accuracy):
            parts.append(f"validation {reached.val_accuracy:.3f}")
        parts.append(f"{quantity(reached.samples_per_second)} samples/s")
        return Text("  ".join(parts), style="cyan")


class TrainingBar:
    """A progress bar of a training run: pass `update` as the progress of ``train``."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self._progress = progress
        self._task = progress.add_task("Training", total=steps)

    def update(self, reached: Any) -> None:
        """Show the state of a TrainingProgress."""
        self._progress.update(self._task, completed=reached.iteration, reached=reached)


@contextmanager
def training_bar(steps: int):
    """Show a bar for `steps` steps; gives its TrainingBar."""
    # All of it fits into 80 columns: a bar that wraps would leave its lines behind.
    with _progress(BarColumn(20), _Speed(), TimeRemainingColumn()) as progress:
        yield TrainingBar(progress, steps)


@contextmanager
def counting_bar(description: str, total: int):
    """Show a bar that counts to `total`; gives rich's Progress and the id of its task."""
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn())
    with _progress(*columns, TimeRemainingColumn()) as progress:
        yield progress, progress.add_task(description, total=total)


@contextmanager
def spinner(description: str):
    """Show that something of unknown length is under way."""
    with _progress(SpinnerColumn(), TextColumn("{task.description}")) as progress:
        progress.add_task(description, total=None)
        yield


def _progress(*columns: ProgressColumn) -> Progress:
    # stdout stays for the results; and a bar in a log file would be noise.
    console = Console(stderr=True)
    return Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # rich prints what goes to stdout above the bar, and so to stderr: right for a terminal,
        # wrong for `fastnn sweep ... > log`.
        redirect_stdout=sys.stdout.isatty(),
    )


# ------------------------------------------------------------------------------------------- tables


def print_facts(title: str, facts: Iterable[tuple[str, str]]) -> None:
    """Print a table of names and values."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in facts:
        table.add_row(name, value)
    Console(highlight=False).print(table)


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], best: int | None = None
) -> None:
    """Print a table of right-aligned columns, the row number `best` in bold."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right")
    for i, row in enumerate(rows):
        table.add_row(*row, style="bold green" if i == best else None)
    Console(highlight=False).print(table)


def quantity(value: float) -> str:
    """Return a large number in three digits: 1.53 M for 1,534,000.

    Examples
    --------
    >>> quantity(1534000), quantity(999.6), quantity(12)
    ('1.53 M', '1.00 k', '12.0')
    """
    for unit in ("", " k", " M", " G"):
        if abs(value) < 999.5 or unit == " G":
            break
        value /= 1000
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f}{unit}"
