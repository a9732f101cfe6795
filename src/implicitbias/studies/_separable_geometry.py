"""Sublevel sets of potentials in the plane by bisection, to compare them with the formulas of their horizons."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.precision import double_precision
from implicitbias.potentials import Potential
from implicitbias.studies._separable_settings import Entry

# Natural logarithms of the levels, each one twice the one before. The last one is close to the largest float64.
LOG_LEVELS = np.array([75.0, 150.0, 300.0, 600.0])
RAYS = 120
# The level of the sets that are drawn, which is small enough to see the difference.
_DRAWN = 5.0
# The bisection is in the logarithm of the radius.
_LONGEST, _HALVINGS = 690.0, 100


def geometry_variables(entries: dict[str, Entry]) -> dict[str, Any]:
    """Return variables with the radii of sublevel sets and of the unit balls of the horizons, in RAYS directions.

    All radii are relative to the largest one, because a horizon is unique up to a positive factor.
    """
    angles = 2.0 * np.pi * np.arange(RAYS) / RAYS
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    sets = np.array([[_radii(entry.potential, rays, c) for c in LOG_LEVELS] for entry in entries.values()])
    balls = np.array([[1.0 / entry.gauge.value(ray) for ray in rays] for entry in entries.values()])
    return {
        "ray_angle": (("ray",), angles),
        "log_level": (("level",), LOG_LEVELS),
        "sublevel_radius": (("potential", "level", "ray"), sets),
        "drawn_radius": (
            ("potential", "ray"),
            np.array([_radii(e.potential, rays, _DRAWN) for e in entries.values()]),
        ),
        "drawn_level": ((), np.array(_DRAWN)),
        "ball_radius": (("potential", "ray"), balls / np.max(balls, axis=1, keepdims=True)),
    }


def _radii(potential: Potential, rays: Float64[ndarray, "k 2"], log_level: float) -> Float64[ndarray, " k"]:
    """Return the radii of {phi <= c} along the rays, relative to the largest one."""

    def inside(log_radius: jax.Array, ray: jax.Array) -> jax.Array:
        origin = potential.value_formula(jnp.zeros_like(ray))
        value = potential.value_formula(jnp.exp(log_radius) * ray) - origin
        return jnp.log(value) <= log_level  # NaN and infinite values are outside

    compiled = jax.jit(jax.vmap(inside))
    low, high = np.full(len(rays), -_LONGEST), np.full(len(rays), _LONGEST)
    with double_precision():
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            within = np.asarray(compiled(jnp.asarray(middle), jnp.asarray(rays)))
            low, high = np.where(within, middle, low), np.where(within, high, middle)
    radii: ndarray = np.exp(low - np.max(low))
    return radii
