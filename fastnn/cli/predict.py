"""``fastnn predict``."""

from pathlib import Path

import click
import numpy as np

from fastnn import TwoLayerNet
from fastnn.cli import saving
from fastnn.cli.console import note, say
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
    """Write the class index of each row of DATA, one a line; with labels, tell the accuracy.

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
    net = TwoLayerNet.load(model)
    X, y = load_xy(data)
    # A part at a time: the rows need not fit into memory in the precision of the network.
    starts = range(0, len(X), 4096)
    classes = np.concatenate([net.predict(X[i : i + 4096]) for i in starts])
    if out is None:
        say("\n".join(map(str, classes)))
    else:
        saving.save_classes(classes, out)
        note(f"Wrote {out}")
    if y is not None:
        right = np.count_nonzero(classes == y)
        note(f"Accuracy {right / len(y):.4f} ({right} of {len(y)} rows)")
