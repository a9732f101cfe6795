"""Figures of a forecast of grokking."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from implicitbias.grokking import Forecast, read_log
from implicitbias.plotting._style import COLOURS, QUIET, new_figure

_TRAIN, _TEST = COLOURS[0], COLOURS[1]


def forecast_figure(forecast: Forecast, measured: Any = None) -> Figure:
    """Return a figure of the errors and the losses against time, with the two times and the interval of the second.

    The axis counts steps of gradient descent if the learning rate is known, and otherwise shows the time of the flow.
    The measured log, whose times have the same unit, is drawn as dots.
    """
    in_steps = not np.isnan(forecast.learning_rate)
    unit = forecast.learning_rate if in_steps else 1.0
    times = forecast.columns["t"] / unit
    figure, axes = new_figure(2)
    for axis, kind in zip(axes[:, 0], ("error", "loss"), strict=True):
        for name, colour in (("train", _TRAIN), ("test", _TEST)):
            values = forecast.columns[f"{name}_{kind}"]
            axis.plot(times[1:], values[1:], color=colour, linewidth=1.8, label=f"{name}, forecast")
        _mark(axis, forecast, unit)
        axis.set_xscale("log")
        axis.set_xlim(times[1], times[-1])
    axes[0, 0].set_ylabel(forecast.error_kind)
    axes[1, 0].set_ylabel("loss")
    axes[1, 0].set_yscale("log")
    positive = forecast.columns["test_loss"]
    axes[1, 0].set_ylim(bottom=max(1e-12, 1e-6 * float(np.max(positive))))
    if not np.min(forecast.columns["test_error"]) > 0.0 or forecast.unit == 1.0:
        axes[0, 0].set_ylim(bottom=0.0)
    if measured is not None:
        log = read_log(measured, dict.fromkeys(("time", "train", "test")), None)
        for series, name, colour in ((log.train, "train", _TRAIN), (log.test, "test", _TEST)):
            seen = series.times > 0.0
            axes[0, 0].plot(
                series.times[seen], series.errors[seen], "o", color=colour, markersize=3.5, alpha=0.6,
                label=f"{name}, measured",
            )  # fmt: skip
    axes[0, 0].legend(frameon=False, fontsize=8)
    verdict = "groks" if forecast.groks else "does not grok"
    axes[0, 0].set_title(f"The model {verdict}; trust: {forecast.trust.level}", loc="left", fontsize=11)
    axes[1, 0].set_xlabel("step of gradient descent" if in_steps else "flow time  $t$")
    return figure


def _mark(axis: Any, forecast: Forecast, unit: float) -> None:
    """Draw the memorization time, the grokking time and its interval."""
    for time, colour, style in (
        (forecast.memorization_time, _TRAIN, ":"),
        (forecast.grokking_time, _TEST, ":"),
        (1.0 / forecast.weight_decay, QUIET, "-"),
    ):
        if time > 0.0:
            axis.axvline(time / unit, color=colour, linestyle=style, linewidth=1.0)
    low, high = forecast.grokking_interval
    if low > 0.0 and np.isfinite(high):
        axis.axvspan(low / unit, high / unit, color=_TEST, alpha=0.12, linewidth=0.0)
