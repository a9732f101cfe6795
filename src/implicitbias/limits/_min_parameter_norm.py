"""The criterion that parameters are a KKT point of least norm under f = y, or under y f >= 1."""

from dataclasses import dataclass
from typing import Any

from implicitbias._core.certificate import Certificate
from implicitbias.limits._criterion import Criterion


@dataclass(frozen=True, eq=False)
class MinParameterNorm(Criterion):
    r"""The property that parameters are a KKT point of the least norm among those that solve the problem.

    With the squared loss the problem is $\min \lVert\theta\rVert^2$ subject to $f(\theta; x_i) = y_i$. With a loss of
    margins it is $\min \lVert\theta\rVert^2$ subject to $y_i f(\theta; x_i) \ge 1$; with the cross-entropy the margins
    are $f_{y_i} - f_c$ for each other class c. A KKT point has $\theta = \sum_i q_i \nabla c_i(\theta)$ with the
    constraints c; in classification $q_i \ge 0$, and $q_i > 0$ only where the margin is 1. The multipliers are found by
    least squares, in classification by non-negative least squares, and are judged by their residuals.

    In classification the scale of a checkpoint says nothing, so it is divided by the L-th root of its smallest margin
    first, if the model is homogeneous of degree L in its parameters. The degree is measured: it is the L of
    $\sum_j \theta_j \partial_j f = L f$. A model that is not homogeneous is judged as it is.

    The residual `violation` is the relative violation of the constraints, `stationarity` is
    $\lVert \theta - J^\top q \rVert / \lVert \theta \rVert$, the tangent residual in regression, and `complementarity`
    is $\sum_i q_i |M_i - 1| / \lVert \theta \rVert^2$. The note says what second derivatives add: a strict local
    minimum, none, or an open case.

    Reference:
        boursier2025grokking for regression; lyu2020margin and lyu2024dichotomy for classification.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 0.0], [0.0, 1.0]], [4.0, 0.0]).reparametrize(
        ...     ib.HadamardProduct()
        ... )
        >>> balanced = (np.array([2.0, 0.0]), np.array([2.0, 0.0]))
        >>> ib.certify(problem, balanced, ib.MinParameterNorm()).holds
        True
        >>> ib.certify(problem, (np.array([4.0, 0.0]), np.array([1.0, 0.0])), ib.MinParameterNorm()).holds
        False
    """

    def certificate(self, problem: Any, point: Any) -> Certificate:
        """Return the certificate of parameters, for any problem with the squared loss or a loss of margins.

        Raises:
            InputError: the loss is another one, or the parameters are invalid.
        """
        from implicitbias.limits._norm_judgement import parameters_certificate  # it loads JAX

        return parameters_certificate(problem, point)
