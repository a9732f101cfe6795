"""The engine of flows in dual variables, with the method that suits what is known about their Jacobian."""

from typing import Any

from implicitbias._core.trees import TreeShape
from implicitbias.flows._dual_system import DualSystem
from implicitbias.flows._engine import RosenbrockEngine
from implicitbias.flows._guide import Settled
from implicitbias.flows._limits import Limits
from implicitbias.flows._rodas5 import Rodas5


def dual_engine(system: DualSystem, start: Any, shape: TreeShape, limits: Limits) -> RosenbrockEngine:
    """Return the engine of a dual system from its inner variable at t = 0.

    Its Jacobian is exact if the second derivative of the loss is known and not negative. Steps of order 5 are then
    used, of which a jump from saddle to saddle takes half as many as of order 3.
    """
    exact = system.loss.quadratic or system.loss.of_margins is not None
    return RosenbrockEngine(system, start, shape, limits, Settled("", Rodas5() if exact else None))
