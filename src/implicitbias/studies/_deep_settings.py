"""Problems and networks of the study of deep diagonal networks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.parametrizations import DeepDiagonal, Diagonal, Featurewise, Growth, HadamardProduct
from implicitbias.problems import LeastSquares
from implicitbias.studies._seeds import generator


class Network(NamedTuple):
    """A diagonal network with starts scale * direction, where scale = 10^-e for each exponent e.

    `order` is the order of the map to w at 0, which is the number of layers.
    """

    G: Diagonal
    direction: Any
    order: int
    exponents: tuple[float, ...]
    rtol: float

    @property
    def growth(self) -> Growth:
        """The growth of the network from the direction, which also names the unit of slow time."""
        return self.G.growth_times(self.direction)

    def units(self) -> Float64[ndarray, " scales"]:
        """Return the flow time of one unit of slow time at each scale."""
        growth, logs = self.growth, -np.array(self.exponents, dtype=float) * np.log(10.0)
        return np.array([growth.flow_time(1.0, log_scale=log) for log in logs])

    def scales(self) -> Float64[ndarray, " scales"]:
        """Return 10^-e for each exponent e."""
        return 10.0 ** -np.array(self.exponents, dtype=float)


class Setting(NamedTuple):
    """A problem and a network."""

    problem: Callable[[], LeastSquares]
    network: Network


def _four_features() -> LeastSquares:
    """Return the example of zhao2026gradient (appendix on the experiment of the figure): n = 2, d = 4."""
    return LeastSquares([[1.0, 0.5, 0.7, 0.0], [0.5, 1.0, 0.1, 0.7]], [1.0, 0.0])


def _generic() -> LeastSquares:
    """Return a problem with n = 4, d = 6 and Gaussian design and targets."""
    rng = generator(9)
    return LeastSquares(rng.standard_normal((4, 6)), rng.standard_normal(4))


def _product(p: jax.Array) -> jax.Array:
    return 2 * p[0] * p[1]


def _squares(p: jax.Array) -> jax.Array:
    return p[0] ** 2 - p[1] ** 2


def _exponentials(p: jax.Array) -> jax.Array:
    return p[0] * jnp.sinh(p[0]) - p[1] * jnp.sinh(p[1])


def _sinh_of_product(p: jax.Array) -> jax.Array:
    return jnp.sinh(2 * p[0] * p[1])


FOUR_MAPS = Featurewise([_product, _squares, _exponentials, _sinh_of_product])
"""Four analytic maps whose Hessians at 0 have the eigenvalues 2 and -2, as in the paper."""


def _generic_layers(depth: int) -> tuple[ndarray, ...]:
    """Return random directions with sizes in [1/2, 3/2] and random signs.

    There are no ties, and growth times differ between features and between signs.
    """
    rng = generator([depth, 9])
    return tuple(rng.uniform(0.5, 1.5, (depth, 6)) * rng.choice([-1.0, 1.0], (depth, 6)))


def _deep(depth: int, exponents: tuple[float, ...]) -> Network:
    return Network(DeepDiagonal(depth), _generic_layers(depth), order=depth, exponents=exponents, rtol=1e-8)


_TWO_LAYERS = (30.0, 60.0, 100.0, 150.0)
_FOUR_DIRECTION = np.array([[1.0, 0.5], [0.7, 1.2], [0.6, -0.8], [1.1, 0.3]])
_PLAIN = Network(HadamardProduct(), _generic_layers(2), order=2, exponents=_TWO_LAYERS, rtol=1e-6)

SETTINGS = {
    "four-features": Setting(
        _four_features, Network(FOUR_MAPS, _FOUR_DIRECTION, order=2, exponents=_TWO_LAYERS, rtol=1e-6)
    ),
    "depth-2": Setting(_generic, _PLAIN),
    "depth-3": Setting(_generic, _deep(3, (2.0, 2.5, 3.0, 3.5, 4.0))),
    "depth-4": Setting(_generic, _deep(4, (1.0, 1.5, 2.0, 2.5))),
    "depth-5": Setting(_generic, _deep(5, (1.0, 1.25, 1.5, 1.75))),
}
