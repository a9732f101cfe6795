"""Whether the metric that moves w is a function of w alone along every gradient flow from one start."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.integrate import solve_ivp
from scipy.linalg import null_space

from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias.parametrizations import Outputs
from implicitbias.predictors._conserved import outputs_here
from implicitbias.predictors._lie_rows import brackets, combined, exact, rank_of, scaled, span_of

# Changes of the metric below this share of its changes along random directions are rounding errors.
_TOLERANCE = 1e-7
# Singular values below this share of the largest one count as 0.
_RANK = 1e-9
_PIECES, _PROBES, _SPARE, _MOST_LEVELS = 3, 4, 8, 6
_FLOW = 1e-12


@dataclass(frozen=True, eq=False)
class IntrinsicMetric:
    r"""The verdict of `ib.intrinsic_metric(G, theta0)`.

    Attributes:
        change: the largest change of the metric along directions in which w stays fixed, relative to its changes along
            random directions.
        free: the number of such directions at theta0 that gradient flows can take.
        direction: one of them, along which the metric changes most, a pytree like theta0.
        theta: the point at which it was found, a pytree like theta0.
        points: the number of points that were examined.
        tolerance: the largest `change` that counts as a rounding error.

    Reference:
        marcotte2025intrinsic.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> verdict = ib.intrinsic_metric(lambda U: U @ U.T, [[1.0, 0.0], [0.5, 1.0]])
        >>> verdict.holds, verdict.free
        (True, 1)
    """

    change: float
    free: int
    direction: Any
    theta: Any
    points: int
    tolerance: float = _TOLERANCE

    @property
    def holds(self) -> bool:
        """Whether the kernels are included at all points that were examined."""
        return bool(self.change <= self.tolerance)

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if not self.holds:
            return (
                f"the metric of w is no function of w along the flows from theta0: it changes by {self.change:.3g} of "
                "its usual changes along a direction in which w stays fixed and which the flows can take"
            )
        where = f"at {self.points} points that flows from theta0 reach"
        if self.free == 0:
            return f"the metric of w is a function of w near theta0: no direction that keeps w is reached, {where}"
        return (
            f"the metric of w stays fixed along all directions that keep w and that flows can take, {where}; it is "
            "then a function of w and of the start"
        )

    def __repr__(self) -> str:
        return f"IntrinsicMetric(holds={self.holds}, change={self.change:.3g}: {self.sentence})"


def intrinsic_metric(G: Any, theta0: Any) -> IntrinsicMetric:
    r"""Return whether the metric $dG \, dG^\top$ is a function of w = G(theta) along the gradient flows from theta0.

    Under gradient flow $\dot w = -M \nabla L(w)$ with the metric $M(\theta) = dG \, dG^\top$. If M is a function of w
    on the set that the flows from theta0 reach, w follows a flow of its own, which depends on theta0 but not on theta.
    The tangent space of that set is spanned by the gradients of the entries of w and their brackets, which are the
    directions that all conserved quantities allow. A necessary condition is the inclusion of kernels

    $$\ker dG(\theta) \cap \operatorname{Lie}(\theta) \subset \ker dM(\theta),$$

    and if it holds on a neighbourhood, and the ranks do not change there, M is a function of w near theta. The
    condition is computed at theta0 and at the ends of three flows; a failure at one of them is a proof up to
    rounding. It is weaker than `ib.commutes`: a metric that is a function of w need not be a Hessian.

    Args:
        G: a parametrization, a function of theta, or a problem, for which w is the vector of its predictions on its
            rows and units max(z, 0) stay open or closed as at theta0.
        theta0: the start, a pytree of arrays.

    Returns:
        An `IntrinsicMetric` with `holds`, `change` and the witness `direction`.

    Raises:
        InputError: theta0 does not fit, or the gradients of w are 0 or not finite there.

    Reference:
        marcotte2025intrinsic.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> U, V = np.eye(2), np.array([[2.0, 0.0], [1.0, 1.0]])
        >>> ib.intrinsic_metric(ib.MatrixProduct(), (U, V)).holds
        False
        >>> ib.intrinsic_metric(ib.MatrixProduct(), (U, U)).holds  # U^T U = V^T V
        True
    """
    outputs, start = outputs_here(G, theta0)
    with double_precision():
        points = _reached(outputs, start)
        rng = np.random.default_rng(4)
        found = [_at(outputs, point, rng) for point in points]
    worst = int(np.argmax([change for change, *_ in found]))
    shape = outputs.shape
    direction, theta = shape.numpy_tree(found[worst][2]), shape.numpy_tree(points[worst])
    return IntrinsicMetric(found[worst][0], found[0][1], direction, theta, len(points))


def _entries(outputs: Outputs, start: ndarray) -> int:
    return int(np.prod(jax.eval_shape(outputs, start).shape))


def _rows(outputs: Outputs, point: ndarray) -> Float64[ndarray, "n D"]:
    """Return the gradients of the entries of w at a point, or random combinations of them if there are many."""
    D, k = len(point), _entries(outputs, point)
    many = k > D + _SPARE
    weights = np.random.default_rng(5).standard_normal((D + _SPARE, k)) if many else np.eye(k)
    return np.asarray(combined(outputs, point, weights))


def _reached(outputs: Outputs, start: Float64[ndarray, " D"]) -> list[Float64[ndarray, " D"]]:
    """Return the start and the ends of flows of combinations of the fields, one after the other.

    Points that are off the reachable set would have other conserved quantities, so that the tolerance is tight.
    """
    rows = _rows(outputs, start)
    if not np.all(np.isfinite(rows)) or not rows.any():
        raise InputError(
            "the gradients of w at theta0 are all 0, or not finite; a theta0 from which gradient flow moves is "
            "expected; choose a theta0 without zeros"
        )
    points, length = [start], float(np.linalg.norm(start)) / 2.0
    for weights in np.random.default_rng(6).standard_normal((_PIECES, len(rows))):

        def field(_: float, point: ndarray, weights: ndarray = weights) -> ndarray:
            along = weights @ _rows(outputs, point)
            size = float(np.linalg.norm(along))
            return length * along / size if size > 0.0 else along

        piece = solve_ivp(field, (0.0, 1.0), points[-1], method="DOP853", rtol=_FLOW, atol=_FLOW * length)
        if piece.success and np.all(
            np.isfinite(piece.y[:, -1])
        ):  # A piece that meets a singularity is left out.
            points.append(piece.y[:, -1])
    return points


def _at(
    outputs: Outputs, point: Float64[ndarray, " D"], rng: np.random.Generator
) -> tuple[float, int, Float64[ndarray, " D"]]:
    """Return the change of the metric at a point, the number of directions that keep w, and the worst of them."""
    D, k = len(point), _entries(outputs, point)
    rows = scaled(_rows(outputs, point))
    allowed = span_of(_closed(outputs, point, rows, rng))
    # The rows span the complement of ker dG, so that this is the kernel within the span of the brackets.
    kernel = null_space(span_of(rows) @ allowed.T, rcond=_RANK).T @ allowed
    if not len(kernel):
        return 0.0, 0, np.zeros(D)
    # The change is linear in the direction, so that it is 0 along random combinations only if it is 0 along all.
    along = scaled(rng.standard_normal((_PROBES, len(kernel))) @ kernel)
    usual = scaled(rng.standard_normal((_PROBES, D)))
    covectors = scaled(rng.standard_normal((_PROBES, k)))
    changes = np.asarray(_changes(outputs, point, np.concatenate([along, usual]), covectors))
    sizes = np.linalg.norm(changes, axis=(1, 2))
    scale = max(float(np.max(sizes)), 1e-300)
    worst = int(np.argmax(sizes[:_PROBES]))
    return float(sizes[worst]) / scale, len(kernel), along[worst]


def _closed(
    outputs: Outputs, point: Float64[ndarray, " D"], rows: Float64[ndarray, "n D"], rng: np.random.Generator
) -> Float64[ndarray, "m D"]:
    """Return rows that span the gradients of w and their brackets at a point.

    A single level that adds nothing does not end the search, because the point may be special.
    """
    D, k, idle, rank = len(point), _entries(outputs, point), 0, rank_of(rows)
    length, first = float(np.linalg.norm(_rows(outputs, point))), 0.0
    for level in range(2, _MOST_LEVELS + 1):
        if rank == D or idle == 2:
            break
        values, sizes = brackets(outputs, point, rng.standard_normal((D - rank + _SPARE, level, k)))
        if level == 2:
            first = float(np.median(sizes))
        # A bracket of an inner bracket that is a rounding error has products of the size of rounding errors.
        expected = first * (first / length) ** (level - 2)
        rows = np.concatenate([rows, exact(values, np.maximum(sizes, expected))])
        larger = rank_of(rows)
        idle, rank = (idle + 1, rank) if larger == rank else (0, larger)
    return rows


@eqx.filter_jit
def _changes(outputs: Outputs, flat: Any, directions: Any, covectors: Any) -> jax.Array:
    """Return the derivatives of dG dG^T a along directions, for all covectors a."""

    def metric(point: jax.Array, a: jax.Array) -> jax.Array:
        return jax.jvp(outputs, (point,), (outputs.pulled(point, a),))[1]

    def one(v: jax.Array) -> jax.Array:
        return jax.vmap(lambda a: jax.jvp(lambda point: metric(point, a), (flat,), (v,))[1])(
            jnp.asarray(covectors)
        )

    return jax.lax.map(one, jnp.asarray(directions))
