"""What `simulate` needs to know of a flow."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.trees import TreeShape
from implicitbias._core.values import Value
from implicitbias.flows._engine import Engine, Limits
from implicitbias.problems import ModelFlags


class Flow(Value, ABC):
    """A flow of training, a frozen value: its equation from a given start, and the engine that drives it."""

    @abstractmethod
    def checked_start(self, start: Any) -> tuple[TreeShape, Float64[ndarray, " size"]]:
        """The shape of the state and the start as one vector, or an `InputError`."""

    @abstractmethod
    def engine(
        self, shape: TreeShape, start: Float64[ndarray, " size"], limits: Limits, max_bytes: int
    ) -> Engine:
        """The integration from the start, with matrices up to `max_bytes`; called under double precision."""

    def flags(self, shape: TreeShape, start: Float64[ndarray, " size"]) -> ModelFlags:
        """What a reader of the result should know of the model."""
        return ModelFlags(single_precision=False, not_smooth=False, sentences=())

    def snapped(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, " k"]:
        """The nearest times at which the flow has a state."""
        return times
