"""Measurements of simulations at a sequence of decreasing scales, as variables of a dataset."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.status import Status
from implicitbias.diagnostics import ScaleSweep
from implicitbias.trajectories import Trajectory

# Figures end at this multiple of the last jump time, as `plotting` draws them.
_DRAWN = 1.15


def finished(trajectory: Trajectory) -> Trajectory:
    """Return the trajectory, or raise `KeyboardInterrupt` if it was interrupted, so that the study stops too.

    Raises:
        KeyboardInterrupt: the simulation was interrupted from the keyboard.
    """
    if trajectory.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return trajectory


def sweep_variables(
    sweep: ScaleSweep, exponents: tuple[float, ...], shown: dict[str, int]
) -> dict[str, tuple[Any, ndarray]]:
    """Return variables over (scale, transition), (scale, jump) and (shown, sample, feature).

    Args:
        sweep: the simulations.
        exponents: the scale of each simulation is 10^-exponent.
        shown: {label: index} of the simulations whose samples are stored for figures.
    """
    end = _DRAWN * float(sweep.path.times[-1])
    runs = [sweep.sampled(index, end) for index in shown.values()]
    return {
        "exponent": (("scale",), np.array(exponents, dtype=float)),
        "unit": (("scale",), sweep.units),
        "jump_error": (("scale", "transition"), sweep.jump_errors),
        "saddle_error": (("scale", "jump"), sweep.saddle_errors),
        "off_support": (("scale", "jump"), sweep.off_support),
        "steps": (("scale",), sweep.steps),
        "simulation_status": (("scale",), np.array(sweep.statuses)),
        "shown": (("shown",), np.array(list(shown))),
        "sample_time": (("shown", "sample"), _padded([run.times for run in runs])),
        "sample_w": (("shown", "sample", "feature"), _padded([run.states for run in runs])),
        "sample_loss": (("shown", "sample"), _padded([run.losses for run in runs])),
    }


def _padded(rows: list[ndarray]) -> Float64[ndarray, "shown sample *rest"]:
    """Return one array from arrays of different lengths, padded with NaN."""
    longest = max(len(row) for row in rows)
    padded = np.full((len(rows), longest, *rows[0].shape[1:]), np.nan)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded
