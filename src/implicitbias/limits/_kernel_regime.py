"""The predictor of the kernel regime: the least change of the parameters that solves the linearised problem."""

from operator import index
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.blas_threads import FEW_PRODUCTS, one_blas_thread
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias._core.status import Status
from implicitbias.limits._least_change import least_change
from implicitbias.limits._limit import Limit
from implicitbias.limits._margin_price import MarginPrice, checked_price
from implicitbias.limits._tangent_features import BYTES, TangentFeatures
from implicitbias.limits._tangent_judgement import fit_certificate, margin_certificate_of, multipliers


def kernel_regime(
    problem: Any, params: Any, *, C: Any = np.inf, ridge: Any = 0.0, max_bytes: Any = BYTES
) -> Limit:
    r"""Return the change h of the parameters that training reaches while the model stays linear around `params`.

    Training from a large start, or with a large output scale, moves the parameters so little that the predictions are
    $f(\theta) + J h$ with the Jacobian J at `params`. With the squared loss, h is the least change with $J h = y - f$;
    if no h fits, it is the least one that minimises $\lVert J h - (y - f) \rVert$. With a loss of margins, h is the
    hard-margin support vector machine of the tangent kernel: it minimises $\frac12 \lVert h \rVert^2$ subject to
    $y_i \langle \nabla f_i, h \rangle \ge 1$, without an intercept. With the cross-entropy the margins are
    $f_{y_i} - f_c$ for each other class c.

    Args:
        problem: a problem with the squared loss, the logistic or exponential loss, or the cross-entropy.
        params: the parameters at which the model is linearised, for instance those at the start of training.
        C: a finite C allows violations of the margins and adds C times their sum to the objective, of each pair of
            classes by itself. Only for classification.
        ridge: a number r > 0 that is added to the diagonal of the kernel. In regression the objective is then
            $\frac12 \lVert h \rVert^2 + \frac{1}{2 r} \lVert J h - (y - f) \rVert^2$, as at the end of the linearised
            flow with weight decay r / n around `params`. In classification, squared violations of the margins are
            added with the price 1 / (2 r).
        max_bytes: the largest size of the tangent kernel. Above it, products with the Jacobian are used in regression,
            and columns of the kernel in classification.

    Returns:
        A `Limit`: `point` h, a pytree like `params`, in classification with the smallest margin 1; `value` = ||h||;
        `multipliers` q with h = sum q_i grad c_i, (n,), or (n, k) for k outputs or classes; `margin` in classification,
        the smallest margin over ||h||; `predict(X_new)`, in regression f + <grad f, h>, and in classification
        <grad f, h> without f, because f is the smaller part of it; and the certificate of `MinTangentNorm`.

    Raises:
        InputError: the loss is another one, the parameters are invalid, or the tangent features are 0.
        InfeasibleError: the tangent features do not separate the data; `combination` holds the convex weights q with
            sum q_i grad c_i = 0.
        ImplicitBiasError: the columns of the kernel that are needed do not fit into `max_bytes`.

    Reference:
        lyu2024dichotomy; jacot2018ntk.

    Examples:
        The tangent features of u^2 - v^2 at u = v = 1 are (2 x, -2 x), so that w is the largest l2 margin:

        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.Classification([[2.0, 1.0], [-2.0, 1.0]], [1, -1])
        >>> net = problem.reparametrize(ib.SquareDifference())
        >>> limit = ib.kernel_regime(net, (np.ones(2), np.ones(2)))
        >>> limit.point[0].round(9).tolist(), round(limit.margin**2, 9)
        ([0.125, 0.0], 32.0)
        >>> limit.certificate.holds, limit.predict([[1.0, 5.0]]).round(9).tolist()
        (True, [0.5])
    """
    price = checked_price(C, ridge)
    features = TangentFeatures(problem, params, _bytes(max_bytes))
    _refuse_price(features, price)
    m, p = features.number, len(features.flat)
    with one_blas_thread(m * m * min(m, p) < FEW_PRODUCTS):
        find = _regression if features.regression else _classification
        h, q, certificate = find(features, price)
    smallest = float(np.min(features.apply(h)))
    length = float(np.linalg.norm(h))
    return Limit(
        problem=problem,
        point=features.constraints.tree.numpy_tree(h),
        value=length,
        certificate=certificate,
        status=Status.CONVERGED if certificate.holds else Status.NOT_CERTIFIED,
        margin=None if features.regression else smallest / length if length > 0.0 else -np.inf,
        multipliers=frozen(features.constraints.by_rows(q)),
        tangent_at=features.constraints.tree.numpy_tree(features.flat),
    )


def change_certificate(problem: Any, point: Any, params: Any, price: MarginPrice) -> Certificate:
    """Return the certificate of a change of the parameters from any source."""
    features = TangentFeatures(problem, params)
    _refuse_price(features, price)
    shape, h = problem.checked_params(point, "point")
    if shape.shapes != features.constraints.tree.shapes:
        raise InputError(
            f"the point has leaves of shapes {shape.shapes}, the shapes {features.constraints.tree.shapes} of the "
            "parameters of MinTangentNorm(params) are expected; pass the change h, for instance limit.point"
        )
    if features.regression:
        return fit_certificate(features, h, price.ridge, least_change(features, features.apply(h)))
    return margin_certificate_of(features, h, multipliers(features, price), price)


def _regression(
    features: TangentFeatures, price: MarginPrice
) -> tuple[Float64[ndarray, " p"], Float64[ndarray, " m"], Certificate]:
    least = least_change(features, features.target, price.ridge)
    return least.h, least.q, fit_certificate(features, least.h, price.ridge, least)


def _classification(
    features: TangentFeatures, price: MarginPrice
) -> tuple[Float64[ndarray, " p"], Float64[ndarray, " m"], Certificate]:
    q = multipliers(features, price)
    h = features.transpose(q)
    if price.hard:
        smallest = float(np.min(features.apply(h)))
        if smallest > 0.0:
            h, q = h / smallest, q / smallest
    return h, q, margin_certificate_of(features, h, q, price)


def _refuse_price(features: TangentFeatures, price: MarginPrice) -> None:
    if features.regression and not np.isinf(price.C):
        raise InputError(
            f"C is {price.C:g} and the loss is the squared one, which has no margins; type ridge={1.0 / price.C:g} for "
            "a penalty on the residuals"
        )


def _bytes(max_bytes: Any) -> int:
    try:
        number = 0 if isinstance(max_bytes, bool) else index(max_bytes)
    except TypeError:
        number = 0
    if number < 1:
        raise InputError(f"max_bytes is {max_bytes!r}, a whole number >= 1 is expected; type max_bytes=2**31")
    return number
