"""The study of arXiv 2406.12763: on separable data, mirror flow maximises the margin in the horizon."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress
from implicitbias.studies._inseparable_claims import inseparable_claims
from implicitbias.studies._separable_claims import angles_claim, control_claims, flow_claims, gradient_claims
from implicitbias.studies._separable_rates import arc_claims, descent_claims, horizon_claims
from implicitbias.studies._study import Study

PLANE, MATRICES, INSEPARABLE = "plane", "matrices", "iris"
_POINTS = (PLANE, "gaussian", "wine", "digits", "breast-cancer", MATRICES, INSEPARABLE)


class SeparableData(Study):
    """The study that follows mirror flows on separable data and compares them with certified classifiers."""

    def points(self) -> tuple[str, ...]:
        """Return the plane of the figure, Gaussian data, three real sets, matrices, and data that are not separable."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Compute the classifiers of largest margin, simulate the flows, and return measurements of both."""
        # These imports are here, so that stored results can be judged without numba and JAX.
        if point == INSEPARABLE:
            from implicitbias.studies._inseparable_evidence import inseparable_dataset

            return _in_row_order(inseparable_dataset(progress))
        from implicitbias.studies._separable_descents import arc_variables, descent_variables
        from implicitbias.studies._separable_evidence import flows_dataset
        from implicitbias.studies._separable_geometry import geometry_variables
        from implicitbias.studies._separable_settings import MATRIX_GAUGES, NAMED_GAUGES, SETTINGS

        setting = SETTINGS[point]
        data, problem = flows_dataset(setting, progress), setting.problem()
        if point in (PLANE, MATRICES):
            progress(0.8, "steepest descents")
            data = data.assign(descent_variables(problem, NAMED_GAUGES if point == PLANE else MATRIX_GAUGES))
        if point == PLANE:
            progress(0.9, "sublevel sets")
            data = data.assign(geometry_variables(setting.entries(2))).assign(arc_variables(problem))
        return _in_row_order(data)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about the classifiers, the flows, the horizons and the rates."""
        if point == INSEPARABLE:
            return inseparable_claims(point, dataset)
        claims = [*flow_claims(point, dataset), *gradient_claims(point, dataset)]
        if point == PLANE:
            claims += [angles_claim(point, dataset), *horizon_claims(point, dataset)]
            claims += [*arc_claims(point, dataset), *control_claims(point, dataset)]
        if point in (PLANE, MATRICES):
            claims += descent_claims(point, dataset)
        return claims

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return the figure of the paper, the balls and the rates in the plane, and shortfalls of margins elsewhere."""
        from implicitbias.studies._separable_figures import bounded, descents, plane_figures, shortfalls

        if point == INSEPARABLE:
            return {f"{point}-norm": bounded(dataset)}
        figures = {f"{point}-shortfall": shortfalls(dataset)}
        if point in (PLANE, MATRICES):
            figures[f"{point}-descents"] = descents(dataset)
        return plane_figures(point, dataset) | figures if point == PLANE else figures

    def settings(self) -> dict[str, Any]:
        """Return the horizon, the number of points in the plane, the logarithm of the end time, and the seed."""
        return {"horizon": "l2", "n": 20, "log_time": 1000.0, "seed": 0}

    def measure(self, settings: dict[str, Any]) -> Any:
        """Return how far one flow in the plane is from the largest margin."""
        from implicitbias.studies._grid_classifiers import plane_run

        return plane_run(**settings)

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The three potentials of the first figure, squared l2, hyperbolic entropy and cosh, are those of the "
            "paper. Its data and step sizes are not known. The 20 points in the plane were drawn here and "
            "standardised, and their seed was chosen so that the three classifiers differ by at least 10 degrees. "
            "The other potentials, the Gaussian data and the real data were chosen here. Real data are "
            "standardised and have a column of ones as intercept; the digits are 0 against the rest, the wines "
            "the first cultivar against the rest, and the irises the second species against the third. Potentials "
            "of matrices are those of their singular values, on 24 Gaussian matrices of shape (4, 3), whose entries "
            "have the standard deviation 10 so that the flow of cosh reaches larger margins. All flows start at 0. The "
            "hyperbolic entropy has scale 1, and the skewed cubic is a potential from a function of the user. The "
            "end of each flow, between ln t = 5000 and 10^9, was chosen so that the study takes minutes. P-norms with "
            "p > 2 are not simulated on the breast-cancer data, where they need more than 4000 steps to reach ln t = "
            "500. Margins and directions at the end of a flow are extrapolated as linear functions of 1 / m, where "
            "m is the smallest margin of the state, of m^(-1/2) for directions of p = 1.5, and of 1 / ln m for "
            "the hyperbolic entropy. The error bar is the whole correction of the last value, or the change from "
            "the extrapolation of earlier values if it is larger, plus the change for a ten times larger rtol. A "
            "direction is judged only where the classifier is unique, and where rows and entries without a part "
            "in the limit have faded to 1 %. Every number below was computed in this run."
        )


def _in_row_order(data: Any) -> Any:
    """Return a dataset whose arrays are in row order, as in a file, because another order has other rounding errors."""
    return data.assign(
        {name: (item.dims, np.array(item.values, order="C")) for name, item in data.data_vars.items()}
    )


STUDY = SeparableData()
