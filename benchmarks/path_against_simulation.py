"""The saddle path against simulating the flow to the last jump, in the same dual coordinates."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from benchmarks._measure import Row, alternate, report

import implicitbias as ib

N, D, LOG_INVERSE_ALPHA = 50, 200, 10 * np.log(10.0)
RTOL = 1e-6


def tsit5(X: np.ndarray, y: np.ndarray, end: float) -> np.ndarray:
    """w at flow time `end` from alpha = 1e-10, by diffrax's Tsit5 on nu' = (y - X w(X^T nu)) / n."""
    n = len(y)
    log_scale = -2 * LOG_INVERSE_ALPHA

    def state(nu: jax.Array) -> jax.Array:
        z = 2 * (nu @ X)
        return (jnp.exp(z + log_scale) - jnp.exp(log_scale - z)) / 2

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, nu, args: (y - X @ state(nu)) / n),
        diffrax.Tsit5(),
        0.0,
        end,
        1e-3,
        jnp.zeros(n),
        stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=RTOL),
        max_steps=10**8,
        throw=True,
    )
    return np.asarray(state(solution.ys[-1])), int(solution.stats["num_steps"])


def main() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((N, D)), rng.standard_normal(N)
    problem = ib.LeastSquares(X, y)
    path = ib.saddle_path(problem)
    end = float(path.times[-1]) * LOG_INVERSE_ALPHA
    flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-2 * LOG_INVERSE_ALPHA))
    reference = ib.simulate(flow, np.zeros(D), t1=end, rtol=1e-8).final
    with jax.enable_x64(True):
        solve = jax.jit(lambda: tsit5(jnp.asarray(X), jnp.asarray(y), end)) if False else None
        answer, steps = tsit5(jnp.asarray(X), jnp.asarray(y), end)
        print(steps, np.max(np.abs(answer - reference)))
        ours, theirs = alternate(
            [
                lambda: ib.saddle_path(ib.LeastSquares(X, y)),
                lambda: tsit5(jnp.asarray(X), jnp.asarray(y), end),
            ],
            3,
        )
    print(ours, theirs, theirs / ours, path.n_jumps, path.times[-1])


if __name__ == "__main__":
    main()
