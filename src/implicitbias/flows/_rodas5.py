"""A step of RODAS5 by Di Marzo: linearly implicit, of order 5, with error estimate and dense output of order 4.

The method is L-stable and stiffly accurate, and it has its order only with the exact Jacobian.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias.flows._growth_modes import Modes
from implicitbias.flows._method import Method, Trial
from implicitbias.flows._system import System

ORDER = 5
GAMMA = 0.19


def _lower(rows: list[list[float]]) -> ndarray:
    """Return a strictly lower triangular matrix from its rows."""
    return np.array([[*row, *[0.0] * (len(rows) - len(row))] for row in rows])


_LAST = [-14.09640773051259, 6.925207756232704, -41.47510893210728, 2.343771018586405, 24.13215229196062]
# Coefficients: Di Marzo, RODAS5(4), master's thesis, University of Geneva, 1993 (key dimarzo1993rodas5), in the form of
# Hairer & Wanner II, section IV.7, for the variables U = Gamma K, which avoids products with the Jacobian. The digits
# are those of OrdinaryDiffEq.jl (`Rodas5Tableau`).
SHIFTS = _lower(
    [
        [],
        [2.0],
        [3.040894194418781, 1.041747909077569],
        [2.576417536461461, 1.622083060776640, -0.9089668560264532],
        [2.760842080225597, 1.446624659844071, -0.3036980084553738, 0.2877498600325443],
        _LAST,
        [*_LAST, 1.0],
        [*_LAST, 1.0, 1.0],
    ]
)
PULLS = _lower(
    [
        [],
        [-10.31323885133993],
        [-21.04823117650003, -7.234992135176716],
        [32.22751541853323, -4.943732386540191, 19.44922031041879],
        [-20.69865579590063, -8.816374604402768, 1.260436877740897, -0.7495647613787146],
        [-46.22004352711257, -17.49534862857472, -289.6389582892057, 93.60855400400906, 318.3822534212147],
        [34.20013733472935, -14.15535402717690, 57.82335640988400, 25.83362985412365, 1.408950972071624,
         -6.551835421242162],
        [42.57076742291101, -13.80770672017997, 93.98938432427124, 18.77919633714503, -31.58359187223370,
         -6.685968952921985, -5.810979938412932],
    ]
)  # fmt: skip
STAGES = len(SHIFTS)
# Dense output is u + x d + x (1 - x) (q_1 + x q_2 + x^2 q_3) with the change d of u in the step and q_i = INNER_i U.
INNER = np.array(
    [
        [27.354592673333357, -6.925207756232857, 26.40037733258859, 0.5635230501052979, -4.699151156849391,
         -1.6008677469422725, -1.5306074446748028, -1.3929872940716344],
        [44.19024239501722, 1.3677947663381929e-13, 202.93261852171622, -35.5669339789154, -181.91095152160645,
         3.4116351403665033, 2.5793540257308067, 2.2435122582734066],
        [-44.0988150021747, -5.755396159656812e-13, -181.26175034586677, 56.99302194811676, 183.21182741427398,
         -7.480257918273637, -5.792426076169686, -5.32503859794143],
    ]
)  # fmt: skip
# The last stage is the difference of the end and the embedded method of order 4, which is an estimate of the error of
# the latter. This share of it stands for the error of the end, which is of order 5.
SHARE = 0.12
# The difference of the two ends passes through 0 at some step size, because where a jump ends both have errors of the
# same size. Steps of this size were accepted with errors of 57 rtol. The defect of dense output at the time AT does not
# vanish there. The error that follows from it is about as large as that of the end, and counts by DEFECT_SHARE.
AT, DEFECT_SHARE = 0.75, 0.15
POWERS = AT ** np.arange(1, 5)
SLOPES = np.arange(1, 5) * AT ** np.arange(4)


def _curve_matrix() -> ndarray:
    """Return the matrix (4, 8) that maps the stages to the coefficients of x, x^2, x^3 and x^4 in dense output."""
    weights = np.append(SHIFTS[-1, :-1], 1.0)
    first, second, third = INNER
    return np.stack([weights + first, second - first, third - second, -third])


CURVE = _curve_matrix()


class Rodas5(Method):
    """RODAS5 as a method.

    Each attempt needs eight stages, two evaluations for the longest step and the defect, and a factorisation.
    """

    @property
    def order(self) -> int:
        return ORDER

    @property
    def cost(self) -> tuple[int, int]:
        return STAGES + 2, 1

    @property
    def foresees(self) -> bool:
        return True

    def attempt(
        self, system: System, cursor: Any, h: jax.Array, rtol: jax.Array, modes: Modes | None
    ) -> Trial:
        u = cursor.u
        prepared = system.prepare(u, h * GAMMA, cursor.memory, rtol)
        mass = GAMMA * system.mass(len(u))
        shifts, pulls = jnp.asarray(SHIFTS), jnp.asarray(PULLS)

        def stage(i: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            # The rows from i on are still zero, so products with all rows give the sums over j < i.
            stages, count = carry
            field = jax.lax.cond(i == 0, lambda: prepared.field, lambda: system.field(u + shifts[i] @ stages))
            found, iterations = prepared.solve(h * GAMMA * field + mass * (pulls[i] @ stages))
            return stages.at[i].set(found), count + iterations

        begin = (jnp.zeros((STAGES, len(u)), u.dtype), jnp.zeros((), int))
        stages, count = jax.lax.fori_loop(0, STAGES, stage, begin)
        end = u + shifts[-1] @ stages + stages[-1]
        memory, curve = system.learned(prepared.memory, count), jnp.asarray(CURVE) @ stages
        # The error e of dense output satisfies M e' = A e + d with its defect d. One step of the implicit Euler method
        # with the matrix of the stages gives its size at the end, also where A is stiff. In rows of constraints, the
        # scale makes A e = -d.
        scale = h * jnp.where(system.mass(len(u)) > 0.0, 1.0, GAMMA)
        defect = scale * system.field(u + POWERS @ curve) - system.mass(len(u)) * (SLOPES @ curve)
        missing, iterations = prepared.solve(defect)
        return Trial(
            end, end - SHARE * stages[-1], curve, memory, count + iterations, end + DEFECT_SHARE * missing
        )
