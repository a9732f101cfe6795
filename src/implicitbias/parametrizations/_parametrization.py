"""What a parametrization is: one formula, traced by JAX; NumPy at the public surface."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias._core.traced_maps import TracedMap
from implicitbias._core.values import Fingerprinted
from implicitbias.parametrizations._exponential_chart import ExponentialChart
from implicitbias.parametrizations._leaves import leaf
from implicitbias.potentials import Potential


class Parametrization(Fingerprinted, eqx.Module):
    r"""A map $w = G(\theta)$ from what is trained to what predicts.

    The gradient flow $\dot\theta = -J(\theta)^\top \nabla L(G(\theta))$, $J = DG$, moves w by
    $\dot w = -J J^\top \nabla L(w)$; for some maps that is a mirror flow of w, whose potential `potential` returns.

    Subclasses give `formula`, traced by JAX in float64, and `checked`, which says what theta is.

    Reference:
        li2022implicit.

    Examples:
        >>> import implicitbias as ib
        >>> isinstance(ib.HadamardProduct(), ib.Parametrization)
        True
    """

    @abstractmethod
    def formula(self, theta: Any) -> jax.Array:
        """G(theta): JAX arrays in, a JAX array out."""

    @abstractmethod
    def checked(self, theta: Any, name: str = "theta") -> Any:
        """`theta` as float64 NumPy arrays, or an `InputError` that says what was got and what is expected."""

    def __call__(self, theta: Any) -> Float64[ndarray, "..."]:
        """w = G(theta)."""
        theta = self.checked(theta)
        with double_precision():
            return frozen(self.formula(jax.tree.map(jnp.asarray, theta)))

    def pullback(self, theta: Any, gradient: Any) -> Any:
        """J(theta)^T gradient: the gradient in theta of a loss with this gradient in w; shaped as theta.

        Args:
            theta: the parameters, as in `checked`.
            gradient: an array of the shape of w.

        Raises:
            InputError: bad parameters, or a gradient of another shape than w.
        """
        theta, gradient = self.checked(theta), leaf(gradient, "gradient")
        with double_precision():
            return jax.tree.map(frozen, _pullback(self, theta, gradient))

    def is_entrywise(self) -> bool:
        """Whether w_i depends on the i-th entries of the arrays of theta only."""
        return False

    def has_kernel(self, linear: TracedMap) -> bool:
        """Whether `kernel` costs no Jacobian for predictions that are this linear map of w."""
        return False

    def kernel(self, theta: Any, linear: TracedMap, other: TracedMap) -> jax.Array:
        """Return $X J J^\\top Z^\\top$ (n, m) on JAX arrays: X = `linear`, Z = `other`, J = dw / dtheta."""

        def rows(of: TracedMap) -> jax.Array:
            leaves = jax.tree.leaves(jax.jacrev(lambda point: of(self.formula(point)))(theta))
            return jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)

        return rows(linear) @ rows(other).T

    def layer_factors(self, theta: Any, linear: TracedMap) -> tuple[tuple[jax.Array, jax.Array], ...] | None:
        """Return factors (A, D) for each leaf with $(X J)_{i, ab} = A_{ia} D_{ib}$, or None where there are none."""
        return None

    def closed_form_flow(self, theta0: Any) -> ExponentialChart | None:
        """Return the flow from theta0 as a function of $-\\int \\nabla L$ and $\\lambda t$, None if unknown."""
        return None

    def potential(self, theta0: Any) -> Potential:
        """The potential whose mirror flow w follows when theta starts at theta0.

        Raises:
            InputError: no closed form is known for this map, or none exists from this start.
        """
        self.checked(theta0, "theta0")
        raise InputError(self._no_potential("no closed form of one is known here"))

    def _no_potential(self, reason: str) -> str:
        return (
            f"{type(self).__name__} has no potential to give: {reason}; "
            "integrate theta itself: type ib.GradientFlow(problem.reparametrize(G))"
        )


@eqx.filter_jit
def _pullback(parametrization: Parametrization, theta: Any, gradient: Any) -> Any:
    w, back = jax.vjp(parametrization.formula, jax.tree.map(jnp.asarray, theta))
    if np.shape(gradient) != w.shape:  # shapes are known while tracing
        raise InputError(f"gradient has shape {np.shape(gradient)} and w has {w.shape}, they must agree")
    return back(gradient)[0]
