"""The KKT point of least parameter norm that is reached from parameters that solve the problem."""

from operator import index
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.blas_threads import FEW_PRODUCTS, one_blas_thread
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InfeasibleError, InputError
from implicitbias._core.status import Status
from implicitbias.limits._limit import Limit
from implicitbias.limits._norm_constraints import Constraints, Linearized, constraints_of
from implicitbias.limits._norm_descent import Descended, descend, restored
from implicitbias.limits._norm_judgement import judged, normalised
from implicitbias.limits._norm_manifold import descend_on_manifold
from implicitbias.limits._norm_multipliers import rounding_of
from implicitbias.limits._tolerances import TOLERANCE
from implicitbias.problems import refuse_inseparable_problem

# A singular value decomposition of J in each step costs little up to so many multiplications in J J^T.
_MOST_FACTORISED = 2e9
# A descent has converged if its residual is at most the first number, or this many times its rounding errors.
_SMALL, _ROUNDING = 1e-2 * TOLERANCE, 10.0
# The largest relative distance by which the start is moved to satisfy f = y.
_NEAR = 0.5


def norm_minimizer(problem: Any, params: Any, *, max_steps: Any = 1000) -> Limit:
    r"""Return the KKT point of least parameter norm that a descent reaches from parameters that solve the problem.

    With the squared loss the problem is $\min \lVert\theta\rVert^2$ subject to $f(\theta; x_i) = y_i$. With a loss of
    margins it is $\min \lVert\theta\rVert^2$ subject to $y_i f(\theta; x_i) \ge 1$; with the cross-entropy the margins
    are $f_{y_i} - f_c$ for each other class c. The norm decreases along the constraints by truncated Newton steps with
    the exact Hessian of the Lagrangian and Gauss-Newton corrections. Training with a small weight decay ends at such
    points, but other descents from the same start may reach another one.

    With thousands of constraints a step takes seconds: a classifier of 260 rows and 17 classes has 4160 constraints,
    and five steps with the certificate took 49 s of the processor with one BLAS thread. From the end of its training
    the descent did not converge in 29 steps (residual 0.03). If `max_steps` ends the descent, the best point is
    returned with the status `MAX_STEPS`, and a call from this point goes on.

    Args:
        problem: a problem with the squared loss, the logistic or exponential loss, or the cross-entropy.
        params: the parameters: an interpolant in regression, and positive margins in classification. If the model is
            homogeneous, they are scaled to the smallest margin 1 first.
        max_steps: the most steps of the descent.

    Returns:
        A `Limit`: `point`, the parameters, a pytree like `params`; `value` = ||theta||^2; `multipliers` q of
        theta = sum q_i grad c_i, (n,), or (n, k) for k outputs or classes; `margin`, in classification, the smallest
        margin of theta / ||theta||; `curvature`, the signs of the second derivatives in the tangent space; and the
        certificate of `MinParameterNorm`.

    Raises:
        InputError: the loss is another one, the parameters are invalid or do not solve the problem, or the predictions
            do not depend on them.
        InfeasibleError: two equal rows of X have different targets, or no linear classifier separates the data and the
            predictions are linear in an array w, so that no parameters solve the problem.
        ImplicitBiasError: the tangent kernel does not fit into memory.

    Reference:
        boursier2025grokking for regression; lyu2020margin and lyu2024dichotomy for classification.

    Examples:
        The least norm of diagonal networks w = u v is twice the l1 norm of w:

        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]], [4.0, 0.0])
        >>> net = problem.reparametrize(ib.HadamardProduct())
        >>> start = (np.array([2.0, 1.0, 1.0]), np.array([1.0, 1.0, 0.0]))
        >>> limit = ib.norm_minimizer(net, start)
        >>> limit.certificate.holds, round(limit.value, 9), net.G(limit.point).round(9).tolist()
        (True, 4.0, [0.0, 2.0, 0.0])
    """
    steps = _steps(max_steps)
    constraints, flat = constraints_of(problem, params)
    flat, note = normalised(constraints, flat)
    few = constraints.number**2 * len(flat) < FEW_PRODUCTS
    with one_blas_thread(few):
        ended = _ended(_feasible(problem, constraints, flat), steps)
        verdict = judged(problem, ended.at, ended.q, note)
        if not verdict.certificate.holds:
            other = judged(problem, ended.at, note=note)
            verdict = other if other.certificate.holds else verdict
    flat = ended.at.flat
    if verdict.certificate.holds:
        status = Status.CONVERGED
    else:
        status = Status.MAX_STEPS if ended.steps >= steps else Status.NOT_CERTIFIED
    return Limit(
        problem=problem,
        point=constraints.tree.numpy_tree(flat),
        value=float(flat @ flat),
        certificate=verdict.certificate,
        status=status,
        margin=None if constraints.equality else _margin(constraints, flat),
        multipliers=frozen(constraints.by_rows(verdict.q)),
        curvature=verdict.curvature,
    )


