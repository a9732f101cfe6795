"""Figures of matplotlib as pictures of a report."""

from typing import Any

from implicitbias.plotting import chart_of_figure, png
from implicitbias.reports._document import Picture


def picture_of(figure: Any, caption: str, description: str = "", files: tuple[str, ...] = ()) -> Picture:
    """Return a figure of matplotlib as a picture that readers can zoom in, or as an image if it has other parts.

    Args:
        figure: the figure.
        caption: what it shows.
        description: the figure in words, for readers who do not see it; by default the caption.
        files: names of files beside the page that show it.
    """
    chart = chart_of_figure(figure)
    return Picture(caption, description or caption, chart, png(figure) if chart is None else b"", files)
