"""The saddle path against simulating the flow from alpha = 1e-10 to the last jump, in the same dual coordinates."""

import time
from collections.abc import Callable

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

N, D, LOG_INVERSE_ALPHA = 50, 200, 10 * np.log(10.0)
REPEATS = 7


def tsit5(X: np.ndarray, y: np.ndarray, end: float, rtol: float) -> Callable[[], np.ndarray]:
    """A compiled solve of nu' = (y - X w(X^T nu)) / n by diffrax's Tsit5 that returns w at `end`."""
    n, log_scale = len(y), -2 * LOG_INVERSE_ALPHA
    A, b = jnp.asarray(X), jnp.asarray(y)

    def state(nu: jax.Array) -> jax.Array:
        z = 2 * (nu @ A)
        return (jnp.exp(z + log_scale) - jnp.exp(log_scale - z)) / 2

    @jax.jit
    def solve(nu: jax.Array) -> jax.Array:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, nu, args: (b - A @ state(nu)) / n),
            diffrax.Tsit5(),
            0.0,
            end,
            1e-3,
            nu,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol),
            saveat=diffrax.SaveAt(t1=True),
            adjoint=diffrax.ForwardMode(),  # the cheapest loop: nothing is kept for gradients
            max_steps=10**8,
        )
        return state(solution.ys[-1])

    start = jnp.zeros(n)
    return lambda: np.asarray(solve(start))


def compare(name: str, y: np.ndarray, X: np.ndarray, rtol: float) -> list[Row]:
    problem = ib.LeastSquares(X, y)
    path = ib.saddle_path(problem)
    end = float(path.times[-1]) * LOG_INVERSE_ALPHA
    flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-2 * LOG_INVERSE_ALPHA))
    reference = ib.simulate(flow, np.zeros(D), t1=end, rtol=1e-8).final
    gap = path.certificate.gap
    with jax.enable_x64(True):
        peer = tsit5(X, y, end, rtol)
        begin = time.perf_counter()
        answer = peer()
        first = time.perf_counter() - begin
        error = float(np.max(np.abs(answer - reference)) / np.max(np.abs(reference)))
        ours, warm = alternate([lambda: ib.saddle_path(ib.LeastSquares(X, y)), peer], REPEATS)
        _, simulated = alternate([lambda: None, lambda: ib.simulate(flow, np.zeros(D), t1=end)], REPEATS)
    note = f"{path.n_jumps} jumps, slow time {path.times[-1]:.4g}"
    work = f"path ({N}, {D}), {name}"
    return [
        Row(work, f"diffrax Tsit5, rtol {rtol:g}, warm", ours, warm, gap, error, note),
        Row(
            work, f"diffrax Tsit5, rtol {rtol:g}, first call", ours, first, gap, error, "with its compilation"
        ),
        Row(work, "ib.simulate, rtol 1e-4, warm", ours, simulated, gap, float("nan"), note),
    ]


def main() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((N, D)), rng.standard_normal(N)
    target = np.zeros(D)
    target[:10] = rng.standard_normal(10)
    rows = compare("Gaussian targets", y, X, 1e-6)
    rows += compare("10-sparse target", X @ target, X, 1e-6)
    report("path_against_simulation", rows)


if __name__ == "__main__":
    main()
