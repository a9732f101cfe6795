"""Figures and charts of results. Only this folder imports matplotlib. No function opens a window or changes
global state.

To add a figure for a result type, write `_name.py` and add the type to `_plot.py`.
"""

from implicitbias.plotting._chart import Area as Area
from implicitbias.plotting._chart import Axis as Axis
from implicitbias.plotting._chart import Chart as Chart
from implicitbias.plotting._chart import Dots as Dots
from implicitbias.plotting._chart import Line as Line
from implicitbias.plotting._chart import Mark as Mark
from implicitbias.plotting._chart import Panel as Panel
from implicitbias.plotting._chart import Rule as Rule
from implicitbias.plotting._chart import Stripe as Stripe
from implicitbias.plotting._chart_of_figure import chart_of_figure as chart_of_figure
from implicitbias.plotting._curves import curves_figure as curves_figure
from implicitbias.plotting._forecasts import forecast_figure as forecast_figure
from implicitbias.plotting._formula_names import formula_name as formula_name
from implicitbias.plotting._functions import functions_figure as functions_figure
from implicitbias.plotting._limits import limit_figure as limit_figure
from implicitbias.plotting._margin_report import MarginReport as MarginReport
from implicitbias.plotting._margin_report import margin_certificate_sentence as margin_certificate_sentence
from implicitbias.plotting._margin_report import margin_sentence as margin_sentence
from implicitbias.plotting._path_charts import path_chart as path_chart
from implicitbias.plotting._path_report import PathReport as PathReport
from implicitbias.plotting._path_report import Validation as Validation
from implicitbias.plotting._path_words import HELD_OUT_MEANING as HELD_OUT_MEANING
from implicitbias.plotting._path_words import badge as badge
from implicitbias.plotting._path_words import certificate_sentence as certificate_sentence
from implicitbias.plotting._path_words import chosen_numbers as chosen_numbers
from implicitbias.plotting._path_words import chosen_sentence as chosen_sentence
from implicitbias.plotting._path_words import held_out_r2 as held_out_r2
from implicitbias.plotting._paths import PathPicture as PathPicture
from implicitbias.plotting._paths import Run as Run
from implicitbias.plotting._paths import path_figure as path_figure
from implicitbias.plotting._paths import path_over_simulation as path_over_simulation
from implicitbias.plotting._paths import validated_path_figure as validated_path_figure
from implicitbias.plotting._plot import plot as plot
from implicitbias.plotting._rates import rate_figure as rate_figure
from implicitbias.plotting._separable import PlaneFlow as PlaneFlow
from implicitbias.plotting._separable import balls_figure as balls_figure
from implicitbias.plotting._separable import bounded_figure as bounded_figure
from implicitbias.plotting._separable import bounds_figure as bounds_figure
from implicitbias.plotting._separable import plane_figure as plane_figure
from implicitbias.plotting._separable import shortfall_figure as shortfall_figure
from implicitbias.plotting._style import pdf as pdf
from implicitbias.plotting._style import png as png
from implicitbias.plotting._style import svg as svg
from implicitbias.plotting._text import middle as middle
from implicitbias.plotting._text import short as short
