"""Figures of functions of one input at several times of training."""

from matplotlib.figure import Figure
from numpy import ndarray

from implicitbias.plotting._style import COLOURS, new_figure


def functions_figure(
    x: ndarray, functions: dict[str, ndarray], target: ndarray, data: tuple[ndarray, ndarray], y_label: str
) -> Figure:
    """Return a figure with one panel for each function, over the target function (dashed) and the training data.

    Args:
        x: (k,) the inputs.
        functions: {title: (k,) values}.
        target: (k,) the values of the target function.
        data: the training inputs and targets, (n,) each.
        y_label: the label of the y axis.
    """
    figure, axes = new_figure(1, len(functions), height=3.6, width=3.6)
    for axis, colour, (title, values) in zip(axes[0], COLOURS, functions.items(), strict=False):
        axis.plot(x, target, "--", color="#8A9094", linewidth=1.2, label="teacher")
        axis.plot(x, values, color=colour, linewidth=1.8, label="network")
        axis.plot(*data, "o", color="#333333", markersize=4, label="training data")
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xlabel("$x$")
    axes[0, 0].set_ylabel(y_label)
    axes[0, 0].legend(frameon=False, fontsize=8)
    return figure
