"""Mirror flow from alpha = 1e-10 to 1e-1000: `ib.simulate`, Tsit5 in the same variables, LSODA in u and v."""

import time
from typing import Any

import jax
import numpy as np
from scipy.integrate import solve_ivp

import implicitbias as ib
from benchmarks._measure import Row, alternate, report
from benchmarks.path_against_simulation import tsit5

SIZES = ((20, 50), (100, 1000))
EXPONENTS = (10, 100, 1000)
LONGEST = 40.0  # the most seconds that a peer gets
# A first call of Tsit5 of more seconds than this is not repeated: compiling is a small part of it.
LONG_CALL = 60.0


def raw_lsoda(problem: ib.LeastSquares, exponent: int, end: float) -> Any:
    """Integrate u and v of the network from u0 = sqrt2 alpha, v0 = 0; alpha underflows below 1e-308."""
    X, y, (n, d) = problem.X, problem.y, problem.shape
    begin = time.perf_counter()

    def field(t: float, theta: np.ndarray) -> np.ndarray:
        if time.perf_counter() - begin > LONGEST:
            raise TimeoutError
        u, v = theta[:d], theta[d:]
        gradient = X.T @ (X @ (u * v) - y) / n
        return np.concatenate([-gradient * v, -gradient * u])

    start = np.concatenate([np.full(d, np.sqrt(2.0) * 10.0**-exponent), np.zeros(d)])
    solution = solve_ivp(field, (0.0, end), start, method="LSODA", rtol=1e-6, atol=1e-9 * 10.0**-exponent)
    return solution.y[:d, -1] * solution.y[d:, -1] if solution.success else None


def compare(n: int, d: int, exponent: int) -> list[Row]:
    rng = np.random.default_rng(0)
    problem = ib.LeastSquares(rng.standard_normal((n, d)), rng.standard_normal(n))
    path, size = ib.saddle_path(problem), exponent * np.log(10.0)
    end = float(path.times[-1]) * size
    flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-2 * size))
    reference = ib.simulate(flow, np.zeros(d), t1=end, rtol=1e-7).final

    def error(w: np.ndarray | None) -> float:
        return np.inf if w is None else float(np.max(np.abs(w - reference)) / np.max(np.abs(reference)))

    def ours() -> ib.Trajectory:
        return ib.simulate(flow, np.zeros(d), t1=end)

    with jax.enable_x64(True):
        peer = tsit5(problem, end, -2 * size)
        tick = time.perf_counter()
        answer = peer()
        theirs = time.perf_counter() - tick
        # The first call compiles, which takes more than ten seconds on a busy machine.
        if theirs > LONG_CALL:
            (warm,) = alternate([ours], 3)
        else:
            warm, theirs = alternate([ours, peer], 3)
    trajectory = ours()
    work = f"mirror flow ({n}, {d}), alpha = 1e-{exponent}"
    note = f"{path.n_jumps} jumps, {trajectory.stats.steps} steps"
    rows = [
        Row(work, "diffrax Tsit5, rtol 1e-06", warm, theirs, error(trajectory.final), error(answer), note)
    ]
    tick = time.perf_counter()
    try:
        answer, told = raw_lsoda(problem, exponent, end), "raw (u, v)"
    except TimeoutError:
        answer, told = None, f"raw (u, v), not done in {LONGEST:.0f} s"
    seconds = time.perf_counter() - tick
    return [*rows, Row(work, "SciPy LSODA, raw", warm, seconds, error(trajectory.final), error(answer), told)]


def main() -> None:
    report("tiny_alpha", [row for n, d in SIZES for e in EXPONENTS for row in compare(n, d, e)])


if __name__ == "__main__":
    main()
