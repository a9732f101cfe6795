"""Formulas of potentials, called with NumPy arrays."""

from typing import Any

import jax.numpy as jnp
import numpy as np

import implicitbias as ib
from implicitbias._core.precision import double_precision


def slope(phi: ib.SeparablePotential, z: Any) -> np.ndarray:
    """Return the slope dw / dz of the inverse mirror map at z."""
    with double_precision():
        return np.asarray(phi.inverse_mirror_slope_formula(jnp.asarray(z, dtype=float)))
