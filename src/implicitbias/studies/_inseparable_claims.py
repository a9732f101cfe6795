"""Claims about data that no plane separates, as functions of the stored dataset."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Claim, at_most, close
from implicitbias.studies._stored_claims import all_finished, number

_PAPER = "pesme2024mirror"
_EPSILON = float(np.finfo(np.float64).eps)


def inseparable_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the refusal is proven and that the flow is bounded and minimises the loss."""
    rows = data["y"].values[:, None] * data["X"].values
    q, n = data["combination"].values, len(rows)
    refused = int(np.sum(np.all(np.isfinite(q), axis=1)))
    sums = np.abs(q @ rows) / (np.abs(q) @ np.abs(rows))
    wrong = max(float(np.max(np.abs(np.sum(q, axis=1) - 1.0))), float(np.max(-q)))
    states, rtol = data["sample_w"].values, float(data.attrs["rtol"])
    norms, least = np.linalg.norm(states, axis=1), data["least_w"].values
    size = float(np.linalg.norm(least))
    return [
        Claim(point, "max_margin refuses the data in the horizons l1, l2 and linf (number of refusals)", _PAPER, (),
              3.0, float(refused)),
        at_most(point, "the weights of the refusal are a convex combination (error of their sum, or size of a negative "
                "weight; n epsilon bounds the rounding)", _PAPER, (wrong, n * _EPSILON)),
        at_most(point, "the convex combination of y_i x_i is 0, so that no classifier has a positive margin "
                "(relative to the sum of absolute values; n epsilon bounds the rounding)", _PAPER,
                (np.max(sums), n * _EPSILON)),
        close(point, "the flow ends at the minimiser of the loss that Newton's method finds (relative distance, "
              "bounded by rtol)", _PAPER, (0.0, np.linalg.norm(states[-1] - least) / size, rtol), all_finished(data)),
        at_most(point, "the flow is bounded: no state is longer than the minimiser by more than rtol (largest norm)",
                "docs/theory.md, The logarithm of the time", (np.max(norms), size * (1.0 + rtol)), all_finished(data)),
        at_most(point, "the loss at the end is the least one (excess of its logarithm, bounded by rtol)", _PAPER,
                (data["sample_log_loss"].values[-1] - number(data, "least_log_loss"), rtol), all_finished(data)),
    ]  # fmt: skip
