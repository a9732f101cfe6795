"""The potential whose mirror flow the predictor of a commuting parametrization follows."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.ivp import integrated
from implicitbias._core.precision import double_precision
from implicitbias.gauges import Gauge
from implicitbias.parametrizations._commutes import commutes
from implicitbias.parametrizations._fields import Outputs, traced_outputs
from implicitbias.parametrizations._from_function import as_parametrization
from implicitbias.parametrizations._recognised import recognised_potential
from implicitbias.potentials import Potential, tilted

_RTOL, _STEPS = 1e-12, 4000
# The last correction of a dual point by Newton's method is at most this share of its entry, or of its largest entry.
_CLOSE, _SMALL = 1e-6, 1e-9
_ROUNDING = 1e-12
_CORRECTIONS = 8


class InducedPotential(Potential):
    r"""The potential that `ib.induced_potential(G, theta0)` returns if no closed form is known.

    With $\psi(\mu)$, the end at time 1 of the flow of $\sum_i \mu_i \nabla G_i$ from $\theta_0$, the inverse mirror map
    is $\nabla Q(\mu) = G(\psi(\mu))$, and its derivative is $J J^\top$ at $\psi(\mu)$. The mirror map of w is found by
    lifting the segment from $w_0 = G(\theta_0)$ to w: along it, $\dot\mu = (J J^\top)^{-1} (w - w_0)$ and
    $\dot\theta = J^\top \dot\mu$. The domain is convex, so that the segment stays inside if w does.

    Attributes:
        G: the map.
        theta0: the start of the flows.
        w0: the point G(theta0), at which the potential and its mirror map are 0.
    """

    G: Any
    theta0: Any
    w0: Any

    @property
    def dimensions(self) -> int:
        """The number of dimensions of w."""
        return np.ndim(self.w0)

    def length(self) -> tuple[str, int] | None:
        """Return the name and the length of the first axis of w."""
        return "w", len(self.w0)

    def __repr__(self) -> str:
        return f"induced_potential({self.G!r}, theta0)"

    def value_formula(self, w: jax.Array) -> jax.Array:
        return _value(w, potential=self)

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return _mirror(w, potential=self)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return self.predictor(_flowed(z, potential=self))

    def domain_formula(self, w: jax.Array) -> jax.Array:
        return _lifted(self, w).arrived

    def hessian_formula(self, w: jax.Array, v: jax.Array) -> jax.Array:
        return self.inverse_metric(_lifted(self, w).theta, v)

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        theta = _flowed(z, potential=self)
        return jax.jvp(self.predictor, (theta,), (self.pulled(theta, v),))[1]

    def horizon(self) -> Gauge:
        """Return the gauge of a large sublevel set, whose method `estimate(w)` returns the limit with an error bar.

        Its methods raise an `InputError` if the domain is not the whole space.
        """
        from implicitbias.parametrizations._induced_horizon import InducedHorizon

        return InducedHorizon(self)

    def predictor(self, flat: jax.Array) -> jax.Array:
        """Return w at flat parameters."""
        return self.G.formula(self.layout()[0].shape.unflatten(flat))

    def pulled(self, flat: jax.Array, v: jax.Array) -> jax.Array:
        """Return $J^\\top v$ at flat parameters."""
        return self.layout()[0].pulled(flat, jnp.ravel(v))

    def inverse_metric(self, flat: jax.Array, v: jax.Array) -> jax.Array:
        """Return $(J J^\\top)^{-1} v$ at flat parameters."""
        return self.G.inverse_metric_product(self.layout()[0].shape.unflatten(flat), v)

    def layout(self) -> tuple[Outputs, jax.Array]:
        """Return the entries of w as functions of the flat parameters, and the flat start."""
        return traced_outputs(self.G, self.theta0)

    def inverse_mirror(self, z: Any) -> Float64[ndarray, "..."]:
        """Return the inverse mirror map at z, which is G at the end of the flow of the fields from theta0.

        Raises:
            InputError: z is not a finite array of the shape of w, or the flow leaves every bounded set before its end.
        """
        array = self._checked(z, "z")
        with double_precision():
            end = jax.tree.map(np.asarray, _traced_flow(self, jnp.asarray(array)))
            if end.arrived:
                return super().inverse_mirror(array)
        raise InputError(
            f"z lies outside the range of the mirror map: from theta0 the flow of sum_i z_i grad G_i does not exist "
            f"beyond the fraction {float(end.time):.6g} of z; choose a z below this fraction of it"
        )

    def _checked(self, point: Any, name: str) -> Float64[ndarray, "..."]:
        array = super()._checked(point, name)
        if array.shape != np.shape(self.w0):
            raise InputError(
                f"{name} has shape {array.shape}, the shape {np.shape(self.w0)} of w is expected"
            )
        return array


class _Flow(NamedTuple):
    """The end of a flow: the flat parameters, the part of the flow time that was reached, and whether that is all."""

    theta: jax.Array
    time: jax.Array
    arrived: jax.Array


class _Lift(NamedTuple):
    """The end of a lifted segment: the flat parameters, the dual point, the value, and whether w was reached."""

    theta: jax.Array
    mu: jax.Array
    value: jax.Array
    arrived: jax.Array


def _flow(potential: InducedPotential, z: jax.Array) -> _Flow:
    """Return psi(z)."""
    start = potential.layout()[1]

    def field(_: Any, state: Any) -> Any:
        return potential.pulled(state[0], z), jnp.ones(())

    (theta, time), arrived = integrated(
        field, (start, jnp.zeros(())), rtol=_RTOL, atol=_smallest(start), max_steps=_STEPS
    )
    return _Flow(jnp.where(arrived, theta, jnp.nan), time, arrived)


_traced_flow = eqx.filter_jit(_flow)


@eqx.filter_jit
def _lifted(potential: InducedPotential, w: jax.Array) -> _Lift:
    """Return the lift of the segment from w0 to w; its end is corrected by Newton's method."""
    w0, start = jnp.asarray(potential.w0), potential.layout()[1]
    change = w - w0

    def field(_: Any, state: Any) -> Any:
        theta, mu, _ = state
        speed = potential.inverse_metric(theta, change)
        return potential.pulled(theta, speed), speed, jnp.sum(mu * change)

    (_, mu, value), lifted = integrated(
        field,
        (start, jnp.zeros_like(w0), jnp.zeros(())),
        rtol=_RTOL,
        atol=_smallest(start),
        max_steps=_STEPS,
    )
    theta, mu, arrived = _corrected(potential, w, mu)
    arrived &= lifted
    theta, mu, value = (jnp.where(arrived, part, jnp.nan) for part in (theta, mu, value))
    return _Lift(theta, mu, value, arrived)


