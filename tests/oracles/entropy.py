"""The canonical split of a fit by routes the library does not take: a dual Newton, a conic solver, finite alpha."""

import clarabel
import numpy as np
from numpy import ndarray
from scipy import sparse

from tests.oracles.lp import largest_values, row_space


def _minimise(value, slope_and_curvature, x: ndarray, unit: float) -> ndarray:
    """Newton with halving for a smooth convex function, until the slope is rounding relative to `unit`."""
    for _ in range(500):
        slope, curvature = slope_and_curvature(x)
        if np.max(np.abs(slope), initial=0.0) <= 1e-14 * unit:
            break
        # Directions in which only vanishing coordinates curve would be singular in float64: keep them slow.
        curvature = curvature + 1e-15 * np.trace(curvature) * np.eye(len(x))
        step = -np.linalg.solve(curvature, slope)
        size, here = 1.0, value(x)
        # `slack` lets the last steps pass, whose decrease is below the rounding of the value.
        slack = 1e-14 * (unit + abs(here))
        while size > 1e-12 and not value(x + size * step) <= here + slack:
            size /= 2
        x = x + size * step
    return x


def split_by_dual(X: ndarray, fit: ndarray, s: ndarray, boundary: list[int], m: ndarray) -> ndarray:
    """argmin sum |w_i| ln(|w_i| / m_i) - |w_i| over {X w = fit, w_i s_i >= 0, w = 0 off `boundary`}.

    With the columns that can be non-zero (by linear programs), |w_i| = m_i exp(s_i x_i^T mu) and
    mu minimises sum m_i exp(s_i x_i^T mu) - <mu, fit>.
    """
    largest = largest_values(X, fit, s, boundary)
    # Values that HiGHS calls positive but are within its tolerance of 0 are forced to be 0.
    free = [i for i in boundary if largest[i] > 1e-7]
    w = np.zeros(X.shape[1])
    if not free:
        return w
    rows, basis = row_space(X[:, free] * s[free])
    target, weight = basis.T @ fit, m[free]

    def value(mu: ndarray) -> float:
        with np.errstate(over="ignore"):
            return float(weight @ np.exp(mu @ rows) - mu @ target)

    def slope_and_curvature(mu: ndarray) -> tuple[ndarray, ndarray]:
        size = weight * np.exp(mu @ rows)
        return rows @ size - target, (rows * size) @ rows.T

    mu = _minimise(
        value, slope_and_curvature, np.zeros(len(target)), unit=1.0 + np.max(np.abs(target), initial=0.0)
    )
    w[free] = s[free] * weight * np.exp(mu @ rows)
    return w


def split_by_cone(X: ndarray, fit: ndarray, s: ndarray, free: list[int], m: ndarray) -> ndarray:
    """The same by Clarabel: maximise sum x_i + w_i with (x_i, w_i, m_i) in the exponential cone, X w = fit."""
    rows, basis = row_space(X[:, free] * s[free])
    k = len(free)
    blocks, right = [np.hstack([np.zeros((len(rows), k)), rows])], [basis.T @ fit]
    for i in range(k):
        block = np.zeros((3, 2 * k))
        block[0, i] = block[1, k + i] = -1.0
        blocks.append(block)
        right.append(np.array([0.0, 0.0, m[free[i]]]))
    cones = [clarabel.ZeroConeT(len(rows)), *(clarabel.ExponentialConeT() for _ in free)]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    quadratic, linear = sparse.csc_matrix((2 * k, 2 * k)), -np.ones(2 * k)
    constraints = sparse.csc_matrix(np.vstack(blocks))
    answer = clarabel.DefaultSolver(
        quadratic, linear, constraints, np.concatenate(right), cones, settings
    ).solve()
    w = np.zeros(X.shape[1])
    w[free] = s[free] * np.array(answer.x[k:])
    return w


def interpolant_at(X: ndarray, y: ndarray, start: ndarray, log_alpha: float) -> ndarray:
    """End of the flow of u * v with a = alpha^2 from w = start, at finite alpha and interpolation.

    Theory 0.1 and 0.5: w = a sinh(arcsinh(start / a) + X^T mu) with mu the minimiser of
    sum a cosh(...) - <mu, y>; alpha goes down in factors of 1e4, the last mu is the next guess.
    """
    rows, basis = row_space(X)
    target, mu = basis.T @ y, np.zeros(len(rows))
    levels = np.linspace(-1.0, log_alpha, max(2, int(-log_alpha / 9.2)))
    for level, growth in zip(levels, [1.0, *(levels[1:] / levels[:-1])], strict=True):
        log_a = 2.0 * level
        size = np.where(start == 0.0, 1.0, np.abs(start))
        # arcsinh(x / a) = ln(x + sqrt(x^2 + a^2)) - ln a
        offset = np.sign(start) * (np.log(size + np.hypot(size, np.exp(log_a))) - log_a)

        def up(mu: ndarray, offset: ndarray = offset, log_a: float = log_a) -> tuple[ndarray, ndarray]:
            z = offset + mu @ rows
            with np.errstate(over="ignore"):
                return np.exp(log_a + z) / 2, np.exp(log_a - z) / 2

        def value(mu: ndarray, up=up) -> float:
            plus, minus = up(mu)
            return float(np.sum(plus + minus) - mu @ target)

        def slope_and_curvature(mu: ndarray, up=up) -> tuple[ndarray, ndarray]:
            plus, minus = up(mu)
            return rows @ (plus - minus) - target, (rows * (plus + minus)) @ rows.T

        # nu grows like ln(1 / alpha) times its limit.
        mu = _minimise(value, slope_and_curvature, mu * growth, unit=1.0 + np.max(np.abs(target)))
        plus, minus = up(mu)
    return plus - minus


def split_by_power_cone(
    X: ndarray, fit: ndarray, s: ndarray, free: list[int], order: int, start: ndarray
) -> ndarray:
    """The split of depth D = `order` by Clarabel: maximise sum (D/2) x_i - c_i u_i with x_i <= u_i^(2/D), X w = fit.

    u_i = s_i w_i >= 0, and (u_i, 1, x_i) lies in the power cone of exponent 2/D. c_i = sign(s_i w0_i) |w0_i|^(2/D - 1).
    """
    rows, basis = row_space(X[:, free] * s[free])
    k, exponent = len(free), 2.0 / order
    blocks, right = [np.hstack([np.zeros((len(rows), k)), rows])], [basis.T @ fit]
    for i in range(k):
        block = np.zeros((3, 2 * k))
        block[0, k + i] = block[2, i] = -1.0
        blocks.append(block)
        right.append(np.array([0.0, 1.0, 0.0]))
    cones = [clarabel.ZeroConeT(len(rows)), *(clarabel.PowerConeT(exponent) for _ in free)]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    size = np.where(start[free] == 0.0, 1.0, np.abs(start[free]))
    shift = np.sign(s[free] * start[free]) * size ** (exponent - 1.0)
    linear = np.concatenate([np.full(k, -1.0 / exponent), shift])
    constraints = sparse.csc_matrix(np.vstack(blocks))
    quadratic = sparse.csc_matrix((2 * k, 2 * k))
    answer = clarabel.DefaultSolver(
        quadratic, linear, constraints, np.concatenate(right), cones, settings
    ).solve()
    w = np.zeros(X.shape[1])
    w[free] = s[free] * np.array(answer.x[k:])
    return w
