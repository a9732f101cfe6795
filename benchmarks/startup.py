"""What a process pays before its first answer, with and without programs kept on the disk; what a warm call costs.

The peer of each row is the same program without the cache. Both answers are compared with a closed form.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import jax.numpy as jnp
import numpy as np

import implicitbias as ib
from benchmarks._measure import Row, report

REPEATS = 3
# Seconds from the start of the imports to the answer, and the distance of the answer from a closed form.
PATH = """
import time
begin = time.perf_counter()
import numpy as np, implicitbias as ib
path = ib.saddle_path(ib.LeastSquares([[2.0, 0.0], [0.0, 1.0]], [4.0, 1.0]))
print(time.perf_counter() - begin, np.max(np.abs(path.times - [0.0, 0.25, 2.0])))
"""
SIMULATE = """
import time
begin = time.perf_counter()
import numpy as np, implicitbias as ib
flow = ib.MirrorFlow(ib.LeastSquares(np.eye(2), [1.0, 2.0]), ib.SquaredNorm())
end = ib.simulate(flow, np.zeros(2), t1=2.0, rtol=1e-6).final
print(time.perf_counter() - begin, np.max(np.abs(end - (1 - np.exp(-1.0)) * np.array([1.0, 2.0]))))
"""


def run(code: str, variables: dict[str, str]) -> tuple[float, float]:
    """Return the seconds and the error that a program prints, in a process of its own."""
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    seconds, error = map(float, done.stdout.split())
    return seconds, error


def compare(work: str, code: str, variable: str, without: str | None) -> Row:
    """Time a program with an empty cache (or none) against the same program with a filled one, in turn."""
    cold, warm, errors = [], [], [0.0, 0.0]
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            if without is None:
                first = run(code, {variable: folder})
            else:
                first = run(code, {variable: without})
                run(code, {variable: folder})
            second = run(code, {variable: folder})
        cold.append(first[0])
        warm.append(second[0])
        errors = [max(errors[0], second[1]), max(errors[1], first[1])]
    peer = "the same with an empty cache" if without is None else "the same without a cache"
    return Row(work, peer, statistics.median(warm), statistics.median(cold), errors[0], errors[1])


def warm_call() -> Row:
    """Time a warm call with three parameters, and the same with many more steps, which tells what a step costs."""
    rng = np.random.default_rng(0)
    X, y, start = rng.standard_normal((4, 3)), rng.standard_normal(4), rng.standard_normal(3)
    flow = ib.GradientFlow(ib.Problem(lambda theta, inputs: jnp.tanh(inputs @ theta), X, y))
    medians, steps, ends = [], [], []
    for rtol in (1e-3, 1e-8):
        trajectory = ib.simulate(flow, start, t1=1.0, rtol=rtol)
        seconds = []
        for _ in range(200):
            begin = time.perf_counter()
            ib.simulate(flow, start, t1=1.0, rtol=rtol)
            seconds.append(time.perf_counter() - begin)
        medians.append(statistics.median(seconds))
        steps.append(trajectory.stats.steps)
        ends.append(trajectory.final)
    step = (medians[1] - medians[0]) / (steps[1] - steps[0])
    beyond = medians[0] - steps[0] * step
    error = float(np.max(np.abs(ends[0] - ends[1])))
    note = f"{steps[0]} and {steps[1]} steps of {1e6 * step:.0f} us; beyond the steps {1e3 * beyond:.2f} ms"
    return Row("warm call of simulate, 3 parameters", "the same at rtol 1e-8", *medians, error, 0.0, note)


def main() -> None:
    rows = [
        compare("first path, second process", PATH, "NUMBA_CACHE_DIR", None),
        compare("first simulate, second process", SIMULATE, "IMPLICITBIAS_COMPILE_CACHE", "off"),
        warm_call(),
    ]
    report("startup", rows)


if __name__ == "__main__":
    main()
