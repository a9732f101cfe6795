"""The study of arXiv 2311.18817 on data of a large margin: the margin in l1, which comes late, predicts worse."""

from typing import Any

import numpy as np
from numpy import ndarray
from scipy.special import entr

from implicitbias._core.claim import Assumption, Claim, at_most, close
from implicitbias._core.progress import Progress
from implicitbias.studies._early_late_claims import (
    PAPER,
    THEORY,
    Words,
    control_claims,
    limit_claims,
    path_claims,
    score_claims,
    sweep,
    time_claims,
)
from implicitbias.studies._early_late_figures import phase_figures
from implicitbias.studies._extrapolate import limit_at_zero
from implicitbias.studies._stored_claims import all_finished, number
from implicitbias.studies._study import Study

_POINTS = ("small", "paper")
WORDS = Words("the largest l2 margin", "the largest l1 margin", "the test accuracy", rises=-1, fitted=1.0)


class EarlyLateMargin(Study):
    """The study that follows diagonal networks on data which the largest l2 margin classifies well: they misgrok."""

    def points(self) -> tuple[str, ...]:
        """Return a setting that takes seconds, and the setting of the paper."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Simulate training for several scales and weight decays, and compute both classifiers of largest margin."""
        # These imports are here, so that stored results can be judged without JAX.
        from implicitbias.studies._early_late_evidence import classified, training_dataset
        from implicitbias.studies._early_late_path import path_variables
        from implicitbias.studies._early_late_settings import MARGIN_PAPER, MARGIN_SMALL

        training = classified(MARGIN_SMALL if point == "small" else MARGIN_PAPER)
        found = training_dataset(training, progress)
        progress(0.9, "the path of interpolants")
        rows = np.asarray(training.problem.y)[:, None] * training.problem.X
        return found.assign(
            path_variables(training, rows, np.ones(len(rows)))
            | {"multipliers": (("early_late", "row"), training.ends.multipliers)}
        )

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about both phases, about the time of the transition, and about the controls."""
        decays = dataset["weight_decay"].values[sweep(dataset)]
        return [
            *limit_claims(point, dataset, WORDS),
            *margin_claims(point, dataset),
            *score_claims(point, dataset, WORDS),
            *time_claims(point, dataset, WORDS),
            *path_claims(point, dataset, WORDS, 1.0 / np.log(1.0 / decays), _growing(dataset)),
            norm_claim(point, dataset),
            *control_claims(point, dataset, WORDS),
        ]

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return the runs on the axis of the predicted time and of the paper's time, and the run of the paper."""
        return phase_figures(point, dataset, WORDS)

    def settings(self) -> dict[str, Any]:
        """Return the scale of the start, the weight decay, the sizes and the gap of the data, and the seed."""
        return {"alpha": 30.0, "weight_decay": 1e-3, "n": 24, "d": 3000, "gap": 8.0, "seed": 0}

    def measure(self, settings: dict[str, Any]) -> Any:
        """Return how one run turns from the largest l2 to the largest l1 margin."""
        from implicitbias.studies._grid_classifiers import margin_run

        return margin_run(**settings)

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The data of the point 'paper' are those of the paper: 32 rows in 100 000 dimensions, x = z + 12.5 y w* "
            "with normal z, a random unit direction w*, and y = sign <z, w*>. The point 'small' has 24 rows in 3000 "
            "dimensions, and 4 in place of 12.5. The paper does not state the start of this experiment. The start of "
            "its sparse data is used, 0.286 in each coordinate with the weight decay 1e-3; the other starts and weight "
            "decays were chosen here. Gradient descent is replaced by the flow. The test accuracy is not measured on "
            "rows that are drawn, but computed exactly by an integral over <z, w*>. The predicted time is "
            "T = ln(gamma_0 |theta_0| / ln(1 / lam)) / (2 lam), which was derived here, as were the limit of the "
            "transition as lam -> 0 and the next order of the margins. Every number below was computed in this run."
        )


