"""Growth of the time and memory of a step with the numbers of rows and parameters; each point in its own process."""

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import jax.numpy as jnp
import numpy as np

import implicitbias as ib
from benchmarks._measure import RESULTS, machine

ROWS, PARAMETERS = (50, 100, 200, 500, 1000), (1_000, 10_000, 100_000)
INPUTS, STEPS = 8, 10


def model(params: Any, X: Any) -> Any:
    W, b, a = params
    return jnp.tanh(X @ W + b) @ a


def point(n: int, p: int) -> dict[str, float]:
    """Return the seconds per step, and the peak of memory above that of compiling."""
    rng = np.random.default_rng(0)
    width = p // (INPUTS + 2)
    X = rng.standard_normal((n, INPUTS))
    start = (
        rng.standard_normal((INPUTS, width)),
        np.zeros(width),
        rng.standard_normal(width) / np.sqrt(width),
    )
    flow = ib.GradientFlow(ib.Problem(model, X, np.sign(X[:, 0] * X[:, 1])), 1e-3)
    small = ib.Problem(model, X[:3], np.ones(3))
    ib.simulate(
        ib.GradientFlow(small), tuple(leaf[..., :2] for leaf in start), t1=1.0
    )  # the memory that compiling takes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = np.array([1e3])  # samples only: the memory of dense output is not measured
    ib.simulate(flow, start, t1=1e3, times=times, max_steps=1)
    tick = time.perf_counter()
    trajectory = ib.simulate(flow, start, t1=1e3, times=times, max_steps=STEPS)
    seconds = (time.perf_counter() - tick) / trajectory.stats.steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    size = sum(leaf.size for leaf in start)
    return {"n": n, "p": size, "seconds": seconds, "megabytes": peak / 1024, "steps": trajectory.stats.steps}


def measured() -> list[dict[str, float]]:
    points = []
    for n in ROWS:
        for p in PARAMETERS:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.growth", str(n), str(p)],
                # Both problems compile: with kept programs the small one would take less memory than compiling does.
                env={**os.environ, "IMPLICITBIAS_COMPILE_CACHE": "off"},
                capture_output=True,
                text=True,
                check=True,
            )
            points.append(json.loads(done.stdout))
            print(points[-1], flush=True)
    return points


def exponents(points: list[dict[str, float]], quantity: str) -> tuple[float, float]:
    """Return the least-squares slopes of ln quantity in ln n and ln p, over the larger half of the points."""
    large = [q for q in points if q["n"] * q["p"] >= 1e6]
    A = np.array([[1.0, np.log(q["n"]), np.log(q["p"])] for q in large])
    slopes = np.linalg.lstsq(A, np.log([q[quantity] for q in large]))[0]
    return float(slopes[1]), float(slopes[2])


def draw(points: list[dict[str, float]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axis, quantity, label in zip(
        figure.subplots(1, 2), ("seconds", "megabytes"), ("seconds a step", "peak memory [MB]"), strict=True
    ):
        for p in sorted({q["p"] for q in points}):
            line = [q for q in points if q["p"] == p]
            axis.loglog([q["n"] for q in line], [q[quantity] for q in line], "o-", label=f"p = {p:,.0f}")
        axis.set_xlabel("rows n")
        axis.set_ylabel(label)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "growth.png", dpi=120)


def main() -> None:
    points = measured()
    draw(points)
    slopes = {quantity: exponents(points, quantity) for quantity in ("seconds", "megabytes")}
    print(f"\ngrowth  ({machine()})")
    for quantity, (rows, parameters) in slopes.items():
        print(f"  {quantity:<10} ~ n^{rows:.2f} p^{parameters:.2f}")
    data = {"machine": machine(), "points": points, "exponents": slopes}
    (RESULTS / "growth.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(point(int(sys.argv[1]), int(sys.argv[2]))))
    else:
        main()
