"""A figure that shows itself. Imported where a plot is made, as it needs matplotlib."""

import io

import matplotlib.figure


class Figure(matplotlib.figure.Figure):
    """matplotlib's figure, which as the last line of a notebook's cell is seen as a picture.

    matplotlib teaches notebooks to show figures when pyplot is imported, which a plot does not
    need.
    """

    def _repr_png_(self) -> bytes:
        """Return the picture as a PNG file, for IPython."""
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()
