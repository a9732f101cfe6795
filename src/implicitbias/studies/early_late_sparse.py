"""The study of arXiv 2311.18817 on sparse data: a margin in l2 early, and in l1 late."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_least, at_most
from implicitbias._core.progress import Progress
from implicitbias.studies._early_late_claims import (
    PAPER,
    THEORY,
    Words,
    control_claims,
    crossing,
    growth_claims,
    kernel_start,
    limit_claims,
    score_claims,
    transitions,
)
from implicitbias.studies._early_late_depth_claims import depth_claims, samples_claims
from implicitbias.studies._early_late_depth_figures import depth_figures, samples_figures
from implicitbias.studies._early_late_figures import phase_figures
from implicitbias.studies._stored_claims import all_finished, number
from implicitbias.studies._study import Study

_POINTS = ("small", "paper", "depths", "samples")
WORDS = Words("the largest l2 margin", "the largest l1 margin", "the test accuracy", rises=1, fitted=1.0)


class EarlyLateSparse(Study):
    """The study that follows diagonal networks from the largest l2 margin to the largest l1 margin."""

    def points(self) -> tuple[str, ...]:
        """Return a setting that takes seconds, that of the paper, deeper networks, and the numbers of samples."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Simulate training for several scales and weight decays, and compute both classifiers of largest margin."""
        # These imports are here, so that stored results can be judged without JAX.
        if point == "depths":
            from implicitbias.studies._early_late_depths import depth_dataset

            return depth_dataset(progress)
        if point == "samples":
            from implicitbias.studies._early_late_samples import samples_dataset

            return samples_dataset(progress)
        from implicitbias.studies._early_late_evidence import classified, training_dataset
        from implicitbias.studies._early_late_settings import SPARSE_PAPER, SPARSE_SMALL

        return training_dataset(classified(SPARSE_SMALL if point == "small" else SPARSE_PAPER), progress)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about both phases, about the time of the transition, and about the controls."""
        if point == "depths":
            return depth_claims(point, dataset)
        if point == "samples":
            return samples_claims(point, dataset)
        return [
            *limit_claims(point, dataset, WORDS),
            *direction_claims(point, dataset),
            *score_claims(point, dataset, WORDS),
            *transition_claims(point, dataset),
            *growth_claims(point, dataset),
            *control_claims(point, dataset, WORDS),
        ]

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return the runs on the axis of the predicted time and of the paper's time, and the run of the paper."""
        if point == "depths":
            return depth_figures(point, dataset)
        if point == "samples":
            return samples_figures(point, dataset)
        return phase_figures(point, dataset, WORDS)

    def settings(self) -> dict[str, Any]:
        """Return the scale of the start, the weight decay, the sizes of the data, and the seed."""
        return {"alpha": 30.0, "weight_decay": 1e-3, "n": 96, "d": 600, "seed": 0}

    def measure(self, settings: dict[str, Any]) -> Any:
        """Return how one run turns from the largest l2 to the largest l1 margin."""
        from implicitbias.studies._grid_classifiers import sparse_run

        return sparse_run(**settings)

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The data of the point 'paper' are those of the paper: signs in 100 000 dimensions, labels by the sign of "
            "three of them, 256 rows, 10 000 test rows and the logistic loss; its start of norm 128 is 0.286 in each "
            "coordinate, and its weight decay is 1e-3. The point 'small' has 96 rows in 600 dimensions. The other "
            "starts and weight decays were chosen here, because the start of the paper is too small for a long kernel "
            "phase. Gradient descent with the rate 0.01 is replaced by the flow, whose time is 0.01 times the number "
            "of steps. The predicted time is T = ln(gamma_0 |theta_0| / ln(1 / lam)) / (2 lam) with the margin gamma_0 "
            "of the tangent-kernel machine at the start. It was derived here and is not in the paper, which has "
            "ln(alpha) / lam as alpha grows. The transition is measured where the cosine to the largest l1 margin "
            "becomes larger than that to the largest l2 margin. The point 'depths' has u^L - v^L with L = 2, 3 and 4 "
            "on 64 rows in 240 dimensions, and the point 'samples' counts the rows that both classifiers need, for 30 "
            "to 240 dimensions; both were chosen here. Every number below was computed in this run."
        )


def direction_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the directions early and late, and without weight decay."""
    separate = Assumption.checked(
        "both directions differ (their cosine)", number(data, "l1_l2_cosine"), at_most=0.5
    )
    rows = (
        (f"at lam (t - T) = -2 the direction is that of {WORDS.early}", data["cos_l2"].values[:, 0]),
        (f"late, the direction is that of {WORDS.late}", data["cos_l1"].values[:, -1]),
        (f"without weight decay the direction stays that of {WORDS.early} until 100 times the last time",
         data["control_cos_l2"].values),
    )  # fmt: skip
    return [
        at_least(
            point, f"{text} (smallest cosine)", PAPER, (np.min(values), 0.99), separate, all_finished(data)
        )
        for text, values in rows
    ]


def transition_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the time and the width of the transition for all weight decays."""
    at, widths, logs = transitions(data), _widths(data), np.log(data["alpha"].values)
    ratios = (data["transition"].values + at) / logs
    return [
        at_most(point, "the transition is at the predicted time T (largest lam |t - T|)", THEORY,
                (np.max(np.abs(at)), 0.5), kernel_start(data)),
        at_most(point, "all runs collapse on the axis lam (t - T) (range of the transitions)", THEORY,
                (np.max(at) - np.min(at), 0.1), kernel_start(data)),
        at_least(point, "runs do not collapse on the axis lam t / ln(alpha) at finite alpha (range of the transitions)",
                 THEORY, (np.max(ratios) - np.min(ratios), 0.5)),
        at_most(point, "the width of the transition in lam t does not depend on alpha and lam (relative range)",
                THEORY, ((np.max(widths) - np.min(widths)) / np.mean(widths), 0.1)),
    ]  # fmt: skip


def _widths(data: Any) -> ndarray:
    """Return for each run how long the cosine to the largest l1 margin takes from 0.5 to 0.9, times lam."""
    places, cosines = data["place"].values, data["cos_l1"].values
    return np.array([crossing(places, row - 0.9) - crossing(places, row - 0.5) for row in cosines])


STUDY = EarlyLateSparse()
