"""Claims about early and late phases of deeper diagonal networks, and about the samples that both phases need."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias.studies._early_late_claims import PAPER, THEORY, crossing
from implicitbias.studies._stored_claims import all_finished

# The accuracy that counts as learned.
_LEARNED = 0.9


def depth_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about u^L - v^L for each depth L."""
    depth, places, decay = data["depth"].values, data["place"].values, data["weight_decay"].values
    apart = data["cos_l1"].values - data["cos_l2"].values
    at = np.array([crossing(places, row) for row in apart])
    accuracy, depths = data["accuracy"].values, np.unique(depth)
    ranges = [np.ptp(at[depth == L]) for L in depths]
    finished = all_finished(data)
    kernel = Assumption.checked(
        "the starts are far in the kernel regime (smallest L lam T)",
        np.min(data["transition"].values),
        at_least=4.0,
    )
    fitted = Assumption.checked(
        "the training rows are fitted at the first place (smallest margin)",
        np.min(data["margin"].values[:, 0]),
        at_least=1.0,
    )
    return [
        at_least(point, "at L lam (t - T) = -4 the direction is that of the largest l2 margin (smallest cosine; "
                 "the bound is a choice)",
                 PAPER, (np.min(data["cos_l2"].values[:, 0]), 0.99), finished, fitted),
        at_least(point, "late, the direction is that of the largest l1 margin, at each depth (smallest cosine; "
                 "the bound is a choice)",
                 PAPER, (np.min(data["cos_l1"].values[:, -1]), 0.99), finished),
        at_least(point, "the test accuracy rises late at each depth (smallest difference of last and first accuracy; "
                 "the bound is a choice)",
                 PAPER, (np.min(accuracy[:, -1] - accuracy[:, 0]), 0.2), finished),
        at_most(point, "the transition is near the predicted time T (largest lam |t - T|; "
                "the bound is a choice)", THEORY,
                (np.max(np.abs(at) / depth), 0.5), kernel, finished),
        at_most(point, "runs of one depth collapse on the axis L lam (t - T) (largest range of the transitions; "
                "the bound is a choice)",
                THEORY, (np.max(ranges), 0.1), kernel, finished),
        *(
            close(point, f"at depth {L:.0f} the norm at the transition grows like ln(1 / lam)^(1 / {L:.0f}) (exponent; "
                  "its tolerance is a choice)",
                  THEORY, (1.0 / L, _exponent(data, at, depth == L, decay), 0.04), kernel, finished)
            for L in depths
        ),
    ]  # fmt: skip


def _exponent(data: Any, at: ndarray, chosen: ndarray, decay: ndarray) -> float:
    """Return the slope of ln |theta| at the transition over ln ln(1 / lam), for runs of one scale and depth."""
    runs = np.flatnonzero(chosen)
    runs = runs[data["alpha"].values[runs] == data["alpha"].values[runs[0]]]
    norms = [np.interp(at[i], data["place"].values, np.log(data["norm"].values[i])) for i in runs]
    return float(np.polyfit(np.log(np.log(1.0 / decay[runs])), norms, 1)[0])


def needed(counts: ndarray, accuracy: ndarray) -> float:
    """Return the number of samples at which the accuracy becomes 0.9, by interpolation in ln n; nan if it does not."""
    return float(np.exp(crossing(np.log(counts), accuracy - _LEARNED)))


def samples_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the numbers of samples for the largest l2 and l1 margins."""
    logs = np.log(data["d"].values)
    found = {
        name: np.array([
            needed(n, a) for n, a in zip(data[f"{name}_n"].values, data[f"{name}_accuracy"].values, strict=True)
        ])
        for name in ("l2", "l1")
    }  # fmt: skip
    slopes = {name: np.polyfit(logs, np.log(n), 1)[0] for name, n in found.items()}
    gaps = [np.max(data[f"{name}_gap"].values) for name in ("l2", "l1")]
    certified = Assumption.checked(
        "all largest margins are certified (largest gap)", np.max(gaps), at_most=1e-9
    )
    return [
        close(point, "the largest l2 margin, which is the early limit, needs samples in proportion to d (exponent of "
              "d at the accuracy 0.9; its tolerance is a choice)", PAPER, (1.0, slopes["l2"], 0.1), certified),
        # ln d itself has the exponent 1 / ln d, about 0.22 in these dimensions.
        at_most(point, "the largest l1 margin, which is the late limit, needs samples that grow like ln d, much more "
                "slowly than d (exponent of d; the bound is a choice)", PAPER, (slopes["l1"], 0.5), certified),
        at_least(point, "the early limit needs several times as many samples as the late one in the largest dimension "
                 "(ratio; the bound is a choice)", PAPER, (found["l2"][-1] / found["l1"][-1], 4.0), certified),
    ]  # fmt: skip
