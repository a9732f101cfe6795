"""`ib.simulate` with default settings against the best of gradient descent and off-the-shelf integrators.

The peers are compiled gradient descent, diffrax's Tsit5, and SciPy's LSODA with the exact compiled Jacobian. Each peer
runs at its loosest setting whose error is at most ours. Settings that take `DEAR` times as long as ours are left out.
Times are those of the processor. First calls compile; the persistent cache of programs is off. The target is a time of
at most 1.5 times that of the best peer on every model.

The algebras that a user may name are peers, too: the best of them shows what a perfect choice would save. An algebra is
left out if a third of our number of its steps would take `DEAR` times as long as ours, or if its run does not reach the
end.

Words after the name of the module choose models by a part of their names.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp

import implicitbias as ib
from benchmarks._measure import RESULTS, machine
from benchmarks.real_networks import Digits, apart, modular_case, softplus_case
from benchmarks.relu import WORKS, problem_and_start
from benchmarks.starts_and_rest import models, small_nets
from implicitbias.flows._algebra_names import NAMES
from implicitbias.studies._addition_settings import SETTINGS as ADDITIONS
from implicitbias.studies._table_settings import SETTINGS as TABLES

TOLERANCES = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6)
# A peer that takes DEAR times as long as ours, and LEAST_SECONDS, is not measured at this setting. After SETTINGS times
# as long in all, no further setting of it is tried.
DEAR, LEAST_SECONDS, SETTINGS = 4.0, 0.2, 4
# The largest number of parameters for LSODA, which factorises the exact Jacobian.
LARGE = 1000
# The tolerance of the reference for networks of ReLUs and large ones, whose steps are short or expensive.
LOOSER = 1e-6
REPEATS = 5
os.environ.setdefault("IMPLICITBIAS_COMPILE_CACHE", "off")


class Case(NamedTuple):
    """A gradient flow with default settings: the problem, the start, the weight decay and the end time.

    `tight` is the tolerance of the reference, and `rtol` is ours.
    """

    name: str
    problem: Any
    start: Any
    weight_decay: float
    end: float
    tight: float = 1e-7
    rtol: float = 1e-4


def cases() -> Iterator[Case]:
    """Return the models of the other benchmarks, and small ones."""
    small = small_nets()
    for name, (problem, start, _) in small.items():
        yield Case(name, problem, start, 0.0, 60.0)
        yield Case(f"{name}, scale 1e-6", problem, tuple(1e-6 * leaf for leaf in start), 0.0, 150.0)
    for name, work in models().items():
        yield Case(
            f"{name}, lam = {work.weight_decay:g}", work.problem, work.start, work.weight_decay, work.end
        )
    problem, start = softplus_case(64)
    yield Case("softplus net, p = 704, lam = 0", problem, start, 0.0, 2e3)
    yield Case("softplus net, p = 704, lam = 1e-4", problem, start, 1e-4, 2e5)
    yield Case("quadratic net mod 23, p = 6900", *modular_case(), 0.0, 2e5, LOOSER)
    digits = Digits.made()
    yield Case("digits MLP, p = 4810, lam = 1e-3", digits.problem, digits.start, 1e-3, 1e3, LOOSER)
    addition = ADDITIONS["mod-17"]
    scale, decay = addition.runs[2]
    yield Case("addition mod 17", addition.problem(), addition.start(scale), decay, 3.5e3, 1e-5, 1e-3)
    table = TABLES["97x97"].case(10.0)
    yield Case("multiplication table, d = 97", table.problem, table.start, 5e-5, 4e5, 1e-5)
    for relu in WORKS:
        yield Case(relu.name, *problem_and_start(relu.widths), relu.weight_decay, relu.end, LOOSER)
    problem, start = softplus_case(640)
    yield Case("softplus net, p = 7040, lam = 0", problem, start, 0.0, 2e3, LOOSER)


class Run(NamedTuple):
    """A method at one setting: the setting, the error, and the seconds of the first and of later calls."""

    method: str
    setting: str
    error: float
    first: float
    later: float


class Problem:
    """A case as functions of one vector, for the peers."""

    def __init__(self, case: Case) -> None:
        self.case, objective = case, case.problem.double_objective
        self.u, self.unravel = ravel_pytree(jax.tree.map(jnp.asarray, case.start))

        def loss(u: Any) -> Any:
            decay = case.weight_decay / 2 * jnp.sum(u**2)
            return objective.mean_loss.value(objective.readout(self.unravel(u))) + decay

        self.slope, self.curvature = jax.grad(loss), jax.hessian(loss)
        # Absolute tolerances are relative to the start, whose scale may be tiny.
        self.scale = min(1.0, float(jnp.max(jnp.abs(self.u))))

    def seconds(self) -> float:
        """Return the seconds of a gradient in a compiled loop."""
        loop = jax.jit(lambda u: jax.lax.fori_loop(0, 20, lambda _, v: v - 1e-12 * self.slope(v), u))
        jax.block_until_ready(loop(self.u))
        return min(timed(lambda: jax.block_until_ready(loop(self.u)))[1] for _ in range(5)) / 20

    def error(self, u: Any, reference: Any) -> float:
        return apart(self.unravel(jnp.asarray(u)), reference)

    def descent(self) -> Callable[[float], Any]:
        """Return gradient descent as a function of its rate."""

        @jax.jit
        def descend(u: Any, rate: Any, count: Any) -> Any:
            return jax.lax.fori_loop(0, count, lambda _, v: v - rate * self.slope(v), u)

        return lambda rate: jax.block_until_ready(descend(self.u, rate, round(self.case.end / rate)))

    def integrator(self, solver: Any, most: int) -> Callable[[float], Any]:
        """Return an integrator of diffrax with at most this many steps, as a function of its relative tolerance."""

        @jax.jit
        def integrate(u: Any, rtol: Any) -> Any:
            found = diffrax.diffeqsolve(
                diffrax.ODETerm(lambda _, v, __: -self.slope(v)), solver, 0.0, self.case.end, None, u,
                stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol * 1e-2 * self.scale),
                saveat=diffrax.SaveAt(t1=True), adjoint=diffrax.ForwardMode(), max_steps=most, throw=False,
            )  # fmt: skip
            return jnp.where(found.result == diffrax.RESULTS.successful, found.ys[-1], jnp.nan)

        return lambda rtol: jax.block_until_ready(integrate(self.u, rtol))

    def lsoda(self, most: float) -> Callable[[float], Any]:
        """Return LSODA as a function of its relative tolerance; a run beyond `most` seconds gives NaN."""
        slope, curvature = jax.jit(self.slope), jax.jit(self.curvature)

        def integrate(rtol: float) -> Any:
            jax.block_until_ready((slope(self.u), curvature(self.u)))  # compiles
            begin = time.process_time()

            def field(_: float, u: Any) -> Any:
                if time.process_time() - begin > most:
                    raise TimeoutError
                return -np.asarray(slope(u))

            try:
                found = solve_ivp(
                    field, (0.0, self.case.end), np.asarray(self.u), method="LSODA",
                    jac=lambda _, u: -np.asarray(curvature(u)), rtol=rtol, atol=rtol * 1e-2 * self.scale,
                    t_eval=[self.case.end],
                )  # fmt: skip
            except TimeoutError:
                return np.full(len(self.u), np.nan)
            return found.y[:, -1] if found.success else np.full(len(self.u), np.nan)

        return integrate

    def sharpness(self) -> float:
        """Return the largest eigenvalue of the Hessian at the start, by power iterations."""
        product = jax.jit(lambda v: jax.jvp(self.slope, (self.u,), (v,))[1])
        v, size = jnp.cos(1.0 + jnp.arange(len(self.u))), 1.0
        for _ in range(30):
            v = product(v / jnp.linalg.norm(v))
            size = float(jnp.linalg.norm(v))
        return size


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """Return the answer and the seconds of processor time, which depend less on other work than those of a clock."""
    begin = time.process_time()
    answer = function()
    return answer, time.process_time() - begin


def loosest(
    method: str, solve: Callable[[float], Any], settings: Any, error: Any, most: float, allowed: float
) -> Run | None:
    """Return the loosest setting with an error of at most `most`; None if none is found in the allowed seconds."""
    first, spent = None, 0.0
    for setting in settings:
        answer, seconds = timed(lambda s=setting: solve(s))  # type: ignore[misc]
        spent += 0.0 if first is None else seconds
        first = seconds if first is None else first
        if spent > SETTINGS * allowed:
            return None
        if error(answer) <= most:
            later = statistics.median(timed(lambda s=setting: solve(s))[1] for _ in range(REPEATS))  # type: ignore[misc]
            return Run(method, f"{setting:.2g}", error(answer), first, later)
    return None


def named(case: Case, steps: int, seconds: float) -> dict[str, float]:
    """Return the seconds of a later call with each algebra that is not much more expensive than ours.

    Ours took this number of steps and of seconds.
    """
    flow, found = ib.GradientFlow(case.problem, case.weight_decay), {}

    def run(name: str, most: int) -> Any:
        return ib.simulate(flow, case.start, times=[case.end], rtol=case.rtol, solver=name, max_steps=most)

    for name in NAMES:
        try:
            run(name, 2)
        except ib.InputError:
            continue  # this algebra is not possible for the model
        if timed(lambda n=name: run(n, 2))[1] / 2 * steps / 3 > max(DEAR * seconds, LEAST_SECONDS):  # type: ignore[misc]
            continue
        trajectory = run(name, 20 * steps)
        if trajectory.status is ib.Status.REACHED_TIME:
            runs = (timed(lambda n=name: run(n, 20 * steps))[1] for _ in range(REPEATS))  # type: ignore[misc]
            found[name] = statistics.median(runs)
    return found


def compared(case: Case) -> dict[str, Any]:
    """Return the times of ours and of each peer."""
    flow = ib.GradientFlow(case.problem, case.weight_decay)

    def ours() -> Any:
        return ib.simulate(flow, case.start, times=[case.end], rtol=case.rtol)

    trajectory, first = timed(ours)
    later = statistics.median(timed(ours)[1] for _ in range(REPEATS))
    size = sum(np.size(leaf) for leaf in jax.tree.leaves(case.start))
    reference = ib.simulate(flow, case.start, times=[case.end], rtol=case.tight).final
    most = max(apart(trajectory.final, reference), 1e-9)
    with jax.enable_x64(True):
        problem = Problem(case)
        allowed, gradient = max(DEAR * later, LEAST_SECONDS), problem.seconds()
        limit = 2.0 / max(problem.sharpness(), 1e-3)
        rates = [rate for rate in limit * 0.5 ** np.arange(1, 12) if case.end / rate * gradient < allowed]
        steps = int(allowed / (6 * gradient))
        peers = [
            ("gradient descent", problem.descent(), rates),
            ("Tsit5", problem.integrator(diffrax.Tsit5(), steps), TOLERANCES),
        ]
        if size <= LARGE:
            peers.append(("LSODA", problem.lsoda(allowed), TOLERANCES))
        found = [
            loosest(name, solve, settings, lambda u: problem.error(u, reference), most, allowed)
            for name, solve, settings in peers
        ]
    runs = [run for run in found if run is not None]
    algebras = named(case, trajectory.stats.steps, later)
    cheapest = min(algebras, key=lambda name: algebras[name], default=None)
    best = min(runs, key=lambda run: run.later, default=None)
    quickest = min(runs, key=lambda run: run.first, default=None)
    return {
        "model": case.name,
        "status": trajectory.status.name,
        "steps": trajectory.stats.steps,
        "algebras": dict(trajectory.stats.algebras),
        "error": most,
        "stopped peers after": allowed,
        "first": first,
        "later": later,
        "peers": [run._asdict() for run in runs],
        "ratio": None if best is None else best.later / later,
        "best": None if best is None else best.method,
        "seconds of named algebras": algebras,
        "best named algebra": cheapest,
        "ratio to it": None if cheapest is None else algebras[cheapest] / later,
        "ratio of first calls": None if quickest is None else quickest.first / first,
    }


def main() -> None:
    print(f"\ndefault_settings  ({machine()})")
    rows = []
    chosen = sys.argv[1:]
    for case in cases():
        if chosen and not any(name in case.name for name in chosen):
            continue
        row = compared(case)
        rows.append(row)
        print(json.dumps(row), flush=True)
    RESULTS.mkdir(exist_ok=True)
    data = {"machine": machine(), "rows": rows}
    (RESULTS / "default_settings.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
