"""One look for every figure."""

from typing import Any

from matplotlib.figure import Figure

from implicitbias.plotting._text import middle

# Okabe and Ito's palette: told apart by colour-blind readers and in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F3C8D", "#5F6B6D")
QUIET = "#B8BEC2"
_LETTERS = 28


def new_figure(rows: int, columns: int = 1, height: float = 3.0, width: float = 8.0) -> tuple[Figure, Any]:
    """A figure and its (rows, columns) axes, without spines nobody reads."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#E6E8EA", linewidth=0.6)
        axis.set_axisbelow(True)
    return figure, axes


def plain(name: str) -> str:
    """A user's name as text that matplotlib does not read as mathematics, and that leaves room for the picture."""
    return middle(name, _LETTERS).replace("$", r"\$")


def label_lines(axis: Any, labels: list[tuple[float, str, str]], x: float) -> None:
    """Names at the right end of lines, pushed apart where they would overlap: (y, text, colour)."""
    low, high = axis.get_ylim()
    gap = (high - low) / 16
    last = -float("inf")
    for y, text, colour in sorted(labels):
        last = max(y, last + gap)
        axis.annotate(
            text, (x, y), xytext=(1.01, (last - low) / (high - low)), textcoords=("axes fraction", "axes fraction"),
            va="center", fontsize=8, color=colour, annotation_clip=False,
        )  # fmt: skip
