"""The predictor of a model with piecewise linear units whose slopes are given."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.precision import double_precision
from implicitbias._core.trees import TreeShape
from implicitbias.predictors._kinks import Evaluation, Node, untracked
from implicitbias.predictors._traced import ModelPredictor, TracedPredictor
from implicitbias.predictors._traced_jacobian import TracedJacobian, from_matrix, with_value

# The points at which a model is examined: their number, their distance from the start relative to the size of the
# parameters, and the number of rows.
_POINTS, _DISTANCE, _ROWS = 3, 0.3, 32
# The largest relative deviation of the branch of a choice from kappa z.
_PROPORTIONAL = 1e-9


class GatedPredictor(TracedPredictor):
    """The predictor of a model in which each unit max(z, 0) is replaced by `slope * z`.

    The unit (i, j) belongs to row i of the data if the model treats its rows independently; otherwise i = 0.

    Attributes:
        plain: the predictor of the model itself.
        shape: the layout of the parameters.
        plan: the factor of each operation with units, see `Evaluation`.
        slopes: the slopes (r, m) of the units.
        missed: the operations that contain kinks for which there are no units, such as a long scan.
    """

    plain: ModelPredictor
    shape: TreeShape
    plan: tuple[float, ...] = eqx.field(static=True)
    slopes: Any
    missed: frozenset[str] = eqx.field(static=True, default=frozenset())

    def __call__(self, params: Any) -> jax.Array:
        return self.evaluate(self.shape.flatten(params), self.slopes, None)[0]

    def at(self, inputs: Any) -> TracedPredictor:
        return self.plain.at(inputs)

    def with_slopes(self, slopes: Any) -> "GatedPredictor":
        """Return the same predictor with other slopes."""
        return GatedPredictor(self.plain, self.shape, self.plan, slopes, self.missed)

    def evaluate(self, theta: Any, slopes: Any, shifts: Any) -> tuple[jax.Array, jax.Array]:
        """Return the predictions (n, k) and the pre-activations (r, m) with the units `slope * z + shift`.

        None for the slopes means those of max(z, 0), and None for the shifts means zeros.
        """
        if not self.plain.known.rows_apart:
            first = [None if part is None else part[0] for part in (slopes, shifts)]
            predictions, z = self._one(theta, None, *first)
            return predictions, z[None]
        axes = (None, 0, None if slopes is None else 0, None if shifts is None else 0)
        return jax.vmap(self._one, in_axes=axes)(theta, self.plain.readout.X, slopes, shifts)

    def normals(self, theta: Any, places: Any) -> jax.Array:
        """Return the gradients (a, p) of the pre-activations at some places (a,) of the flat array (r m,)."""
        m = self.slopes.shape[1]
        rows, units = places // m, places % m
        if self.plain.known.rows_apart:
            return jax.vmap(
                lambda i, j: jax.grad(
                    lambda point: self._one(
                        point, self.plain.readout.X[i], jnp.asarray(self.slopes)[i], None
                    )[1][j]
                )(theta)
            )(rows, units)
        back = jax.vjp(lambda point: self._one(point, None, jnp.asarray(self.slopes)[0], None)[1], theta)[1]
        return jax.vmap(lambda j: back(jnp.zeros(m).at[j].set(1.0))[0])(units)

    def jacobian(self, shape: TreeShape, u: jax.Array, *, dense: bool) -> TracedJacobian:
        if not (dense and self.plain.known.rows_apart):
            return super().jacobian(shape, u, dense=dense)

        def row(x: jax.Array, slopes: jax.Array) -> tuple[jax.Array, jax.Array]:
            return with_value(lambda point: self._one(point, x, slopes, None)[0], u)

        return from_matrix(*jax.vmap(row)(self.plain.readout.X, self.slopes))

    def _one(self, theta: Any, x: Any, slopes: Any, shifts: Any) -> tuple[jax.Array, jax.Array]:
        """Return the predictions and the pre-activations (m,) of one row, or of all rows if x is None."""
        out, found = evaluated(self.plain, self.shape, (theta, x), Evaluation(self.plan, slopes, shifts))
        return out, jnp.concatenate([jnp.zeros(0), *found.inputs])


def gated(predictor: TracedPredictor, shape: TreeShape, theta: ndarray) -> GatedPredictor | None:
    """Return the predictor with the slopes at these parameters, or None if no piecewise linear units are found.

    Call it inside `double_precision`. The slopes are those of max(z, 0).
    """
    plain = predictor.model
    if plain is None:
        return None
    facts = _facts(plain, shape, _points(shape, theta))
    plan = _plan(*(np.asarray(fact) for fact in facts))
    if not any(plan):
        return None
    missed = untracked(jax.make_jaxpr(lambda point: plain.readout(shape.unflatten(point)))(theta))
    unset = GatedPredictor(plain, shape, plan, None, missed)
    z = np.asarray(_pre_activations(unset, theta))
    return unset.with_slopes(np.where(z > 0.0, 1.0, 0.0))


def pre_activations(predictor: Any, theta: ndarray) -> ndarray:
    """Return the pre-activations of all units of a `GatedPredictor` with the slopes of max(z, 0), flat (r m,)."""
    with double_precision():
        return np.asarray(_pre_activations(predictor.with_slopes(None), theta)).ravel()


@eqx.filter_jit
def _pre_activations(predictor: GatedPredictor, theta: Any) -> jax.Array:
    return predictor.evaluate(jnp.asarray(theta), None, None)[1]


def evaluated(plain: ModelPredictor, shape: TreeShape, at: tuple[Any, Any], evaluation: Evaluation) -> Any:
    """Return the predictions and the recorded units of an evaluation at (theta, x)."""
    theta, x = at

    def model(point: Any, row: Any) -> jax.Array:
        params = shape.unflatten(point)
        return plain.readout(params) if row is None else plain.readout.row(params, row)

    program = jax.make_jaxpr(model)(theta, x)
    nodes = [Node(theta, True)] + ([] if x is None else [Node(x, False)])
    out = evaluation.run(program.jaxpr, program.consts, nodes)[0].value
    return out, evaluation.found


def _points(shape: TreeShape, theta: ndarray) -> ndarray:
    """Return points near theta at which the model is examined."""
    rng = np.random.default_rng(0)
    size = float(np.sqrt(np.mean(theta**2))) or 1.0
    scales = [max(float(np.sqrt(np.mean(leaf**2))), 0.1 * size) for leaf in shape.pieces(theta)]
    spread = np.repeat(scales, shape.sizes)
    return theta + _DISTANCE * spread * rng.standard_normal((_POINTS, len(theta)))


@eqx.filter_jit
def _facts(plain: ModelPredictor, shape: TreeShape, points: Any) -> Any:
    """Return for each operation its group, whether its branches fit, and its factor; and for each group its weight.

    The weight of a group is the largest derivative of random combinations of the predictions in its shifts.
    """
    rows = plain.readout.X[:_ROWS] if plain.known.rows_apart else jnp.zeros((1, 0))

    def one(theta: Any, x: Any) -> Any:
        row = x if plain.known.rows_apart else None
        groups: list[int] = []

        def run(shifts: Any) -> Any:
            out, found = evaluated(plain, shape, (theta, row), Evaluation(None, None, shifts))
            groups[:] = found.groups
            sizes.append([part.size for part in found.inputs])
            fits = [_fit(pair) for pair in found.factors]
            return out, (
                jnp.array([jnp.stack(fit) for fit in fits]).reshape(len(fits), 6),
                jnp.array([jnp.all(jnp.isfinite(part)) for part in found.inputs], dtype=bool),
            )

        sizes: list[list[int]] = []
        jax.eval_shape(lambda: run(None)[0])
        ends = np.cumsum([0, *sizes[0]])
        out, back, (fits, finite) = jax.vjp(run, jnp.zeros(int(ends[-1])), has_aux=True)
        weights = back(jnp.cos(1.0 + jnp.arange(out.size)).reshape(out.shape))[0]
        tops = [jnp.max(jnp.abs(weights[a:b]), initial=0.0) for a, b in itertools.pairwise(ends)]
        return jnp.array(groups, dtype=int), fits, finite, jnp.array(tops).reshape(len(tops))

    groups, fits, finite, weights = jax.vmap(lambda theta: jax.vmap(lambda x: one(theta, x))(rows))(points)
    return groups[0, 0], fits, jnp.all(finite, axis=(0, 1)), jnp.max(weights, axis=(0, 1))


def _fit(pair: Any) -> list[Any]:
    """Return z z, z v and v v of the entries of z and of the branch v of a choice, then the same where z > 0.

    They are ones if v = z.
    """
    if pair is None:
        return [jnp.ones(())] * 6
    z, v = pair
    up, chosen = jnp.where(z > 0, z, 0.0), jnp.where(z > 0, v, 0.0)
    return [z @ z, z @ v, v @ v, up @ up, up @ chosen, chosen @ chosen]


def _proportional(sums: ndarray) -> tuple[ndarray, ndarray]:
    """Return the factors kappa with v = kappa z, and whether this holds, from sums of z z, z v and v v."""
    zz, zv, vv = (sums[..., k].sum(axis=(0, 1)) for k in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = zv / zz
        # v = kappa z in all entries exactly if the inequality of Cauchy and Schwarz is an equality.
        fit = np.isfinite(factors) & (np.abs(vv - factors * zv) <= _PROPORTIONAL * vv) & (vv > 0.0)
    return factors, fit


def _plan(groups: ndarray, fits: ndarray, finite: ndarray, weights: ndarray) -> tuple[float, ...]:
    """Return the factor of each operation, which is 0 for operations that are left as they are."""
    factors, fit = _proportional(fits[..., :3])
    # low + kappa max(z, 0) needs v = kappa z only where z > 0; nested choices, as in hard_tanh, have no more.
    # Several operations with one z, not all of which fit everywhere, may cancel to a smooth function, as in elu.
    upper, fit_above = _proportional(fits[..., 3:])
    alone = np.array([np.sum(groups == group) == 1 for group in groups], dtype=bool)
    factors, fit = np.where(fit, factors, upper), fit | (fit_above & alone)
    usable = finite & (weights > 0.0)
    for group in set(groups.tolist()):
        usable[group] &= bool(np.all(fit[groups == group]))
    return tuple(
        float(factor) if usable[group] else 0.0 for group, factor in zip(groups, factors, strict=True)
    )
