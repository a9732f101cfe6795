"""What `simulate` needs to know of a flow."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from implicitbias.flows._system import System


class Flow(ABC):
    """A flow of training: it states its equation from a given start."""

    @abstractmethod
    def checked_start(self, start: Any) -> Float64[ndarray, " d"]:
        """The start as an array, or an `InputError`."""

    @abstractmethod
    def system(self, start: Float64[ndarray, " d"]) -> tuple[System, Any]:
        """The equation and its inner variable at the start; called under double precision."""
