"""Figures of errors and norms along several runs."""

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from implicitbias.plotting._style import COLOURS, QUIET, new_figure

# Values below this share of the largest one of a panel are not drawn.
_DRAWN = 1e-8
# The y axis is logarithmic if values range over more than this factor.
_DECADES = 20.0


def curves_figure(
    panels: dict[str, dict[str, tuple[ndarray, ndarray]]],
    x_label: str,
    level: float = np.nan,
    logarithmic: bool = True,
    dashed: tuple[str, ...] = (),
) -> Figure:
    """Return a figure with one panel below another, each with one line for each run.

    The y axis is logarithmic where values are positive and range over more than a decade.

    Args:
        panels: {label of the y axis: {run: (x, values)}}.
        x_label: the label of the common x axis.
        level: a value of y that is marked by a line; nan for none.
        logarithmic: whether the x axis is logarithmic.
        dashed: the runs that are drawn as dashed lines, such as limits of the others and baselines.
    """
    figure, axes = new_figure(len(panels), height=2.8 if len(panels) > 1 else 4.0, width=7.5)
    for axis, (y_label, runs) in zip(axes[:, 0], panels.items(), strict=True):
        top = max(float(np.nanmax(values)) for _, values in runs.values())
        for colour, (name, (x, values)) in zip(COLOURS, runs.items(), strict=False):
            style = {"linestyle": "--", "color": "#333333"} if name in dashed else {"color": colour}
            axis.plot(x, values, linewidth=1.6, label=name, **style)
        least = min(float(np.nanmin(values)) for _, values in runs.values())
        if 0.0 < least < top / _DECADES:
            axis.set_yscale("log")
        if 0.0 < least < _DRAWN * top:
            axis.set_ylim(_DRAWN * top, 3.0 * top)
        if np.isfinite(level):
            axis.axhline(level, color=QUIET, linestyle=":", linewidth=1.2)
        if logarithmic:
            axis.set_xscale("log")
        axis.set_ylabel(y_label)
    axes[0, 0].legend(frameon=False, fontsize=8)
    axes[-1, 0].set_xlabel(x_label)
    return figure
