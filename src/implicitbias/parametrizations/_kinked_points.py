"""Points at which the gradient of a parametrization jumps, near the start and along paths between points."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.parametrizations._fields import Outputs

# The operations whose gradients may jump.
_KINKED = frozenset(
    {
        "abs", "argmax", "argmin", "ceil", "clamp", "cond", "cummax", "cummin", "floor", "max", "min", "reduce_max",
        "reduce_min", "reduce_window_max", "reduce_window_min", "round", "select_n", "sign", "sort", "while",
    }
)  # fmt: skip
# In a function with a derivative of its own, these operations show that it is a smooth function, such as logaddexp,
# that uses a maximum only to avoid overflow.
_SMOOTH = frozenset({"exp", "exp2", "log", "log1p", "expm1", "logistic", "tanh"})
_CELLS, _HALVINGS = 16, 36
# Across an interval of 1e-11 of a path, a smooth gradient changes by about as small a share; larger changes are jumps.
_JUMP = 1e-7
_NEAR = 1e-6
_DIRECTIONS = 4


class Jump(NamedTuple):
    """A point at which the gradient of a combination of the entries of w jumps.

    Attributes:
        point: the flat parameters.
        size: the norm of the jump relative to the norms of the gradients on both sides.
    """

    point: Float64[ndarray, " D"]
    size: float


def kinked_operations(outputs: Outputs, start: Float64[ndarray, " D"]) -> tuple[str, ...]:
    """Return the names of the operations of the map whose gradients may jump, in alphabetical order."""
    return tuple(sorted(_names(jax.make_jaxpr(outputs)(start)) & _KINKED))


def _names(program: Any) -> frozenset[str]:
    names: set[str] = set()
    for equation in getattr(program, "jaxpr", program).eqns:
        inside = frozenset[str]().union(
            *(
                _names(part)
                for value in equation.params.values()
                for part in (value if isinstance(value, tuple) else (value,))
                if hasattr(getattr(part, "jaxpr", part), "eqns")
            )
        )
        if equation.primitive.name == "custom_jvp_call" and inside & _SMOOTH:
            inside -= _KINKED
        names |= {equation.primitive.name} | inside
    return frozenset(names)


def jump_at(outputs: Outputs, start: Float64[ndarray, " D"]) -> Jump | None:
    """Return a jump of the gradient at the start or next to it, or None."""
    largest = float(np.max(np.abs(start)))
    near = _NEAR * (largest if largest > 0.0 else 1.0)
    steps = near * np.random.default_rng(4).standard_normal((_DIRECTIONS, len(start)))
    return _largest_jump(outputs, start - steps, start + steps)


def jump_along(outputs: Outputs, points: Float64[ndarray, "k D"], weights: Any, length: Any) -> Jump | None:
    """Return a jump of the gradient between consecutive points of a path, or None.

    Where a flow did not arrive, so that a point is repeated, the line in the direction of the flow is searched instead.

    Args:
        outputs: the map.
        points: the points that `reached` returned.
        weights: (k - 1, d) the weights of the fields in each piece.
        length: the length of each piece.
    """
    ends = points[1:].copy()
    for i in np.flatnonzero(np.all(points[1:] == points[:-1], axis=1)):
        along = np.asarray(outputs.pulled(jnp.asarray(points[i]), jnp.asarray(weights[i])))
        size = np.linalg.norm(along)
        ends[i] = points[i] + length * along / (size if size > 0.0 else 1.0)
    shares = np.linspace(0.0, 1.0, _CELLS + 1)[:, None, None]
    grid = points[:-1] + shares * (ends - points[:-1])
    size = points.shape[1]
    return _largest_jump(outputs, grid[:-1].reshape(-1, size), grid[1:].reshape(-1, size))


def _largest_jump(outputs: Outputs, begins: Any, ends: Any) -> Jump | None:
    (entries,) = jax.eval_shape(outputs, begins[0]).shape
    weights = np.random.default_rng(5).standard_normal(entries)
    points, sizes = (np.asarray(part) for part in _bisected(outputs, weights, begins, ends))
    at = int(np.argmax(sizes))
    return Jump(points[at], float(sizes[at])) if sizes[at] > _JUMP else None


@eqx.filter_jit
def _bisected(outputs: Outputs, weights: Any, begins: Any, ends: Any) -> tuple[jax.Array, jax.Array]:
    """Return the points at which the gradient changes most in each interval, and the relative changes there.

    A jump of the gradient of one entry of w is a jump of that of a random combination of all entries.
    """

    def gradient(flat: jax.Array) -> jax.Array:
        return outputs.pulled(flat, weights)

    def one(cell: Any) -> tuple[jax.Array, jax.Array]:
        begin, end = cell

        def halve(_: Any, state: Any) -> Any:
            low, high, at_low, at_high = state
            middle = (low + high) / 2.0
            at_middle = gradient(begin + middle * (end - begin))
            left = jnp.linalg.norm(at_middle - at_low) > jnp.linalg.norm(at_high - at_middle)
            return jax.tree.map(
                lambda one, two: jnp.where(left, one, two),
                (low, middle, at_low, at_middle),
                (middle, high, at_middle, at_high),
            )

        first = jnp.zeros(()), jnp.ones(()), gradient(begin), gradient(end)
        low, _, at_low, at_high = jax.lax.fori_loop(0, _HALVINGS, halve, first)
        size = jnp.linalg.norm(at_low) + jnp.linalg.norm(at_high)
        change = jnp.linalg.norm(at_high - at_low) / jnp.where(size > 0.0, size, 1.0)
        return begin + low * (end - begin), change

    return jax.lax.map(one, (begins, ends))
