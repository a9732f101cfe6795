"""The explicit Runge-Kutta method of order 5 by Tsitouras, with an error estimate of order 4 and dense output."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias.flows._growth_modes import Modes
from implicitbias.flows._method import Method, Probe, Trial
from implicitbias.flows._system import System

# Coefficients: Tsitouras, Comput. Math. Appl. 62 (2011), 770-775, table 1 (key tsitouras2011runge).
STAGES = (
    (0.161,),
    (-0.008480655492356989, 0.335480655492357),
    (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
    (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
    (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
    (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774),
)
_SHIFTS = np.array([[*row, *[0.0] * (7 - len(row))] for row in STAGES])
EMBEDDED = (
    0.09468075576583945, 0.009183565540343254, 0.4877705284247616, 1.234297566930479,
    -2.7077123499835256, 1.866628418170587, 1 / 66,
)  # fmt: skip
ORDER = 5
# The end of the interval on the negative real axis in which the method is stable.
STABLE = 3.3
# For u' = mu u, the relative error of a step of size h is about _MODE_ERROR (mu h)^6 for mu h between 0.5 and 2.
_MODE_ERROR = 8e-5


def _dense_matrix() -> np.ndarray:
    """Return the coefficients (7, 4) of x, x^2, x^3 and x^4 in the weights b(x) of the stages in dense output."""

    def times(*factors: tuple[float, ...]) -> list[float]:
        product = np.polynomial.Polynomial((1.0,))
        for factor in factors:
            product = product * np.polynomial.Polynomial(factor)
        return list(np.pad(product.coef, (0, 5 - len(product.coef)))[1:])

    x, square = (0.0, 1.0), (0.0, 0.0, 1.0)
    # Section 4 of the same paper.
    return np.array(
        [
            times((-1.0530884977290216,), x, (-1.3299890189751412, 1.0),
                  (0.7139816917074209, -1.4364028541716351, 1.0)),
            times((0.1017,), square, (1.2949852507374631, -2.1966568338249754, 1.0)),
            times((2.490627285651252793,), square, (1.57803468208092486, -2.38535645472061657, 1.0)),
            times((-16.54810288924490272,), square, (-1.21712927295533244, 1.0), (-0.61620406037800089, 1.0)),
            times((47.37952196281928122,), square, (-1.203071208372362603, 1.0), (-0.658047292653547382, 1.0)),
            times((-34.87065786149660974,), square, (-1.2, 1.0), (-2 / 3, 1.0)),
            times((2.5,), square, (-1.0, 1.0), (-0.6, 1.0)),
        ]
    )  # fmt: skip


DENSE = _dense_matrix()


@compiled
def _slope(system: System, u: Any) -> jax.Array:
    return system.complete(system.moving(jnp.asarray(u)))[1]


class Tsit5(Method):
    """The explicit method of a system that completes its moving entries and gives their slope, which is kept."""

    @property
    def order(self) -> int:
        return ORDER

    @property
    def cost(self) -> tuple[int, int]:
        return 6, 0

    def accurate_growth(self, rtol: Any) -> Any:
        return (rtol / _MODE_ERROR) ** (1 / (ORDER + 1))

    def modes_now(self, modes: Modes, cursor: Any) -> Modes:
        return modes._replace(speeds=modes.vectors @ cursor.memory[: modes.vectors.shape[1]])

    @property
    def probe(self) -> Probe:
        return Probe(0.5, 0.25)

    def attempt(
        self, system: System, cursor: Any, h: jax.Array, rtol: jax.Array, modes: Modes | None
    ) -> Trial:
        x = system.moving(cursor.u)
        shifts = jnp.asarray(_SHIFTS, x.dtype)

        def stage(i: jax.Array, slopes: jax.Array) -> jax.Array:
            # The rows after i are still zero. The loop body is compiled once, which matters for the first call.
            return slopes.at[i + 1].set(system.slope(x + h * (shifts[i] @ slopes)))

        begin = jnp.zeros((len(STAGES) + 1, len(x)), x.dtype).at[0].set(cursor.memory)
        slopes = jax.lax.fori_loop(0, len(STAGES) - 1, stage, begin)
        end, slope = system.complete(x + h * (shifts[-1] @ slopes))
        stages = h * slopes.at[-1].set(slope)
        curve = jnp.asarray(DENSE.T, x.dtype) @ stages
        # The polynomial ends at x + sum_i b_i k_i up to the rounding of its published coefficients.
        curve = curve.at[3].add(system.moving(end) - x - jnp.sum(curve, axis=0))
        return Trial(end, x + jnp.asarray(EMBEDDED, x.dtype) @ stages, curve, slope, jnp.zeros((), int))

    def first_memory(self, system: System, u: ndarray) -> Any:
        return np.asarray(_slope(system, u))

    def kept(self, before: Any, after: Any, accepted: jax.Array) -> Any:
        return jnp.where(accepted, after, before)
