"""ROS34PW2 of Rang and Angermann: a linearly implicit step of order 3 with an error estimate and dense output.

L-stable, stiffly accurate, and a W-method: it keeps its order with an inexact Jacobian.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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


class Step(NamedTuple):
    """One step: its end, the embedded lower-order end, and the stages (4, m) that dense output is made of."""

    end: jax.Array
    embedded: jax.Array
    stages: jax.Array


def step(system: System, u: jax.Array, h: jax.Array) -> Step:
    """One linearly implicit step of size h from u: four solves with one factorisation."""
    apply, solve = system.linearize(u, h * GAMMA)
    alpha, gammas = jnp.asarray(ALPHA), jnp.asarray(GAMMAS)

    def stage(i: jax.Array, stages: jax.Array) -> jax.Array:
        # Rows from i on are still zero, so that full products give the sums over j < i. One body to compile.
        right = h * system.field(u + alpha[i] @ stages) + h * apply(gammas[i] @ stages)
        return stages.at[i].set(solve(right))

    stages = jax.lax.fori_loop(0, 4, stage, jnp.zeros((4, len(u))))
    return Step(u + jnp.asarray(WEIGHTS) @ stages, u + jnp.asarray(EMBEDDED) @ stages, stages)


def _dense_matrix() -> np.ndarray:
    """Maps (theta, theta^2/2, theta^3/3, theta^3/6) to weights b(theta) that meet all conditions of order 3."""
    beta = ALPHA + GAMMAS + GAMMA * np.eye(4)
    nodes, sums = ALPHA.sum(axis=1), beta.sum(axis=1)
    inverse: np.ndarray = np.linalg.inv(np.array([np.ones(4), sums, nodes**2, beta @ sums]))
    return inverse


_DENSE = _dense_matrix()


def dense_weights(theta: np.ndarray) -> np.ndarray:
    """(m, 4) stage weights for fractions theta (m,) of a step; third order, equal to the step's own at 1."""
    moments = np.stack([theta, theta**2 / 2, theta**3 / 3, theta**3 / 6], axis=-1)
    weights: np.ndarray = moments @ _DENSE.T
    return weights
