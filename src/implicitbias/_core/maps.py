"""What a problem needs to know of a parametrization."""

from typing import Any, Protocol, runtime_checkable

from numpy import ndarray


@runtime_checkable
class Map(Protocol):
    """A map theta -> w."""

    def formula(self, theta: Any) -> Any:
        """w, traced by JAX."""

    def checked(self, theta: Any, name: str = "theta") -> Any:
        """theta with float64 NumPy leaves, or an `InputError`."""

    def __call__(self, theta: Any) -> ndarray:
        """w as a NumPy array."""
