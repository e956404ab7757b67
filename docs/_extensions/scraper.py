"""What the gallery shows of a block: figures of pyplot, and those that fastnn returns."""

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst, matplotlib_scraper


def figures(block, block_vars, gallery_conf):
    """Save the block's pictures, and return the reStructuredText that shows them."""
    shown = matplotlib_scraper(block, block_vars, gallery_conf)
    figure = block_vars["example_globals"].get("figure")
    # A figure without a number is none of pyplot's. Once it is shown, its name is free again.
    if isinstance(figure, Figure) and not hasattr(figure, "number"):
        path = next(block_vars["image_path_iterator"])
        figure.savefig(path, dpi=100, bbox_inches="tight")
        del block_vars["example_globals"]["figure"]
        title = figure.axes[0].get_title() if figure.axes else ""
        shown += figure_rst([path], gallery_conf["src_dir"], title)
    return shown
