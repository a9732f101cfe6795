"""Mirror flow: d grad phi(w) = -grad L(w) dt."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.flows._dual_system import dual_system
from implicitbias.flows._flow import Flow
from implicitbias.flows._system import System
from implicitbias.potentials import Potential
from implicitbias.problems import LeastSquares


class MirrorFlow(Flow):
    r"""The flow $\frac{d}{dt} \nabla\phi(w_t) = -\nabla L(w_t)$, integrated in dual variables.

    With $\phi$ = `HyperbolicEntropy(log_scale=2 * ln(alpha))` it is the gradient flow of $w = u \odot v$ from
    u0 = sqrt(2) alpha, v0 = 0, at any alpha: the number of steps does not grow with 1/alpha. The state is w, time is t
    (not slow time).

    Args:
        problem: a `LeastSquares` problem.
        potential: a `Potential`.

    Raises:
        InputError: an argument of another type, or a scale whose length is not d.

    Reference:
        pesme2024mirror; woodworth2020kernel for diagonal networks.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares(np.eye(2), [1.0, 0.5])
        >>> flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-200.0))
        >>> trajectory = ib.simulate(flow, np.zeros(2), t1=500.0)
        >>> trajectory.final.round(6).tolist()
        [1.0, 0.5]
    """

    def __init__(self, problem: LeastSquares, potential: Potential) -> None:
        if not isinstance(problem, LeastSquares):
            raise InputError(
                f"problem is a {type(problem).__name__}, a LeastSquares is expected: ib.LeastSquares(X, y)"
            )
        if not isinstance(potential, Potential):
            raise InputError(
                f"potential is a {type(potential).__name__}, a Potential is expected, "
                "for instance ib.HyperbolicEntropy(scale=1e-6)"
            )
        d = problem.shape[1]
        for name, value in vars(potential).items():
            if np.ndim(value) == 1 and len(value) != d:
                raise InputError(
                    f"the potential's {name} has {len(value)} entries, one for each of the {d} columns of X is expected"
                )
        self.problem, self.potential = problem, potential

    def checked_start(self, start: Any) -> Float64[ndarray, " d"]:
        return self.problem.predictor(start, "start")

    def system(self, start: Float64[ndarray, " d"]) -> tuple[System, Any]:
        system = dual_system(self.problem, self.potential, start)
        return system, jnp.zeros(len(system.y))

    def __repr__(self) -> str:
        return f"MirrorFlow({self.problem!r}, {type(self.potential).__name__})"
