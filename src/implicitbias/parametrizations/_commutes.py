"""Whether the gradients of the entries of a parametrization commute."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias.parametrizations._exact_brackets import exactly_zero, nonzero_at
from implicitbias.parametrizations._fields import (
    Brackets,
    Outputs,
    bracket,
    brackets_at,
    outputs_of,
    probes_for,
    reached,
)
from implicitbias.parametrizations._from_function import as_parametrization
from implicitbias.parametrizations._kinked_points import Jump, jump_along, jump_at, kinked_operations

# Brackets up to this measure are rounding errors of float64 and of the points along the reachable set.
_TOLERANCE = 1e-10
# A bracket that moves w less than this, as a cosine, leaves w fixed.
_MOVES = 1e-6
_RANK = 1e-10
_PIECES = 6
# Above this number of entries of all brackets at all points, the points are compared by a few combinations of w first.
_MOST, _MIXES = 200_000, 4
_ORDERS = 4


class Witness(NamedTuple):
    """Where the largest bracket was found.

    Attributes:
        theta: the point, a pytree like theta0.
        pair: the indices (i, j) of the two entries of w; tuples of indices if w is not a vector.
        bracket: the bracket [grad G_i, grad G_j] at the point, a pytree like theta0.
    """

    theta: Any
    pair: tuple[Any, Any]
    bracket: Any


@dataclass(frozen=True, eq=False)
class Commutation:
    r"""The verdict of `ib.commutes(G, theta0)`.

    Attributes:
        worst_bracket: the largest norm of a bracket relative to its two products, see `ib.commutes`, between 0 and 1.
        witness: where it was found: the point, the pair of entries of w, and the bracket.
        proved: whether exact rational arithmetic proves the verdict: all brackets are the polynomial 0, or the bracket
            of the witness's pair is not 0 at theta0.
        rank: the smallest rank of dG at the points.
        size: the number d of entries of w.
        motion: how much brackets of orders 2 to 4 move w: the largest cosine between a bracket and a gradient of an
            entry of w. It is 0 if w stays fixed.
        points: the number of points along the reachable set.
        kinked: the names of the operations in G whose gradients may jump, such as `abs` and `max`. No jump was met by
            the flows to the points and by the opposite flows, but flows that go further may meet one.
        tolerance: the largest `worst_bracket` that counts as a rounding error.

    Reference:
        li2022implicit.

    Examples:
        >>> import implicitbias as ib
        >>> verdict = ib.commutes(ib.HadamardProduct(), ([1.0, 2.0], [0.5, 1.0]))
        >>> verdict.sentence
        'the gradients of the 2 entries of w commute, by exact arithmetic'
    """

    worst_bracket: float
    witness: Witness
    proved: bool
    rank: int
    size: int
    motion: float
    points: int
    kinked: tuple[str, ...] = ()
    tolerance: float = _TOLERANCE

    @property
    def holds(self) -> bool:
        """Whether all brackets are 0."""
        return bool(self.worst_bracket <= self.tolerance)

    @property
    def regular(self) -> bool:
        """Whether dG has rank d at all points."""
        return self.rank == self.size

    @property
    def excludes_potential(self) -> bool:
        """Whether no potential can describe the flow of w for every loss, because brackets move w."""
        return not self.holds and self.motion > _MOVES

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        how = "by exact arithmetic" if self.proved else f"at {self.points} points along the reachable set"
        i, j = self.witness.pair
        if self.holds:
            words = f"the gradients of the {self.size} entries of w commute, {how}"
        else:
            words = (
                f"the gradients of the entries {i} and {j} of w do not commute: their bracket is "
                f"{self.worst_bracket:.3g} of the size of its products"
            )
        if self.excludes_potential:
            words += "; brackets move w, so no potential can describe this for every loss"
        elif not self.holds:
            words += "; the brackets that were computed leave w fixed, so a potential is not excluded"
        if not self.regular:
            words += f"; dG has rank {self.rank} at some point, and {self.size} is expected of a regular map"
        if self.kinked:
            words += f"; gradients may jump in {', '.join(self.kinked)}, and no flow that was tried met such a jump"
        return words

    def __repr__(self) -> str:
        return f"Commutation(holds={self.holds}, worst_bracket={self.worst_bracket:.3g}: {self.sentence})"


def commutes(G: Any, theta0: Any) -> Commutation:
    r"""Return whether the gradients of the entries of w = G(theta) commute, so that its flow is a mirror flow.

    The Lie brackets are
    $[\nabla G_i, \nabla G_j] = \nabla^2 G_j \nabla G_i - \nabla^2 G_i \nabla G_j$. If all of them are 0 and dG has rank
    d, the gradient flow of every loss of w is the mirror flow of one potential, which `ib.induced_potential` returns.
    They are computed by products of Hessians with vectors at points along the reachable set: theta0 and the ends of
    flows of combinations of $\nabla G_i$. Their measure, which does not depend on units, is
    $\lVert [\nabla G_i, \nabla G_j] \rVert / (\lVert \nabla^2 G_j \rVert \lVert \nabla G_i \rVert +
    \lVert \nabla^2 G_i \rVert \lVert \nabla G_j \rVert)$ with Frobenius norms, which are estimated by 32 random
    products if theta has more than 32 entries. For polynomial maps of moderate size, the brackets are also computed as
    polynomials with exact rational coefficients, which proves the verdict; the numbers in G count as exact.

    If brackets of order 2 or more move w, that is if they are not in the kernel of dG, no potential can describe the
    flow of w for every loss: two flows with equal integrals of $\nabla L$ then end at different w.

    Args:
        G: a parametrization, or a function of theta written with `jax.numpy` that returns one array w.
        theta0: the start, a pytree of arrays.

    Returns:
        A `Commutation` with `holds`, `worst_bracket`, `witness`, `rank` and `excludes_potential`.

    Raises:
        InputError: theta0 does not fit G, G or its derivatives are not finite at theta0, or the gradient of G jumps at
            theta0 or on the way of these flows; the message holds the point.

    Reference:
        li2022implicit.

    Examples:
        >>> import implicitbias as ib
        >>> ib.commutes(lambda theta: theta[0] ** 2 - theta[1] ** 2, ([1.0, 2.0], [0.5, 1.0])).holds
        True
        >>> verdict = ib.commutes(lambda U: U @ U.T, [[1.0, 0.0], [0.5, 1.0]])
        >>> verdict.holds, verdict.excludes_potential
        (False, True)
    """
    G = as_parametrization(G)
    outputs, start = outputs_of(G, theta0)
    with double_precision():
        _refuse_not_finite(outputs, start)
        kinked, path = kinked_operations(outputs, start), _path(outputs, start)
        if kinked:
            _refuse_jump(outputs, kinked, jump_at(outputs, start), "at theta0 or next to it")
        points = np.asarray(reached(outputs, start, *path))
        if kinked:
            there = "where flows from theta0 lead"
            _refuse_jump(outputs, kinked, jump_along(outputs, points, *path), there)
            # The opposite flows may meet a jump that these move away from.
            back = np.asarray(reached(outputs, start, -path[0], path[1]))
            _refuse_jump(outputs, kinked, jump_along(outputs, back, -path[0], path[1]), there)
        at, found, rank = _worst(outputs, points)
        i, j = np.unravel_index(int(np.argmax(found.measures)), found.measures.shape)
        worst = float(found.measures[i, j])
        holds = worst <= _TOLERANCE
        proved = exactly_zero(outputs, len(start)) if holds else nonzero_at(outputs, start, (int(i), int(j)))
        motion = 0.0 if holds else _motion(outputs, points, found)
    shape = G(theta0).shape
    theta, direction = (outputs.shape.numpy_tree(vector) for vector in (points[at], found.values[i, j]))
    witness = Witness(theta, (_place(i, shape), _place(j, shape)), direction)
    return Commutation(worst, witness, proved, rank, len(found.measures), motion, len(points), kinked)


def _place(index: Any, shape: tuple[int, ...]) -> Any:
    return int(index) if len(shape) == 1 else tuple(int(k) for k in np.unravel_index(int(index), shape))


def _refuse_not_finite(outputs: Outputs, start: ndarray) -> None:
    """Raise an `InputError` if w or its first derivatives are not finite at the start."""
    value, gradients = (np.asarray(part) for part in _first(outputs, start))
    for name, part in (("w = G(theta0)", value), ("the Jacobian of G at theta0", gradients)):
        bad = np.argwhere(~np.isfinite(part))
        if len(bad):
            raise InputError(
                f"{name} is not finite at entry {int(bad[0][0])}, finite numbers are expected; the likely cause is a "
                "function that is not smooth there, such as a square root at 0: choose another theta0"
            )


def _refuse_jump(outputs: Outputs, kinked: tuple[str, ...], jump: Jump | None, where: str) -> None:
    """Raise an `InputError` that shows the point at which the gradient of the map jumps, if there is one."""
    if jump is None:
        return
    theta = jax.tree.map(lambda leaf: np.round(leaf, 4).tolist(), outputs.shape.numpy_tree(jump.point))
    raise InputError(
        f"the gradient of G jumps {where}, by the share {jump.size:.2g} of its size, at theta = {str(theta)[:200]}; "
        f"a smooth G is expected, and the likely cause is {', '.join(kinked)}; choose a theta0 away from the jump, or "
        "replace the operation by a smooth one, for instance jnp.abs(u) by jnp.sqrt(u**2 + 1e-6)"
    )


@eqx.filter_jit
def _first(outputs: Outputs, start: Any) -> tuple[jax.Array, jax.Array]:
    return outputs(start), jax.jacrev(outputs)(start)


def _path(outputs: Outputs, start: ndarray) -> tuple[ndarray, ndarray]:
    """Return the weights of the fields and the length of each piece of a path from the start."""
    sizes = np.linalg.norm(np.asarray(_first(outputs, start)[1]), axis=1)
    weights = np.random.default_rng(1).standard_normal((_PIECES, len(sizes)))
    largest = float(np.max(np.abs(start)))
    length = np.linalg.norm(start) / 2.0 if largest > 0.0 else 1.0
    return weights / np.where(sizes > 0.0, sizes, 1.0), np.asarray(length)


def _worst(outputs: Outputs, points: Float64[ndarray, "k D"]) -> tuple[int, Brackets, int]:
    """Return the point with the largest bracket, the brackets there, and the smallest rank of dG."""
    D = points.shape[1]
    d = len(_first(outputs, points[0])[0])
    probes = probes_for(D)
    if len(points) * d * d * D <= _MOST:
        everywhere = jax.tree.map(np.asarray, _brackets_along(outputs, points, probes))
        at = int(np.argmax(np.max(everywhere.measures, axis=(1, 2))))
        return at, Brackets(*(part[at] for part in everywhere)), _rank(everywhere.jacobian)
    # A combination of all entries of w has brackets of every pair in it, so that few combinations rank the points.
    mixes = np.random.default_rng(2).standard_normal((_MIXES, d))
    measures, jacobians = (np.asarray(part) for part in _mixed_along(outputs, points, mixes, probes))
    at = int(np.argmax(np.max(measures, axis=(1, 2))))
    there = Brackets(*(np.asarray(part) for part in _brackets_along(outputs, points[at : at + 1], probes)))
    return at, Brackets(*(part[0] for part in there)), _rank(jacobians)


@eqx.filter_jit
def _brackets_along(outputs: Outputs, points: Any, probes: Any) -> Brackets:
    return jax.lax.map(lambda flat: brackets_at(outputs, flat, probes), points)


@eqx.filter_jit
def _mixed_along(outputs: Outputs, points: Any, mixes: Any, probes: Any) -> tuple[jax.Array, jax.Array]:
    """Return the measures of the brackets of combinations of w, and the Jacobians (k, d, D), at all points."""

    def one(flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        jacobian = jax.jacrev(outputs)(flat)
        sizes = jnp.linalg.norm(jacobian, axis=1)
        fair = mixes / jnp.where(sizes > 0.0, sizes, 1.0)
        return brackets_at(lambda point: fair @ outputs(point), flat, probes).measures, jacobian

    return jax.lax.map(one, points)


def _rank(jacobians: Float64[ndarray, "k d D"]) -> int:
    """Return the smallest rank of Jacobians whose rows are scaled to length 1."""
    sizes = np.linalg.norm(jacobians, axis=2, keepdims=True)
    values = np.linalg.svd(jacobians / np.where(sizes > 0.0, sizes, 1.0), compute_uv=False)
    return int(np.min(np.sum(values > _RANK * np.max(values, axis=1, keepdims=True), axis=1)))


def _motion(outputs: Outputs, points: Float64[ndarray, "k D"], found: Brackets) -> float:
    """Return the largest cosine between a bracket of order 2 to 4 and a gradient of an entry of w."""
    sizes = np.linalg.norm(found.jacobian, axis=1)
    rows = found.jacobian / np.where(sizes > 0.0, sizes, 1.0)[:, None]
    some = found.values[found.measures > 1e-6]
    some = some / np.linalg.norm(some, axis=-1, keepdims=True)
    best = float(np.max(np.abs(some @ rows.T), initial=0.0))
    if best > _MOVES:
        return best
    weights = np.random.default_rng(3).standard_normal((_ORDERS, len(sizes)))
    return max(best, float(np.max(np.asarray(_higher(outputs, points, weights)))))


@eqx.filter_jit
def _higher(outputs: Outputs, points: Any, weights: Any) -> jax.Array:
    """Return the cosines of brackets [[[X_1, X_2], X_3], X_4] and the gradients of w, (k, orders, d)."""

    def one(flat: jax.Array) -> jax.Array:
        rows = jax.jacrev(outputs)(flat)
        rows = rows / jnp.where((sizes := jnp.linalg.norm(rows, axis=1)) > 0.0, sizes, 1.0)[:, None]
        nested, cosines = outputs.field(weights[0]), []
        for a in weights[1:]:
            nested = bracket(nested, outputs.field(a))
            value = nested(flat)
            size = jnp.linalg.norm(value)
            cosines.append(jnp.abs(rows @ value) / jnp.where(size > 0.0, size, 1.0))
        return jnp.stack(cosines)

    return jax.lax.map(one, points)
