"""The function `plot`, which draws a figure of any result."""

from typing import Any

from matplotlib.figure import Figure

from implicitbias._core.errors import InputError
from implicitbias.diagnostics import PathModel
from implicitbias.limits import SaddlePath
from implicitbias.plotting._path_report import Validation
from implicitbias.plotting._paths import PathPicture, path_figure, validated_path_figure
from implicitbias.plotting._trajectories import trajectory_figure
from implicitbias.trajectories import Trajectory


def plot(result: Any) -> Figure:
    """Return a matplotlib figure of a result: a `SaddlePath`, a fitted regressor of such a path, or a `Trajectory`.

    The figure of an `ib.SaddlePathRegressorCV` shows the whole path, the chosen time, and the held-out error with a
    band of one standard error over the folds.

    The figure is not registered with pyplot. Save it with `figure.savefig(name)`, or return it from a notebook cell.

    Raises:
        InputError: the result is of another type.
        sklearn.exceptions.NotFittedError: the regressor is not fitted.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> path = ib.saddle_path(ib.LeastSquares(np.eye(3), [3.0, 2.0, 1.0]))
        >>> figure = ib.plot(path)
        >>> [axis.get_ylabel() for axis in figure.axes]
        ['coefficient', 'loss']
    """
    if isinstance(result, SaddlePath):
        return path_figure(PathPicture.of_path(result))
    if isinstance(result, PathModel):
        validation = Validation.of_model(result)  # it raises if the model is not fitted
        return validated_path_figure(result.path_, validation)
    if isinstance(result, Trajectory):
        return trajectory_figure(result)
    raise InputError(
        f"result is a {type(result).__name__}, a SaddlePath or a Trajectory, or a fitted regressor, is expected; "
        "if it is a pipeline that ends with a regressor, type ib.plot(pipeline[-1])"
    )
