"""How a problem tells a predictor what its predictions are made of, without knowing predictors."""

from abc import abstractmethod
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax


class Readout(eqx.Module):
    """Parameters to predictions (n, k), traced by JAX."""

    @abstractmethod
    def __call__(self, params: Any) -> jax.Array:
        """Return the predictions (n, k)."""

    @abstractmethod
    def at(self, inputs: Any) -> "Readout":
        """Return the same readout at other inputs."""

    def first_rows(self, count: int) -> "Readout":
        """Return the readout at its first inputs alone, or itself where that would spare nothing."""
        return self

    @abstractmethod
    def described_to(self, listener: "ReadoutListener") -> Any:
        """Call the method of the listener that fits this readout, and return its answer."""


@runtime_checkable
class ReadoutListener(Protocol):
    """Whoever wants to know what a readout is made of: one method for each kind."""

    def linear(self, linear: Any) -> Any:
        """The parameters are w, and the predictions the `TracedMap` `linear` of w."""

    def reparametrized(self, linear: Any, G: Any) -> Any:
        """The predictions are the `TracedMap` `linear` of w = G(theta)."""

    def model(self, readout: Any) -> Any:
        """The predictions are those of a function of parameters and inputs; `readout.row` gives those of one row."""
