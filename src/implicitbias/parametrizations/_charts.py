"""Parametrizations that are made for a potential: their gradient flow is its mirror flow."""

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
from implicitbias.parametrizations._chart_table import chart_table, theta_of
from implicitbias.parametrizations._leaves import leaf
from implicitbias.parametrizations._parametrization import Parametrization
from implicitbias.potentials import Potential

# The number of points at which a curvature is computed at once; one number, so that it is compiled once.
_CHUNK = 8192


class ForPotential(Parametrization):
    r"""A parametrization with $J J^\top = (\nabla^2\phi)^{-1}$, so that its gradient flow is the mirror flow of $\phi$.

    Attributes:
        made_for: the potential $\phi$.
        start: theta0, with G(theta0) = w0.
        error: the largest relative error of G; 0 for a closed form.
    """

    made_for: eqx.AbstractVar[Potential]
    start: eqx.AbstractVar[Any]
    error: eqx.AbstractVar[float]

    @abstractmethod
    def theta_of(self, w: Any) -> Any:
        """Return a theta with G(theta) = w."""

    def potential(self, theta0: Any) -> Potential:
        """Return the potential that the parametrization was made for, whatever the start."""
        self.checked(theta0, "theta0")
        return self.made_for


class LinearChart(ForPotential):
    r"""The map $w = \phi_0^{-1/2} \theta$ of a potential with the constant Hessian $\phi_0$."""

    made_for: Potential
    root: Any
    start: Any
    error: float = eqx.field(static=True)

    def __init__(self, potential: Potential, hessian: ndarray, w0: ndarray) -> None:
        values, vectors = np.linalg.eigh(hessian)
        self.made_for = potential
        self.root = frozen((vectors / np.sqrt(values)) @ vectors.T)
        self.start = frozen((vectors * np.sqrt(values)) @ vectors.T @ w0)
        self.error = 0.0

    def formula(self, theta: Any) -> jax.Array:
        """Return the linear image of a JAX array theta."""
        return self.root @ theta

    def checked(self, theta: Any, name: str = "theta") -> Float64[ndarray, " d"]:
        return _of_length(theta, name, len(self.root))

    def theta_of(self, w: Any) -> Float64[ndarray, " d"]:
        return frozen(np.linalg.solve(self.root, np.asarray(w)))