def margin_claims(point: str, data: Any) -> list[Claim]:
    r"""Return the claims about the normalised margins early and late, whose shortfall is predicted to first order.

    Weight decay and loss balance where $e^{-m_i} \propto q_i$, for the multipliers q of the largest margin, whose sum
    is 1. So the margins of support vectors differ by $\ln(q_j / q_i)$, and the largest margin exceeds the normalised
    margin of the run by the share $\delta = (H(q) + \ln \max q) / \min_i m_i$, with the entropy H. The next order is
    $\delta^2$.
    """
    m, chosen = data["fit"].values, sweep(data)
    late = number(data, "l1_size") * m / data["size_l1"].values
    early = number(data, "l2_size") * m / data["size_l2"].values
    spread = [_spread(q) for q in data["multipliers"].values]
    small = 1.0 / m[chosen, 0]
    found = limit_at_zero(small[::-1], ((1.0 / early[:, 0] - 1.0) * m[:, 0])[chosen][::-1])
    # At finite time, what is missing falls like 1 / t: the last doubling of the time changed it by as much as is left.
    left = np.abs(late[:, -1] - late[:, -2])
    first = np.array(spread)[:, None] / m[:, [0, -1]].T
    bound = first + first**2
    outside = (1.0 / late[:, -1] - 1.0) / (bound[1] + left / late[:, -1] ** 2)
    return [
        close(point, "as lam -> 0, the shortfall of the early normalised l2 margin, times the smallest margin, tends "
              "to the entropy of the multipliers and the logarithm of the largest (within the error bar of the limit)",
              THEORY, (spread[0], found.value, found.bar), all_finished(data),
              Assumption.checked("the error bar of this limit is small (relative)", found.bar / np.abs(found.value),
                                 at_most=0.25)),
        at_most(point, f"early, the direction is nearly that of {WORDS.early} (largest shortfall of the normalised "
                "margin, in units of the predicted first order and the next one)", PAPER,
                (np.max((1.0 / early[:, 0] - 1.0) / bound[0]), 1.0), all_finished(data)),
        at_most(point, f"late, the direction is nearly that of {WORDS.late} (largest shortfall of the normalised "
                "margin, in units of the predicted first order, the next one and what a finite time leaves)", PAPER,
                (np.max(outside), 1.0), all_finished(data)),
    ]  # fmt: skip


def norm_claim(point: str, data: Any) -> Claim:
    """Return the claim that the norm of the parameters at the time T grows like (ln 1/lam)^(1/2)."""
    chosen, now = sweep(data), int(np.argmin(np.abs(data["place"].values)))
    sizes = data["size"].values[chosen, now]
    error = abs(data["coarse_size"].values[now] / sizes[-1] - 1.0)
    logs = np.log(np.log(1.0 / data["weight_decay"].values[chosen]))
    # The slopes between neighbours tend to 1/2 like 1 / ln(1/lam).
    slopes, middle = np.diff(np.log(sizes)) / np.diff(logs), np.exp(-(logs[1:] + logs[:-1]) / 2.0)
    found = limit_at_zero(middle[::-1], slopes[::-1])
    bar = found.bar + 4.0 * error / float(np.min(np.diff(logs)))
    return close(
        point, "the norm of the parameters at the transition, at the time T, grows like (ln 1/lam)^(1/2) (limit of the "
        "slope as lam -> 0, within its error bar)", PAPER, (0.5, found.value, bar),
        Assumption.checked("the error bar of this slope is small", bar, at_most=0.1), all_finished(data),
    )  # fmt: skip


def _spread(q: ndarray) -> float:
    share = q / np.sum(q)
    return float(np.sum(entr(share)) + np.log(np.max(share)))


def _growing(data: Any) -> Assumption:
    """Return the assumption with which the path of interpolants is the limit of the transition."""
    text = "the multiplier of each row grows along the path of interpolants (smallest growth)"
    return Assumption.checked(text, np.min(data["path_growth"].values), at_least=0.0)


STUDY = EarlyLateMargin()
