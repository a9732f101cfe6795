"""Saddles of diagonal networks: critical points of the loss in the parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from implicitbias._core.certificate import Certificate
from implicitbias.limits._criterion import Criterion
from implicitbias.limits._least_squares_point import PointOfLeastSquares
from implicitbias.limits._tolerances import TOLERANCE


@dataclass(frozen=True, eq=False)
class Saddle(Criterion):
    r"""The property that w is a saddle of a diagonal network: $w_i \, \partial_i L(w) = 0$ for every i.

    These w are exactly the images of critical points of $\theta \mapsto L(G(\theta))$, for instance of
    $L(u \odot v)$ at $|u| = |v|$, whose gradient is $(v \odot \nabla L, u \odot \nabla L)$. A saddle minimises the loss
    over the w with the same support. Off the support the gradient may have any value. Minimisers of L are saddles too,
    and so is w = 0.

    The residual `support_gradient` is the largest $|x_i^\top (y - X w)|$, relative to
    $\lVert x_i \rVert (\lVert y \rVert + \sum_j \lVert x_j \rVert |w_j|)$, times the share
    $\lVert x_i \rVert |w_i| / \max_j \lVert x_j \rVert |w_j|$: an entry that is 0 up to rounding counts as 0.

    Reference:
        pesme2023saddle.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.LeastSquares([[2.0, 0.0], [0.0, 1.0]], [4.0, 1.0])
        >>> [ib.certify(problem, w, ib.Saddle()).holds for w in ([0.0, 0.0], [2.0, 0.0], [1.0, 0.0])]
        [True, True, False]
    """

    def certificate(self, problem: Any, point: Any) -> Certificate:
        """Return the certificate of the point, for a least-squares problem over vectors or entries of a matrix.

        Raises:
            InputError: the problem is of another kind; the point has the wrong shape or holds NaN.
        """
        at = PointOfLeastSquares(problem, point, "Saddle")
        share = at.linear_map.norms * np.abs(at.w).ravel()
        share = share / (np.max(share) or 1.0)
        # The derivative with respect to an entry of w on a column of zeros is 0, so norms of 0 cause no harm here.
        gradient = float(np.max(share * at.relative(at.correlation())))
        return Certificate(
            "the point is a saddle of a diagonal network: w_i times the i-th derivative of the loss is 0 for every i",
            None,
            {"support_gradient": gradient},
            TOLERANCE,
        )
