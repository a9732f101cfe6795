"""Maps that act coordinate by coordinate: the metric of w is diagonal."""

from abc import abstractmethod
from typing import Any

import jax

from implicitbias.parametrizations._exponential_chart import ExponentialChart
from implicitbias.parametrizations._parametrization import Parametrization


class Diagonal(Parametrization):
    """w_i depends on the i-th entries of the arrays of theta only, whatever their shape."""

    @abstractmethod
    def metric(self, theta: Any) -> jax.Array:
        """The diagonal of J J^T, shaped as w; theta and the result are JAX arrays."""


class TwoLayerDiagonal(Diagonal):
    """Two arrays whose gradient flow, with weight decay or without, is known in closed form from -int grad L."""

    @abstractmethod
    def exponential_chart(self, theta0: Any) -> ExponentialChart:
        """The closed form of the flow from theta0."""
