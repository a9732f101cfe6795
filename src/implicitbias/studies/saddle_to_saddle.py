"""The study of arXiv 2304.00488: diagonal networks of vanishing initialisation jump from saddle to saddle."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias._core.progress import Progress
from implicitbias.limits import SaddlePath, saddle_path
from implicitbias.plotting import path_over_simulation, plot, rate_figure
from implicitbias.problems import LeastSquares
from implicitbias.studies._claim import Claim
from implicitbias.studies._data import diabetes
from implicitbias.studies._flow_claims import Simulations, flow_claims, limit_claims
from implicitbias.studies._path_claims import departure_claim, lasso_claims, path_claims
from implicitbias.studies._study import Outcome, Study

EXPONENTS = (3, 10, 30, 100, 300, 1000)
"""Initialisation scales: alpha = 10^-3 ... 10^-1000."""


class Setting(NamedTuple):
    """One problem, and what is shown on it."""

    problem: Callable[[], LeastSquares]
    exponents: tuple[int, ...]
    rates: bool
    forgets: bool


def _deactivation() -> LeastSquares:
    """n = 5, d = 7, a 2-sparse target: a coordinate is learned first and forgotten at the last jump."""
    X = np.random.default_rng(0).standard_normal((5, 7))
    return LeastSquares(X, X @ np.array([1.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0]))


def _gaussian() -> LeastSquares:
    """n = 12, d = 30, Gaussian design and targets."""
    rng = np.random.default_rng(2)
    return LeastSquares(rng.standard_normal((12, 30)), rng.standard_normal(12))


def _diabetes() -> LeastSquares:
    """n = 442, d = 10, columns and target standardised."""
    import pandas

    X, y, names = diabetes()
    return LeastSquares(pandas.DataFrame(_standardised(X), columns=list(names)), _standardised(y))


def _diabetes_products() -> LeastSquares:
    """40 of the 442 patients, the 10 features and all their pairwise products: d = 65.

    sex takes two values, so that sex and sex * sex are the same column once standardised: a tie in real data.
    """
    import pandas

    X, y, names = diabetes()
    Z = _standardised(X)
    pairs = [(i, j) for i in range(len(names)) for j in range(i, len(names))]
    wide = np.hstack([Z, np.stack([Z[:, i] * Z[:, j] for i, j in pairs], axis=1)])
    labels = [*names, *(f"{names[i]}*{names[j]}" for i, j in pairs)]
    rows = np.sort(np.random.default_rng(0).choice(len(y), size=40, replace=False))
    return LeastSquares(pandas.DataFrame(_standardised(wide[rows]), columns=labels), _standardised(y[rows]))


def _standardised(array: ndarray) -> ndarray:
    centred: ndarray = (array - array.mean(axis=0)) / array.std(axis=0)
    return centred


SETTINGS = {
    "deactivation": Setting(_deactivation, EXPONENTS, rates=True, forgets=True),
    "gaussian": Setting(_gaussian, EXPONENTS, rates=True, forgets=False),
    "diabetes": Setting(_diabetes, EXPONENTS, rates=True, forgets=True),
    "diabetes-products": Setting(_diabetes_products, (30, 1000), rates=False, forgets=True),
}


class SaddleToSaddle(Study):
    """Predict the path, certify it, simulate the flow from ever smaller scales, and hold the two together."""

    def points(self) -> tuple[str, ...]:
        """Two synthetic settings and two of real data."""
        return tuple(SETTINGS)

    def run(self, point: str, progress: Progress) -> Outcome:
        """Predict, simulate, compare."""
        setting = SETTINGS[point]
        path = saddle_path(setting.problem())
        progress(0.05, f"{path.n_jumps} jumps predicted")
        simulations = Simulations(path, setting.exponents, progress)
        claims: list[Claim] = [*path_claims(point, path), *lasso_claims(point, path)]
        if setting.forgets:
            claims.append(departure_claim(point, path))
        claims += flow_claims(point, simulations) if setting.rates else limit_claims(point, simulations)
        return Outcome(
            tuple(claims),
            {f"{point}-path": path.to_dataset(), f"{point}-simulations": simulations.to_dataset()},
            _figures(point, path, simulations),
        )

    def notes(self) -> str:
        """Which settings are whose."""
        return (
            "Settings: Gaussian designs with sparse or Gaussian targets are in the setting of the paper, whose exact "
            "numbers are not known here; seeds and sizes were chosen. The diabetes set is scikit-learn's, "
            "standardised. Simulations integrate the true flow of w = u * v from u = sqrt(2) alpha, v = 0, in dual "
            "variables; alpha goes down to 1e-1000. Slow time is flow time divided by ln(1/alpha). Every number below "
            "was computed in this run."
        )


def _figures(point: str, path: SaddlePath, simulations: Simulations) -> dict[str, object]:
    shown = [
        run for run in simulations.runs if run.label in ("alpha = 1e-3", "alpha = 1e-30", "alpha = 1e-1000")
    ]
    figures: dict[str, object] = {
        f"{point}-path": plot(path),
        f"{point}-simulations": path_over_simulation(path, shown),
    }
    if SETTINGS[point].rates:
        small = 1.0 / simulations.log_inverse_alphas
        errors = {f"jump {k}": e for k, e in enumerate(simulations.jump_errors.T[:8], start=1)}
        figures[f"{point}-rates"] = rate_figure(
            small, errors, r"$1 / \ln(1/\alpha)$", "distance of jump times from their limit", 1.0
        )
    return figures


STUDY = SaddleToSaddle()
