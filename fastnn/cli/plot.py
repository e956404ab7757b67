"""``fastnn plot``."""

from pathlib import Path

import click

from fastnn.cli import saving
from fastnn.cli.console import say
from fastnn.cli.options import POSITIVE, ManyValuesCommand


@click.command(cls=ManyValuesCommand)
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
    """Draw the weights of the first layer's units of MODEL as images.

    For example: fastnn plot model.safetensors --image-shape 32 32 3 --out weights.png
    """
    if out is not None:
        saving.check_file(out, model)
        if out.suffix.lower() not in (".png", ""):
            raise click.BadParameter(
                f"plot writes PNG, but the name is {out}: needed one that ends in .png",
                param_hint="--out",
            )
    from fastnn.plotting import first_weights, guess_image_shape, plot_weights

    net = saving.load_model(model)
    n_features = len(first_weights(net))
    shape = image_shape or guess_image_shape(n_features)
    if shape is None:
        raise click.UsageError(
            f"the network has {n_features} inputs, which make no square image: give --image-shape. "
            "plot draws images only; of a table, history.png shows the training"
        )
    path = out or model.with_name(saving.WEIGHTS)
    saving.check_file(path, model)
    saving.save_figure(plot_weights(net, shape), path)
    say(f"Wrote {path}")
