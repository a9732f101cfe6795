"""Claims about commuting parametrizations, as functions of the stored datasets."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias.studies._grokking_claims import sharp_slope, slope_in
from implicitbias.studies._stored_claims import all_finished, furthest

PAPER = "li2022implicit"
_KERNEL = "woodworth2020kernel"
# The largest relative distance between two flows, or between the end of a flow and the point that theory gives.
SAME = 1e-8
# The largest relative duality gap of a computed end.
CERTIFIED = 1e-10
# Relative rounding errors of identities between matrices and potentials.
EXACT = 1e-12
# Integrals along flows are quadratures of dense output of order 4.
QUADRATURE = 1e-6
# Relative differences from this size on are claimed to be real: they are far above every error of this study.
DIFFERENT = 1e-2
# Coordinates whose dual is further from 1 than this are not in the support of the solution of least l1 norm.
_OFF = 1e-3


def relative(found: ndarray, expected: ndarray) -> float:
    """Return the largest difference in units of the largest expected entry; a NaN stays a NaN."""
    return float(np.max(np.abs(found - expected)) / np.float64(np.max(np.abs(expected))))


def scales_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about u * v and u^2 - v^2 from the kernel regime to the rich regime."""
    trained, predicted = data["trained"].values, data["predicted"].values
    scale = 10.0 ** -data["large_exponent"].values
    l2, l1 = data["least_l2"].values, data["least_l1"].values
    kernel = np.linalg.norm(data["large"].values - l2, axis=1)
    size = float(np.linalg.norm(l2))
    found = slope_in(scale, kernel, np.full(len(scale), CERTIFIED * size))
    dual, small = np.abs(data["least_l1_dual"].values), data["small"].values
    off = dual < 1.0 - _OFF
    logs = data["small_exponent"].values
    slopes = np.diff(np.log10(np.abs(small[-2:, off])), axis=0)[0] / (logs[-1] - logs[-2])
    earlier = np.diff(np.log10(np.abs(small[-3:-1, off])), axis=0)[0] / (logs[-2] - logs[-3])
    bar = float(np.max(np.abs(slopes - earlier))) + SAME
    certified = Assumption.checked(
        "the predicted ends are certified (largest relative duality gap)",
        np.max(data["gap"].values),
        at_most=CERTIFIED,
    )
    fitted = Assumption.checked(
        "the flows have arrived (largest relative residual)", np.max(data["left"].values), at_most=SAME
    )
    norms = [np.linalg.norm(data["drawn"].values, order, axis=1) for order in (1, 2)]
    return [
        *(
            at_most(point, f"training of {name} ends at the interpolant of least hyperbolic entropy, at all scales of "
                    "the start (largest relative distance)", PAPER,
                    (max(relative(w, v) for w, v in zip(trained[:, k], predicted, strict=True)), SAME),
                    certified, fitted, all_finished(data))
            for k, name in enumerate(("u * v", "u^2 - v^2"))
        ),
        close(point, "large starts: the end tends to the interpolant of least l2 norm with the order a^-2 of the scale "
              "(slope 2, within its error bar)", _KERNEL, (2.0, found.value, found.bar),
              sharp_slope("the distance from the least l2 norm", found)),
        close(point, "small starts: an entry outside the support of the least l1 norm is of the order a^(1 - |s|) for "
              "its dual s (difference of the slopes, furthest from 0, within its error bar)", _KERNEL,
              (0.0, furthest(slopes - (1.0 - dual[off]), 0.0), bar),
              Assumption.checked("the error bar of these slopes is small", bar, at_most=DIFFERENT)),
        at_most(point, "at the smallest scale the l1 norm is the least one (relative excess, in units of the largest "
                "a^(1 - |s|) times the number of entries)", _KERNEL,
                ((norms[0][-1] / np.sum(np.abs(l1)) - 1.0)
                 / (len(l1) * 10.0 ** (data["drawn_exponent"].values[-1] * (1.0 - np.max(dual[off])))), 1.0)),
        at_most(point, "from large to small scales the l1 norm of the end only decreases, and its l2 norm only grows "
                "(largest step the other way)", _KERNEL,
                (max(np.max(np.diff(norms[0])), np.max(-np.diff(norms[1]))), CERTIFIED)),
        at_least(point, "the two regimes differ (distance of the interpolants of least l1 and least l2 norm)", _KERNEL,
                 (relative(l1, l2), DIFFERENT)),
    ]  # fmt: skip
