"""Addition modulo 23 to full test accuracy: the flow compared with Tsit5 of diffrax and with gradient descent."""

import time
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import implicitbias as ib
from benchmarks._measure import Row, alternate, report
from implicitbias.studies._addition_settings import SETTINGS, Addition, network

# The time of all methods is the one at which the flow has all test sums right, times this factor.
LATER, RTOL = 1.05, 1e-3
# A rate of gradient descent is stable if it has all training sums right after so many steps; rates are halved.
FIRST_RATE, TRIAL_STEPS, TIMED_STEPS = 8.0, 2000, 400
MOST_STEPS = 1_000_000


class Work:
    """The problem, its start and its weight decay, and the time to which it is integrated."""

    def __init__(self, setting: Addition) -> None:
        self.setting, self.problem = setting, setting.problem()
        self.scale, self.decay = setting.runs[0]
        self.start = setting.start(self.scale)
        self.flow = ib.GradientFlow(self.problem, self.decay)
        self.X, self.y = (jnp.asarray(part) for part in setting.rows(0))
        run = self.ours("stabilised", (setting.late + 3.0) / self.decay)
        slow = np.linspace(0.0, float(run.times[-1]), 400)[1:]
        right = [self.accuracy(run.state(float(t)), 1) == 1.0 for t in slow]
        self.end = LATER * float(slow[int(np.argmax(right))])

    def ours(self, algebra: str | None, end: float | None = None, rtol: float = RTOL) -> Any:
        return ib.simulate(self.flow, self.start, t1=end or self.end, rtol=rtol, solver=algebra)

    def accuracy(self, params: Any, part: int) -> float:
        row = np.concatenate([np.ravel(leaf) for leaf in params])[None]
        return float(self.setting.accuracy(self.setting.outputs(row, part), part)[0])

    def slope(self, params: Any) -> Any:
        """Return the gradient of the objective with its weight decay."""

        def objective(p: Any) -> jax.Array:
            logits = network(p, self.X)
            own = jnp.take_along_axis(logits, self.y[:, None], axis=1)[:, 0]
            loss = jnp.mean(jax.nn.logsumexp(logits, axis=1) - own)
            return loss + self.decay / 2.0 * sum(jnp.sum(leaf**2) for leaf in p)

        return jax.grad(objective)(params)

    def tsit5(self) -> Callable[[], Any]:
        """Return the run by Tsit5 with the same tolerance, relative to the parameters."""
        term = diffrax.ODETerm(lambda t, y, args: jax.tree.map(jnp.negative, self.slope(y)))
        control = diffrax.PIDController(rtol=RTOL, atol=RTOL * 1e-2)

        @jax.jit
        def run(start: Any) -> Any:
            return diffrax.diffeqsolve(
                term, diffrax.Tsit5(), 0.0, self.end, None, start, stepsize_controller=control, max_steps=MOST_STEPS,
                saveat=diffrax.SaveAt(t1=True),
            )  # fmt: skip

        def solve() -> Any:
            solution = jax.block_until_ready(run(self.start))
            return tuple(np.asarray(leaf[0]) for leaf in solution.ys), int(solution.stats["num_steps"])

        return solve

    def descent(self, steps: int) -> Callable[[float], Any]:
        """Return gradient descent with a number of steps, as a function of its rate."""

        def step(_: int, state: Any) -> Any:
            params, rate = state
            return jax.tree.map(lambda p, g: p - rate * g, params, self.slope(params)), rate

        run = jax.jit(lambda start, rate: jax.lax.fori_loop(0, steps, step, (start, rate))[0])
        return lambda rate: tuple(np.asarray(leaf) for leaf in jax.block_until_ready(run(self.start, rate)))


def stable_rate(work: Work) -> float:
    """Return the largest rate, of a sequence of halves, from which gradient descent learns the training sums."""
    trial, rate = work.descent(TRIAL_STEPS), FIRST_RATE
    while True:
        params = trial(rate)
        if all(np.all(np.isfinite(leaf)) for leaf in params) and work.accuracy(params, 0) == 1.0:
            return rate
        rate /= 2.0


def apart(found: Any, known: Any) -> float:
    """Return the relative distance of two states."""
    return float(
        np.linalg.norm(np.concatenate([np.ravel(a - b) for a, b in zip(found, known, strict=True)]))
        / np.linalg.norm(np.concatenate([np.ravel(b) for b in known]))
    )


def rows(point: str) -> list[Row]:
    """Return the comparisons of the algebras with both peers."""
    with jax.enable_x64(True):
        work = Work(SETTINGS[point])
        reference = work.ours("stabilised", rtol=1e-2 * RTOL).final
        tsit5, rate = work.tsit5(), stable_rate(work)
        part = work.descent(TIMED_STEPS)
        found = []
        for algebra in ("stabilised", None):
            ours, theirs, piece = alternate(
                [lambda a=algebra: work.ours(a), tsit5, lambda: part(rate)], 1, clock=time.process_time
            )
            mine, (params, steps) = work.ours(algebra), tsit5()
            name = "the default choice" if algebra is None else algebra
            what = f"addition mod {work.setting.size}, lam = {work.decay:g}, t = {work.end:.3g}, {name}"
            accuracies = work.accuracy(mine.final, 1), work.accuracy(params, 1)
            found.append(
                Row(what, f"Tsit5, {steps} steps", ours, theirs, apart(mine.final, reference), apart(params, reference),
                    f"{mine.stats.steps} steps {mine.stats.algebras}; test accuracies {accuracies}")
            )  # fmt: skip
            total = work.end / rate
            short = work.ours("stabilised", TIMED_STEPS * rate, rtol=1e-2 * RTOL).final
            found.append(
                Row(what, f"gradient descent, rate {rate:g}", ours, piece / TIMED_STEPS * total,
                    apart(mine.final, reference), apart(part(rate), short),
                    f"{total:.2g} steps, extrapolated from {TIMED_STEPS}")
            )  # fmt: skip
    return found


def main() -> None:
    report("early_late_modular", rows("mod-23"))


if __name__ == "__main__":
    main()
