"""The common style of all figures: colours, axes and labels, and figures as PNG files."""

from io import BytesIO
from typing import Any
from unicodedata import category

from matplotlib import rc_context
from matplotlib.figure import Figure

from implicitbias.plotting._text import middle

# Okabe and Ito's palette, whose colours colour-blind readers can distinguish, also in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F3C8D", "#5F6B6D")
QUIET = "#B8BEC2"
_LETTERS = 28


def new_figure(rows: int, columns: int = 1, height: float = 3.0, width: float = 8.0) -> tuple[Figure, Any]:
    """Return a figure and its (rows, columns) axes, without top and right spines."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#E6E8EA", linewidth=0.6)
        axis.set_axisbelow(True)
    return figure, axes


def png(figure: Figure) -> bytes:
    """Return a figure as the content of a PNG file.

    A file that is written from these bytes reports a full disk as such; the encoder of PNG files does not.
    """
    content = BytesIO()
    figure.savefig(content, format="png", dpi=150)
    return content.getvalue()


def svg(figure: Figure) -> bytes:
    """Return a figure as the content of an SVG file, which is equal for equal figures."""
    content = BytesIO()
    # Without a fixed salt the names of elements are random. The date would change with every run.
    with rc_context({"svg.hashsalt": "implicitbias"}):
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def pdf(figure: Figure) -> bytes:
    """Return a figure as the content of a PDF file, without the date, which would change with every run."""
    content = BytesIO()
    figure.savefig(content, format="pdf", metadata={"CreationDate": None})
    return content.getvalue()


def plain(name: str) -> str:
    """Return a name as short text without mathematics, and without control characters except for line breaks."""
    seen = "".join(repr(c)[1:-1] if category(c) == "Cc" and c != "\n" else c for c in name)
    return middle(seen, _LETTERS).replace("$", r"\$")


def label_lines(axis: Any, labels: list[tuple[float, str, str]], x: float) -> None:
    """Write labels (y, text, colour) at the right end of lines, moved apart so that they do not overlap."""
    low, high = axis.get_ylim()
    gap = (high - low) / 16
    last = -float("inf")
    for y, text, colour in sorted(labels):
        last = max(y, last + gap)
        axis.annotate(
            text, (x, y), xytext=(1.01, (last - low) / (high - low)), textcoords=("axes fraction", "axes fraction"),
            va="center", fontsize=8, color=colour, annotation_clip=False,
        )  # fmt: skip
