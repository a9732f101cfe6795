"""Flows: the dynamics of training as vector fields, and a solver that uses their structure.

To add a flow, derive a class from `Flow` (see `_flow.py`) that checks the start and returns an engine. In most cases
the engine is a `RosenbrockEngine` with a new `System` (see `_system.py`). No module here may import `limits`.
"""

from typing import TYPE_CHECKING, Any

from implicitbias.flows._critical_points import MOST_FOR_HESSIAN as MOST_FOR_HESSIAN
from implicitbias.flows._critical_points import CriticalPoint as CriticalPoint
from implicitbias.flows._critical_points import critical_point as critical_point
from implicitbias.flows._gradient_descent import GradientDescent as GradientDescent
from implicitbias.flows._gradient_flow import GradientFlow as GradientFlow
from implicitbias.flows._mirror_flow import MirrorFlow as MirrorFlow
from implicitbias.flows._norm_drift import NormDrift as NormDrift
from implicitbias.flows._norm_drift import finite_minimiser as finite_minimiser
from implicitbias.flows._simulate import simulate as simulate
from implicitbias.flows._steepest_descent import SteepestDescent as SteepestDescent

if TYPE_CHECKING:
    from implicitbias.flows._solver import GaussNewtonRosenbrock as GaussNewtonRosenbrock


def __getattr__(name: str) -> Any:
    if name == "GaussNewtonRosenbrock":  # This module loads diffrax, which `simulate` does not need.
        from implicitbias.flows._solver import GaussNewtonRosenbrock

        return GaussNewtonRosenbrock
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
