"""The base class of flows, which `simulate` integrates."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.trees import TreeShape
from implicitbias._core.values import Value
from implicitbias.flows._engine import Engine
from implicitbias.flows._limits import Limits
from implicitbias.problems import ModelFlags
from implicitbias.trajectories import Clock


class Flow(Value, ABC):
    """A flow of training as a frozen value; from a start it makes the engine that integrates it."""

    @property
    def has_algebras(self) -> bool:
        """Whether the caller may choose by which algebra linear systems are solved."""
        return False

    @abstractmethod
    def checked_start(self, start: Any) -> tuple[TreeShape, Float64[ndarray, " size"]]:
        """Return the layout of the state and the start as one vector, or raise an `InputError`."""

    @abstractmethod
    def engine(
        self, shape: TreeShape, start: Float64[ndarray, " size"], limits: Limits, max_bytes: int
    ) -> Engine:
        """Return the engine of the flow from this start; call it inside `double_precision`.

        A dense matrix may use at most `max_bytes`.
        """

    def flags(self, shape: TreeShape, start: Float64[ndarray, " size"]) -> ModelFlags:
        """Return findings about the model that the result reports; there are none by default."""
        return ModelFlags(single_precision=False, not_smooth=False, notes=())

    def clock(self, shape: TreeShape, start: Float64[ndarray, " size"], log_end: float) -> Clock:
        """Return the clock in which the engine integrates to exp(log_end); by default it shows the time itself."""
        return Clock()

    def snapped(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, " k"]:
        """Return the nearest times at which the flow has a state."""
        return times
