"""The criterion that a change of the parameters is the least one that solves the linearised problem."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from implicitbias._core.certificate import Certificate
from implicitbias.limits._criterion import Criterion
from implicitbias.limits._margin_price import checked_price


@dataclass(frozen=True, eq=False)
class MinTangentNorm(Criterion):
    r"""The property that a change h of parameters is the least one that solves the problem linearised at them.

    With the Jacobian J of the predictions f at `params`, the least change in regression has $J h = y - f$ and is in the
    range of $J^\top$; if no h fits, it is the least one that minimises $\lVert J h - (y - f) \rVert$. In classification
    it maximises the margin $\min_i y_i \langle \nabla f_i, h \rangle / \lVert h \rVert$, or that of
    $f_{y_i} - f_c$ for several classes; then the scale of h does not matter. The dual is computed here and judged by
    its own residuals, and the gap bounds the relative distance of the margin from the largest one.

    The residual `range` is the relative part of h outside the range of $J^\top$, `violation` is
    $\lVert J h - (y - f) \rVert / \lVert y - f \rVert$, and `stationarity` is the relative gradient of the objective.
    `dual_rounding` bounds the relative rounding error of the dual in classification.

    Args:
        params: the parameters at which the model is linearised.
        C: the price of violations of the margins, as for `kernel_regime`.
        ridge: the number that is added to the diagonal of the kernel, as for `kernel_regime`.

    Raises:
        InputError: C or ridge is not a number of the right sign.

    Reference:
        lyu2024dichotomy; jacot2018ntk.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares([[3.0, 4.0], [6.0, 8.0]], [5.0, 10.0])
        >>> ib.certify(problem, [0.6, 0.8], ib.MinTangentNorm(np.zeros(2))).holds
        True
        >>> ib.certify(problem, [5.0 / 3.0, 0.0], ib.MinTangentNorm(np.zeros(2))).holds
        False
    """

    params: Any
    C: Any = np.inf
    ridge: Any = 0.0

    def __post_init__(self) -> None:
        checked_price(self.C, self.ridge)

    def certificate(self, problem: Any, point: Any) -> Certificate:
        """Return the certificate of a change h, a pytree like the parameters.

        Raises:
            InputError: the loss has no constraints; the parameters or the change are invalid.
            InfeasibleError: the tangent features do not separate the data.
        """
        from implicitbias.limits._kernel_regime import change_certificate  # it loads JAX

        return change_certificate(problem, point, self.params, checked_price(self.C, self.ridge))
