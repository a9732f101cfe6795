"""Diagonal networks of any depth."""

from operator import index
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.parametrizations._diagonal import Diagonal
from implicitbias.parametrizations._growth import Growth
from implicitbias.parametrizations._growth_times import deep_growth, product_growth
from implicitbias.parametrizations._hadamard import HadamardProduct, product_entropy
from implicitbias.parametrizations._leaves import equal_leaves
from implicitbias.potentials import Potential


class DeepDiagonal(Diagonal):
    r"""The map $w = a_1 \odot \dots \odot a_D$, where theta = $(a_1, \dots, a_D)$ are D arrays of the shape of w.

    The metric of w is $\sum_j \prod_{l \ne j} a_l^2$. For depth 2 this map is `HadamardProduct`.

    Args:
        depth: the number of layers D >= 2.

    Raises:
        InputError: depth is not an integer of at least 2; theta is not a tuple of D finite arrays of equal shape.

    Reference:
        zhao2026gradient; labarriere2024optimization for the metric.

    Examples:
        >>> import implicitbias as ib
        >>> ib.DeepDiagonal(3)(([1.0, 2.0], [3.0, -1.0], [2.0, 2.0])).tolist()
        [6.0, -4.0]
    """

    depth: int = eqx.field(static=True)

    def __init__(self, depth: Any) -> None:
        try:
            number = 0 if isinstance(depth, bool) else index(depth)
        except TypeError:
            number = 0
        if number < 2:
            raise InputError(
                f"depth is {depth!r}, an integer of at least 2 is expected: type ib.DeepDiagonal(3)"
            )
        self.depth = number

    def formula(self, theta: Any) -> jax.Array:
        """Return the product of the layers for JAX arrays."""
        return _product(theta)

    def checked(self, theta: Any, name: str = "theta") -> tuple[ndarray, ...]:
        """Return the layers as a tuple of `depth` float64 arrays of equal shape."""
        return equal_leaves(theta, name, tuple(f"a_{j}" for j in range(1, self.depth + 1)))

    def metric(self, theta: Any) -> jax.Array:
        """Return the diagonal of $J J^\\top$ for JAX arrays; it uses no division, so layers may be 0."""
        others = [_product([*theta[:j], *theta[j + 1 :]]) for j in range(self.depth)]
        return sum((other * other for other in others), start=jnp.zeros_like(others[0]))

    def potential(self, theta0: Any) -> Potential:
        """Return the potential of a network of depth 2, which is that of `HadamardProduct`.

        Raises:
            InputError: the network is deeper, or |a_1| = |a_2| in some coordinate.
        """
        layers = self.checked(theta0, "theta0")
        if self.depth == 2:
            return product_entropy(*layers)
        return super().potential(theta0)

    def known_potential(self, theta0: Any) -> Potential | None:
        """Return the potential of `HadamardProduct` for depth 2, else None."""
        return HadamardProduct().known_potential(theta0) if self.depth == 2 else None

    def growth_times(self, direction: Any) -> Growth:
        r"""Return the growth: that of `HadamardProduct` for depth 2, else in units of $\mathrm{scale}^{2-D}$.

        Let c be the smallest $|a_j|$ with the sign of the product of the layers, and $\mu_j^2 = a_j^2 - c^2$ for the
        other layers. Then $t^\pm = \int_{\pm c}^\infty \prod_j (x^2 + \mu_j^2)^{-1/2} dx$. If two layers have the same
        smallest size, the coordinate never changes sign, and the threshold of the other sign is inf.

        The split among dependent columns is `EntropySplit` for depth 2 and `PowerSplit` for deeper networks.

        Raises:
            InputError: two layers are 0 in some coordinate, or thresholds are outside the range of float64.

        Examples:
            >>> import implicitbias as ib
            >>> t_plus, t_minus = ib.DeepDiagonal(3).growth_times(([0.0, 1.0], [1.0, 1.0], [1.0, -1.0]))
            >>> t_plus.round(6).tolist(), t_minus.round(6).tolist()  # 1.570796 is pi / 2
            ([1.570796, inf], [1.570796, 1.0])
        """
        layers = self.checked(direction, "direction")
        return product_growth(*layers) if self.depth == 2 else deep_growth(np.stack(layers))


def _product(layers: Any) -> jax.Array:
    product = layers[0]
    for layer in layers[1:]:
        product = product * layer
    return product
