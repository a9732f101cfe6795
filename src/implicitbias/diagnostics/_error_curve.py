"""Held-out errors of cross-validation as functions of slow time."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError


class HeldOutError(NamedTuple):
    """A mean squared error of held-out rows, and its standard error over the folds (nan for a single fold)."""

    mean: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    r"""Mean squared errors of the held-out rows of K folds, which are step functions of slow time.

    Row i of `errors` holds from `times[i]` to the next time, and the last row holds until `valid_until`. Each fold k
    counts with the share $p_k$ of its weight. The mean is $m = \sum_k p_k e_k$, and its standard error is
    $\sqrt{\sum_k p_k (e_k - m)^2 / (K - 1)}$, as if the folds were independent.

    Attributes:
        times: (m,) ascending slow times at which the error of some fold changes, `times[0] == 0`.
        errors: (m, K) mean squared error of each fold, in squared units of the target.
        weights: (K,) total weight of the held-out rows of each fold; without weights, their number.
        valid_until: the errors are known before this slow time; inf if all paths were followed to their ends.

    Raises:
        InputError: the shapes disagree, the times do not ascend from 0, or a weight is not positive.

    Examples:
        >>> import numpy as np
        >>> from implicitbias.diagnostics import ErrorCurve
        >>> curve = ErrorCurve(
        ...     np.array([0.0, 1.0]), np.array([[4.0, 6.0], [1.0, 3.0]]), np.array([10.0, 10.0])
        ... )
        >>> curve.best(), curve.at(1.5)
        (1.0, HeldOutError(mean=2.0, standard_error=1.0))
        >>> curve.r2.tolist()
        [0.0, 0.6]
    """

    times: Float64[ndarray, " m"]
    errors: Float64[ndarray, "m folds"]
    weights: Float64[ndarray, " folds"]
    valid_until: float = np.inf

    def __post_init__(self) -> None:
        shape = (len(self.times), len(self.weights))
        if self.errors.shape != shape or 0 in shape:
            raise InputError(
                f"errors has shape {self.errors.shape}; one row for each of the {shape[0]} times and one column for "
                f"each of the {shape[1]} weights are expected, at least one of each"
            )
        if self.times[0] != 0.0 or not np.all(np.diff(self.times) > 0.0):
            raise InputError("times does not ascend from 0; sort the times and begin with 0")
        if not np.all(self.weights > 0.0):
            raise InputError(f"weights is {self.weights}, a positive weight for each fold is expected")

    @cached_property
    def mean(self) -> Float64[ndarray, " m"]:
        """(m,) mean over all held-out rows: each fold counts with the weight of its held-out rows."""
        return self.errors @ self.weights / np.sum(self.weights)

    @cached_property
    def standard_error(self) -> Float64[ndarray, " m"]:
        """(m,) standard error of that mean over the folds, as if they were independent; nan for a single fold."""
        folds = len(self.weights)
        if folds == 1:
            return np.full(len(self.times), np.nan)
        spread = (self.errors - self.mean[:, None]) ** 2 @ (self.weights / np.sum(self.weights))
        return np.sqrt(spread / (folds - 1))

    @cached_property
    def r2(self) -> Float64[ndarray, " m"]:
        """(m,) held-out R^2: 1 minus the mean error divided by the mean error at time 0, where no feature is used.

        It is 0 where that error is 0.
        """
        start = float(self.mean[0])
        return 1.0 - self.mean / start if start > 0.0 else np.zeros(len(self.times))

    def at(self, t: float) -> HeldOutError:
        """Return the mean error and its standard error at a slow time.

        Raises:
            InputError: t < 0, or t >= `valid_until`.
        """
        row = self.row(t)
        return HeldOutError(float(self.mean[row]), float(self.standard_error[row]))

    def row(self, t: float) -> int:
        """Return the row of `errors` that holds at a slow time.

        Raises:
            InputError: t < 0, or t >= `valid_until`.
        """
        if not 0.0 <= t < self.valid_until:
            raise InputError(
                f"t is {t:g}, the held-out errors are known on [0, {self.valid_until:g}); "
                "for later times, fit with a larger max_jumps"
            )
        return int(np.searchsorted(self.times, t, side="right")) - 1

    def least(self, start: float, end: float) -> float:
        """Return the least mean error on the slow times [start, end).

        Raises:
            InputError: start < 0, or start >= `valid_until`, or end <= start.
        """
        if not end > start:
            raise InputError(f"end is {end:g}, a time after start={start:g} is expected")
        return float(np.min(self.mean[self.row(start) : np.searchsorted(self.times, end, side="left")]))

    def best(self) -> float:
        """Return the earliest slow time of least mean error."""
        return float(self.times[np.argmin(self.mean)])

    def within_one_standard_error(self) -> float:
        """Return the earliest slow time whose mean error is at most the least one plus its standard error.

        Raises:
            InputError: there is a single fold, which has no standard error.
        """
        if len(self.weights) == 1:
            raise InputError("the curve has a single fold, at least two are expected for a standard error")
        least = int(np.argmin(self.mean))
        return float(self.times[np.argmax(self.mean <= self.mean[least] + self.standard_error[least])])
