"""Measurements of the ends of u * v and u^2 - v^2 at scales from the kernel regime to the rich regime."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, simulate
from implicitbias.gauges import L1
from implicitbias.limits import interpolant, least_gauge
from implicitbias.parametrizations import Parametrization
from implicitbias.potentials import HyperbolicEntropy
from implicitbias.studies._commuting_settings import sparse_regression

# ln(a) / ln(10) for the scales a of the hyperbolic entropy, from the largest to the smallest one.
_TRAINED = (2.0, 1.0, 0.0, -1.0, -2.0, -4.0, -6.0)
_LARGE, _SMALL = (1.5, 2.0, 2.5, 3.0), (-6.0, -8.0, -10.0, -12.0)
_DRAWN = tuple(np.arange(3.0, -12.5, -1.0))
_RTOL = 1e-10
# The end time in units of 1 / (smallest metric of w on the way), which is a for large scales and |w| for small ones.
_LONG = 400.0
# The coefficients of the two linear forms in (u, v) whose product is u * v, and u^2 - v^2 = (u - v)(u + v).
_PRODUCT = np.eye(2)
_DIFFERENCE = np.array([[1.0, -1.0], [1.0, 1.0]])


def scales_dataset(progress: Progress) -> Any:
    """Return the ends of training and of theory."""
    problem = sparse_regression()
    trained, left, statuses = [], [], []
    for exponent in _TRAINED:
        runs = [_trained(10.0**exponent, product) for product in (True, False)]
        trained.append([run[0] for run in runs])
        left.append(
            max(float(np.linalg.norm(problem.linear_map.matvec(w) - problem.targets)) for w, _ in runs)
        )
        statuses += [status for _, status in runs]
        progress(0.9 * len(trained) / len(_TRAINED), f"scale {10.0**exponent:g}")
    ends = [interpolant(problem, _entropy(exponent)) for exponent in _TRAINED]
    drawn, large, small = (_ends(exponents) for exponents in (_DRAWN, _LARGE, _SMALL))
    program = least_gauge(problem.linear_map, problem.targets, L1())
    assert program is not None
    X, y = problem.linear_map.take(np.arange(10)), problem.targets
    return dataset(
        {
            "exponent": (("scale",), np.array(_TRAINED)),
            "trained": (("scale", "map", "feature"), np.array(trained)),
            "predicted": (("scale", "feature"), np.array([limit.point for limit in ends])),
            "gap": (("scale",), np.array([float(limit.certificate.gap or 0.0) for limit in ends])),
            "left": (("scale",), np.array(left) / np.linalg.norm(y)),
            "drawn_exponent": (("drawn",), np.array(_DRAWN)),
            "drawn": (("drawn", "feature"), drawn),
            "large_exponent": (("large",), np.array(_LARGE)),
            "large": (("large", "feature"), large),
            "small_exponent": (("small",), np.array(_SMALL)),
            "small": (("small", "feature"), small),
            "least_l1": (("feature",), program.point),
            "least_l1_dual": (("feature",), X.T @ program.nu),
            "least_l2": (("feature",), np.linalg.pinv(X) @ y),
            "simulation_status": (("simulation",), np.array(statuses)),
        },
        {},
        {"rtol": _RTOL},
    )


def _entropy(exponent: float) -> HyperbolicEntropy:
    return HyperbolicEntropy(log_scale=float(exponent * np.log(10.0)))


def _ends(exponents: tuple[float, ...]) -> Float64[ndarray, "k d"]:
    return np.array([interpolant(sparse_regression(), _entropy(exponent)).point for exponent in exponents])


def _trained(scale: float, product: bool) -> tuple[Float64[ndarray, " d"], str]:
    """Return the end of training of u * v, or of u^2 - v^2, from w = 0 and the scale a of the entropy.

    The maps are given as functions, so that theta is integrated, and not the dual variables of the entropy.
    """
    forms, entries = (_PRODUCT, np.sqrt([2.0, 0.0])) if product else (_DIFFERENCE, np.sqrt([0.5, 0.5]))
    u0, v0 = np.sqrt(scale) * entries[:, None] * np.ones(10)
    # The forms are traced, so that both maps share one compiled program.
    G = Parametrization.from_function(jax.tree_util.Partial(product_of_forms, forms))
    end = _LONG * (1.0 + np.log(1.0 + 1.0 / scale)) / max(1.0, scale)
    flow = GradientFlow(sparse_regression().reparametrize(G))
    run = simulate(flow, (u0, v0), end, times=[end], rtol=_RTOL)
    return np.asarray(G(run.final)), run.status.name


def product_of_forms(forms: Any, theta: Any) -> Any:
    """Return the product of two linear forms in u and v, in each entry."""
    u, v = theta
    return (forms[0, 0] * u + forms[0, 1] * v) * (forms[1, 0] * u + forms[1, 1] * v)
