"""What a trajectory consists of: states between steps, what their entries stand for, and what they cost."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float64
from numpy import ndarray


class Stats(NamedTuple):
    """The cost of an integration; `steps` = accepted + rejected."""

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
        """Return the states at times inside the integrated range, in any order."""

    @abstractmethod
    def dual(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m k"] | None:
        """Return the dual variables at these times; None where the flow has none."""


@runtime_checkable
class StateShape(Protocol):
    """What the rows of a `DenseOutput` stand for."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the places of the leaves in the tree."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the leaves."""

    def numpy_tree(self, flat: ndarray) -> Any:
        """Return the pytree with read-only NumPy leaves; leading axes of `flat` lead every leaf."""
