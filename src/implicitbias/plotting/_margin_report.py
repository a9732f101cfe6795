"""The contents of a report of a classifier: coefficients in the units of the data, margins and support vectors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias.limits import Limit
from implicitbias.plotting._limits import row_margins
from implicitbias.plotting._text import short


@dataclass(frozen=True, eq=False)
class MarginReport:
    """A classifier with the numbers and names that its report shows.

    Attributes:
        title: name of the data.
        target: name of the target.
        limit: the classifier in the units of its problem.
        classes: the labels of the k classes.
        coefficients: (1, d) for two classes, (k, d) for more, in the units of the data.
        intercepts: (1,) or (k,) intercepts, in the units of the data.
        standardized: whether the problem's columns have unit standard deviation.
        rows: (n,) the numbers of the rows in the data.
        horizon: the name of the gauge.
        C: the price of a violation, or infinity for hard margins.
        facts: {name: value} of data, options and versions.
        notes: sentences at the top of the report that a reader should know first.
    """

    title: str
    target: str
    limit: Limit
    classes: tuple[str, ...]
    coefficients: Float64[ndarray, "r d"]
    intercepts: Float64[ndarray, " r"]
    standardized: bool
    rows: Int64[ndarray, " n"]
    horizon: str
    C: float
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def hard(self) -> bool:
        """Whether no row may violate its margin."""
        return bool(np.isinf(self.C))

    @property
    def sound(self) -> bool:
        """Whether the certificate holds."""
        return self.limit.certificate.holds

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the d features."""
        return self.limit.problem.feature_names or tuple(f"x{j}" for j in range(self.coefficients.shape[1]))

    @cached_property
    def fitted(self) -> Float64[ndarray, "r d"]:
        """The coefficients in the units of the problem."""
        point = self.limit.point
        return point.T if point.ndim == 2 else point[None, :]

    @cached_property
    def used(self) -> list[int]:
        """The features with a coefficient that is not 0, the largest in the units of the problem first."""
        size = np.max(np.abs(self.fitted), axis=0)
        order = np.argsort(-size, kind="stable")
        return [int(j) for j in order if size[j] > 0.0]

    @property
    def heads(self) -> tuple[str, ...]:
        """The titles of the columns of coefficients: one for two classes, else one for each class."""
        return ("coefficient",) if len(self.coefficients) == 1 else self.classes

    @cached_property
    def margins(self) -> Float64[ndarray, " n"]:
        """The margins of the rows."""
        return row_margins(self.limit)

    @cached_property
    def own(self) -> Int64[ndarray, " n"]:
        """The place of the class of each row."""
        y = self.limit.problem.y
        return y if len(self.coefficients) > 1 else (y > 0.0).astype(np.int64)

    @cached_property
    def weights(self) -> Float64[ndarray, " n"]:
        """The multipliers of the rows, with the sum 1; all 0 if there are none."""
        multipliers = self.limit.multipliers
        assert multipliers is not None
        totals = multipliers.reshape(len(multipliers), -1).sum(axis=1)
        return totals / (float(totals.sum()) or 1.0)

    @cached_property
    def support(self) -> list[int]:
        """The places of the support vectors, the largest multiplier first."""
        found = np.flatnonzero(self.weights)
        return [int(i) for i in found[np.argsort(-self.weights[found], kind="stable")]]

    @property
    def misclassified(self) -> int:
        """The number of rows whose margin is not positive."""
        return int(np.count_nonzero(self.margins <= 0.0))

    @property
    def margin(self) -> float:
        """The margin 1 / gamma(w) of hard margins, or the half width of the corridor of soft margins."""
        assert self.limit.margin is not None
        return float(self.limit.margin)


def margin_sentence(report: MarginReport) -> str:
    """Return sentences with the margin, the features that are used, the support vectors and the errors."""
    n, d = report.limit.problem.shape
    used, count = len(report.used), len(report.support)
    unit = "standardised features" if report.standardized else "the units of the data"
    classes = "" if len(report.classes) == 2 else " between each row's own class and the nearest other one"
    uses = f"It uses {used} of {d} features"
    vectors = f"{count} of {n} rows are support vectors"
    if report.hard:
        return (
            f"The classes are separable. The largest margin{classes} in the {report.horizon} is "
            f"{short(report.margin)}, in {unit}. {uses}; {vectors}."
        )
    errors = f"{report.misclassified} of {n} rows are misclassified"
    if not used:
        return (
            f"All coefficients are 0, because the price C = {short(report.C)} of a violation is too low; {errors}. "
            "Choose a larger --C."
        )
    return (
        f"The soft margin at C = {short(report.C)} in the {report.horizon} has the half width {short(report.margin)}, "
        f"in {unit}. {uses}; {vectors}, which lie on the margin or violate it; {errors}."
    )


def margin_certificate_sentence(report: MarginReport) -> str:
    """Return what the certificate proves about the classifier, its numbers, and what it does not say."""
    certificate = report.limit.certificate
    gap = "" if certificate.gap is None else f"relative duality gap {short(certificate.gap)}, "
    verdict = "" if certificate.holds else "DOES NOT HOLD. "
    return (
        f"{verdict}Certificate. {certificate.sentence} It concerns the rows of the fit and says nothing about the "
        f"quality of predictions. ({gap}at most {certificate.tolerance:.0e} is accepted)"
    )
