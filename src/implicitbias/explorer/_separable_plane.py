"""The exploration of separable data in the plane: the mirror flow against the classifier of largest margin."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.explorer._exploration import Exploration
from implicitbias.explorer._picture import Axes, Curve, Picture, Role
from implicitbias.explorer._setting import Setting, choice

_POTENTIALS = ("ℓ2: gradient flow", "ℓ1: hyperbolic entropy", "ℓ∞: hyperbolic cosine", "ℓp: p-norm")
_PAIRS = 30
"""All data have so many pairs of points. Fewer pairs are repeated, which leaves the mean over the rows the same."""

_COUNTS = ("3", "5", "6", "10", "15", "30")
_TIMES, _MAX_STEPS = 300, 2000
# The first time of the curves is 10 to this power.
_FIRST = 0.05
# A p-norm with p close to 1 needs many steps.
_SMALLEST_P = 1.2


def plane(
    *, gauge: str, p: float, alpha: float, horizon: float, pairs: str, apart: float, seed: int
) -> Picture:
    """Return the flow of a potential on random points in the plane, with the classifier of largest margin."""
    from implicitbias.flows import MirrorFlow, simulate
    from implicitbias.limits import max_margin
    from implicitbias.problems import Classification

    X, labels = _points(int(pairs), apart, seed)
    potential, norm = _pair(gauge, p, alpha)
    limit = max_margin(Classification(X, labels, loss="exponential"), norm)
    copies = _PAIRS // int(pairs)
    repeated = Classification(np.tile(X, (copies, 1)), np.tile(labels, copies), loss="exponential")
    log_end = math.log(10.0) * horizon
    run = simulate(
        MirrorFlow(repeated, potential), np.zeros(2), log_t1=log_end, rtol=1e-3, max_steps=_MAX_STEPS
    )
    last = float(run.log_times[-1])
    logs = np.geomspace(min(_FIRST * math.log(10.0), last), last, _TIMES)
    w = np.array(run.state(log_t=logs))
    # The entries may be beyond the square root of the largest float.
    w /= np.maximum(np.max(np.abs(w), axis=1, keepdims=True), 1e-300)
    margins = np.min((w @ X.T) * labels, axis=1) / np.array([norm.value(row) for row in w])
    end = w[-1] / np.linalg.norm(w[-1])
    aim = limit.point / np.linalg.norm(limit.point)
    degrees = math.degrees(math.acos(min(1.0, float(end @ aim))))
    facts = (
        ("largest margin", f"{limit.margin:.4g}"),
        ("margin of the flow", f"{margins[-1]:.4g}"),
        ("angle to the limit", f"{degrees:.2g}°"),
        ("steps of the solver", str(run.stats.steps)),
    )
    note = ""
    if not run.status.ok:
        note = f"The simulation stopped early, at t = 10^{last / math.log(10.0):.3g}: {run.status.value}."
    known = logs[[0, -1]] / math.log(10.0)
    rates = (
        Curve("margin of the flow", logs / math.log(10.0), margins, Role.FLOW, 0),
        Curve("largest margin", known, np.full(2, limit.margin), Role.PREDICTION, 0),
    )
    return Picture((_scene(X, labels, end, aim), rates), facts, note)


def _points(pairs: int, apart: float, seed: int) -> tuple[Float64[ndarray, "n 2"], Float64[ndarray, " n"]]:
    """Return Gaussian points of two classes, shifted along (1.6, 1.1) times a factor.

    Raises:
        InputError: no line through the origin separates the points.
    """
    rng = np.random.default_rng(seed)
    labels = np.tile([1.0, -1.0], pairs)
    X = rng.standard_normal((2 * _PAIRS, 2))[: 2 * pairs] + apart * np.outer(labels, [1.6, 1.1])
    X /= X.std(axis=0)
    if not _separable(X, labels):
        raise InputError(
            "no line through the origin separates these points, so that no classifier has a positive margin; move the "
            "classes apart, or take another seed or fewer points"
        )
    return X, labels


def _separable(X: Float64[ndarray, "n 2"], labels: Float64[ndarray, " n"]) -> bool:
    """Return whether the points y x lie in an open half plane: their angles leave a gap of more than half a turn."""
    turned = X * labels[:, None]
    angles = np.sort(np.arctan2(turned[:, 1], turned[:, 0]))
    gaps = np.diff(np.append(angles, angles[0] + 2.0 * np.pi))
    return bool(np.max(gaps) > np.pi * (1.0 + 1e-9))


def _pair(gauge: str, p: float, alpha: float) -> tuple[Any, Any]:
    """Return a potential and its horizon."""
    from implicitbias.gauges import L1, L2, LInf, Lp
    from implicitbias.potentials import Cosh, HyperbolicEntropy, PNorm, SquaredNorm

    pairs: dict[str, Any] = {
        _POTENTIALS[0]: lambda: (SquaredNorm(), L2()),
        _POTENTIALS[1]: lambda: (HyperbolicEntropy(scale=alpha**2), L1()),
        _POTENTIALS[2]: lambda: (Cosh(), LInf()),
        _POTENTIALS[3]: lambda: (PNorm(p), Lp(p)),
    }
    made: tuple[Any, Any] = pairs[gauge]()
    return made


def _scene(
    X: Float64[ndarray, "n 2"], labels: ndarray, end: Float64[ndarray, " 2"], aim: Float64[ndarray, " 2"]
) -> tuple[Curve, ...]:
    """Return the points, and the lines through the origin that the classifiers w draw."""
    reach = 1.15 * float(np.max(np.linalg.norm(X, axis=1)))
    ends = np.array([-reach, reach])
    kept = labels > 0.0
    return (
        Curve("flow at the end", -ends * end[1], ends * end[0], Role.FLOW, 0),
        Curve("largest margin", -ends * aim[1], ends * aim[0], Role.PREDICTION, 0),
        Curve("class +1", X[kept, 0], X[kept, 1], Role.ONE_CLASS, 1),
        Curve("class −1", X[~kept, 0], X[~kept, 1], Role.OTHER_CLASS, 2),
    )


SEPARABLE = Exploration(
    "separable",
    "The largest margin in a gauge",
    "On separable data the mirror flow of a potential diverges, and its direction converges to the classifier of "
    "largest margin, measured in the horizon of the potential. The limit is predicted by a convex program, and the "
    "flow is simulated in the logarithm of the time, because it needs times beyond 10³⁰⁰. α is the initialisation "
    "of the two-layer diagonal network behind the hyperbolic entropy, whose margin converges slowest; p belongs to the "
    "p-norm. Other potentials use neither.",
    (
        choice("gauge", "gauge of the margin", _POTENTIALS, _POTENTIALS[0]),
        Setting("p", "p of the p-norm", _SMALLEST_P, 8.0, 0.1, 3.0),
        Setting("alpha", "initialisation α", -4.0, 1.0, 0.1, 0.0, powers=True),
        Setting("horizon", "end of the flow, log₁₀ t", 0.5, 4.0, 0.1, 2.0, powers=True),
        choice("pairs", "points per class", _COUNTS, "10"),
        Setting("apart", "factor of the distance of the classes", 0.5, 3.0, 0.05, 1.0),
        Setting("seed", "seed of the data", 0, 999, 1, 926),
    ),
    (
        Axes("Classifiers in the plane", "x₁", "x₂", equal=True),
        Axes("Margin of w, relative to its gauge", "log₁₀ t", "margin", x_log=True),
    ),
    plane,
    compiled=("gauge",),
)
