"""The options that commands share, and options that take several values."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from fastnn.cli.settings import PRESETS
from fastnn.data.targets import TASKS

Command = TypeVar("Command", bound=Callable[..., Any])

SEED_LIMIT = 2**32 - 1  # of NumPy's legacy generator
#: Of units, rows and steps. More than that fit into no memory.
LARGEST_SIZE = 2**31 - 1


# ----------------------------------------------------------------- options that take several values


class ManyValuesCommand(click.Command):
    """A command whose repeatable options also take several values at once.

    click itself reads ``--reg 0.4 --reg 0.5``; with this class ``--reg 0.4 0.5`` is the same. An
    option's values end at the first word that is not a number, so that the data may come last.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words after the command's name."""
        repeatable = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.multiple
            for name in parameter.opts
        }
        return super().parse_args(ctx, _repeat_options(args, repeatable))


def _repeat_options(args: Sequence[str], repeatable: Iterable[str]) -> list[str]:
    """Put the option's name before each of its values after the first."""
    repeated: list[str] = []
    option: str | None = None
    has_value = False
    for word in args:
        name, equals, _ = word.partition("=")
        if name in repeatable:
            option, has_value = name, bool(equals)
        elif option is not None and _is_number(word):
            if has_value:
                repeated.append(option)
            has_value = True
        else:
            option = None
        repeated.append(word)
    return repeated


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


# ----------------------------------------------------------------------------- options of training


def _preset(name: str) -> str:
    """Return the default of a setting for each kind of data, for ``--help``."""
    titles = {kind: kind for kind in PRESETS} | {"cifar10": "CIFAR-10", "npz": ".npz"}
    by_value: dict[str, list[str]] = {}
    for kind, title in titles.items():
        value = getattr(PRESETS[kind], name)
        # Only the deviation of the initial weights has defaults that depend on sizes.
        text = "1/sqrt(inputs)" if value is None else value
        text = text if isinstance(text, str) else f"{text:g}"
        by_value.setdefault(text, []).append(title)
    if len(by_value) == 1:
        return next(iter(by_value))
    return ", ".join(f"{text} for {_listed(kinds)}" for text, kinds in by_value.items())


def _listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them.

    Examples
    --------
    >>> _listed(["a"]), _listed(["a", "b"]), _listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _setting(flag: str, kind: click.ParamType, text: str, name: str, many: bool = False) -> Any:
    """Return a decorator for an option whose default depends on the data."""
    metavar = "FLOAT" if isinstance(kind, click.FloatRange) else "INTEGER"
    return click.option(
        flag,
        type=kind,
        help=text,
        show_default=_preset(name),
        default=None,
        multiple=many,
        metavar=f"{metavar}..." if many else metavar,
    )


class FiniteFloat(click.FloatRange):
    """A number in a range, and neither NaN, which lies in all of them, nor infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number that a word stands for."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


POSITIVE = click.IntRange(1, LARGEST_SIZE)
POSITIVE_FLOAT = FiniteFloat(min=0, min_open=True)
NON_NEGATIVE_FLOAT = FiniteFloat(min=0)


def training_options(many: bool) -> Callable[[Command], Command]:
    """Return a decorator that adds the options of training; `many` where a sweep varies them."""
    several = " (several to sweep)" if many else ""
    decorators = [
        click.argument("data"),
        click.option(
            "--task",
            type=click.Choice(TASKS),
            show_default="classification",
            help="Whether y holds classes, or numbers to predict.",
        ),
        _setting("--hidden", POSITIVE, f"Hidden units{several}.", "hidden", many),
        _setting("--learning-rate", POSITIVE_FLOAT, f"Of SGD{several}.", "learning_rate", many),
        _setting("--reg", NON_NEGATIVE_FLOAT, f"L2 regularisation{several}.", "reg", many),
        _setting("--epochs", POSITIVE, "Passes over the training rows.", "epochs"),
        click.option("--num-iters", type=POSITIVE, help="Number of steps, instead of --epochs."),
        _setting("--batch-size", POSITIVE, "Rows a step.", "batch_size"),
        _setting("--decay", POSITIVE_FLOAT, "Learning rate, times this each epoch.", "decay"),
        _setting("--std", FiniteFloat(min=0, max=1e30), "Deviation of the initial weights.", "std"),
        click.option(
            "--dtype",
            type=click.Choice(["float32", "float64"]),
            default="float32",
            show_default=True,
            help="Precision of the training. The model of a regression is float64 in any case, "
            "since float32 would round what it predicts.",
        ),
        click.option("--threads", type=POSITIVE, show_default="all cores", help="CPU threads."),
        click.option(
            "--seed",
            type=click.IntRange(0, SEED_LIMIT),
            default=0,
            show_default=True,
            help="Of the split, the initial weights and the batches.",
        ),
        click.option(
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            show_default="fastnn-NAME, after the data",
            help="Folder for the model and the plots.",
        ),
    ]

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate
