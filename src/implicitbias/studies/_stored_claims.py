"""Claims that several studies make, as functions of the stored data. They compute neither paths nor flows."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_least, at_most
from implicitbias._core.status import Status

# A saddle is degenerate if a coordinate at its threshold has |w_i| and |grad_i| below this relative size.
STRICT = 1e-6
# The largest residual of a certified point.
CERTIFIED = 1e-9


def worst_saddle_claim(point: str, data: Any, reference: str) -> Claim:
    """Return the claim that every saddle is optimal."""
    statement = "every saddle minimises the loss under its signs (worst relative KKT residual)"
    return at_most(point, statement, reference, (np.max(data["kkt_residual"].values), CERTIFIED))


def departure_claim(point: str, data: Any) -> Claim:
    """Return the claim that coordinates can become 0 again."""
    statement = "the active set is not monotone (number of times that a coordinate becomes 0 again)"
    return at_least(point, statement, "pesme2023saddle", (leaving(data["coefficients"].values), 1))


def leaving(coefficients: ndarray) -> int:
    """Return how often a coordinate becomes 0 from one saddle to the next."""
    active = coefficients != 0.0
    return int(np.sum(active[:-1] & ~active[1:]))


def end_optimal(data: Any) -> Assumption:
    """Return the assumption that the last point minimises the loss."""
    text = "the last point minimises the loss (relative gradient)"
    return Assumption.checked(text, number(data, "end_stationarity"), at_most=CERTIFIED)


def all_finished(data: Any, *others: str) -> Assumption:
    """Return the assumption that no simulation stopped early.

    Args:
        data: the dataset, with the names of statuses in `simulation_status`.
        others: further runs that the claim depends on: "drift" for those with statuses in `drift_status`.
    """
    names = [
        str(name) for part in ("simulation", *others) for name in np.ravel(data[f"{part}_status"].values)
    ]
    names += [str(data.attrs["coarse_status"])] if "coarse_status" in data.attrs else []
    early = sum(not Status[name].ok for name in names)
    return Assumption.checked(
        "every simulation reached its end time (number that stopped early)", early, at_most=0
    )


def number(data: Any, name: str) -> np.float64:
    """Return a stored scalar as a NumPy number, whose division by 0 gives inf or NaN and lets the claim fail."""
    return np.float64(data[name].values[()])


def furthest(values: ndarray, expected: float) -> float:
    """Return the value that is furthest from the expected one; a nan counts as the largest distance."""
    return float(values[int(np.argmax(np.abs(values - expected)))])