def _ended(at: Linearized, steps: int) -> Descended:
    """Return the best end of the descents that apply, each of which goes on where the one before stopped.

    The descent on the manifold converges where rows nearly depend on each other. The stabilised one also converges
    where rows become dependent at the end, as at sparse limits, and it factorises the kernel, which costs less.
    """
    methods = [descend]
    if at.constraints.equality and at.J is not None:
        cheap = len(at.c) * at.J.size <= _MOST_FACTORISED
        methods = [descend_on_manifold, descend] if cheap else [descend, descend_on_manifold]
    best, used = None, 0
    for left, method in zip(range(len(methods), 0, -1), methods, strict=True):
        # Each of them has the same share of the steps that are left, so that the last one is not left without any.
        ended = method(at, -(-(steps - used) // left))
        used += ended.steps
        best = ended if best is None or ended.residual < best.residual else best
        # The residual cannot fall below its rounding errors. A descent that stops above them is at dependent rows.
        if ended.residual <= max(_SMALL, _ROUNDING * rounding_of(ended.at, ended.q)) or used >= steps:
            break
        at = ended.at if ended.at.violation() <= TOLERANCE else at
    assert best is not None
    return best._replace(steps=used)


def _margin(constraints: Constraints, flat: Float64[ndarray, " p"]) -> float:
    return 1.0 + float(np.min(constraints.values(flat / np.linalg.norm(flat))))


def _feasible(problem: Any, constraints: Constraints, flat: Float64[ndarray, " p"]) -> Linearized:
    """Return the constraints at a point near the start that satisfies them, or raise an error."""
    at = constraints.at(flat)
    if at.scale == 0.0:
        raise InputError(
            "the Jacobian of the predictions is 0 at params, parameters on which the predictions depend are expected; "
            "the likely cause are parameters that are all 0, or units that are all dead: pass the end of a training run"
        )
    if not constraints.equality:
        _refuse_margins(problem, constraints, at)
    found = restored(constraints, flat)
    if not found.violation() <= TOLERANCE:
        _refuse_conflicts(constraints)
        said = f"{_misfit(constraints, at)}, and Gauss-Newton steps end at {_misfit(constraints, found)}"
        raise InputError(
            f"params do not solve the problem: {said}. The likely cause is a training run that has not converged, or a "
            "model that cannot solve the problem; train on without weight decay, for instance "
            "params = ib.simulate(ib.GradientFlow(problem), params, t1=1e6).final"
        )
    moved = float(np.linalg.norm(found.flat - flat) / np.linalg.norm(flat))
    if constraints.equality and moved > _NEAR:
        raise InputError(
            f"params are not close to an interpolant: {_misfit(constraints, at)}, and the interpolant found is at "
            f"{moved:.0%} of the norm of params, at most {_NEAR:.0%} is accepted. Other interpolants may be as near; "
            "train on without weight decay, for instance "
            "params = ib.simulate(ib.GradientFlow(problem), params, t1=1e6).final"
        )
    return found


def _misfit(constraints: Constraints, at: Linearized) -> str:
    if constraints.equality:
        return f"the largest |f - y| is {np.max(np.abs(at.c)):.2g}"
    return f"the smallest margin is {1.0 + np.min(at.c):.2g}"


def _refuse_margins(problem: Any, constraints: Constraints, at: Linearized) -> None:
    """Raise an error if some margin is not positive: the proof that none exists, if the predictions are linear in w."""
    rows = constraints.by_margins(at.c)
    wrong = np.flatnonzero(np.any(rows <= -1.0, axis=1))
    if not len(wrong):
        return
    _refuse_conflicts(constraints)
    refuse_inseparable_problem(problem)
    raise InputError(
        f"{len(wrong)} of {len(rows)} rows are not classified correctly by params, the first is row "
        f"{wrong[0]}; positive margins are expected. The likely cause is a training run that has not separated the "
        "data, or data that the model cannot separate; train on without weight decay, for instance "
        "params = ib.simulate(ib.GradientFlow(problem), params, t1=1e6).final"
    )


def _refuse_conflicts(constraints: Constraints) -> None:
    """Raise an `InfeasibleError` if two equal inputs of a model have different targets."""
    rows = constraints.conflict()
    if rows is None:
        return
    proof = Certificate(
        "no parameters solve the problem, because two equal inputs have different targets",
        None,
        {"difference_of_inputs": 0.0},
        0.0,
    )
    raise InfeasibleError(
        f"rows {rows[0]} and {rows[1]} of X are equal and have different targets, so no parameters solve the problem; "
        "the likely cause are noisy labels or rounded inputs: drop one of the rows",
        proof,
    )


def _steps(max_steps: Any) -> int:
    try:
        steps = index(max_steps)
    except TypeError:
        steps = 0
    if steps < 1 or isinstance(max_steps, bool):
        raise InputError(f"max_steps is {max_steps!r}, a whole number >= 1 is expected; type max_steps=1000")
    return steps
