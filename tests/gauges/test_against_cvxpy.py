"""Every gauge of the registry against cvxpy: value, polar, faces; and its conic form through Clarabel."""

import cvxpy as cp
import numpy as np
import pytest
from numpy import ndarray

from tests.laws.registry import GAUGES, GaugeCase
from tests.oracles import conic

everywhere = pytest.mark.parametrize("case", list(GAUGES.values()), ids=list(GAUGES))
# Interior-point solvers stop near this; their own tolerances are 1e-8.
SOLVED = 2e-6


def _points(case: GaugeCase, count: int, seed: int) -> list[ndarray]:
    """Random points, one of them with ties and zeros, at which the gauge is finite."""
    rng = np.random.default_rng(seed)
    points = [rng.standard_normal(case.shape) for _ in range(count - 1)]
    points.append(rng.integers(-1, 2, case.shape).astype(float))
    return [case.gauge.to_domain(point, np.zeros(case.shape)) for point in points]


def _duals(case: GaugeCase, count: int, seed: int) -> list[ndarray]:
    rng = np.random.default_rng(seed)
    points = [rng.standard_normal(case.shape) for _ in range(count - 1)]
    points.append(rng.integers(-1, 2, case.shape).astype(float))
    return [case.gauge.polar().to_domain(point, np.zeros(case.shape)) for point in points]


# Oracle: cvxpy's own expression at the point.
@everywhere
def test_value(case: GaugeCase) -> None:
    for w in _points(case, 5, 0):
        variable = cp.Variable(case.shape, value=w)
        assert all(constraint.value() for constraint in case.constraints(cp, variable))
        expected = case.formula(cp, variable).value
        np.testing.assert_allclose(case.gauge.value(w), expected, rtol=1e-12, atol=1e-300)


# Oracle: the definition of the polar as an optimisation, sup <z, w> over the unit ball of cvxpy's expression.
@everywhere
def test_polar(case: GaugeCase) -> None:
    for z in _duals(case, 3, 1):
        w = cp.Variable(case.shape)
        ball = [case.formula(cp, w) <= 1, *case.constraints(cp, w)]
        problem = cp.Problem(cp.Maximize(cp.sum(cp.multiply(z, w))), ball)
        problem.solve(solver=cp.CLARABEL)
        np.testing.assert_allclose(
            case.gauge.polar().value(z), problem.value, rtol=SOLVED, atol=SOLVED * np.abs(z).sum()
        )


# Oracle: an unbounded optimisation, where a weight is 0 and z is not.
@pytest.mark.parametrize("name", [name for name in GAUGES if "weights 0" in name])
def test_polar_is_infinite_where_the_optimisation_is_unbounded(name: str) -> None:
    case = GAUGES[name]
    z = np.zeros(case.shape)
    z[0] = 1.0  # the first weight of positive entries is 0
    w = cp.Variable(case.shape)
    problem = cp.Problem(
        cp.Maximize(cp.sum(cp.multiply(z, w))), [case.formula(cp, w) <= 1, *case.constraints(cp, w)]
    )
    problem.solve(solver=cp.CLARABEL)
    assert problem.value == np.inf
    assert case.gauge.polar().value(z) == np.inf


# Oracle: a face is what cvxpy finds when it maximises in random directions over {gamma(w) <= 1, <z, w> = polar(z)}.
# What the solver calls inaccurate is judged by its own numbers here.
@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
@everywhere
def test_face(case: GaugeCase) -> None:
    rng = np.random.default_rng(2)
    for z in _duals(case, 3, 3):
        face = case.gauge.face(z)
        c = rng.standard_normal(case.shape)
        ends = [_farthest(case, z, sign * c) for sign in (1.0, -1.0)]
        for w in ends:
            assert face.contains(case.gauge.to_domain(_cleaned(w), np.zeros(case.shape)), 10 * SLACK)
            if face.unique is not None:  # of an oracle's face one point is known, and nothing is fixed
                np.testing.assert_allclose(face.fixed(w), face.fixed(face.point()), atol=MOVED)
        if face.unique is not None:
            assert face.unique == (np.max(np.abs(ends[0] - ends[1])) < MOVED)


# <z, w> may fall this far below the polar, so that the solver has a set with interior.
SLACK = 3e-6
# On the curved balls of the registry, at most of power 3, w moves by about the third root of that.
MOVED = 2 * SLACK ** (1 / 3)


def _farthest(case: GaugeCase, z: ndarray, c: ndarray) -> ndarray:
    """The point of the face of z that is farthest in the direction c."""
    w = cp.Variable(case.shape)
    inside = [
        case.formula(cp, w) <= 1,
        cp.sum(cp.multiply(z, w)) >= case.gauge.polar().value(z) * (1 - SLACK),
        *case.constraints(cp, w),
        cp.norm_inf(cp.vec(w, order="C")) <= 10,  # where a weight is 0 the face is unbounded
    ]
    cp.Problem(cp.Maximize(cp.sum(cp.multiply(c, w))), inside).solve(solver=cp.CLARABEL)
    return w.value


def _cleaned(w: ndarray) -> ndarray:
    """w without entries that are 0 up to the solver's tolerance."""
    return np.where(np.abs(w) < 1e-7, 0.0, w)


# Oracle: Clarabel on the conic form; the dual form is that of the polar.
@everywhere
def test_conic_form(case: GaugeCase) -> None:
    form, polar = case.gauge.conic_form(case.shape), case.gauge.polar().conic_form(case.shape)
    assert form is not None
    assert polar is not None
    for w, z in zip(_points(case, 3, 4), _duals(case, 3, 5), strict=True):
        close = {"rtol": SOLVED, "atol": SOLVED}
        np.testing.assert_allclose(conic.value(form, w), case.gauge.value(w), **close)
        expected = case.gauge.polar().value(z)
        np.testing.assert_allclose(conic.value(polar, z), expected, **close)
        np.testing.assert_allclose(conic.value(form.dual(), z), expected, **close)


# Oracle: by hand; an infeasible program where the gauge is infinite.
@pytest.mark.parametrize("name", [name for name in GAUGES if "infinity" in name and "weights 0" in name])
def test_conic_form_is_infeasible_where_the_gauge_is_infinite(name: str) -> None:
    case = GAUGES[name]
    w = np.zeros(case.shape)
    w[2] = 1.0  # the third weight of positive entries is infinite
    form = case.gauge.conic_form(case.shape)
    assert form is not None
    assert case.gauge.value(w) == np.inf
    assert conic.value(form, w) == np.inf
