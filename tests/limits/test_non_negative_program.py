"""The program of many non-negative multipliers, compared with SciPy's active-set method."""

from typing import Any

import numpy as np
import pytest
from numpy import ndarray
from scipy.optimize import nnls

import implicitbias as ib
from implicitbias.limits._non_negative_program import non_negative, non_negative_by_rows
from implicitbias.limits._norm_constraints import constraints_of
from implicitbias.limits._working_set import working_set


def columns(name: str) -> tuple[ndarray, ndarray]:
    """Return a matrix and a right-hand side of non-negative least squares."""
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((90, 120)), rng.standard_normal(90)
    if name == "low rank":
        A = A[:, :30] @ rng.standard_normal((30, 120))
    if name == "equal columns":
        A[:, 60:] = A[:, :60]
    if name == "exact":
        b = A[:, :20] @ np.arange(1.0, 21.0)
    return A, b


# Oracle: SciPy's nnls. Where columns depend on each other only the product A q is determined.
@pytest.mark.parametrize("name", ["wide", "low rank", "equal columns", "exact"])
@pytest.mark.parametrize("size", [1.0, 1e6])
def test_it_agrees_with_scipy(name: str, size: float) -> None:
    A, b = columns(name)
    A, b = size * A, b / size
    q = non_negative(A.T @ A, A.T @ b)
    known, misfit = nnls(A, b)
    assert np.min(q) >= 0.0
    np.testing.assert_allclose(A @ q, A @ known, atol=1e-6 * float(np.linalg.norm(b)))
    assert np.linalg.norm(A @ q - b) <= misfit + 1e-6 * np.linalg.norm(b)


# Oracle: the conditions at 0: no entry of r is positive.
def test_no_positive_entry() -> None:
    assert not np.any(non_negative(np.eye(3), -np.ones(3)))


def networks(n: int) -> tuple[Any, Any]:
    """Return a diagonal network on n rows, and parameters that are not a KKT point."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, 40))
    X += 6.0 * np.sign(X[:, :1]) * np.ones(40)
    problem = ib.Classification(X, np.sign(X[:, 0])).reparametrize(ib.SquareDifference())
    return problem, (1.0 + rng.random(40), 0.3 * rng.random(40))


# Oracle: SciPy's nnls on the same equations, in which 600 constraints are more than 80 parameters.
def test_the_certificate_of_many_constraints() -> None:
    problem, params = networks(600)
    X, y = np.asarray(problem.problem.X), np.asarray(problem.problem.y)
    u, v = params
    scale = np.min(y * (X @ (u * u - v * v))) ** -0.5
    u, v = scale * u, scale * v
    J = y[:, None] * np.hstack([2.0 * X * u, -2.0 * X * v])
    excess, size = y * (X @ (u * u - v * v)) - 1.0, np.sqrt(u @ u + v @ v)
    theta = np.concatenate([u, v])
    q = nnls(np.vstack([J.T, excess[None] / size]), np.append(theta, 0.0))[0]
    found = ib.certify(problem, params, ib.MinParameterNorm())
    assert not found.holds
    assert found.residuals["stationarity"] == pytest.approx(np.linalg.norm(theta - q @ J) / size, rel=1e-6)
    assert found.residuals["complementarity"] == pytest.approx(q @ excess / size**2, rel=1e-5, abs=1e-12)
    assert "600 constraints and 80 parameters" in found.note


# Oracle: the conditions of the program: no slack is negative, no multiplier either, and their products are 0.
def test_the_first_working_set_of_many_constraints() -> None:
    problem, params = networks(600)
    constraints, flat = constraints_of(problem, params)
    at = constraints.at(flat)
    right, delta = at.matvec(at.flat) - at.c, 1e-6 * at.scale
    work = working_set(at, right, np.zeros(600), delta)
    slack = at.kernel @ work.q + delta * work.q - right
    size = float(np.max(np.abs(right)))
    assert np.min(slack) >= -1e-10 * size
    assert np.min(work.q) >= 0.0
    np.testing.assert_allclose(work.q * slack, 0.0, atol=1e-10 * size * np.max(work.q))
    assert 0 < np.count_nonzero(work.q) < 80


# The order of the rows of the first program decides the time only: the best one, the worst one, and one of no use.
@pytest.mark.parametrize("order", [1.0, -1.0, 0.0])
def test_programs_of_some_rows_have_the_solution_of_all(order: float) -> None:
    rng = np.random.default_rng(3)
    A = rng.standard_normal((12, 120))
    kernel, right = A.T @ A + np.eye(120), A.T @ rng.standard_normal(12) - 4.0
    expected = nnls(np.vstack([A, np.eye(120)]), np.append(np.zeros(12), right))[0]
    found = non_negative_by_rows(kernel, right, -order * right)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.max(expected))
    assert 4 * np.count_nonzero(found) < len(found)  # few enough that not all rows are used at last
