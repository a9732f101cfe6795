"""A forecast of 20 000 parameters on digits, saved and hashed before real gradient descent runs past its grokking time.

`python -m benchmarks.forecast_large_digits FOLDER` takes about six minutes on a graphics processor, and hours on a CPU.
"""

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray
from sklearn.datasets import load_digits

import implicitbias as ib
from benchmarks.real_networks import mlp, start_of

ROWS, WIDTH, SCALE = 200, 280, 5.0
LAM, RATE, RTOL = 1e-5, 0.005, 1e-2
STEPS, KEPT = 6_500_000, 130


def descended(problem: ib.Problem, start: Any, test: tuple[ndarray, ndarray], steps: ndarray) -> ndarray:
    """Return the test errors of gradient descent after these numbers of steps."""
    X, y = jnp.asarray(problem.X), jnp.asarray(problem.y)
    inputs, classes = jnp.asarray(test[0]), jnp.asarray(np.argmax(test[1], axis=1))

    def loss(params: Any) -> jax.Array:
        decay = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))
        return jnp.sum((mlp(params, X) - y) ** 2) / (2 * len(X)) + LAM / 2 * decay

    gradient = jax.grad(loss)

    def step(_: Any, params: Any) -> Any:
        return jax.tree.map(lambda a, b: a - RATE * b, params, gradient(params))

    run = jax.jit(lambda params, count: jax.lax.fori_loop(0, count, step, params))
    wrong = jax.jit(lambda params: jnp.mean(1.0 * (jnp.argmax(mlp(params, inputs), axis=1) != classes)))
    params, errors = jax.tree.map(jnp.asarray, start), []
    for count in np.diff(steps, prepend=0):
        params = run(params, int(count))
        errors.append(float(wrong(params)))
    return np.array(errors)


def main(folder: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = load_digits(return_X_y=True)
    order = rng.permutation(len(X))
    X, y = X[order] / 16, np.eye(10)[y[order]]
    test = X[ROWS:], y[ROWS:]
    problem = ib.Problem(mlp, X[:ROWS], y[:ROWS])
    start = jax.tree.map(lambda leaf: SCALE * leaf, start_of(rng, (64, WIDTH, 10)))
    for _ in range(2):
        begin = time.perf_counter()
        forecast = ib.forecast_grokking(
            problem, start, weight_decay=LAM, test=test, learning_rate=RATE, rtol=RTOL
        )
        print(
            f"forecast in {time.perf_counter() - begin:.1f} s: grokking at step {forecast.grokking_step:.4g}"
        )
    forecast.save(folder / "forecast.npz")
    print("sha256", hashlib.sha256((folder / "forecast.npz").read_bytes()).hexdigest(), flush=True)
    steps = np.unique(np.round(np.geomspace(50, STEPS, KEPT)).astype(int))
    begin = time.perf_counter()
    with jax.enable_x64(True):
        real = descended(problem, start, test, steps)
    print(f"{(time.perf_counter() - begin) / steps[-1]:.3g} s a step of gradient descent")
    known = np.interp(steps, forecast.curve["step"].values, forecast.curve["test_error"].values)
    half = (forecast.test_error_at_memorization + forecast.final_test_error) / 2
    crossed = np.flatnonzero((real <= half) & (steps >= forecast.memorization_step))[0]
    print(f"curves apart by {100 * np.median(abs(real - known)):.2f} points at the median,", end=" ")
    print(f"{100 * np.max(abs(real - known)):.2f} at most; error {half:.4f} reached by step {steps[crossed]}")
    np.savetxt(folder / "curve.txt", np.column_stack([steps, real, known]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
