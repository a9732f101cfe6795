"""Flows: the dynamics of training as vector fields, and the solver that uses their structure.

To add one, derive it from `Flow` (see `_flow.py`): a checked start, and an engine that drives it, most often a
`RosenbrockEngine` with a `System` of its own (see `_system.py`). Nothing here may import `limits`.
"""

from typing import TYPE_CHECKING, Any

from implicitbias.flows._gradient_descent import GradientDescent as GradientDescent
from implicitbias.flows._gradient_flow import GradientFlow as GradientFlow
from implicitbias.flows._mirror_flow import MirrorFlow as MirrorFlow
from implicitbias.flows._simulate import simulate as simulate

if TYPE_CHECKING:
    from implicitbias.flows._solver import GaussNewtonRosenbrock as GaussNewtonRosenbrock


def __getattr__(name: str) -> Any:
    if name == "GaussNewtonRosenbrock":  # its module loads diffrax, which `simulate` does not need
        from implicitbias.flows._solver import GaussNewtonRosenbrock

        return GaussNewtonRosenbrock
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
