"""The study of arXiv 2406.12763: on separable data, mirror flow maximises the margin in the horizon of its potential."""

from typing import Any

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress
from implicitbias.studies._inseparable_claims import inseparable_claims
from implicitbias.studies._separable_claims import angles_claim, control_claims, flow_claims, gradient_claims
from implicitbias.studies._separable_rates import arc_claims, descent_claims, horizon_claims
from implicitbias.studies._study import Study

PLANE, INSEPARABLE = "plane", "iris"
_POINTS = (PLANE, "gaussian", "wine", "digits", "breast-cancer", INSEPARABLE)


class SeparableData(Study):
    """The study that follows mirror flows on separable data and compares them with certified classifiers."""

    def points(self) -> tuple[str, ...]:
        """Return the plane of the figure, Gaussian data, four real sets, the last of which is not separable."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Compute the classifiers of largest margin, simulate the flows, and return measurements of both."""
        # These imports are here, so that stored results can be judged without numba and JAX.
        if point == INSEPARABLE:
            from implicitbias.studies._inseparable_evidence import inseparable_dataset

            return inseparable_dataset(progress)
        from implicitbias.studies._separable_descents import arc_variables, descent_variables
        from implicitbias.studies._separable_evidence import flows_dataset
        from implicitbias.studies._separable_geometry import geometry_variables
        from implicitbias.studies._separable_settings import NAMED_GAUGES, SETTINGS

        setting = SETTINGS[point]
        data = flows_dataset(setting, progress)
        if point != PLANE:
            return data
        problem = setting.problem()
        progress(0.9, "sublevel sets and steepest descents")
        data = data.assign(geometry_variables(setting.entries(2))).assign(arc_variables(problem))
        return data.assign(descent_variables(problem, NAMED_GAUGES))

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about the classifiers, the flows, the horizons and the rates."""
        if point == INSEPARABLE:
            return inseparable_claims(point, dataset)
        claims = [*flow_claims(point, dataset), *gradient_claims(point, dataset)]
        if point == PLANE:
            claims += [angles_claim(point, dataset), *horizon_claims(point, dataset)]
            claims += [*arc_claims(point, dataset), *descent_claims(point, dataset), *control_claims(point, dataset)]
        return claims

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The three potentials of the figure are those of the paper: squared l2, hyperbolic entropy and cosh. "
        )


STUDY = SeparableData()
