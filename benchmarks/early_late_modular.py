"""Addition modulo a prime to full test accuracy: the flow compared with Tsit5 and with gradient descent."""

import time
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import implicitbias as ib
from benchmarks._measure import Row, report
from implicitbias.studies._addition_settings import SETTINGS, Addition, network

# The time of all methods is the one at which the flow has all test sums right, times this factor.
LATER, RTOL = 1.05, 1e-3
# A rate of gradient descent is stable if the objective never rises above its first value in so many steps; rates are
# halved. Larger rates leave the kernel regime by their instability, and their answer has to be checked by itself.
FIRST_RATE, TRIAL_STEPS = 1.0, 500
MOST_STEPS = 1_000_000


class Work:
    """The problem, its start and its weight decay, and the time to which it is integrated."""

    def __init__(self, setting: Addition) -> None:
        self.setting, self.problem = setting, setting.problem()
        self.scale, self.decay = setting.runs[2]
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

    def objective(self, params: Any) -> jax.Array:
        """Return the cross-entropy with the weight decay."""
        logits = network(params, self.X)
        own = jnp.take_along_axis(logits, self.y[:, None], axis=1)[:, 0]
        loss = jnp.mean(jax.nn.logsumexp(logits, axis=1) - own)
        return loss + self.decay / 2.0 * sum(jnp.sum(leaf**2) for leaf in params)

    def tsit5(self) -> Callable[[float], Any]:
        """Return the run by Tsit5 with the same tolerance as a function of its end."""
        slope = jax.grad(self.objective)
        term = diffrax.ODETerm(lambda t, y, args: jax.tree.map(jnp.negative, slope(y)))
        control = diffrax.PIDController(rtol=RTOL, atol=1e-2 * RTOL)

        @jax.jit
        def run(start: Any, end: Any) -> Any:
            return diffrax.diffeqsolve(
                term, diffrax.Tsit5(), 0.0, end, None, start, stepsize_controller=control, max_steps=MOST_STEPS,
                saveat=diffrax.SaveAt(t1=True),
            )  # fmt: skip

        return lambda end: jax.block_until_ready(run(self.start, end))

    def descent(self) -> Callable[[float], Any]:
        """Return some steps of gradient descent, and the largest objective on them, as a function of the rate."""
        both = jax.value_and_grad(self.objective)

        def step(_: int, state: Any) -> Any:
            params, rate, largest = state
            value, slope = both(params)
            return jax.tree.map(lambda p, g: p - rate * g, params, slope), rate, jnp.maximum(largest, value)

        run = jax.jit(lambda start, rate: jax.lax.fori_loop(0, TRIAL_STEPS, step, (start, rate, 0.0)))

        def steps(rate: float) -> Any:
            params, _, largest = jax.block_until_ready(run(self.start, rate))
            return params, float(largest)

        return steps


def stable_rate(work: Work, descent: Callable[[float], Any]) -> float:
    """Return the largest rate, of a sequence of halves, at which the objective never rises above its first value."""
    rate, first = FIRST_RATE, float(work.objective(work.start))
    while not descent(rate)[1] <= first:
        rate /= 2.0
    return rate


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of the processor and the answer of a function."""
    begin = time.process_time()
    answer = function()
    return time.process_time() - begin, answer


def apart(found: Any, known: Any) -> float:
    """Return the relative distance of two states."""
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(found, known, strict=True)]
    return float(np.sqrt(sum(np.sum((a - b) ** 2) for a, b in pairs) / sum(np.sum(b**2) for _, b in pairs)))


def rows(point: str, algebras: tuple[str | None, ...]) -> list[Row]:
    """Return the comparisons of algebras of the flow with both peers, measured once after compiling."""
    with jax.enable_x64(True):
        work = Work(SETTINGS[point])
        reference = work.ours("stabilised", rtol=1e-2 * RTOL).final
        tsit5, descent = work.tsit5(), work.descent()
        tsit5(1e-3)  # compiles
        tsit5_seconds, solution = timed(lambda: tsit5(work.end))
        params, steps = [leaf[0] for leaf in solution.ys], int(solution.stats["num_steps"])
        rate = stable_rate(work, descent)
        part_seconds, piece = timed(lambda: descent(rate)[0])
        short = work.ours("stabilised", TRIAL_STEPS * rate, rtol=1e-2 * RTOL).final
        total, found = work.end / rate, []
        for algebra in algebras:
            work.ours(algebra)  # compiles
            seconds, mine = timed(lambda a=algebra: work.ours(a))
            name = "the default choice" if algebra is None else algebra
            what = f"addition mod {work.setting.size}, lam = {work.decay:g}, t = {work.end:.3g}, {name}"
            error = apart(mine.final, reference)
            note = f"{mine.stats.steps} steps {mine.stats.algebras}, test accuracy {work.accuracy(mine.final, 1):.4f}"
            found.append(
                Row(what, f"Tsit5, {steps} steps", seconds, tsit5_seconds, error, apart(params, reference),
                    f"{note}; Tsit5 {work.accuracy(params, 1):.4f}")
            )  # fmt: skip
            found.append(
                Row(what, f"gradient descent, rate {rate:g}", seconds, part_seconds / TRIAL_STEPS * total, error,
                    apart(piece, short), f"{total:.2g} steps, extrapolated from {TRIAL_STEPS}")
            )  # fmt: skip
    return found


def main() -> None:
    report("early_late_modular", [*rows("mod-17", ("stabilised", None)), *rows("mod-23", ("stabilised",))])


if __name__ == "__main__":
    main()
