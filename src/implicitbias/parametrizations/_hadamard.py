"""The two-layer diagonal network, which is a product of two arrays."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias.parametrizations._diagonal import TwoLayerDiagonal
from implicitbias.parametrizations._exponential_flow import ExponentialFlow, flow_of_product
from implicitbias.parametrizations._growth import Growth
from implicitbias.parametrizations._growth_times import product_growth
from implicitbias.parametrizations._leaves import equal_leaves
from implicitbias.potentials import HyperbolicEntropy


class HadamardProduct(TwoLayerDiagonal):
    r"""The map $w = u \odot v$, where theta = (u, v) are two arrays of the shape of w.

    Its gradient flow is the mirror flow of `HyperbolicEntropy` with $a = |u_0^2 - v_0^2| / 2$. With weight decay
    $\lambda$, the potential has the time-dependent scale $a e^{-2\lambda t}$.

    Raises:
        InputError: theta is not a pair of finite arrays of equal shape; for `potential` also if $|u_0| = |v_0|$ in some
            coordinate.

    Reference:
        woodworth2020kernel; section 'The hyperbolic entropy' of the theory page.

    Examples:
        >>> import implicitbias as ib
        >>> ib.HadamardProduct()(([1.0, 2.0], [3.0, -1.0])).tolist()
        [3.0, -2.0]
    """

    def formula(self, theta: Any) -> jax.Array:
        """Return $u v$ for JAX arrays."""
        u, v = theta
        return u * v

    def checked(self, theta: Any, name: str = "theta") -> tuple[ndarray, ...]:
        """Return (u, v) as float64 arrays of equal shape."""
        return equal_leaves(theta, name, ("u", "v"))

    def __call__(self, theta: Any) -> Float64[ndarray, "..."]:
        """Return w = u v."""
        u, v = self.checked(theta)
        return frozen(u * v)  # NumPy keeps subnormal products, which XLA would replace by 0.

    def metric(self, theta: Any) -> jax.Array:
        """Return $u^2 + v^2$, the diagonal of $J J^\\top$, for JAX arrays."""
        u, v = theta
        return u * u + v * v

    def potential(self, theta0: Any) -> HyperbolicEntropy:
        """Return the hyperbolic entropy with a = |u0^2 - v0^2| / 2, for (d,) arrays.

        Raises:
            InputError: |u0| = |v0| in some coordinate, so that this coordinate never changes sign.
        """
        return product_entropy(*self.checked(theta0, "theta0"))

    def one_sided(self, theta0: Any) -> bool:
        """Return whether |u0| = |v0| in some coordinate."""
        u, v = self.checked(theta0, "theta0")
        return bool(np.any(np.abs(u) == np.abs(v)))

    def closed_form_flow(self, theta0: Any) -> ExponentialFlow:
        """Return the closed-form gradient flow with weight decay in $-\\int \\nabla L \\, dt$ and $\\lambda t$."""
        return flow_of_product(*self.checked(theta0, "theta0"))

    def growth_times(self, direction: Any) -> Growth:
        """Return the thresholds 1 and 1 in units of ln(1/scale), where u = v or u = -v makes one of them inf.

        The split among dependent columns is `EntropySplit` with $m^\\pm = (u \\pm v)^2 / 4$.

        Raises:
            InputError: u = v = 0 in some coordinate.
        """
        return product_growth(*self.checked(direction, "direction"))


def product_entropy(u: ndarray, v: ndarray) -> HyperbolicEntropy:
    """Return the potential of u * v for a start (u, v)."""
    if np.any(np.abs(u) == np.abs(v)):
        raise InputError(
            "|u0| = |v0| in some coordinate, so that this coordinate never changes sign; start from "
            "u0 = sqrt(2) * alpha, v0 = 0"
        )
    # |u^2 - v^2| / 2 is computed from the logarithms of its factors, because squares of small numbers underflow.
    return HyperbolicEntropy(log_scale=np.log(np.abs(u - v)) + np.log(np.abs(u + v)) - np.log(2.0))
