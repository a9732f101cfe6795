"""Conic programs by Clarabel, written down from a conic form and nothing else."""

from typing import Any

import clarabel
import numpy as np
from numpy import ndarray
from scipy import sparse

from implicitbias.gauges import Cone, ConeKind, ConicForm

_CONES = {
    ConeKind.ZERO: lambda cone: clarabel.ZeroConeT(cone.rows),
    ConeKind.NON_NEGATIVE: lambda cone: clarabel.NonnegativeConeT(cone.rows),
    ConeKind.SECOND_ORDER: lambda cone: clarabel.SecondOrderConeT(cone.rows),
    ConeKind.POWER: lambda cone: clarabel.PowerConeT(cone.exponent),
    ConeKind.POSITIVE_SEMIDEFINITE: lambda cone: clarabel.PSDTriangleConeT(_order(cone)),
}


def _order(cone: Cone) -> int:
    order = int(np.sqrt(2 * cone.rows))
    assert order * (order + 1) // 2 == cone.rows
    return order


def value(form: ConicForm, w: ndarray) -> float:
    """The least t with (w, t) in the set that the form describes; infinity where there is none."""
    level = sparse.csc_array(form.on_level[:, None])
    A = sparse.csc_matrix(-sparse.hstack([level, form.on_extra]))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    # t itself is the answer: a first variable with cost 1.
    cost = np.zeros(A.shape[1])
    cost[0] = 1.0
    empty = sparse.csc_matrix((len(cost), len(cost)))
    cones: list[Any] = [_CONES[cone.kind](cone) for cone in form.cones]
    answer = clarabel.DefaultSolver(empty, cost, A, form.on_point @ w.ravel(), cones, settings).solve()
    if answer.status in (
        clarabel.SolverStatus.PrimalInfeasible,
        clarabel.SolverStatus.AlmostPrimalInfeasible,
    ):
        return np.inf
    assert answer.status in (clarabel.SolverStatus.Solved, clarabel.SolverStatus.AlmostSolved), answer.status
    return answer.x[0]
