"""The contents of a report of a saddle path: the path, coefficients in the units of the data, and cross-validation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias.diagnostics import ErrorCurve, PathModel
from implicitbias.limits import SaddlePath


class Validation(NamedTuple):
    """The held-out errors of cross-validation, and the slow time that was chosen from them."""

    curve: ErrorCurve
    chosen: float

    @classmethod
    def of_model(cls, model: PathModel) -> "Validation | None":
        """Return the errors and the choice of a fitted model, or None if it was not cross-validated."""
        curve = model.held_out_errors()
        return None if curve is None else cls(curve, model.t_)

    @property
    def top(self) -> float:
        """The largest error that drawings show.

        The choice depends on errors near the least one, so that drawings cut off the much larger ones before it.
        """
        mean, error = self.curve.at(self.chosen)
        later = float(np.max(self.curve.mean[self.curve.times >= self.chosen], initial=mean))
        # A single fold has no standard error.
        room = max(0.5 * mean, 0.0) if np.isnan(error) else 8.0 * error
        return max(mean + room, later)


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

    @classmethod
    def of_model(
        cls, model: PathModel, title: str, target: str, facts: Mapping[str, str], notes: tuple[str, ...] = ()
    ) -> "PathReport":
        """Return the report of a fitted model, for instance of an `ib.SaddlePathRegressorCV`."""
        return cls(
            title=title,
            target=target,
            path=model.path_,
            coefficients=model.sparse_coef_path_.T,
            intercepts=model.intercept_path_,
            standardized=bool(model.standardize),
            facts=facts,
            notes=notes,
            validation=Validation.of_model(model),
        )

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

    def held_out_error(self, row: int) -> float | None:
        """Return the mean held-out error that belongs to a row of the path, or None if it is not known.

        It is the least error while the path rests at the saddle of that row. In the row of the choice it is the error
        at the chosen time, so that tables agree with the sentence about the choice.
        """
        if self.validation is None or self.path.times[row] >= self.validation.curve.valid_until:
            return None
        if row == self.row:
            return self.validation.curve.at(self.validation.chosen).mean
        ends = np.append(self.path.times[1:], np.inf)
        return self.validation.curve.least(float(self.path.times[row]), float(ends[row]))

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
