"""The ``fastnn`` command: train, predict, sweep, plot and bench."""

try:
    import click
    import rich  # noqa: F401
except ImportError as error:
    # This module is only ever loaded to run the command, and a traceback would hide the remedy.
    raise SystemExit(
        f"fastnn: the command line needs {error.name}, which is missing: "
        "python -m pip install click rich"
    ) from error

from fastnn.cli import bench, plot, predict, sweep, train
from fastnn.cli.errors import FriendlyGroup


def main() -> None:
    """Run the ``fastnn`` command with the arguments of the process."""
    cli(prog_name="fastnn")


@click.group(cls=FriendlyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fastnn", prog_name="fastnn")
@click.option("--traceback", is_flag=True, help="Show where in Python an error came from.")
def cli(traceback: bool) -> None:
    """Train small neural networks at the speed of the machine's arithmetic.

    DATA is the word digits (scikit-learn's handwritten digits), a folder with the binary version of
    CIFAR-10, or a .npz file with the arrays X and y.
    """


for command in (train.train, predict.predict, sweep.sweep, plot.plot, bench.bench):
    cli.add_command(command)
