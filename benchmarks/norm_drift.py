"""The norm drift against training with a small weight decay: Tsit5 of diffrax and jitted gradient descent.

The drift is the limit of a vanishing weight decay, and training with the weight decay lam differs from it by O(lam). Its
start is `ib.interpolation_limit`, whose time is printed apart. Peers that would run for hours are timed for a part
of their work and extrapolated; the note of the row says so.
"""

import time
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import implicitbias as ib
from benchmarks._measure import Row, report
from benchmarks.real_networks import RATE, Digits, apart
from benchmarks.softplus_net import WORKS, by_descent, problem_and_start

# The share of the time of the flow that Tsit5 of diffrax integrates; its steps are limited by stability throughout.
PART = 0.1
REPEATS = 5


def drift(problem: ib.Problem, start: Any, end: float, rtol: float) -> tuple[Any, int, float]:
    """Return the end of the drift, its number of steps, and the median of the seconds after one warm-up."""
    flow = ib.NormDrift(problem)
    trajectory = ib.simulate(flow, start, times=[end], rtol=rtol)
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        ib.simulate(flow, start, times=[end], rtol=rtol)
        seconds.append(time.perf_counter() - begin)
    return trajectory.final, trajectory.stats.steps, float(np.median(seconds))


def limit_of(problem: ib.Problem, start: Any, rtol: float) -> Any:
    begin = time.perf_counter()
    limit = ib.interpolation_limit(problem, start, rtol=rtol)
    print(f"interpolation limit: {time.perf_counter() - begin:.1f} s, error {limit.error:.1e}")
    print(limit.certificate, flush=True)
    return limit.point


def by_tsit5(problem: ib.Problem, start: Any, weight_decay: float, end: float) -> tuple[float, int]:
    """Return the seconds and the number of steps of diffrax to the time `end`, compilation excluded."""
    plain = diffrax.ODETerm(ib.GradientFlow(problem, weight_decay).term().vector_field)

    @jax.jit
    def run(y0: Any, t1: jax.Array) -> Any:
        solution = diffrax.diffeqsolve(
            plain,
            diffrax.Tsit5(),
            0.0,
            t1,
            1e-3,
            y0,
            stepsize_controller=diffrax.PIDController(rtol=1e-3, atol=1e-5),
            saveat=diffrax.SaveAt(t1=True),
            adjoint=diffrax.ForwardMode(),
            max_steps=10_000_000,
        )
        return solution.ys, solution.stats["num_steps"]

    with jax.enable_x64(True):
        y0 = jax.tree.map(jnp.asarray, start)
        jax.block_until_ready(run(y0, jnp.asarray(1.0)))
        begin = time.perf_counter()
        count = int(run(y0, jnp.asarray(end))[1])
        return time.perf_counter() - begin, count


def softplus() -> list[Row]:
    problem, start = problem_and_start()
    work, lam, tau = "softplus net, drift to tau = 20", 1e-4, 20.0
    phi = limit_of(problem, start, 1e-6)
    reference = drift(problem, phi, tau, 1e-8)[0]
    final, steps, seconds = drift(problem, phi, tau, 1e-3)
    error = apart(final, reference)
    # The end of training with lam, from the original start: how far the peers are from the limit at best.
    trained = ib.simulate(ib.GradientFlow(problem, lam), start, times=[tau / lam], rtol=1e-6).final
    bias = apart(trained, reference)
    part, count = by_tsit5(problem, start, lam, PART * tau / lam)
    note = f"{steps} steps / {count} steps for {PART:g} of the time, extrapolated"
    rows = [Row(work, f"diffrax Tsit5, lam = {lam:g}", seconds, part / PART, error, bias, note)]
    rate, cost, total = by_descent(problem, start, WORKS[1])
    note = f"learning rate {rate}, {cost * 1e6:.0f} us a step, extrapolated"
    return [*rows, Row(work, f"gradient descent, lam = {lam:g}", seconds, total, error, bias, note)]


def digits() -> list[Row]:
    case, lam, tau = Digits.made(), 1e-5, 12.0
    phi = limit_of(case.problem, case.start, 1e-3)
    fine = drift(case.problem, phi, tau, 1e-4)[0]
    final, steps, seconds = drift(case.problem, phi, tau, 1e-2)
    descent = ib.GradientDescent(case.problem, RATE, lam)
    cost = seconds_of(lambda: ib.simulate(descent, phi, t1=5000 * RATE)) / 5000
    note = f"{steps} steps / {cost * 1e6:.0f} us a step, extrapolated; test accuracy "
    note += " -> ".join(f"{case.accuracy(state):.3f}" for state in (phi, final))
    return [
        Row(
            "digits MLP, drift to tau = 12",
            f"gradient descent, lam = {lam:g}",
            seconds,
            cost * tau / lam / RATE,
            apart(final, fine),
            np.nan,
            note,
        )
    ]


def seconds_of(function: Callable[[], Any]) -> float:
    """Return the median of the seconds of a call after one warm-up."""
    function()
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


def main() -> None:
    report("norm_drift", [*softplus(), *digits()])


if __name__ == "__main__":
    main()
