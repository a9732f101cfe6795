"""The two-layer diagonal network with shared weights, which is a difference of squares."""

from typing import Any

import jax
import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.parametrizations._diagonal import TwoLayerDiagonal
from implicitbias.parametrizations._exponential_flow import ExponentialFlow, flow_of_difference
from implicitbias.parametrizations._growth import Growth
from implicitbias.parametrizations._growth_times import two_layer_growth
from implicitbias.parametrizations._leaves import equal_leaves
from implicitbias.potentials import HyperbolicEntropy, Potential


class SquareDifference(TwoLayerDiagonal):
    r"""The map $w = u^2 - v^2$ in each entry, where theta = (u, v) are two arrays of the shape of w.

    Its gradient flow is the mirror flow of $\frac12 \phi_a$, where $\phi_a$ is the `HyperbolicEntropy` with
    $a = 2 |u_0 v_0|$. For $u_0 = v_0 = \alpha$, w starts at 0 and $a = 2 \alpha^2$.

    Raises:
        InputError: theta is not a pair of finite arrays of equal shape; for `potential` also if $u_0 v_0 = 0$ in some
            coordinate.

    Reference:
        woodworth2020kernel; li2022implicit for the potential; section 'The hyperbolic entropy' of the theory page.

    Examples:
        >>> import implicitbias as ib
        >>> G = ib.SquareDifference()
        >>> G(([3.0, 1.0], [2.0, 1.0])).tolist()
        [5.0, 0.0]
        >>> G.potential(([0.5], [0.5])).mirror([1.0]).round(6).tolist()  # arcsinh(2) / 4
        [0.360909]
    """

    def formula(self, theta: Any) -> jax.Array:
        """Return $u^2 - v^2$ for JAX arrays."""
        u, v = theta
        w: jax.Array = _difference(u, v)
        return w

    def checked(self, theta: Any, name: str = "theta") -> tuple[ndarray, ...]:
        """Return (u, v) as float64 arrays of equal shape."""
        return equal_leaves(theta, name, ("u", "v"))

    def metric(self, theta: Any) -> jax.Array:
        """Return $4 (u^2 + v^2)$, the diagonal of $J J^\\top$, for JAX arrays."""
        u, v = theta
        return 4 * (u * u + v * v)

    def potential(self, theta0: Any) -> Potential:
        """Return half of the hyperbolic entropy with a = 2 |u0 v0|, for (d,) arrays.

        Raises:
            InputError: u0 v0 = 0 in some coordinate, so that this coordinate never changes sign.
        """
        u, v = self.checked(theta0, "theta0")
        if self.one_sided(theta0):
            raise InputError(
                "u0 = 0 or v0 = 0 in some coordinate, so that this coordinate never changes sign; start from "
                "u0 = v0 = alpha"
            )
        # The scale is computed from logarithms, because the product of small numbers underflows.
        return 0.5 * HyperbolicEntropy(log_scale=np.log(2.0) + np.log(np.abs(u)) + np.log(np.abs(v)))

    def one_sided(self, theta0: Any) -> bool:
        """Return whether u0 = 0 or v0 = 0 in some coordinate."""
        u, v = self.checked(theta0, "theta0")
        return bool(np.any((u == 0.0) | (v == 0.0)))

    def closed_form_flow(self, theta0: Any) -> ExponentialFlow:
        """Return the closed-form gradient flow with weight decay in $-\\int \\nabla L \\, dt$ and $\\lambda t$."""
        return flow_of_difference(*self.checked(theta0, "theta0"))

    def growth_times(self, direction: Any) -> Growth:
        """Return the thresholds 1/2 and 1/2 in units of ln(1/scale); t_plus is inf where u = 0, t_minus where v = 0.

        The split among dependent columns is `EntropySplit` with $m^+ = u^2$ and $m^- = v^2$.

        Raises:
            InputError: u = v = 0 in some coordinate.
        """
        u, v = self.checked(direction, "direction")
        return two_layer_growth(u, v, 2, "u = v = 0")


@jax.custom_jvp
def _difference(u: Any, v: Any) -> Any:
    """Return u^2 - v^2; the product does not cancel where u and v are nearly equal."""
    return (u - v) * (u + v)


@_difference.defjvp
def _difference_jvp(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return u^2 - v^2 and its derivative. That of the product has rounding errors of v in u, which may be smaller."""
    (u, v), (du, dv) = primals, tangents
    return _difference(u, v), 2.0 * u * du - 2.0 * v * dv
