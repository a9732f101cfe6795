"""The diagonal network of two layers."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import real_array
from implicitbias._core.errors import InputError
from implicitbias.parametrizations._parametrization import Parametrization
from implicitbias.potentials import HyperbolicEntropy


class HadamardProduct(Parametrization):
    r"""theta = (u, v), $w = u \odot v$.

    Its gradient flow is the mirror flow of `HyperbolicEntropy` with $a = |u_0^2 - v_0^2| / 2$.

    Reference:
        woodworth2020kernel; section 'The hyperbolic entropy' of the theory page.

    Examples:
        >>> import implicitbias as ib
        >>> ib.HadamardProduct()(([1.0, 2.0], [3.0, -1.0])).tolist()
        [3.0, -2.0]
    """

    def __call__(self, theta: Any) -> Float64[ndarray, " d"]:
        u, v = _pair(theta)
        return u * v

    def pullback(self, theta: Any, gradient: Float64[ndarray, " d"]) -> tuple[ndarray, ndarray]:
        u, v = _pair(theta)
        gradient = real_array(gradient, "gradient", ndim=1)
        if gradient.shape != u.shape:
            raise InputError(f"gradient has {len(gradient)} entries and u has {len(u)}, they must agree")
        return gradient * v, gradient * u

    def potential(self, theta0: Any) -> HyperbolicEntropy:
        u, v = _pair(theta0)
        if np.any(np.abs(u) == np.abs(v)):
            raise InputError(
                "|u0| = |v0| in some coordinate, which then never changes sign; start from u0 = sqrt(2) * alpha, v0 = 0"
            )
        # |u^2 - v^2| / 2 from its factors' logarithms: the squares of small numbers would underflow.
        return HyperbolicEntropy(log_scale=np.log(np.abs(u - v)) + np.log(np.abs(u + v)) - np.log(2.0))


def _pair(theta: Any) -> tuple[ndarray, ndarray]:
    if not (isinstance(theta, (tuple, list)) and len(theta) == 2):
        raise InputError("theta must be a pair (u, v) of arrays of equal length")
    u, v = real_array(theta[0], "u", ndim=1), real_array(theta[1], "v", ndim=1)
    if u.shape != v.shape:
        raise InputError(f"u has {len(u)} entries and v has {len(v)}, they must agree")
    return u, v
