"""What a parametrization is."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from implicitbias.potentials import Potential


class Parametrization(ABC):
    """A map theta -> w = G(theta) whose gradient flow is a mirror flow of w.

    Reference:
        li2022implicit.

    Examples:
        >>> import implicitbias as ib
        >>> isinstance(ib.HadamardProduct(), ib.Parametrization)
        True
    """

    @abstractmethod
    def __call__(self, theta: Any) -> Float64[ndarray, " d"]:
        """w = G(theta)."""

    @abstractmethod
    def pullback(self, theta: Any, gradient: Float64[ndarray, " d"]) -> Any:
        """J(theta)^T gradient: the gradient in theta of a loss with this gradient in w; shaped as theta."""

    @abstractmethod
    def potential(self, theta0: Any) -> Potential:
        """The potential whose mirror flow w follows when theta starts at theta0."""
