"""A step of ROS34PW2 by Rang and Angermann: linearly implicit, of order 3, with error estimate and dense output.

The method is L-stable and stiffly accurate. It is a W-method, which keeps its order with an inexact Jacobian.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from implicitbias.flows._growth_modes import Modes
from implicitbias.flows._method import Method, Probe, Trial
from implicitbias.flows._system import System

# Coefficients: Rang & Angermann, BIT 45 (2005), 761-787, table of ROS34PW2 (key rang2005rosenbrock).
GAMMA = 0.43586652150845900
ALPHA = np.array(
    [
        [0.0, 0.0, 0.0, 0.0],
        [0.87173304301691801, 0.0, 0.0, 0.0],
        [0.84457060015369423, -0.11299064236484185, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
    ]
)
GAMMAS = np.array(
    [
        [0.0, 0.0, 0.0, 0.0],
        [-0.87173304301691801, 0.0, 0.0, 0.0],
        [-0.90338057013044082, 0.054180672388095326, 0.0, 0.0],
        [0.24212380706095346, -1.2232505839045147, 0.54526025533510214, 0.0],
    ]
)
WEIGHTS = np.array([0.24212380706095346, -1.2232505839045147, 1.5452602553351020, 0.43586652150845900])
EMBEDDED = np.array([0.37810903145819369, -0.096042292212423178, 0.5, 0.21793326075422950])
ORDER = 3
# The tolerance of callers that give none, such as diffrax, which does not tell a solver its own tolerance.
TIGHT = 1e-8


# The variables U = Gamma K replace the stages K, which avoids products with the Jacobian (Hairer & Wanner II, IV.7).
_INVERSE = np.linalg.inv(GAMMAS + GAMMA * np.eye(4))
_SHIFTS, _PULLS = ALPHA @ _INVERSE, np.eye(4) - GAMMA * _INVERSE
# The times of the stages as fractions of the step; the last stage is at its end.
_NODES = ALPHA.sum(axis=1)
_WEIGHTS, _EMBEDDED = WEIGHTS @ _INVERSE, EMBEDDED @ _INVERSE


class Step(NamedTuple):
    """The result of a step: its end, the end of the embedded method of order 2, and the stages (4, m)."""

    end: jax.Array
    embedded: jax.Array
    stages: jax.Array
    memory: Any
    iterations: jax.Array


def step(
    system: System,
    u: jax.Array,
    h: jax.Array,
    memory: Any = (),
    rtol: Any = TIGHT,
    modes: Modes | None = None,
) -> Step:
    """Return a linearly implicit step of size h from u, which needs one factorisation and four solves.

    Solves that iterate are as accurate as a flow with tolerance rtol needs. `memory` comes from an earlier step. The
    growth modes of u, if they are given, are followed in closed form, and the stages integrate only the rest.
    """
    prepared = system.prepare(u, h * GAMMA, memory, rtol)
    paths = None if modes is None else modes.paths(system.carried, u, h * jnp.asarray(_NODES))
    mass = jnp.asarray(system.mass(len(u)), u.dtype)
    shifts, pulls = jnp.asarray(_SHIFTS, u.dtype), jnp.asarray(_PULLS, u.dtype)

    def stage(i: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        # The rows from i on are still zero, so products with all rows give the sums over j < i. The loop body has the
        # same shape for each stage and is compiled once.
        stages, count = carry
        point = u + shifts[i] @ stages
        point = point if paths is None else point + paths.changes[i]
        field = jax.lax.cond(i == 0, lambda: prepared.field, lambda: system.field(point))
        field = field if paths is None else field - paths.speeds[i]
        found, iterations = prepared.solve(h * GAMMA * field + mass * (pulls[i] @ stages))
        return stages.at[i].set(found), count + iterations

    begin = (jnp.zeros((4, len(u)), u.dtype), jnp.zeros((), int))
    stages, count = jax.lax.fori_loop(0, 4, stage, begin)
    end, embedded = jnp.asarray(_WEIGHTS, u.dtype) @ stages, jnp.asarray(_EMBEDDED, u.dtype) @ stages
    base = u if paths is None else u + paths.changes[-1]
    return Step(base + end, base + embedded, stages, system.learned(prepared.memory, count), count)


def _dense_matrix() -> np.ndarray:
    """Return the matrix that maps (theta, theta^2/2, theta^3/3, theta^3/6) to the weights b(theta) of dense output.

    The weights satisfy the four conditions of order 3. They also satisfy the conditions of a W-method of order 2, so
    that dense output has at least order 2 with an inexact Jacobian.
    """
    beta = ALPHA + GAMMAS + GAMMA * np.eye(4)
    nodes, sums = ALPHA.sum(axis=1), beta.sum(axis=1)
    inverse: np.ndarray = np.linalg.inv(np.array([np.ones(4), sums, nodes**2, beta @ sums]))
    return inverse


_DENSE = _INVERSE.T @ _dense_matrix()


def dense_weights(theta: Any) -> Any:
    """Return the stage weights (..., 4) at fractions theta of a step; at theta = 1 they are the weights of the step.

    For a NumPy array the result is a NumPy array, otherwise a JAX array.
    """
    numerics = np if isinstance(theta, np.ndarray) else jnp
    moments = numerics.stack([theta, theta**2 / 2, theta**3 / 3, theta**3 / 6], axis=-1)
    return moments @ _DENSE.T


# The coefficients of the powers of theta in dense output, as products with the stages: (4 powers, 4 stages).
_CURVE = np.stack([_DENSE[:, 0], _DENSE[:, 1] / 2, _DENSE[:, 2] / 3 + _DENSE[:, 3] / 6, np.zeros(4)])


def curve_of(stages: jax.Array) -> jax.Array:
    """Return the coefficients (4, m) of the powers of theta in dense output."""
    return jnp.asarray(_CURVE, stages.dtype) @ stages


class Rosenbrock(Method):
    """ROS34PW2 as a method: each attempt needs four stages, one evaluation for the quiet time, and a factorisation."""

    @property
    def order(self) -> int:
        return ORDER

    @property
    def cost(self) -> tuple[int, int]:
        return 5, 1

    @property
    def follows_modes(self) -> bool:
        return True

    @property
    def probe(self) -> Probe:
        return Probe(0.5, 0.3)

    def attempt(
        self, system: System, cursor: Any, h: jax.Array, rtol: jax.Array, modes: Modes | None
    ) -> Trial:
        done = step(system, cursor.u, h, cursor.memory, rtol, modes)
        return Trial(done.end, done.embedded, curve_of(done.stages), done.memory, done.iterations)
