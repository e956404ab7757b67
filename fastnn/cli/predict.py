"""``fastnn predict``."""

from pathlib import Path

import click
import numpy as np

from fastnn.cli import saving
from fastnn.cli.console import note, say
from fastnn.cli.scores import score, task_of
from fastnn.data import load_xy


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .csv, .txt or .npy file, instead of stdout.",
)
def predict(model: Path, data: str, out: Path | None) -> None:
    """Write what MODEL predicts of each row of DATA, one line a row; with targets, tell how well.

    That is the index of a class or, for a regression, as many numbers as there are targets,
    separated by commas.

    DATA is the word digits, a folder with the binary version of CIFAR-10 (its test batch), a .bin
    file of it, a .npz file with X and optionally y, or a .npy file with X.
    """
    if out is not None:
        if out.suffix not in (".csv", ".txt", ".npy"):
            raise click.BadParameter(
                f"cannot tell the format of {out}: needed a name that ends in .csv, .txt or .npy",
                param_hint="--out",
            )
        saving.check_file(out, model, data)
    net = saving.load_model(model)
    X, y = load_xy(data, task=task_of(net))
    # A part at a time: the rows need not fit into memory in the precision of the network.
    starts = range(0, len(X), 4096)
    predicted = np.concatenate([net.predict(X[i : i + 4096]) for i in starts])
    if out is None:
        say(saving.as_text(predicted))
    else:
        saving.save_predictions(predicted, out)
        note(f"Wrote {out}")
    if y is not None:
        reached = score(net, predicted, y)
        facts = ", ".join(f"{name} {text}" for name, text in reached.facts())
        count = f"{reached.right} of {reached.rows}" if reached.name == "accuracy" else len(y)
        note(f"{facts[0].upper()}{facts[1:]} ({count} rows)")
