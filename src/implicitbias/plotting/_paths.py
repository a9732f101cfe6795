"""Figures of a saddle path, alone and over simulations, drawn from a path or from a stored dataset."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.figure import Figure
from numpy import ndarray

from implicitbias.limits import SaddlePath
from implicitbias.plotting._path_report import Validation
from implicitbias.plotting._style import COLOURS, QUIET, label_lines, new_figure, plain
from implicitbias.plotting._text import short

_NAMED = 8
_CHOSEN = "#A0461A"  # the colour of the chosen time, as in the report


class PathPicture(NamedTuple):
    """The numbers and names in a figure of a path.

    Attributes:
        times: (k+1,) jump times in slow time.
        coefficients: (k+1, m) coefficients of m of the d features at each saddle; those of the others are 0.
        features: (m,) which features these are.
        losses: (k+1,) losses at each saddle.
        names: the names of the m features; None if they have no names.
        valid_until: the slow time until which the path is known.
        title: the title of the figure.
        time_label: the label of the time axis.
    """

    times: Float64[ndarray, " k"]
    coefficients: Float64[ndarray, "k m"]
    features: Int64[ndarray, " m"]
    losses: Float64[ndarray, " k"]
    names: tuple[str, ...] | None
    valid_until: float
    title: str
    time_label: str

    @classmethod
    def of_path(cls, path: SaddlePath) -> "PathPicture":
        """Return the picture of a path."""
        title = _title(path.problem.shape, path.n_jumps, path.certificate.holds)
        used = path.ever_active
        names = path.feature_names and tuple(path.feature_names[i] for i in used.tolist())
        numbers = (path.times, path.coefficients_sparse[:, used].toarray(), used, path.losses)
        return cls(*numbers, names, path.valid_until, title, path.growth.label)

    @classmethod
    def of_dataset(cls, data: Any) -> "PathPicture":
        """Return the picture of a path from the dataset of `SaddlePath.to_dataset`, which may have been stored.

        The attribute `time_label` of the dataset, if there is one, is the label of the time axis.
        """
        names = tuple(str(name) for name in data["feature"].values) if data.attrs["named"] else None
        coefficients = data["coefficients"].values
        # Data sets of earlier versions hold all features.
        d = int(data.attrs.get("columns", coefficients.shape[1]))
        features = data["column"].values if "column" in data else np.arange(d)
        numbers = (data["time"].values, coefficients, features, data["loss"].values)
        shape = (int(data.attrs["rows"]), d)
        title = _title(shape, len(coefficients) - 1, bool(data.attrs["certificate_holds"]))
        label = str(data.attrs.get("time_label", "slow time"))
        return cls(*numbers, names, float(data.attrs["valid_until"]), title, label)

    @property
    def end(self) -> float:
        """The slow time at which the figure ends."""
        last = float(self.times[-1])
        return min(last * 1.15 if last > 0.0 else 1.0, self.valid_until)

    @property
    def chosen(self) -> dict[int, str]:
        """The columns of `coefficients` drawn in colour and their colours. They become largest at some saddle."""
        size = np.max(np.abs(self.coefficients), axis=0, initial=0.0)
        largest = [int(i) for i in np.argsort(-size)[:_NAMED] if size[i] > 0.0]
        return dict(zip(sorted(largest), COLOURS, strict=False))

    def at(self, t: float) -> Float64[ndarray, " m"]:
        """Return the coefficients at a slow time."""
        return self.coefficients[np.searchsorted(self.times, t, side="right") - 1]


class Run(NamedTuple):
    """Samples of one simulation: a label, slow times (m,), states w (m, d), losses (m,)."""

    label: str
    times: Float64[ndarray, " m"]
    states: Float64[ndarray, "m d"]
    losses: Float64[ndarray, " m"]


def path_figure(picture: PathPicture) -> Figure:
    """Return a figure of coefficients and loss against slow time."""
    figure, axes = new_figure(2)
    top, bottom = axes[:, 0]
    _coefficients(top, picture)
    _loss(bottom, picture)
    _time_axis(axes, picture)
    top.set_title(picture.title, loc="left", fontsize=11)
    return figure


def validated_path_figure(path: SaddlePath, validation: Validation | None) -> Figure:
    """Return a figure of a path and, with cross-validation, of the chosen time and the held-out errors."""
    picture = PathPicture.of_path(path)
    if validation is None:
        return path_figure(picture)
    figure, axes = new_figure(3, height=2.6)
    column = axes[:, 0]
    _coefficients(column[0], picture)
    _loss(column[1], picture)
    _held_out(column[2], validation, picture.end)
    _time_axis(axes, picture)
    for axis in column:
        axis.axvline(validation.chosen, color=_CHOSEN, linewidth=1.0, linestyle="--")
    folds = f"{len(validation.curve.weights)} folds choose slow time {short(validation.chosen)} (dashed)"
    column[0].set_title(f"{picture.title}\n{folds}", loc="left", fontsize=11)
    return figure


def path_over_simulation(picture: PathPicture, runs: list[Run]) -> Figure:
    """Return a figure of the predicted path (thin, dark) over simulated flows (wide, light), with a column per run."""
    figure, axes = new_figure(2, len(runs), height=2.6, width=4.6)
    for column, run in enumerate(runs):
        top, bottom = axes[:, column]
        for i, colour in picture.chosen.items():
            states = run.states[:, picture.features[i]]
            top.plot(run.times, states, color=colour, linewidth=4, alpha=0.35, solid_capstyle="butt")
            _steps(top, picture, picture.coefficients[:, i], colour, 1.1)
        bottom.plot(run.times, run.losses, color="#333333", linewidth=4, alpha=0.25)
        _steps(bottom, picture, picture.losses, "#333333", 1.1)
        top.set_title(run.label, loc="left", fontsize=10)
        _share_limits(axes, column)
    axes[0, 0].set_ylabel("coefficient")
    axes[1, 0].set_ylabel("loss")
    _time_axis(axes, picture)
    return figure


def _title(shape: tuple[int, int], jumps: int, certified: bool) -> str:
    mark = "certified" if certified else "NOT certified"
    return f"Saddle path: n = {shape[0]}, d = {shape[1]}, {jumps} jumps, {mark}"


def _share_limits(axes: Any, column: int) -> None:
    if column:
        for row in axes:
            low = min(row[0].get_ylim()[0], row[column].get_ylim()[0])
            high = max(row[0].get_ylim()[1], row[column].get_ylim()[1])
            for axis in row[: column + 1]:
                axis.set_ylim(low, high)


def _coefficients(axis: Any, picture: PathPicture) -> None:
    chosen, end = picture.chosen, picture.end
    for i in np.flatnonzero(np.any(picture.coefficients != 0.0, axis=0)).tolist():
        if i not in chosen:
            _steps(axis, picture, picture.coefficients[:, i], QUIET, 0.8)
    for i, colour in chosen.items():
        _steps(axis, picture, picture.coefficients[:, i], colour, 1.6)
    axis.axhline(0.0, color="#8A9094", linewidth=0.6)
    axis.set_ylabel("coefficient")
    names = picture.names
    axis.set_xlim(0.0, end)
    last = picture.at(min(end, float(np.nextafter(picture.valid_until, 0.0))))
    label_lines(
        axis,
        [
            (last[i], plain(names[i]) if names else f"$w_{{{picture.features[i]}}}$", colour)
            for i, colour in chosen.items()
        ],
        end,
    )


def _loss(axis: Any, picture: PathPicture) -> None:
    _steps(axis, picture, picture.losses, "#333333", 1.4)
    axis.set_ylabel("loss")
    axis.set_ylim(bottom=0.0)


def _held_out(axis: Any, validation: Validation, end: float) -> None:
    """Draw the mean held-out error with a band of one standard error over the folds, which a single fold lacks."""
    curve, banded = validation.curve, len(validation.curve.weights) > 1
    times = np.append(curve.times, max(end, float(curve.times[-1])))
    mean, error = (np.append(values, values[-1]) for values in (curve.mean, curve.standard_error))
    axis.step(times, mean, where="post", color="#333333", linewidth=1.4)
    seen = [mean]
    if banded:
        axis.fill_between(
            times, mean - error, mean + error, step="post", color=COLOURS[0], alpha=0.16, linewidth=0
        )
        seen = [mean - error, mean + error]
    low, high = float(np.min(seen)), min(float(np.max(seen)), validation.top)
    if high > low:
        axis.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    unit = "held-out error\n(± standard error)" if banded else "held-out error"
    axis.set_ylabel(unit)
    if mean[0] > validation.top:
        axis.set_title(f"{short(float(mean[0]))} without features", loc="right", fontsize=8)


def _steps(axis: Any, picture: PathPicture, values: ndarray, colour: str, width: float) -> None:
    times, heights = np.append(picture.times, picture.end), np.append(values, values[-1])
    axis.step(times, heights, where="post", color=colour, linewidth=width)


def _time_axis(axes: Any, picture: PathPicture) -> None:
    """Set the limits, the scale and the label of the time axis.

    The scale is logarithmic if jump times differ by more than a factor of 50, as they often do for real data.
    """
    end = picture.end
    later = picture.times[picture.times > 0.0]
    wide = len(later) > 0 and end / later[0] > 50.0
    for axis in axes.ravel():
        if wide:
            axis.set_xscale("log")
        axis.set_xlim(later[0] / 2 if wide else 0.0, end)
    for axis in axes[-1]:
        axis.set_xlabel(picture.time_label)
