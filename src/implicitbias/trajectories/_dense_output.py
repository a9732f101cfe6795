"""What a trajectory consists of: states between steps, what their entries stand for, and what they cost."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float64
from numpy import ndarray


class Stats(NamedTuple):
    """What the integration cost; `steps` = accepted + rejected."""

    steps: int
    accepted: int
    rejected: int
    evaluations: int
    factorizations: int
    seconds: float


class DenseOutput(ABC):
    """States between steps, as rows of one array."""

    @abstractmethod
    def state(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        """States at ascending or unordered times inside the integrated range."""

    @abstractmethod
    def dual(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m k"] | None:
        """Dual variables there; None where the flow has none."""


@runtime_checkable
class StateShape(Protocol):
    """What the rows of a `DenseOutput` stand for."""

    @property
    def names(self) -> tuple[str, ...]:
        """Where the leaves are in the tree."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the leaves."""

    def numpy_tree(self, flat: ndarray) -> Any:
        """The pytree with read-only NumPy leaves; leading axes of `flat` lead every leaf."""
