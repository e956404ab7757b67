"""The ``fastnn`` command: train, predict, sweep, plot and bench."""

import contextlib
import itertools
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

try:
    import click
    import rich  # noqa: F401
except ImportError as error:
    # This module is only ever loaded to run the command, and a traceback would hide the remedy.
    raise SystemExit(
        f'fastnn: the command line needs {error.name}, which is missing: pip install "fastnn[cli]"'
    ) from error

import numpy as np

from fastnn import TwoLayerNet, _console, _experiment, get_num_threads, set_num_threads
from fastnn._console import INTERRUPTED, FriendlyGroup, note
from fastnn._experiment import Outcome, Settings
from fastnn._options import POSITIVE, POSITIVE_FLOAT, ManyValuesCommand, training_options
from fastnn.data import Dataset, load_dataset, load_xy


def main() -> None:
    """Run the ``fastnn`` command with the arguments of the process."""
    cli(prog_name="fastnn")


@click.group(cls=FriendlyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fastnn", prog_name="fastnn")
def cli() -> None:
    """Train small neural networks at the speed of the machine's arithmetic.

    DATA is the word digits (scikit-learn's handwritten digits), a folder with the binary version of
    CIFAR-10, or a .npz file with the arrays X and y.
    """


# --------------------------------------------------------------------- what train and sweep share


def _prepare(
    data: str, out: Path | None, threads: int | None, given: dict[str, Any]
) -> tuple[Dataset, Settings, Path]:
    """Read the data, complete the settings, make the folder and compile the kernels."""
    if given["epochs"] is not None and given["num_iters"] is not None:
        raise click.UsageError("--epochs and --num-iters say the same thing: give one of them")
    if threads is not None:
        set_num_threads(threads)
    with _console.spinner(f"Reading {data}"):
        dataset = load_dataset(data, random_state=given["seed"], dtype=given["dtype"])
    settings = _experiment.settings_for(dataset.kind, **given)
    # Before the training, so that a folder that cannot be written costs no time.
    folder = out or Path(f"fastnn-{dataset.name}")
    folder.mkdir(parents=True, exist_ok=True)
    with _console.spinner("Compiling"):
        _experiment.warm_up(settings.dtype)
    return dataset, settings, folder


def _save(outcome: Outcome, dataset: Dataset, folder: Path) -> None:
    """Write the model and the plots, and say where."""
    try:
        for path in _experiment.save_outcome(outcome, dataset, folder):
            click.echo(f"Wrote {path}")
    except ImportError as error:
        note(f"No plots: {error}")


# ------------------------------------------------------------------------------------------- train


@cli.command()
@training_options(many=False)
def train(data: str, out: Path | None, threads: int | None, **given: Any) -> None:
    """Train a network on DATA; write the model and its plots.

    The model takes the data as they are in the file: the preprocessing is folded into its first
    layer. Ctrl-C ends the training and keeps what was learnt.
    """
    dataset, settings, folder = _prepare(data, out, threads, given)
    steps = settings.steps(len(dataset.X_train))
    # A loss that is not finite is reported below, once the plot that shows it is written.
    with warnings.catch_warnings(), _console.training_bar(steps) as bar:
        warnings.simplefilter("ignore", RuntimeWarning)
        outcome = _experiment.run(dataset, settings, progress=bar.update)
    diverged_at = outcome.diverged_at
    if diverged_at is None:
        _console.print_facts(f"fastnn train {data}", _facts(outcome, dataset))
    _save(outcome, dataset, folder)
    if diverged_at is not None:
        raise click.ClickException(
            f"training diverged: the loss is not finite from step {diverged_at} on, and no model "
            f"was written. Lower --learning-rate, which was {settings.learning_rate:g}"
        )
    if outcome.interrupted:
        note(f"Interrupted after {outcome.steps} of {steps} steps; what was learnt is saved.")
        raise click.exceptions.Exit(INTERRUPTED)


def _facts(outcome: Outcome, dataset: Dataset) -> list[tuple[str, str]]:
    from fastnn.benchmark import Network, peak_gflops, share_of_peak, threads_used
    from fastnn.engine import jit_disabled

    settings = outcome.settings
    sizes = dataset.n_features, settings.hidden, dataset.n_classes
    network = Network(*sizes, settings.batch_size)
    titles = {"train": "Training accuracy", "val": "Validation accuracy", "test": "Test accuracy"}
    facts = [(titles[split], f"{value:.4f}") for split, value in outcome.accuracy.items()]
    epochs = outcome.steps / settings.steps_per_epoch(len(dataset.X_train))
    facts.append(("Steps", f"{outcome.steps:,} ({epochs:.3g} epochs)"))
    facts.append(("Time", f"{outcome.seconds:.2f} s"))
    samples_per_second = outcome.steps * settings.batch_size / outcome.seconds
    facts.append(("Samples a second", _console.quantity(samples_per_second)))
    threads = threads_used(network, get_num_threads())
    facts.append(("Threads", str(threads)))
    if jit_disabled():
        facts.append(("Share of peak", "not measured, as NUMBA_DISABLE_JIT is set"))
        return facts
    flops_per_second = outcome.steps * network.flops / outcome.seconds
    peak = peak_gflops(settings.dtype)
    share = share_of_peak(flops_per_second, peak, threads)
    facts.append(("Share of peak", f"{share:.1%} of {threads} x {peak:.0f} GFLOP/s"))
    return facts


# ----------------------------------------------------------------------------------------- predict


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .csv, .txt or .npy file, instead of stdout.",
)
def predict(model: Path, data: str, out: Path | None) -> None:
    """Write the class index of each row of DATA, one a line; with labels, tell the accuracy.

    DATA is the word digits, a folder with the binary version of CIFAR-10 (its test batch), a .bin
    file of it, a .npz file with X and optionally y, or a .npy file with X.
    """
    if out is not None and out.suffix not in (".csv", ".txt", ".npy"):
        raise click.BadParameter(
            f"cannot tell the format of {out}: needed a name that ends in .csv, .txt or .npy",
            param_hint="--out",
        )
    net = TwoLayerNet.load(model)
    X, y = load_xy(data)
    dtype = net.params["W1"].dtype
    # A part at a time: the rows need not fit into memory in the precision of the network.
    starts = range(0, len(X), 4096)
    classes = np.concatenate([net.predict(X[i : i + 4096].astype(dtype)) for i in starts])
    if out is None:
        click.echo("\n".join(map(str, classes)))
    else:
        with _experiment.atomic_path(out) as temporary:
            if out.suffix == ".npy":
                np.save(temporary, classes)
            else:
                np.savetxt(temporary, classes, fmt="%d")
        note(f"Wrote {out}")
    if y is not None:
        right = np.count_nonzero(classes == y)
        note(f"Accuracy {right / len(y):.4f} ({right} of {len(y)} rows)")


