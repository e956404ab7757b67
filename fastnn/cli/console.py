"""What the ``fastnn`` command looks like in a terminal: its errors, bars and tables."""

import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fastnn.engine.progress import TerminalBar

# ------------------------------------------------------------------------------------------- lines


def say(text: str) -> None:
    """Print a result to stdout."""
    print(text, flush=True)


def note(message: str) -> None:
    """Print a line beside the results, to stderr."""
    print(message, file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------ progress bars


@contextmanager
def progress_bar(total: int) -> Iterator[TerminalBar]:
    """Show a bar, and remove it at the end: stdout stays for the results."""
    bar = TerminalBar(total, transient=True)
    bar.start()
    try:
        yield bar
    finally:
        bar.stop()


def spinner(description: str) -> AbstractContextManager[object]:
    """Show, in a terminal, that something of unknown length is under way."""
    # As a Text: rich would take brackets in the name of a file for a style. Other spinners are
    # drawn with characters that not every terminal has.
    return Console(stderr=True).status(Text(description), spinner="line")


# ------------------------------------------------------------------------------------------- tables


def print_facts(title: str, facts: Iterable[tuple[str, str]]) -> None:
    """Print a table of names and values."""
    table = _table(title, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in facts:
        table.add_row(name, value)
    _console().print(table)


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], best: int | None = None
) -> None:
    """Print a table of right-aligned columns, the row number `best` in bold.

    Where its columns are too many for the width of the terminal, each row becomes a paragraph.
    """
    table = _table(title)
    for column in columns:
        table.add_column(column, justify="right")
    for i, row in enumerate(rows):
        table.add_row(*row, style="bold green" if i == best else None)
    console = _console()
    unlimited = console.options.update(max_width=10_000)
    if Measurement.get(console, unlimited, table).minimum <= console.width:
        console.print(table)
        return
    for line in (title, *(_paragraph(columns, row, console.width) for row in rows)):
        say(f"{line}\n")


def _table(title: str, show_header: bool = True) -> Table:
    # As a Text: rich would take brackets in the name of a file for a style.
    return Table(
        title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, show_header=show_header
    )


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)


def _paragraph(columns: Sequence[str], row: Sequence[str], width: int) -> str:
    """Return the names and values of a row in lines of at most `width`, none of them divided.

    Examples
    --------
    >>> print(_paragraph(("Hidden", "Final loss", "Reg"), ("100", "0.25", "0.1"), 22))
    Hidden 100
    Final loss 0.25
    Reg 0.1
    """
    pairs = (f"{column} {value}".replace(" ", "\xa0") for column, value in zip(columns, row))
    lines = textwrap.wrap("  ".join(pairs), width, break_on_hyphens=False)
    return "\n".join(lines).replace("\xa0", " ")


def rounded(value: float) -> str:
    """Return a number in two decimals or fewer.

    Examples
    --------
    >>> rounded(40.0), rounded(0.625), rounded(30000)
    ('40', '0.62', '30,000')
    """
    return f"{value:,.2f}".rstrip("0").rstrip(".")


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
