"""The study of arXiv 2304.00488: diagonal networks of vanishing initialisation jump from saddle to saddle."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress
from implicitbias.problems import LeastSquares
from implicitbias.studies._saddle_claims import saddle_claims
from implicitbias.studies._seeds import generator
from implicitbias.studies._study import Study

EXPONENTS = (3, 10, 30, 100, 300, 1000)
"""Exponents e of the initialisation scales alpha = 10^-e."""
_DRAWN = (3, 30, 1000)


class Setting(NamedTuple):
    """A problem, the exponents of its scales, and the claims that are made about it."""

    problem: Callable[[], LeastSquares]
    exponents: tuple[int, ...]
    rates: bool
    forgets: bool


def _deactivation() -> LeastSquares:
    """Return a problem with n = 5, d = 7 and a 2-sparse target.

    One coordinate enters at the first jump and becomes 0 again at the last jump.
    """
    X = generator(0).standard_normal((5, 7))
    return LeastSquares(X, X @ np.array([1.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0]))


def _gaussian() -> LeastSquares:
    """Return a problem with n = 12, d = 30 and Gaussian design and targets."""
    rng = generator(2)
    return LeastSquares(rng.standard_normal((12, 30)), rng.standard_normal(12))


def _diabetes() -> LeastSquares:
    """Return the diabetes data, n = 442 and d = 10, with standardised columns and target."""
    import pandas

    from implicitbias.studies._data import diabetes

    X, y, names = diabetes()
    return LeastSquares(pandas.DataFrame(_standardised(X), columns=list(names)), _standardised(y))


def _diabetes_products() -> LeastSquares:
    """Return the diabetes data of 40 of the 442 patients, with the 10 features and all their pairwise products: d = 65.

    The feature sex takes two values, so that sex and sex * sex are the same column after standardisation. This is a tie
    in real data.
    """
    import pandas

    from implicitbias.studies._data import diabetes

    X, y, names = diabetes()
    Z = _standardised(X)
    pairs = [(i, j) for i in range(len(names)) for j in range(i, len(names))]
    wide = np.hstack([Z, np.stack([Z[:, i] * Z[:, j] for i, j in pairs], axis=1)])
    labels = [*names, *(f"{names[i]}*{names[j]}" for i, j in pairs)]
    rows = np.sort(generator(0).choice(len(y), size=40, replace=False))
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
    """The study that predicts and certifies the path and compares the flow from decreasing scales with it."""

    def points(self) -> tuple[str, ...]:
        """Return two settings with synthetic data and two with real data."""
        return tuple(SETTINGS)

    def compute(self, point: str, progress: Progress) -> Any:
        """Predict the path, simulate the flow, and return measurements of both."""
        # These imports are here, so that stored results can be judged without numba and JAX.
        from implicitbias.limits import saddle_path
        from implicitbias.studies._path_evidence import lasso_dataset, path_dataset
        from implicitbias.studies._saddle_evidence import simulated
        from implicitbias.studies._sweep_evidence import sweep_variables

        setting = SETTINGS[point]
        path = saddle_path(setting.problem())
        progress(0.05, f"{path.n_jumps} jumps predicted")
        sweep = simulated(path, setting.exponents, progress)
        shown = {f"alpha = 1e-{e}": i for i, e in enumerate(setting.exponents) if e in _DRAWN}
        data = path_dataset(path)
        return data.assign(lasso_dataset(path) | sweep_variables(sweep, setting.exponents, shown))

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about the path, its link with the Lasso, and the simulations."""
        setting = SETTINGS[point]
        return saddle_claims(point, dataset, rates=setting.rates, forgets=setting.forgets)

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return figures of the path, of the path over simulations, and of the rates of jump times."""
        from implicitbias.plotting import rate_figure
        from implicitbias.studies._stored_figures import path_figures

        figures = path_figures(point, dataset)
        if SETTINGS[point].rates:
            small = 1.0 / dataset["unit"].values
            errors = {f"jump {k}": e for k, e in enumerate(dataset["jump_error"].values.T[:8], start=1)}
            labels = r"$1 / \ln(1/\alpha)$", "distance of jump times from their limit"
            figures[f"{point}-rates"] = rate_figure(small, errors, *labels, 1.0)
        return figures

    def settings(self) -> dict[str, Any]:
        """Return the scale of the start, the sizes of the data, the noise, and the seed."""
        return {"alpha": 1e-30, "n": 12, "d": 30, "noise": 0.0, "seed": 0}

    def measure(self, settings: dict[str, Any]) -> Any:
        """Return the distance of one flow from its limit path."""
        from implicitbias.studies._grid_runs import saddle_run

        return saddle_run(**settings)

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "Gaussian designs with sparse or Gaussian targets are in the setting of the paper. The exact numbers of "
            "the paper are not known here, so seeds and sizes were chosen. The diabetes data are from scikit-learn "
            "and are standardised. Simulations integrate the true flow of w = u * v from u = sqrt(2) alpha, v = 0, in "
            "dual variables, with alpha down to 1e-1000. Slow time is flow time divided by ln(1/alpha). Every number "
            "below was computed in this run."
        )


STUDY = SaddleToSaddle()
