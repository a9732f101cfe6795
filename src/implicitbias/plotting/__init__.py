"""Plotting: figures of results. matplotlib enters here and nowhere else; no global state, nothing is shown.

To add a figure for a result type, write `_name.py` and add the type to `_plot.py`.
"""

from implicitbias.plotting._paths import Run as Run
from implicitbias.plotting._paths import path_over_simulation as path_over_simulation
from implicitbias.plotting._plot import plot as plot
from implicitbias.plotting._rates import rate_figure as rate_figure
