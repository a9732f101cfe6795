"""The norm drift against training with a small weight decay: Tsit5 of diffrax and jitted gradient descent.

The drift is the limit of a vanishing weight decay, and training with the weight decay lam differs from it by O(lam).
Its start is `ib.interpolation_limit`, whose time is printed apart. Peers that would run for hours are timed for a part
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
from benchmarks._measure import Row, alternate, report
from benchmarks.real_networks import RATE, Digits, apart
from benchmarks.softplus_net import WORKS, by_descent, problem_and_start

# The share of the time of the flow that Tsit5 of diffrax integrates; its steps are limited by stability throughout.
PART = 0.002
DESCENT_STEPS, REPEATS = 5000, 3


def drift(problem: ib.Problem, start: Any, end: float, rtol: float) -> ib.Trajectory:
    return ib.simulate(ib.NormDrift(problem), start, times=[end], rtol=rtol)


def limit_of(problem: ib.Problem, start: Any, rtol: float) -> Any:
    begin = time.perf_counter()
    limit = ib.interpolation_limit(problem, start, rtol=rtol)
    print(f"interpolation limit: {time.perf_counter() - begin:.1f} s, error {limit.error:.1e}")
    print(limit.certificate, flush=True)
    return limit.point


def by_tsit5(problem: ib.Problem, start: Any, weight_decay: float, end: float) -> Callable[[], int]:
    """Return a function that integrates with diffrax to the time `end` and returns the number of steps."""
    plain = diffrax.ODETerm(ib.GradientFlow(problem, weight_decay).term().vector_field)

    @jax.jit
    def run(y0: Any) -> Any:
        solution = diffrax.diffeqsolve(
            plain,
            diffrax.Tsit5(),
            0.0,
            end,
            1e-3,
            y0,
            stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-6),
            saveat=diffrax.SaveAt(t1=True),
            adjoint=diffrax.ForwardMode(),
            max_steps=10_000_000,
        )
        return solution.stats["num_steps"]

    def counted() -> int:
        with jax.enable_x64(True):
            return int(run(jax.tree.map(jnp.asarray, start)))

    return counted


def softplus() -> list[Row]:
    problem, start = problem_and_start()
    work, lam, tau = "softplus net, drift to tau = 20", 1e-4, 20.0
    phi = limit_of(problem, start, 1e-6)
    reference = drift(problem, phi, tau, 1e-8).final
    ours = drift(problem, phi, tau, 1e-3)
    error = apart(ours.final, reference)
    # The end of training with lam from the original start: how far the peers are from the limit at best.
    trained = ib.simulate(ib.GradientFlow(problem, lam), start, times=[tau / lam], rtol=1e-6).final
    bias = apart(trained, reference)
    # The peers begin at phi, where the slow phase does, because their steps are the same there and later.
    peer = by_tsit5(problem, phi, lam, PART * tau / lam)
    rate = by_descent(problem, start, WORKS[1])[0]
    descent = ib.GradientDescent(problem, rate, lam)
    seconds, part, walk = alternate(
        [
            lambda: drift(problem, phi, tau, 1e-3),
            peer,
            lambda: ib.simulate(descent, phi, t1=DESCENT_STEPS * rate),
        ],
        REPEATS,
    )
    note = f"{ours.stats.steps} steps / {peer() / PART:.3g} steps, extrapolated from {PART:g} of the time"
    rows = [Row(work, f"diffrax Tsit5, lam = {lam:g}", seconds, part / PART, error, bias, note)]
    cost = walk / DESCENT_STEPS
    note = f"learning rate {rate}, {cost * 1e6:.0f} us a step, extrapolated"
    total = cost * tau / lam / rate
    return [*rows, Row(work, f"gradient descent, lam = {lam:g}", seconds, total, error, bias, note)]


def digits() -> Row:
    case, lam, tau = Digits.made(), 1e-5, 12.0
    phi = limit_of(case.problem, case.start, 1e-3)
    ours, fine = (drift(case.problem, phi, tau, rtol) for rtol in (1e-2, 1e-3))
    descent = ib.GradientDescent(case.problem, RATE, lam)
    seconds, walk = alternate(
        [
            lambda: drift(case.problem, phi, tau, 1e-2),
            lambda: ib.simulate(descent, phi, t1=DESCENT_STEPS * RATE),
        ],
        REPEATS,
    )
    cost = walk / DESCENT_STEPS
    note = f"{ours.stats.steps} steps / {cost * 1e6:.0f} us a step, extrapolated; test accuracy "
    note += " -> ".join(f"{case.accuracy(state):.3f}" for state in (phi, ours.final))
    return Row(
        "digits MLP, drift to tau = 12",
        f"gradient descent, lam = {lam:g}",
        seconds,
        cost * tau / lam / RATE,
        apart(ours.final, fine.final),
        np.nan,
        note,
    )


def main() -> None:
    report("norm_drift", [*softplus(), digits()])


if __name__ == "__main__":
    main()
