"""The study of early and late phases in regression: the least l2 norm early, and the least l1 norm late."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_most, close
from implicitbias._core.progress import Progress
from implicitbias.studies._early_late_claims import (
    PAPER,
    Words,
    control_claims,
    limit_claims,
    path_claims,
    score_claims,
    sweep,
    time_claims,
)
from implicitbias.studies._early_late_figures import phase_figures
from implicitbias.studies._grokking_claims import sharp_slope, slope_in
from implicitbias.studies._stored_claims import all_finished, number
from implicitbias.studies._study import Study

_LIMITS = ("the least l2 norm", "the least l1 norm")
WORDS = {
    "sparse": Words(*_LIMITS, "the explained share of the test variance", rises=1, fitted=0.99),
    "dense": Words(*_LIMITS, "the test accuracy", rises=-1, fitted=0.99),
}
# The number of places up to lam (t - T) = -1, on which the order of the early phase is measured.
_EARLY = 5


class EarlyLateRegression(Study):
    """The study that follows diagonal networks with squared loss, which grok sparse targets and misgrok dense ones."""

    def points(self) -> tuple[str, ...]:
        """Return a sparse target and a dense one."""
        return tuple(WORDS)

    def compute(self, point: str, progress: Progress) -> Any:
        """Simulate training for several scales and weight decays, and compute both interpolants of least norm."""
        # These imports are here, so that stored results can be judged without JAX.
        from implicitbias.studies._early_late_evidence import regressed, training_dataset
        from implicitbias.studies._early_late_path import path_variables
        from implicitbias.studies._early_late_settings import REGRESSION_DENSE, REGRESSION_SPARSE

        training = regressed(REGRESSION_SPARSE if point == "sparse" else REGRESSION_DENSE)
        found = training_dataset(training, progress)
        progress(0.9, "the path of interpolants")
        y, l1 = training.problem.y, np.sum(np.abs(training.ends.l1))
        dual = np.linalg.norm(training.ends.multipliers[1]) * np.linalg.norm(y) / l1
        return found.assign(path_variables(training, training.problem.X, y) | {"l1_dual": dual})

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about both phases, about the time of the transition, and about the controls."""
        words = WORDS[point]
        return [
            *limit_claims(point, dataset, words),
            order_claim(point, dataset),
            *score_claims(point, dataset, words),
            least_claim(point, dataset),
            *time_claims(point, dataset, words),
            *path_claims(point, dataset, words, dataset["weight_decay"].values[sweep(dataset)]),
            *control_claims(point, dataset, words),
        ]

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return the runs on the axis of the predicted time and of the paper's time, and the run of the paper."""
        return phase_figures(point, dataset, WORDS[point])

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The paper has the theory of regression, but no experiment with diagonal networks, so that all settings "
            "were chosen here. The point 'sparse' has 96 rows of signs in 600 dimensions, whose target is the sum of "
            "three features. The point 'dense' has 24 rows x = z + 4 y w* in 3000 dimensions with normal z, a random "
            "unit direction w*, and the label y = sign <z, w*> as the target. The test accuracy and the explained "
            "share of the test variance are exact. The predicted time is T = ln(|theta_0| / |h_0|) / (2 lam) with the "
            "least change h_0 of the parameters that fits in the tangent features. Every number below was computed in "
            "this run."
        )


def order_claim(point: str, data: Any) -> Claim:
    """Return the claim that the distance from the early limit is of the order e^(4 lam (t - T))."""
    chosen = slice(_EARLY - 1, None, -1)
    run = int(sweep(data)[-1])
    fine, coarse = (
        _apart(data, data[f"{part}size_l2"].values, data[f"{part}cos_l2"].values)[chosen]
        for part, data in (("", data.isel(run=run)), ("coarse_", data))
    )
    found = slope_in(np.exp(2.0 * data["place"].values[chosen]), fine, np.abs(fine - coarse))
    return close(
        point, f"before the transition the distance from {_LIMITS[0]} grows like e^(4 lam t) (slope 2 in e^(2 lam t), "
        "within its error bar)", PAPER, (2.0, found.value, found.bar),
        sharp_slope("the distance from the early limit", found), all_finished(data),
    )  # fmt: skip


def _apart(data: Any, size: ndarray, cosine: ndarray) -> ndarray:
    """Return |w - w_2| / |w_2| from the norm of w and the cosine to w_2."""
    ratio = size / number(data, "l2_size")
    return np.asarray(np.sqrt((ratio - 1.0) ** 2 + 2.0 * ratio * (1.0 - cosine)))


def least_claim(point: str, data: Any) -> Claim:
    r"""Return the claim that the l1 norm at the end is the least one.

    With the multipliers $\nu$ of the least norm, $\lVert X^\top \nu \rVert_\infty \le 1$, so that
    $\lVert w \rVert_1 \ge \langle \nu, X w \rangle$, which is the least norm but for the misfit of w. The excess bounds
    it from above.
    """
    apart = np.abs(data["size_l1"].values[:, -1] / number(data, "l1_size") - 1.0)
    misfit = np.sqrt(np.maximum(1.0 - data["fit"].values[:, -1], 0.0))
    bar = data["excess"].values + number(data, "l1_dual") * misfit
    return at_most(
        point, f"late, |w|_1 is {_LIMITS[1]} (largest relative difference, in units of the bound by the excess and the "
        "misfit)", PAPER, (np.max(apart / bar), 1.0), all_finished(data),
        Assumption.checked("this bound is small", np.max(bar), at_most=0.05),
    )  # fmt: skip


STUDY = EarlyLateRegression()