class SeparableChart(ForPotential):
    r"""The map $w_i = \rho_i(\theta_i)$ with $\rho_i' = h_i''(\rho_i)^{-1/2}$ of a potential that is a sum of $h_i$.

    The function $\rho_i$ is interpolated by monotone cubics between nodes that are integrals
    $\theta = \int_0^w h_i''(v)^{1/2} dv$. Its derivative is computed from the potential, not from the interpolation, so
    that the metric of w is exact.
    """

    made_for: Potential
    theta: Any
    w: Any
    slopes: Any
    start: Any
    error: float = eqx.field(static=True)

    def __init__(self, potential: Potential, w0: ndarray, largest: float) -> None:
        separable, d = potential.separable, len(w0)
        shared = separable.length() is None
        tables, curvatures = [], []
        for i in range(1 if shared else d):

            def curvature(points: ndarray, i: int = i) -> ndarray:
                return _curvature(separable, points, None if shared else (i, d))

            tables.append(chart_table(curvature, largest))
            curvatures.append(curvature)
        self.made_for = potential
        width = max(len(table.w) for table in tables)
        padded = [[_padded(part, width) for part in table[:3]] for table in tables]
        self.theta, self.w, self.slopes = (frozen(np.array(parts)) for parts in zip(*padded, strict=True))
        starts = [
            theta_of(curvatures[0 if shared else i], tables[0 if shared else i], w0[i : i + 1])
            for i in range(d)
        ]
        self.start = frozen(np.concatenate(starts))
        self.error = max(table.error for table in tables)

    def formula(self, theta: Any) -> jax.Array:
        """Return rho(theta) for a JAX array theta; NaN outside of the table."""

        @jax.custom_jvp
        def rho(at: jax.Array) -> jax.Array:
            return self._interpolated(at)

        def derivative(points: tuple[jax.Array], moves: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
            w = rho(points[0])
            return w, moves[0] * jnp.sqrt(self._inverse_curvature(w))

        rho.defjvp(derivative)
        return rho(theta)

    def checked(self, theta: Any, name: str = "theta") -> Float64[ndarray, " d"]:
        array = _of_length(theta, name, len(self.start))
        ends = self.theta[:, 0], self.theta[:, -1]
        outside = np.flatnonzero((array < ends[0]) | (array > ends[1]))
        if len(outside):
            raise InputError(
                f"{name} holds {array[outside[0]]:g} at [{outside[0]}], a number between {ends[0][0]:g} and "
                f"{ends[1][0]:g} is expected, because w was tabulated in a bounded range; type a larger largest="
            )
        return array

    def is_entrywise(self) -> bool:
        return True

    def theta_of(self, w: Any) -> Float64[ndarray, " d"]:
        array, d = np.asarray(w, dtype=np.float64), len(self.start)
        separable = self.made_for.separable
        shared = separable.length() is None
        parts = []
        for i in range(d):

            def curvature(points: ndarray, i: int = i) -> ndarray:
                return _curvature(separable, points, None if shared else (i, d))

            parts.append(theta_of(curvature, _table(self, 0 if shared else i), array[i : i + 1]))
        return frozen(np.concatenate(parts))

    def metric(self, theta: Any) -> jax.Array:
        """Return 1 / h''(w), the diagonal of $J J^\\top$, for a JAX array theta."""
        return self._inverse_curvature(self.formula(theta))

    def _inverse_curvature(self, w: jax.Array) -> jax.Array:
        return 1.0 / self.made_for.hessian_formula(w, jnp.ones_like(w))

    def _interpolated(self, theta: jax.Array) -> jax.Array:
        count, d = jnp.shape(self.theta)[0], theta.shape[0]
        nodes = [jnp.asarray(part) for part in (self.theta, self.w, self.slopes)]
        if count == 1:
            at = jnp.clip(jnp.searchsorted(nodes[0][0], theta) - 1, 0, nodes[0].shape[1] - 2)
            low, high = ([part[0][at + shift] for part in nodes] for shift in (0, 1))
        else:
            at = jnp.clip(jax.vmap(jnp.searchsorted)(nodes[0], theta) - 1, 0, nodes[0].shape[1] - 2)
            rows = jnp.arange(d)
            low, high = ([part[rows, at + shift] for part in nodes] for shift in (0, 1))
        length = high[0] - low[0]
        share = (theta - low[0]) / jnp.where(length > 0.0, length, 1.0)
        back = 1.0 - share
        w = back * back * ((1.0 + 2.0 * share) * low[1] + share * length * low[2]) + share * share * (
            (1.0 + 2.0 * back) * high[1] - back * length * high[2]
        )
        return jnp.where((share >= 0.0) & (share <= 1.0), w, jnp.nan)


def _table(chart: SeparableChart, i: int) -> Any:
    from implicitbias.parametrizations._chart_table import ChartTable

    return ChartTable(chart.theta[i], chart.w[i], chart.slopes[i], chart.error)


def _padded(part: ndarray, width: int) -> ndarray:
    """Return the nodes, of which the last one is repeated so that all tables have one length."""
    return np.concatenate([part, np.full(width - len(part), part[-1])])


def _curvature(separable: Any, points: ndarray, place: tuple[int, int] | None) -> ndarray:
    """Return h'' at points: of the only function h, or of the i-th one of d."""
    i, d = (0, 1) if place is None else place
    count = -(-len(points) // _CHUNK) * _CHUNK
    padded = np.concatenate([points, np.zeros(count - len(points))]).reshape(-1, _CHUNK)
    with double_precision():
        index = jnp.asarray(i)
        values = [np.asarray(_chunk_curvature(separable, jnp.asarray(part), index, d)) for part in padded]
    return np.concatenate([np.zeros(0), *values])[: len(points)]


@eqx.filter_jit
def _chunk_curvature(separable: Any, points: jax.Array, i: jax.Array, d: int) -> jax.Array:
    """Return the i-th entry of h'' at w of d entries, of which only the i-th one is not 0."""

    def one(point: jax.Array) -> jax.Array:
        w = jnp.zeros(d).at[i].set(point)
        return separable.hessian_formula(w, jnp.ones(d))[i]

    return jax.vmap(one)(points)


def _of_length(theta: Any, name: str, d: int) -> Float64[ndarray, " d"]:
    array = leaf(theta, name, 1)
    if len(array) != d:
        raise InputError(f"{name} has {len(array)} entries, {d} are expected, one for each entry of w")
    return array


class ProductChart(ForPotential):
    """The map w = u * v, with a start that makes the potential a given hyperbolic entropy."""

    made_for: Potential
    start: Any
    error: float = eqx.field(static=True)

    def __init__(self, potential: Any, w0: ndarray) -> None:
        self.made_for = potential
        self.start = self._start(w0)
        self.error = 0.0

    def formula(self, theta: Any) -> jax.Array:
        """Return u v for JAX arrays."""
        u, v = theta
        return u * v

    def checked(self, theta: Any, name: str = "theta") -> tuple[ndarray, ...]:
        from implicitbias.parametrizations._leaves import equal_leaves

        return equal_leaves(theta, name, ("u", "v"))

    def is_entrywise(self) -> bool:
        return True

    def closed_form_flow(self, theta0: Any) -> Any:
        from implicitbias.parametrizations._exponential_flow import flow_of_product

        return flow_of_product(*self.checked(theta0, "theta0"))

    def theta_of(self, w: Any) -> Any:
        return self._start(np.asarray(w))

    def potential(self, theta0: Any) -> Potential:
        """Return the hyperbolic entropy of a start, which is the wanted one for `start`."""
        from implicitbias.parametrizations._hadamard import product_entropy

        return product_entropy(*self.checked(theta0, "theta0"))

    def _start(self, w: ndarray) -> tuple[ndarray, ndarray]:
        # (u^2 - v^2) / 2 = a and u v = w: u^2 = a + sqrt(a^2 + w^2).
        a = np.broadcast_to(np.exp(self.made_for.log_scale), w.shape)  # type: ignore[attr-defined]
        u = np.sqrt(a + np.hypot(a, w))
        return frozen(u), frozen(w / u)
