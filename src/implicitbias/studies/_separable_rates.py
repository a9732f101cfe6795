"""Claims of the study of separable data about horizons in the plane and about steepest descents."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Assumption, Claim, at_most, close
from implicitbias.studies._extrapolate import late_slope, limit_at_zero

_PAPER = "pesme2024mirror"
_THEORY = "docs/theory.md, Margins along a flow"
# Potentials whose sublevel sets converge only like 1 / ln c. The sets of the others are those of the limit up to
# rounding: the logarithm of a radius of at most 690 is bisected in float64.
_LOGARITHMIC = ("hyperbolic entropy", "cosh")
_ROUNDING = 4.0 * 690.0 * float(np.finfo(np.float64).eps)


def horizon_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the sublevel sets converge to the ball of the formula."""
    claims = []
    for k, name in enumerate(str(name) for name in data["potential"].values):
        radii, ball = data["sublevel_radius"].values[k][::-1], data["ball_radius"].values[k]
        levels = data["log_level"].values[::-1]
        far = np.max(np.abs(radii - ball), axis=1)
        if name not in _LOGARITHMIC:
            statement = f"{name}: the sublevel set at c = e^{levels[0]:g} is the ball of the horizon (largest distance)"
            claims.append(at_most(point, statement, _PAPER, (far[0], _ROUNDING)))
            continue
        limit, slope = limit_at_zero(1.0 / levels, radii), late_slope(levels[::-1], far[::-1])
        claims += [
            at_most(point, f"{name}: the sublevel sets, extrapolated in 1 / ln c, are the ball of the horizon "
                    "(distance over all rays, bounded by the error bar)", _PAPER,
                    (np.linalg.norm(limit.value - ball), limit.bar)),
            close(point, f"{name}: the sublevel sets converge like 1 / ln c (slope; the tolerance is its change "
                  "between the two halves of the levels)", _THEORY, (-1.0, slope.value, slope.bar)),
        ]  # fmt: skip
    return claims


def descent_claims(point: str, data: Any) -> list[Claim]:
    r"""Return the claims about the margins of steepest descents on the exponential loss from 0.

    The logarithm of the loss has a second derivative of at most R^2 along every direction of gauge 1, and its slope
    along the step is at most minus the largest margin. After steps of sizes eta_j with the sum s this gives
    $\gamma - \text{margin} \le (\ln n + R^2 \sum \eta_j^2 / 2) / s$, and ln(n) / s in the limit of small steps.
    """
    n, claims = len(data["y"]), []
    gaps, tolerances = data["descent_gap"].values, data["descent_tolerance"].values
    certified = Assumption.checked(
        "the largest margins are certified (largest relative gap)",
        np.max(gaps),
        at_most=float(np.min(tolerances)),
    )
    for k, name in enumerate(str(name) for name in data["gauge"].values):
        best, radius = float(data["descent_best"].values[k]), float(data["descent_radius"].values[k])
        for kind, words in (("constant", "small constant steps"), ("decaying", "steps eta / sqrt k")):
            steps, times, squares, margins = (
                data[f"{kind}_{part}"].values[k] for part in ("steps", "time", "squares", "margin")
            )
            gaps, bound = best - margins, (np.log(n) + radius**2 * squares / 2.0) / times
            slope, guide = (float(late_slope(steps, values).value) for values in (gaps, bound))
            claims.append(
                at_most(point, f"steepest descent in {name}, {words}: the gap of the margin is at most (ln n + R^2 sum "
                        f"eta^2 / 2) / s (largest ratio; slope in k of the gap {slope:.2f}, of the bound {guide:.2f})",
                        _THEORY, (np.max(gaps / bound), 1.0), certified)
            )  # fmt: skip
    return claims


def arc_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the normalised gradient flow, whose time is the length of its path."""
    (best,) = data["descent_best"].values[data["gauge"].values == "l2"]
    lengths, gaps = data["arc_length"].values, best - data["arc_margin"].values
    ratio = np.max(gaps * lengths / np.log(len(data["y"])))
    slope = late_slope(lengths, gaps)
    return [
        at_most(point, "normalised gradient flow: the gap of the margin is at most ln(n) / s (largest ratio)", _THEORY,
                (ratio, 1.0)),
        at_most(point, "normalised gradient flow: the gap falls at least as fast as the bound 1 / s (slope)", _THEORY,
                (slope.value, -1.0)),
    ]  # fmt: skip
