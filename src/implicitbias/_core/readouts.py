"""Readouts: functions from parameters to predictions that describe their structure to a listener.

Problems make readouts and predictors listen to them, so that problems need not import predictors.
"""

from abc import abstractmethod
from typing import Any, Protocol, runtime_checkable

import jax

from implicitbias._core.modules import PlainModule


class Readout(PlainModule):
    """A function from parameters to predictions (n, k), traced by JAX."""

    @abstractmethod
    def __call__(self, params: Any) -> jax.Array:
        """Return the predictions (n, k)."""

    @abstractmethod
    def at(self, inputs: Any) -> "Readout":
        """Return the same readout at other inputs."""

    def first_rows(self, count: int) -> "Readout":
        """Return the readout at the first `count` inputs, or the readout itself if that would save nothing."""
        return self

    @abstractmethod
    def described_to(self, listener: "ReadoutListener") -> Any:
        """Call the method of the listener for this kind of readout, and return its result."""


@runtime_checkable
class ReadoutListener(Protocol):
    """An object with one method for each kind of readout; each method receives the parts of the readout."""

    def linear(self, linear: Any) -> Any:
        """Receive a readout whose parameters are w and whose predictions are `linear`, a `TracedMap`, of w."""

    def reparametrized(self, linear: Any, G: Any) -> Any:
        """Receive a readout whose parameters are theta and whose predictions are `linear` of w = G(theta)."""

    def model(self, readout: Any) -> Any:
        """Receive a readout that is any model; `readout.row` predicts a single row."""
