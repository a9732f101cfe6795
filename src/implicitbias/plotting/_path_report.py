"""The contents of a report of a saddle path: the path, coefficients in the units of the data, and cross-validation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias.limits import SaddlePath


@dataclass(frozen=True, eq=False)
class Validation:
    """Mean squared error of held-out rows against slow time, which is piecewise constant and right-continuous.

    Attributes:
        times: (m,) ascending slow times, times[0] == 0.
        errors: (m, folds) mean squared error of each fold from `times[i]` to the next time.
        sizes: (folds,) number of held-out rows of each fold, which is its weight in the mean over folds.
        chosen: the slow time that was chosen.
    """

    times: Float64[ndarray, " m"]
    errors: Float64[ndarray, "m folds"]
    sizes: Float64[ndarray, " folds"]
    chosen: float

    @cached_property
    def mean(self) -> Float64[ndarray, " m"]:
        """(m,) mean over all held-out rows."""
        return self.errors @ self.sizes / self.sizes.sum()

    @cached_property
    def standard_error(self) -> Float64[ndarray, " m"]:
        """(m,) standard error of that mean, computed as if folds were independent."""
        apart = (self.errors - self.mean[:, None]) ** 2
        return np.sqrt(apart @ self.sizes / self.sizes.sum() / (len(self.sizes) - 1))

    def at(self, t: float) -> tuple[float, float]:
        """Return the mean and its standard error at one time."""
        row = max(int(np.searchsorted(self.times, t, side="right")) - 1, 0)
        return float(self.mean[row]), float(self.standard_error[row])


@dataclass(frozen=True, eq=False)
class PathReport:
    """A path with the numbers and names that its report shows.

    Attributes:
        title: name of the data.
        target: name of the target.
        path: the path in the units of its problem.
        coefficients: (k+1, d) `scipy.sparse.csr_array`, in the units of the data.
        intercepts: (k+1,) intercepts, in the units of the data.
        standardized: whether the problem's columns have unit standard deviation.
        facts: {name: value} of data, options and versions.
        notes: sentences at the top of the report that a reader should know first.
        validation: the cross-validation that chose a time; None if no time was chosen.
    """

    title: str
    target: str
    path: SaddlePath
    coefficients: Any
    intercepts: Float64[ndarray, " k"]
    standardized: bool
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    validation: Validation | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the d features."""
        return self.path.feature_names or tuple(f"x{i}" for i in range(self.path.problem.shape[1]))

    @property
    def used(self) -> Int64[ndarray, " m"]:
        """The features that are active at some saddle, ascending."""
        return self.path.ever_active

    @property
    def row(self) -> int:
        """The row of the chosen saddle; the last row if no time was chosen."""
        return self.path.n_jumps if self.validation is None else self.row_at(self.validation.chosen)

    def row_at(self, t: float) -> int:
        """Return the row of the saddle at a slow time."""
        return max(int(np.searchsorted(self.path.times, t, side="right")) - 1, 0)

    @cached_property
    def r2(self) -> Float64[ndarray, " k"]:
        """(k+1,) R^2 on the rows of the fit: 1 minus the loss divided by the loss at the start."""
        start = float(self.path.losses[0])
        return 1.0 - self.path.losses / start if start > 0.0 else np.zeros(len(self.path.losses))

    def changes(self, row: int) -> tuple[list[str], list[str]]:
        """Return the names of the features that entered at a jump, with their signs, and of those that left."""
        if row == 0:
            return [], []
        table = self.path.coefficients_sparse
        before, now = (self.path.active_sets[i] for i in (row - 1, row))
        values = dict(zip(now.tolist(), table.data[table.indptr[row] : table.indptr[row + 1]], strict=True))
        entered = [
            f"{'+' if values[i] > 0 else '−'}{self.names[i]}" for i in np.setdiff1d(now, before).tolist()
        ]
        return entered, [self.names[i] for i in np.setdiff1d(before, now).tolist()]
