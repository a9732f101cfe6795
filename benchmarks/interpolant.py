"""Interpolants of the hyperbolic entropy against a conic solver and against our own simulation of the mirror flow.

All answers are judged by one certificate. Seconds are of processor time, because the runs take turns on a machine that
may have other work. The conic solver runs once at each of two scales, because it is slow.
"""

import time
import warnings

import cvxpy as cp
import numpy as np
from numpy import ndarray

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

_SCALES = (1.0, 1e-2, 1e-4, 1e-8)
# Clarabel fails at a = 1e-3 and below.
_CONIC_SCALES = (1.0, 1e-2)


def data(n: int, d: int) -> ib.LeastSquares:
    rng = np.random.default_rng(0)
    return ib.LeastSquares(rng.standard_normal((n, d)), rng.standard_normal(n))


def exponential_cones(problem: ib.LeastSquares, scale: float) -> ndarray:
    """Return the interpolant by cvxpy and Clarabel.

    With w = p - q and p, q >= 0, twice the hyperbolic entropy is the least Kullback-Leibler divergence of (p, q) from
    (a / 2, a / 2).
    """
    d = problem.shape[1]
    p, q = cp.Variable(d), cp.Variable(d)
    half = np.full(d, scale / 2.0)
    objective = cp.sum(cp.kl_div(p, half) + cp.kl_div(q, half))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Clarabel may say that the solution is inaccurate
        cp.Problem(cp.Minimize(objective), [problem.X @ (p - q) == problem.y]).solve(solver=cp.CLARABEL)
    return p.value - q.value


def simulated(problem: ib.LeastSquares, phi: ib.Potential) -> ndarray:
    """Return the end of the mirror flow, with the default tolerance."""
    return ib.simulate(ib.MirrorFlow(problem, phi), np.zeros(problem.shape[1]), t1=_REST).final


# The flow is at rest much earlier: the rate is the least eigenvalue of a kernel of the size of d / n times w.
_REST = 1e5


def error(problem: ib.LeastSquares, phi: ib.Potential, w: ndarray) -> float:
    """Return the larger one of the relative duality gap and the relative residual of a point."""
    certificate = ib.certify(problem, w, ib.MinBregman(phi))
    misfit = float(np.linalg.norm(problem.residual(w)) / np.linalg.norm(problem.y))
    return max(certificate.gap or 0.0, misfit)


def main() -> None:
    problem = data(100, 10_000)
    rows = []
    for scale in _SCALES:
        phi = ib.HyperbolicEntropy(scale)
        work = f"100 x 10 000, a = {scale:g}"
        ours, flow = alternate(
            [
                lambda phi=phi: ib.interpolant(problem, phi),
                lambda phi=phi: simulated(problem, phi),
            ],
            5,
            time.process_time,
        )
        best, end = ib.interpolant(problem, phi), simulated(problem, phi)
        errors = error(problem, phi, best.point), error(problem, phi, end)
        rows.append(Row(work, "ib.simulate to rest", ours, flow, *errors, target=20.0))
        print(rows[-1], flush=True)
        if scale in _CONIC_SCALES:
            begin = time.process_time()
            w = exponential_cones(problem, scale)
            seconds = time.process_time() - begin
            conic = error(problem, phi, w)
            rows.append(Row(work, "cvxpy, Clarabel", ours, seconds, errors[0], conic, "one run", 500.0))
            print(rows[-1], flush=True)
    report("interpolant", rows)


if __name__ == "__main__":
    main()
