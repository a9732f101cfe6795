"""The function `plot`, which draws a figure of any result."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from implicitbias._core.errors import InputError
from implicitbias.diagnostics import LimitModel, PathModel
from implicitbias.gauges import Gauge
from implicitbias.grokking import Forecast
from implicitbias.limits import Limit, SaddlePath
from implicitbias.plotting._balls import balls_figure, gauge_figure, potential_figure
from implicitbias.plotting._forecasts import forecast_figure
from implicitbias.plotting._limits import classifiers_figure, limit_figure
from implicitbias.plotting._path_report import Validation
from implicitbias.plotting._paths import PathPicture, path_figure, validated_path_figure
from implicitbias.plotting._trajectories import trajectory_figure
from implicitbias.trajectories import Trajectory


def plot(result: Any, *, coordinates: Any = None, measured: Any = None) -> Figure:
    r"""Return a matplotlib figure of a result, of a gauge, or of a potential.

    - `SaddlePath`, and a fitted regressor of such a path: coefficients and loss against slow time. The figure of an
      `ib.SaddlePathRegressorCV` also shows the chosen time, and the held-out error with a band of one standard error.
    - `Trajectory`: states and scalar observables against flow time.
    - `Limit`: the coefficients. For a classifier also the margins of the rows, and with two features the separating
      lines. A fitted `ib.MaxMarginClassifier` is drawn in the same way, with a row for each limit.
    - `Forecast`: errors and losses against steps or flow time, with the memorization time and the grokking time.
    - A gauge: its unit ball with level lines, in the plane of two entries of w in which all other entries are 0.
    - A potential: its level lines, and its sublevel sets $S_c / R_c$ for growing levels c with the unit ball of its
      horizon, which they approach. $R_c$ is the largest length of a point of $S_c$ in the plane.
    - A list of gauges and potentials, or a dict with their labels as keys: their unit balls in one figure. The ball of
      a potential is that of its horizon. If there is one, all balls are scaled to the largest length 1.

    The figure is not registered with pyplot. Save it with `figure.savefig(name)`, or return it from a notebook cell.

    Args:
        result: what to draw.
        coordinates: for gauges and potentials, the two entries of w that are drawn, such as (0, 3), or ((0, 0), (0, 1))
            for matrices; by default the first two entries of vectors or of the diagonal of matrices.

        measured: for a forecast, a measured log that is drawn over it, in any form that `ib.grokking.phases` reads. Its
            times count steps if the forecast has a learning rate, and otherwise they are times of the flow.

    Raises:
        InputError: the result is of another type, `measured` is given for another result than a forecast, or the
            coordinates are not two entries of w.
        sklearn.exceptions.NotFittedError: the regressor or classifier is not fitted.

    Reference:
        pesme2024mirror, for sublevel sets and horizons.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> path = ib.saddle_path(ib.LeastSquares(np.eye(3), [3.0, 2.0, 1.0]))
        >>> figure = ib.plot(path)
        >>> [axis.get_ylabel() for axis in figure.axes]
        ['coefficient', 'loss']
        >>> figure = ib.plot({"sparse": ib.gauges.L1(), "dense": ib.gauges.LInf()})
        >>> [line.get_label() for line in figure.axes[0].lines[:2]]
        ['sparse', 'dense']
    """
    if isinstance(result, Forecast):
        return forecast_figure(result, measured)
    if measured is not None:
        raise InputError(
            f"measured is given for a {type(result).__name__}, a Forecast is expected with it; type ib.plot(result)"
        )
    if isinstance(result, Gauge):
        return gauge_figure(result, coordinates)
    if isinstance(result, (list, tuple, Mapping)):
        return balls_figure(result, coordinates)
    if not isinstance(result, type) and callable(
        getattr(result, "horizon", None)
    ):  # a potential, whose module would load JAX
        return potential_figure(result, coordinates)
    if coordinates is not None:
        raise InputError(
            f"coordinates is given for a {type(result).__name__}, a gauge or a potential is expected with it; type "
            "ib.plot(result)"
        )
    if isinstance(result, SaddlePath):
        return path_figure(PathPicture.of_path(result))
    if isinstance(result, PathModel):
        validation = Validation.of_model(result)  # it raises if the model is not fitted
        return validated_path_figure(result.path_, validation)
    if isinstance(result, LimitModel):
        return classifiers_figure(result.labelled_limits())
    if isinstance(result, Trajectory):
        return trajectory_figure(result)
    if isinstance(result, Limit):
        return limit_figure(result)
    kind = f"the class {result.__name__}" if isinstance(result, type) else f"a {type(result).__name__}"
    raise InputError(
        f"result is {kind}; a SaddlePath, a Trajectory, a Limit, a Forecast, a fitted regressor or classifier of "
        "this package, a gauge or a potential is expected; if it is a pipeline that ends with such a model, type "
        "ib.plot(pipeline[-1])"
    )
