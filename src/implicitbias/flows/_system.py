"""The equation of a flow in the form that the stepper integrates."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias._core.modules import PlainModule
from implicitbias._core.precision import double_precision
from implicitbias._core.status import Status
from implicitbias.flows._growth_modes import Modes
from implicitbias.flows._lost_growth import Rounding

Solve = Callable[[jax.Array], jax.Array]
CountedSolve = Callable[[jax.Array], tuple[jax.Array, jax.Array]]

# The number of rows in one compiled call.
_BLOCK = 256
# The number of power iterations that find the largest curvature without an approximate eigenvector.
FIRST_POWERS = 12


class Prepared(NamedTuple):
    """What a linearly implicit step needs.

    Attributes:
        solve: the function b -> ((M - gamma_step A)^{-1} b, iterations).
        field: `field` at the start of the step.
        memory: what the next step may use.
    """

    solve: CountedSolve
    field: jax.Array
    memory: Any


class System(PlainModule):
    """An autonomous equation M u' = field(u) for an inner variable u (m,), from which a state (D,) is computed.

    M is diagonal with the entries 1, and 0 in rows that are constraints. The system also gives everything else that
    depends on the equation: states, dual variables, notes, and names of entries. For JAX it is a pytree whose leaves
    are its numbers, so that other scales or starts do not need another compilation.
    """

    @abstractmethod
    def field(self, u: jax.Array) -> jax.Array:
        """Return M u' at u."""

    @abstractmethod
    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        """Return the function b -> (M - gamma_step A)^{-1} b, and `field` at u.

        A approximates the Jacobian of `field` at u; its rows that belong to constraints are exact.
        """

    def prepare(self, u: jax.Array, gamma_step: jax.Array, memory: Any, rtol: Any) -> Prepared:
        """Return what a step needs; `memory` comes from an earlier step, and rtol is the tolerance of the flow."""
        solve, field = self.factorize(u, gamma_step)
        return Prepared(lambda b: (solve(b), jnp.zeros((), int)), field, memory)

    def first_memory(self, u: ndarray) -> Any:
        """Return the memory before the first step from u, as NumPy arrays; by default there is none."""
        return ()

    def learned(self, memory: Any, iterations: jax.Array) -> Any:
        """Return the memory after a step whose solves took this number of iterations."""
        return memory

    def moving(self, u: jax.Array) -> jax.Array:
        """Return the entries of an inner variable that are no constraints; the entries of the state are the first."""
        return u

    def complete(self, moving: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the inner variable (m,) with these moving entries, and the derivatives of the latter."""
        return moving, self.field(moving)

    def slope(self, moving: jax.Array) -> jax.Array:
        """Return the derivatives of the moving entries."""
        return self.complete(moving)[1]

    @abstractmethod
    def state(self, u: jax.Array) -> jax.Array:
        """Return the state of the flow as one vector (D,)."""

    @abstractmethod
    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        """Return the relative difference between the two ends of a step from u, which is compared with rtol."""

    def states(self, rows: ndarray) -> ndarray:
        """Return the state of each row of an array of inner variables, in NumPy."""
        return mapped(_state, self, rows)

    @property
    def has_duals(self) -> bool:
        """Whether the flow has a dual variable; then it has `duals`."""
        return False

    def duals(self, rows: ndarray) -> ndarray:
        """Return the dual variable of each row of an array of inner variables."""
        raise TypeError(f"a {type(self).__name__} has no dual variable")

    def shown(self, size: int) -> int:
        """Return how many leading entries of an inner variable of this size determine its state and dual variable."""
        return size

    def notes(self, start: ndarray, end: ndarray) -> tuple[str, ...]:
        """Return notes for the reader on an integration from `start` to `end`."""
        return ()

    @property
    def may_rest(self) -> bool:
        """Whether `rest` may find a rest point; otherwise the integration is not interrupted to search for one."""
        return False

    def rest(self, u: ndarray, rtol: float, *, vanished: bool = False) -> tuple[ndarray, str] | None:
        """Return the rest point that the flow at u has reached within rtol, and a note, or None if there is none.

        The rest point is an inner variable. The search may be expensive; it is made where steps do not grow. If the
        state has `vanished`, which is that it is tiny beside what it was, 0 is the only rest point that is considered.
        """
        return None

    def with_exact_jacobian(self) -> "System":
        """Return the system whose steps use the exact Jacobian, for where neglected parts of it limit the steps."""
        return self

    @property
    def checks_inside(self) -> bool:
        """Whether the error of dense output inside a step is estimated; then there are `moving` and `complete`."""
        return False

    @property
    def unstable(self) -> bool:
        """Whether the equation may have growth modes that the error estimate does not see; then it has `modes`."""
        return False

    def state_size(self, size: int) -> int:
        """Return how many first entries of an inner variable of this size have growth modes."""
        return size

    def modes(self, u: jax.Array, least: Any = 0.0, start: jax.Array | None = None) -> Modes:
        """Return the growth modes at u that `growth_modes` finds from `start`, or from the speed if it is None or 0.

        Modes whose rates are all below `least` may be missing.
        """
        raise TypeError(f"a {type(self).__name__} has no growth modes")

    def rounding(self, u: jax.Array) -> Rounding:
        """Return the norm of the derivative of the state at u, and the sizes of rounding errors."""
        raise TypeError(f"a {type(self).__name__} has no growth modes")

    def curvature_product(self, u: jax.Array) -> Solve:
        """Return the function v -> C v with a curvature C that bounds the stiffness at u."""
        raise TypeError(f"a {type(self).__name__} has no products with its curvature")

    def hessian_product(self, u: jax.Array) -> Solve:
        """Return the function v -> H v with the Hessian H of the objective, by default that of `curvature_product`.

        A step without linear solves must be stable for all of it. Its negative part is growth and no stiffness.
        """
        return self.curvature_product(u)

    def carried(self, u: jax.Array, change: jax.Array) -> jax.Array:
        """Return the change (m,) of the inner variable u when its first entries change by a small `change`."""
        return change

    def entry_name(self, index: int) -> str:
        """Return a description of an entry of the inner variable followed by "is" or "are", or "" if it has none."""
        return ""

    def diagnosis(self, u: jax.Array) -> tuple[Status, str] | None:
        """Return the status and the reason if no further step from u is possible for a reason known to the system."""
        return None

    def mass(self, size: int) -> jax.Array:
        """Return the diagonal of M for an inner variable of this size."""
        return jnp.ones(size)

    def quiet_time(self, u: jax.Array, rtol: jax.Array) -> jax.Array:
        """Return how long the coordinates that are too small for the error estimate stay so at the present speed.

        No step is longer than this time.
        """
        return jnp.asarray(jnp.inf)


def mapped(method: Callable[[Any, jax.Array], jax.Array], system: System, rows: Any) -> ndarray:
    """Return `method(system, row)` for each row of an array, computed in blocks of a fixed size."""
    count = len(rows)
    if count == 1:
        with double_precision():
            return np.asarray(_one(method, system, rows[0]))[None]
    padding = rows[-1:] if count else np.zeros((1, rows.shape[1]))
    padded = np.concatenate([rows, np.repeat(padding, -count % _BLOCK if count else _BLOCK, axis=0)])
    with double_precision():
        blocks = [
            np.asarray(_many(method, system, jnp.asarray(padded[i : i + _BLOCK])))
            for i in range(0, len(padded), _BLOCK)
        ]
    joined: ndarray = np.concatenate(blocks)[:count]
    return joined


def modes_at(system: System, row: ndarray) -> Modes:
    """Return the growth modes at an inner variable, in NumPy."""
    with double_precision():
        return jax.tree.map(np.asarray, _modes(system, row))


@compiled
def _modes(system: System, row: Any) -> Modes:
    return system.modes(row)


def largest_curvature(product: Solve, vector: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Return an approximate eigenvector of the largest curvature, and this curvature, by power iterations."""

    def one(_: Any, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        image = product(state[0])
        size = jnp.linalg.norm(image)
        return jnp.where(size > 0.0, image / jnp.where(size > 0.0, size, 1.0), state[0]), size

    return jax.lax.fori_loop(0, count, one, (vector, jnp.zeros(())))


def radius_at(system: System, row: Any) -> float:
    """Return the largest curvature at an inner variable."""
    with double_precision():
        return float(_radius(system, row))


@compiled
def _radius(system: System, row: Any) -> jax.Array:
    return radius_of(system, jnp.asarray(row))


def radius_of(system: System, row: jax.Array) -> jax.Array:
    """Return the largest curvature at an inner variable, in a traced function."""
    start = jnp.cos(1.0 + jnp.arange(system.state_size(len(row))))
    return largest_curvature(system.curvature_product(row), start / jnp.linalg.norm(start), FIRST_POWERS)[1]


def _state(system: System, row: jax.Array) -> jax.Array:
    return system.state(row)


@compiled
def _many(method: Callable[[Any, jax.Array], jax.Array], system: System, rows: jax.Array) -> jax.Array:
    return jax.vmap(lambda row: method(system, row))(rows)


@compiled
def _one(method: Callable[[Any, jax.Array], jax.Array], system: System, row: jax.Array) -> jax.Array:
    return method(system, row)