# ------------------------------------------------------------------------------------------- sweep


@cli.command(cls=ManyValuesCommand)
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
    dataset, settings, folder = _prepare(data, out, threads, given)
    combinations = _experiment.grid(settings, hidden=hidden, learning_rate=learning_rate, reg=reg)
    total = sum(each.steps(len(dataset.X_train)) for each in combinations)
    workers = min(get_num_threads(), len(combinations))
    outcomes: list[Outcome] = []
    stopped = False
    with _console.counting_bar("Steps", total) as (progress, task):
        runs = _experiment.sweep(
            dataset, combinations, workers, lambda steps: progress.advance(task, steps)
        )
        try:
            with contextlib.closing(runs):
                for outcome in runs:
                    outcomes.append(outcome)
                    click.echo(f"{len(outcomes)}/{len(combinations)}  {_line(outcome)}")
        except KeyboardInterrupt:  # outside of the waiting for a run, which handles it itself
            stopped = True
    outcomes.sort(key=_experiment.rank, reverse=True)
    _print_sweep(data, outcomes)
    stopped = stopped or len(outcomes) < len(combinations)
    interrupted = stopped or any(each.interrupted for each in outcomes)
    if outcomes and outcomes[0].accuracy:
        best = outcomes[0]
        if dataset.X_test is not None:
            test_accuracy = _experiment.accuracy(best.net, dataset, "test")
            click.echo(f"Test accuracy of the best: {test_accuracy:.4f}")
        _save(best, dataset, folder)
    elif not interrupted:
        raise click.ClickException(
            f"all {len(outcomes)} runs diverged, and no model was written: lower --learning-rate"
        )
    if interrupted:
        note("Interrupted; the best so far is kept.")
        raise click.exceptions.Exit(INTERRUPTED)


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


