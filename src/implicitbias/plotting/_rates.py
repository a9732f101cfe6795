"""Figures of errors against a small parameter on logarithmic axes, with the slope that theory predicts."""

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from implicitbias.plotting._style import COLOURS, new_figure

# An axis of few values within this factor has a tick at each value.
_NARROW, _FEW = 30.0, 8


def rate_figure(x: ndarray, errors: dict[str, ndarray], x_label: str, y_label: str, slope: float) -> Figure:
    """Return a figure with one line for each name in `errors`, and a dashed guide of the expected slope."""
    figure, axes = new_figure(1, height=4.2, width=6.5)
    axis = axes[0, 0]
    for colour, (name, values) in zip(COLOURS, errors.items(), strict=False):
        shown = values > 0.0
        axis.loglog(x[shown], values[shown], "o-", color=colour, markersize=4, linewidth=1.4, label=name)
    top = max((float(np.max(values[values > 0.0], initial=0.0)) for values in errors.values()), default=0.0)
    if top > 0.0:
        guide = top * (x / x.max()) ** slope * 1.6
        axis.loglog(x, guide, "--", color="#8A9094", linewidth=1.0, label=f"slope {slope:g}")
    if x.max() < _NARROW * x.min() and len(x) <= _FEW:
        # The labels between powers of 10 overlap on an axis of little more than a decade.
        axis.set_xticks(x, [f"{value:.2g}" for value in x])
        axis.xaxis.minorticks_off()
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.legend(frameon=False, fontsize=8)
    return figure
