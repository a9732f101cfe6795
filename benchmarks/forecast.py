"""A forecast of the softplus network at lam = 1e-4 beside jitted gradient descent and Tsit5 of diffrax.

The peers run over a part of the time, at the end of which the test losses are compared; "errors" are these differences.
Their whole time is extrapolated to lam t = 10: the cost of a step of gradient descent is constant, and the steps of an
explicit method are bounded by stability on the whole slow phase. The forecast itself goes on to rest. Seconds are those
of the processor. With OMP_NUM_THREADS=1 and XLA_FLAGS=--xla_cpu_multi_thread_eigen=false they are those of one thread.
"""

import time
from typing import Any

import diffrax
import numpy as np

import implicitbias as ib
from benchmarks._measure import Row, alternate, report
from benchmarks.softplus_net import INPUTS, Work, by_diffrax, problem_and_start, unflat

LAM, RATE, STEPS, TSIT5_END, SLOW = 1e-4, 0.02, 100_000, 2e3, 10.0


def main() -> None:
    """Measure and print."""
    problem, start = problem_and_start()
    rng = np.random.default_rng(1)
    X_test = rng.standard_normal((500, INPUTS))
    y_test = np.logaddexp(0.0, X_test[:, :3]).sum(axis=1)
    held_out = ib.Problem(problem.model, X_test, y_test)

    def forecast() -> ib.Forecast:
        return ib.forecast_grokking(
            problem, start, weight_decay=LAM, test=(X_test, y_test), learning_rate=RATE
        )

    def descend() -> ib.Trajectory:
        return ib.simulate(ib.GradientDescent(problem, RATE, LAM), start, times=[RATE * STEPS])

    ours, descent = alternate([forecast, descend], 3, time.process_time)
    found = forecast()
    tsit5 = by_diffrax(problem, start, Work("part", LAM, TSIT5_END), diffrax.Tsit5())
    tsit5(1e-6)
    begin = time.process_time()
    flat, _ = tsit5(1e-6)
    seconds = time.process_time() - begin

    def apart(t: float, params: Any) -> float:
        """Return the relative difference of the forecast and of the test loss of these parameters."""
        real = held_out.loss(params)
        return abs(float(np.interp(t, found.columns["t"], found.columns["test_loss"])) / real - 1.0)

    end = SLOW / LAM
    at_descent, at_tsit5 = apart(RATE * STEPS, descend().final), apart(TSIT5_END, unflat(flat))
    report(
        "forecast",
        [
            Row(
                f"softplus net, lam = {LAM:g}, to lam t = {SLOW:g}", "jitted gradient descent", ours,
                descent * end / (RATE * STEPS), at_descent, 0.0, f"rate {RATE:g}, extrapolated from {STEPS} steps",
            ),
            Row(
                f"softplus net, lam = {LAM:g}, to lam t = {SLOW:g}", "diffrax Tsit5", ours,
                seconds * end / TSIT5_END, at_tsit5, 0.0, f"rtol 1e-6, extrapolated from t = {TSIT5_END:g}",
            ),
        ],
    )  # fmt: skip
    print(found)


if __name__ == "__main__":
    main()
