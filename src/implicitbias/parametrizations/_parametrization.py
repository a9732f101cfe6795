"""The base class of parametrizations: subclasses give a formula that JAX traces, public methods return NumPy arrays."""

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
from implicitbias._core.values import Hashed
from implicitbias.parametrizations._exponential_flow import ExponentialFlow
from implicitbias.parametrizations._leaves import leaf
from implicitbias.potentials import Potential


class Parametrization(Hashed, eqx.Module):
    r"""A map $w = G(\theta)$ from the trained parameters $\theta$ to the predictor w.

    Under the gradient flow $\dot\theta = -J(\theta)^\top \nabla L(G(\theta))$ with the Jacobian $J = DG$, the predictor
    satisfies $\dot w = -J J^\top \nabla L(w)$. For some maps this is a mirror flow of w, and the method `potential`
    returns its potential.

    Subclasses define `formula`, which JAX traces in float64, and `checked`, which checks theta. A function of your own
    becomes a parametrization by `ib.Parametrization.from_function(G)`.

    Reference:
        li2022implicit.

    Examples:
        >>> import implicitbias as ib
        >>> isinstance(ib.HadamardProduct(), ib.Parametrization)
        True
    """

    @abstractmethod
    def formula(self, theta: Any) -> jax.Array:
        """Return G(theta) as a JAX array, for JAX arrays theta."""

    @abstractmethod
    def checked(self, theta: Any, name: str = "theta") -> Any:
        """Return `theta` as float64 NumPy arrays, or raise an `InputError` if it does not fit the map."""

    def __call__(self, theta: Any) -> Float64[ndarray, "..."]:
        """Return w = G(theta) as a NumPy array."""
        theta = self.checked(theta)
        with double_precision():
            return frozen(self.formula(jax.tree.map(jnp.asarray, theta)))

    def pullback(self, theta: Any, gradient: Any) -> Any:
        """Return J(theta)^T gradient, which is the gradient in theta of a loss with this gradient in w.

        Args:
            theta: the parameters.
            gradient: the gradient in w, an array of the shape of w.

        Returns:
            A pytree like theta.

        Raises:
            InputError: the parameters are invalid, or the gradient does not have the shape of w.
        """
        theta, gradient = self.checked(theta), leaf(gradient, "gradient")
        with double_precision():
            return jax.tree.map(frozen, _pullback(self, theta, gradient))

    def is_entrywise(self) -> bool:
        """Return whether w_i depends only on the i-th entries of the arrays of theta."""
        return False

    def has_kernel(self, linear: TracedMap) -> bool:
        """Return whether `kernel` needs no Jacobian if the predictions are this linear map of w."""
        return False

    def kernel(self, theta: Any, linear: TracedMap, other: TracedMap) -> jax.Array:
        """Return $X J J^\\top Z^\\top$ (n, m) for JAX arrays, where X = `linear`, Z = `other` and J = dw / dtheta."""

        def rows(of: TracedMap) -> jax.Array:
            leaves = jax.tree.leaves(jax.jacrev(lambda point: of(self.formula(point)))(theta))
            return jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)

        return rows(linear) @ rows(other).T

    def layer_factors(self, theta: Any, linear: TracedMap) -> tuple[tuple[jax.Array, jax.Array], ...] | None:
        """Return factors (A, D) for each leaf with $(X J)_{i, ab} = A_{ia} D_{ib}$, or None if none are known."""
        return None

    def closed_form_flow(self, theta0: Any) -> ExponentialFlow | None:
        """Return the closed-form flow from theta0 in $-\\int \\nabla L \\, dt$ and $\\lambda t$, or None if unknown."""
        return None

    def inverse_metric_product(self, theta: Any, v: jax.Array) -> jax.Array:
        """Return $(J J^\\top)^{-1} v$ in the shape of w, for JAX arrays; it is NaN where J loses rank."""

        def pulled(direction: jax.Array) -> jax.Array:
            return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(back(direction)[0])])

        w, back = jax.vjp(self.formula, theta)
        rows = jax.vmap(pulled)(jnp.eye(w.size).reshape(w.size, *w.shape))
        factor = jax.scipy.linalg.cho_factor(rows @ rows.T)
        return jax.scipy.linalg.cho_solve(factor, jnp.ravel(v)).reshape(w.shape)

    def known_potential(self, theta0: Any) -> Potential | None:
        """Return the potential whose mirror flow w follows from theta0 if it has a closed form, else None."""
        return None

    def potential(self, theta0: Any) -> Potential:
        """Return the potential whose mirror flow w follows if theta starts at theta0.

        Raises:
            InputError: the potential is not known in closed form for this map, or does not exist for this start.
        """
        self.checked(theta0, "theta0")
        raise InputError(
            self._no_potential(
                "no closed form is known for this map; ib.induced_potential(G, theta0) computes it if it exists"
            )
        )

    @staticmethod
    def from_function(G: Any) -> "Parametrization":
        r"""Return the parametrization w = G(theta) of a function, whose derivatives JAX computes.

        It has all products with the Jacobian, so that `problem.reparametrize(G)` trains it. Its potential is found by
        `ib.induced_potential(G, theta0)` if the gradients of its entries commute. No growth times and no closed-form
        flow are known.

        Args:
            G: a differentiable function of theta, any pytree of floating-point arrays, written with `jax.numpy`. It
                returns one array w of any shape.

        Raises:
            InputError: G is not callable. Methods that take theta raise it if G fails on theta, or if it does not
                return one float64 array.

        Examples:
            >>> import jax.numpy as jnp, implicitbias as ib
            >>> G = ib.Parametrization.from_function(lambda theta: theta["u"] * jnp.sinh(theta["v"]))
            >>> theta = {"u": [2.0, 1.0], "v": [0.0, 1.0]}
            >>> G(theta).round(6).tolist()
            [0.0, 1.175201]
            >>> G.pullback(theta, [1.0, 0.0])["v"].tolist()
            [2.0, 0.0]
        """
        from implicitbias.parametrizations import FunctionParametrization

        return FunctionParametrization(G)

    def _no_potential(self, reason: str) -> str:
        """Return the error message that says why the map has no potential."""
        return (
            f"{type(self).__name__} has no potential: {reason}; "
            "to integrate theta itself, type ib.GradientFlow(problem.reparametrize(G))"
        )


@eqx.filter_jit
def _pullback(parametrization: Parametrization, theta: Any, gradient: Any) -> Any:
    w, back = jax.vjp(parametrization.formula, jax.tree.map(jnp.asarray, theta))
    if np.shape(gradient) != w.shape:  # Shapes are known during tracing.
        raise InputError(f"gradient has shape {np.shape(gradient)} and w has {w.shape}, they must agree")
    return back(gradient)[0]
