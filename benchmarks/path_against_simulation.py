"""The saddle path, compared with a simulation of the flow to its last jump in the same dual coordinates."""

import time
from collections.abc import Callable

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

N, D, RTOL = 50, 200, 1e-6
EXPONENTS = (10, 100, 1000)


def tsit5(problem: ib.LeastSquares, end: float, log_scale: float) -> Callable[[], np.ndarray]:
    """Return a compiled solve of nu' = (y - X w(X^T nu)) / n by diffrax's Tsit5, which returns w at `end`."""
    X, y = jnp.asarray(problem.X), jnp.asarray(problem.y)

    def state(nu: jax.Array) -> jax.Array:
        z = 2 * (nu @ X)
        return (jnp.exp(z + log_scale) - jnp.exp(log_scale - z)) / 2

    @jax.jit
    def solve(nu: jax.Array) -> jax.Array:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, nu, args: (y - X @ state(nu)) / len(y)),
            diffrax.Tsit5(),
            0.0,
            end,
            1e-3,
            nu,
            stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=RTOL),
            saveat=diffrax.SaveAt(t1=True),
            adjoint=diffrax.ForwardMode(),  # the cheapest loop: it keeps nothing for gradients
            max_steps=10**8,
        )
        return state(solution.ys[-1])

    start = jnp.zeros(len(problem.y))
    return lambda: np.asarray(solve(start))


def compare(problem: ib.LeastSquares, exponent: int) -> list[Row]:
    """Return the medians for one alpha; the errors are relative to `ib.simulate` at a tight tolerance."""
    path = ib.saddle_path(problem)
    log_inverse_alpha = exponent * np.log(10.0)
    end = float(path.times[-1]) * log_inverse_alpha
    flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-2 * log_inverse_alpha))
    reference = ib.simulate(flow, np.zeros(D), t1=end, rtol=1e-7).final

    def error(w: np.ndarray) -> float:
        return float(np.max(np.abs(w - reference)) / np.max(np.abs(reference)))

    with jax.enable_x64(True):
        peer = tsit5(problem, end, -2 * log_inverse_alpha)
        begin = time.perf_counter()
        answer = peer()
        first = time.perf_counter() - begin
        repeats = 7 if exponent == 10 else 1
        ours, warm = alternate([lambda: ib.saddle_path(ib.LeastSquares(problem.X, problem.y)), peer], repeats)
    (simulated,) = alternate([lambda: ib.simulate(flow, np.zeros(D), t1=end)], repeats)
    simulated_error = error(ib.simulate(flow, np.zeros(D), t1=end).final)
    work, note = f"path ({N}, {D}), alpha = 1e-{exponent}", f"{path.n_jumps} jumps"
    gap, target = path.certificate.gap, 1000.0 if exponent == 10 else None
    return [
        Row(work, f"Tsit5, rtol {RTOL:g}, warm", ours, warm, gap, error(answer), note, target),
        Row(
            work, f"Tsit5, rtol {RTOL:g}, first call", ours, first, gap, error(answer), "with its compilation"
        ),
        Row(work, "ib.simulate, rtol 0.0001, warm", ours, simulated, gap, simulated_error, note),
    ]


def main() -> None:
    rng = np.random.default_rng(0)
    problem = ib.LeastSquares(rng.standard_normal((N, D)), rng.standard_normal(N))
    report("path_against_simulation", [row for e in EXPONENTS for row in compare(problem, e)])


if __name__ == "__main__":
    main()
