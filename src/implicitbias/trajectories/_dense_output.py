"""The parts of a trajectory: dense output, the layout of its states, and the cost of the integration."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float64
from numpy import ndarray


class Stats(NamedTuple):
    """The cost of an integration, where `steps` is the sum of the accepted and the rejected steps.

    `iterations` counts the iterations of conjugate gradients. `algebras` holds pairs of the name of an algebra, in the
    order of their first use, and the number of steps that it took; it is empty for flows that have no choice.
    For models with piecewise linear units (ReLU), `events` counts the times at which units reached or left their kink,
    and `held` is the largest number of pre-activations that were held at 0 at the same time.
    """

    steps: int
    accepted: int
    rejected: int
    evaluations: int
    factorizations: int
    seconds: float
    iterations: int = 0
    algebras: tuple[tuple[str, int], ...] = ()
    events: int = 0
    held: int = 0


class DenseOutput(ABC):
    """A function from times to states, which are returned as the rows of one array."""

    @abstractmethod
    def state(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        """Return the states at times inside the integrated range; the times need not be sorted."""

    @abstractmethod
    def dual(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m k"] | None:
        """Return the dual variables at these times, or None if the flow has no dual variables."""


@runtime_checkable
class StateShape(Protocol):
    """The layout of the rows of a `DenseOutput` as pytrees."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the leaves, which are their paths in the tree."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the leaves."""

    def numpy_tree(self, flat: ndarray) -> Any:
        """Return the pytree with read-only NumPy leaves; leading axes of `flat` become leading axes of each leaf."""
