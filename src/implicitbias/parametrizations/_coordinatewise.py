"""The parametrization that applies one function to each entry."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError, in_one_line
from implicitbias._core.fingerprints import shared_function
from implicitbias._core.precision import double_precision
from implicitbias.parametrizations._diagonal import Diagonal
from implicitbias.parametrizations._leaves import leaf

_HINT = "write it with jax.numpy, for instance ib.Coordinatewise(jax.numpy.sinh)"


class Coordinatewise(Diagonal):
    r"""The map $w_i = \rho(\theta_i)$, where theta is one array and w has its shape.

    The metric of w is $\rho'(\theta)^2$ and is computed by automatic differentiation. Where $\rho' \ne 0$, the gradient
    flow is a mirror flow with $h''(w) = 1 / \rho'(\rho^{-1}(w))^2$.

    Args:
        rho: a differentiable function of one real variable, written with `jax.numpy`, that acts on each entry of an
            array separately.

    Raises:
        InputError: rho is not callable, cannot be traced by JAX, does not return real numbers in the shape of its
            argument, or mixes the entries of an array; theta is not one finite array.

    Reference:
        chou2023induce.

    Examples:
        >>> import jax.numpy as jnp, implicitbias as ib
        >>> G = ib.Coordinatewise(jnp.sinh)
        >>> G([0.0, 1.0]).round(6).tolist()
        [0.0, 1.175201]
        >>> G.pullback([0.0, 1.0], [1.0, 1.0]).round(6).tolist()
        [1.0, 1.543081]
    """

    rho: Callable[..., Any]

    def __init__(self, rho: Any) -> None:
        if not callable(rho):
            raise InputError(f"rho is {rho!r}, a function is expected: {_HINT}")
        _refuse_mixing(rho)
        self.rho = shared_function(rho)

    def formula(self, theta: Any) -> jax.Array:
        """Return rho(theta) for a JAX array theta."""
        return self.rho(theta)

    def checked(self, theta: Any, name: str = "theta") -> Float64[ndarray, "..."]:
        """Return theta as one float64 array."""
        if isinstance(theta, tuple) and any(isinstance(part, (ndarray, list)) for part in theta):
            raise InputError(
                f"{name} is a tuple of {len(theta)} array(s), one array is expected; type {name} = {name}[0]"
            )
        return leaf(theta, name)

    def metric(self, theta: Any) -> jax.Array:
        """Return $\\rho'(\\theta)^2$, the diagonal of $J J^\\top$, for a JAX array theta."""
        slope = jax.jvp(self.rho, (theta,), (jnp.ones_like(theta),))[1]
        return slope * slope


def _refuse_mixing(rho: Callable[..., Any]) -> None:
    """Raise an `InputError` if rho of an array differs from rho of its entries; a small array is tried."""
    probe = np.array([0.3, 0.7])
    with double_precision():
        try:
            got = jax.eval_shape(rho, jax.ShapeDtypeStruct(probe.shape, probe.dtype))
        except Exception as error:  # The user's function may raise any exception.
            raise InputError(
                f"rho failed on an array of two numbers ({in_one_line(error)}); {_HINT}"
            ) from error
        shape, kind = getattr(got, "shape", None), getattr(got, "dtype", None)
        if shape != probe.shape or kind != probe.dtype:
            what = type(got).__name__ if shape is None else f"{kind} of shape {shape}"
            raise InputError(
                f"rho returns {what} for a float64 array of shape {probe.shape}, "
                f"float64 of the same shape is expected; {_HINT}"
            )
        together = np.asarray(rho(jnp.asarray(probe)))
        apart = np.concatenate([np.asarray(rho(jnp.asarray(probe[i : i + 1]))) for i in range(len(probe))])
    if not np.allclose(together, apart, rtol=1e-9, atol=0.0, equal_nan=True):
        raise InputError(
            f"rho mixes the entries of an array, but it must act on each entry separately; {_HINT}"
        )