def _print_sweep(data: str, outcomes: Sequence[Outcome]) -> None:
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
        _console.print_table(f"fastnn sweep {data}", columns, rows, best=0)


# -------------------------------------------------------------------------------------------- plot


@cli.command(cls=ManyValuesCommand)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--image-shape",
    type=POSITIVE,
    multiple=True,
    metavar="INTEGER...",
    show_default="the square image of that many inputs",
    help="Height, width and, for colour, 3.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    show_default="weights.png beside the model",
    help="The PNG file to write.",
)
def plot(model: Path, image_shape: tuple[int, ...], out: Path | None) -> None:
    """Draw the weights of the hidden units of MODEL as images.

    For example: fastnn plot model.safetensors --image-shape 32 32 3 --out weights.png
    """
    from fastnn.plotting import guess_image_shape, plot_weights

    net = TwoLayerNet.load(model)
    n_features = len(net.params["W1"])
    shape = image_shape or guess_image_shape(n_features)
    if shape is None:
        raise click.UsageError(
            f"the network has {n_features} inputs, which make no square image: give --image-shape"
        )
    path = out or model.with_name("weights.png")
    _experiment.save_figure(plot_weights(net, shape), path)
    click.echo(f"Wrote {path}")


# ------------------------------------------------------------------------------------------- bench


@cli.command()
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(["float32", "float64"]),
    multiple=True,
    default=["float32", "float64"],
    show_default=True,
    help="Precision; may be given twice.",
)
@click.option(
    "--seconds",
    type=POSITIVE_FLOAT,
    default=4.0,
    show_default=True,
    help="Time for each row of the table.",
)
def bench(dtypes: Sequence[str], seconds: float) -> None:
    """Compare the time of a training step with NumPy's and with the machine's arithmetic.

    Two minutes or less; other programs disturb it. NumPy gets as many threads as fastnn.
    """
    from fastnn import benchmark
    from fastnn.engine import jit_disabled

    if jit_disabled():
        raise click.ClickException(
            "NUMBA_DISABLE_JIT is set, but bench measures the compiled kernels: unset it"
        )
    for dtype in dict.fromkeys(dtypes):
        click.echo(f"Peak of one core, {dtype}: {benchmark.peak_gflops(dtype):.1f} GFLOP/s")
    click.echo(f"NumPy {np.__version__}, BLAS: {benchmark.blas_kernels()}")
    if not benchmark.has_threadpoolctl():
        note('NumPy uses its own number of threads; to set it: pip install "fastnn[bench]"')
    # A row for one thread, and one for all of them where the network is large enough to use them.
    rows = [
        (dtype, network, threads)
        for dtype, network in itertools.product(dtypes, benchmark.NETWORKS)
        for threads in sorted({1, benchmark.threads_used(network, get_num_threads())})
    ]
    results = []
    interrupted = False
    try:
        with _console.counting_bar("Measuring", len(rows)) as (progress, task):
            for (dtype, network), group in itertools.groupby(rows, key=lambda row: row[:2]):
                problem = benchmark.Problem(network, dtype)
                for *_, threads in group:
                    text = f"{network}, {dtype}, {threads} thread{'s' if threads > 1 else ''}"
                    progress.update(task, description=text)
                    results.append(benchmark.compare(problem, threads, seconds))
                    progress.advance(task)
    except KeyboardInterrupt:
        interrupted = True
    _print_comparisons(results)
    if interrupted:
        raise click.exceptions.Exit(INTERRUPTED)


def _print_comparisons(results: Sequence[Any]) -> None:
    columns = ("Network", "Batch", "Precision", "Threads", "NumPy", "fastnn", "Ratio", "Of peak")
    rows = [
        (
            str(each.network),
            str(each.network.batch_size),
            str(each.dtype),
            str(each.threads),
            _microseconds(each.numpy_seconds),
            _microseconds(each.fastnn_seconds),
            f"{each.ratio:.2f}",
            f"{each.share_of_peak:.0%}",
        )
        for each in results
    ]
    _console.print_table("Microseconds a training step", columns, rows)


def _microseconds(seconds: float) -> str:
    value = seconds * 1e6
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:,.{digits}f}"
