"""The slow flow on minimisers of the loss by routes that the library does not take."""

from collections.abc import Callable

import numpy as np
from numpy import ndarray
from scipy.integrate import solve_ivp
from scipy.linalg import solve_sylvester
from scipy.optimize import nnls


def _dual(X: ndarray, y: ndarray, a: ndarray, c: ndarray, nu: ndarray) -> ndarray:
    """Return nu with X (a sinh(c + X^T nu)) = y, by Newton's method with halving."""

    def gap(point: ndarray) -> ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            return X @ (a * np.sinh(c + X.T @ point)) - y

    for _ in range(200):
        here = gap(nu)
        if np.linalg.norm(here) <= 1e-14 * (1 + np.linalg.norm(y)):
            break
        step, size = np.linalg.solve((X * (a * np.cosh(c + X.T @ nu))) @ X.T, here), 1.0
        while size > 1e-10 and not np.max(np.abs(gap(nu - size * step))) < np.max(np.abs(here)):
            size /= 2
        nu = nu - size * step
    return nu


def diagonal_limit(X: ndarray, y: ndarray, u: ndarray, v: ndarray) -> ndarray:
    """Return the end of the flow of u * v without weight decay: w with X (a sinh(c + X^T nu)) = y (theory 0.1)."""
    a = np.abs(u**2 - v**2) / 2
    c, start = np.arcsinh(u * v / a), X @ (u * v)
    nu = np.zeros(len(y))
    for share in np.linspace(0.0, 1.0, 41):
        nu = _dual(X, (1 - share) * start + share * y, a, c, nu)
    return a * np.sinh(c + X.T @ nu)


def diagonal_drift(X: ndarray, y: ndarray, u: ndarray, v: ndarray, tau: float) -> ndarray:
    """Return w(tau) = a sinh(c + X^T nu) of u * v with a = a_0 e^(-2 tau), from (u, v) that fits y (theory 0.5)."""
    a = np.abs(u**2 - v**2) / 2
    c, nu = np.arcsinh(u * v / a), np.zeros(len(y))
    for time in np.linspace(0.0, tau, 1 + int(np.ceil(10 * tau))):
        nu = _dual(X, y, a * np.exp(-2 * time), c, nu)
    return a * np.exp(-2 * tau) * np.sinh(c + X.T @ nu)


def by_svd(jacobian: Callable[[ndarray], ndarray], start: ndarray, taus: ndarray) -> ndarray:
    """Return theta (m, p) at the times: the kernel of J by its singular value decomposition, DOP853 at rtol 1e-12."""

    def field(_: float, theta: ndarray) -> ndarray:
        _, values, V = np.linalg.svd(jacobian(theta))
        kernel = V[np.sum(values > 1e-9 * values[0]) :]
        return -kernel.T @ (kernel @ theta)

    answer = solve_ivp(field, (0.0, taus[-1]), start, method="DOP853", rtol=1e-12, atol=1e-14, t_eval=taus)
    assert answer.success
    return answer.y.T


def factored_drift(V: ndarray, U: ndarray, tau: float) -> tuple[ndarray, ndarray]:
    """Return the factors (V, U) of the product V U, which stays as it is, at the time tau.

    The fibre of the product has the tangent vectors (-V Y, Y U). The one that is closest to -(V, U) solves the
    Sylvester equation Y U U^T + V^T V Y = V^T V - U U^T.
    """

    def field(_: float, flat: ndarray) -> ndarray:
        left, right = flat[: V.size].reshape(V.shape), flat[V.size :].reshape(U.shape)
        A, B = right @ right.T, left.T @ left
        Y = solve_sylvester(B, A, B - A)
        return np.concatenate([(-left @ Y).ravel(), (Y @ right).ravel()])

    flat = np.concatenate([V.ravel(), U.ravel()])
    answer = solve_ivp(field, (0.0, tau), flat, method="DOP853", rtol=1e-12, atol=1e-14)
    assert answer.success
    end = answer.y[:, -1]
    return end[: V.size].reshape(V.shape), end[V.size :].reshape(U.shape)


def swept(
    margins: Callable[[ndarray], ndarray],
    jacobian: Callable[[ndarray], ndarray],
    start: ndarray,
    level: float,
    times: ndarray,
    per_unit: int,
) -> ndarray:
    """Return theta (m, p) at the times along the drift under margins >= level, by many small steps.

    In each step theta decays, and then the shortest change sum_i q_i grad m_i with q >= 0 that brings all margins to
    the level, to first order, is added. This is the catching-up scheme of sweeping processes, of first order in the
    step. No rows are remembered from step to step.
    """
    theta, now, found = start, 0.0, []
    for time in times:
        count = max(1, round(per_unit * (time - now)))
        for _ in range(count):
            theta = theta * np.exp(-(time - now) / count)
            J, missing = jacobian(theta), level - margins(theta)
            q = nnls(J.T, np.linalg.lstsq(J, missing, rcond=None)[0])[0]
            theta = theta + q @ J
        now = time
        found.append(theta)
    return np.array(found)