def _corrected(
    potential: InducedPotential, w: jax.Array, mu: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return theta = psi(mu), the mu with G(psi(mu)) = w by Newton's method, and whether it was found."""

    def go_on(state: Any) -> jax.Array:
        _, mu, close, count = state
        return ~close & (count < _CORRECTIONS) & jnp.all(jnp.isfinite(mu))

    def step(state: Any) -> Any:
        _, mu, _, count = state
        end = _flow(potential, mu)
        correction = potential.inverse_metric(end.theta, w - potential.predictor(end.theta))
        # Rounding errors of w are no error of mu. On the boundary of the domain, the correction is as large as mu.
        rounding = jnp.abs(potential.inverse_metric(end.theta, _ROUNDING * jnp.abs(w)))
        allowed = _CLOSE * jnp.abs(mu) + _SMALL * jnp.max(jnp.abs(mu)) + rounding
        close = end.arrived & jnp.all(jnp.abs(correction) <= allowed)
        return end.theta, mu + correction, close, count + 1

    start = potential.layout()[1], mu, jnp.asarray(False), jnp.asarray(0)
    theta, mu, close, _ = jax.lax.while_loop(go_on, step, start)
    return theta, mu, close


def _smallest(start: jax.Array) -> Any:
    """Return the absolute error of a step."""
    size = jnp.max(jnp.abs(start))
    return _RTOL * jnp.where(size > 0.0, size, 1.0)


# Derivatives follow from theory and not from the steps: d psi = J^T dz, d mirror = (J J^T)^{-1} dw and
# d value = <mirror, dw>.
@eqx.filter_custom_jvp
def _flowed(z: jax.Array, *, potential: InducedPotential) -> jax.Array:
    return _flow(potential, z).theta


@_flowed.def_jvp
def _flowed_jvp(primals: Any, tangents: Any, *, potential: InducedPotential) -> tuple[jax.Array, jax.Array]:
    theta = _flowed(primals[0], potential=potential)
    return theta, potential.pulled(theta, tangents[0])


@eqx.filter_custom_jvp
def _mirror(w: jax.Array, *, potential: InducedPotential) -> jax.Array:
    return _lifted(potential, w).mu


@_mirror.def_jvp
def _mirror_jvp(primals: Any, tangents: Any, *, potential: InducedPotential) -> tuple[jax.Array, jax.Array]:
    mu = _mirror(primals[0], potential=potential)
    return mu, potential.inverse_metric(_flowed(mu, potential=potential), tangents[0])


@eqx.filter_custom_jvp
def _value(w: jax.Array, *, potential: InducedPotential) -> jax.Array:
    return _lifted(potential, w).value


@_value.def_jvp
def _value_jvp(primals: Any, tangents: Any, *, potential: InducedPotential) -> tuple[jax.Array, jax.Array]:
    value = _value(primals[0], potential=potential)
    return value, jnp.sum(_mirror(primals[0], potential=potential) * tangents[0])


def induced_potential(G: Any, theta0: Any) -> Potential:
    r"""Return the potential whose mirror flow w = G(theta) follows under gradient flow from theta0.

    If the gradients of the entries of w commute and dG has rank d, then for every loss
    $d \nabla R(w_t) = -\nabla L(w_t) \, dt$ with a potential R that depends on G and theta0 only. It is scaled so that
    its mirror map is 0 at $w_0 = G(\theta_0)$, and $\nabla^2 R(w) = (J J^\top)^{-1}$ along the flow. Training on a
    linear problem ends at the interpolant of least R.

    For `HadamardProduct`, `SquareDifference` and `DeepDiagonal(2)` the potential is a hyperbolic entropy, less a linear
    term. So it is for functions that are such maps up to names and rotations of the parameters: exact arithmetic
    recognises polynomials $w_i = \frac12 \theta^\top A_i \theta$ in parameters of their own whose matrices have the
    eigenvalues $\pm \lambda$ and 0, and linear maps, which have a `QuadraticForm`. Sums of squares and powers
    $w_i = c \, u_i^k$ keep the signs of w, and have $R'' = 1 / (k^2 |c|^{2/k} |w|^{2 - 2/k})$. For other maps the
    potential is computed from flows of the fields $\nabla G_i$ at a tolerance of 1e-12; each evaluation integrates one.
    The domain of R may be smaller than the whole space: for instance w > 0 for $w = \theta^2$ with $\theta_0 > 0$.

    Args:
        G: a parametrization, or a function of theta written with `jax.numpy` that returns one array w.
        theta0: the start, a pytree of arrays.

    Returns:
        A `Potential` with value, mirror map, inverse mirror map, Hessian products and Bregman divergence. Points
        outside the domain, and dual points outside the range of the mirror map, are refused by an `InputError`.

    Raises:
        InputError: the gradients of the entries of w do not commute, or dG has a rank below d; the message holds a
            witness.

    Reference:
        li2022implicit.

    Examples:
        >>> import jax.numpy as jnp, implicitbias as ib
        >>> R = ib.induced_potential(lambda theta: jnp.sinh(theta), [0.0, 0.0])
        >>> R.mirror([1.0, -1.0]).round(6).tolist()  # arctan(w)
        [0.785398, -0.785398]
        >>> ib.induced_potential(ib.HadamardProduct(), ([1.0], [0.0]))
        HyperbolicEntropy(scale=[0.5])
    """
    G = as_parametrization(G)
    theta0 = G.checked(theta0, "theta0")
    w0 = np.asarray(G(theta0))
    known = G.known_potential(theta0)
    if known is None:
        known = recognised_potential(G, theta0)
    if known is not None:
        return tilted(known, w0)
    verdict = commutes(G, theta0)
    if not verdict.holds:
        raise InputError(
            f"{G!r} has no induced potential: {verdict.sentence}, for instance at theta = "
            f"{_short(verdict.witness.theta)}; to integrate theta itself, type "
            "ib.GradientFlow(problem.reparametrize(G))"
        )
    if not verdict.regular:
        raise InputError(
            f"dG has rank {verdict.rank} at theta0 or at a point that flows from theta0 reach, {verdict.size} is "
            "expected, because w moves in fewer directions than it has entries; choose a theta0 without zeros, or let "
            "G return independent entries only, for instance one triangle of a symmetric matrix"
        )
    return InducedPotential(G, theta0, frozen(w0))


def _short(theta: Any) -> str:
    text = str(jax.tree.map(lambda leaf: np.round(leaf, 4).tolist(), theta))
    return text if len(text) <= 200 else f"{text[:200]}..."
