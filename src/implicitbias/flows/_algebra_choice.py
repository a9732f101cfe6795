"""The choice of the algebra of a large problem by cost, which is counted in operations where JAX uses a processor.

The cost of a step of each algebra is predicted from the operations of a gradient and of products of matrices, and from
the largest rate of the linearised flow. Iterations and stages are those that the steps needed. On a processor a
measured time replaces a count only where they differ by a factor of `_MISCOUNTED`, so that the choice hardly depends on
what else the machine does. On other devices, where rates of operations are unlike, times replace all counts.
"""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.blas_threads import FEW_PRODUCTS, one_blas_thread
from implicitbias._core.compiled import compiled
from implicitbias._core.precision import double_precision
from implicitbias.flows._algebra_sizes import Sizes
from implicitbias.flows._counted_choice import CountedChoice
from implicitbias.flows._gauss_newton import GaussNewtonSystem
from implicitbias.flows._growth_modes import Modes
from implicitbias.flows._guide import Changing, Guide, Report, Settled, Way
from implicitbias.flows._limits import Limits
from implicitbias.flows._rkc import stages
from implicitbias.flows._ros34pw2 import GAMMA
from implicitbias.flows._stopwatch import Stopwatch
from implicitbias.flows._system import System, modes_at, radius_at
from implicitbias.flows._tsit5 import STABLE

# Below this number of multiplications in a step, the choice is made without any measurement.
SMALL = 3e6
# A step evaluates about this many gradients besides its linear solves, and the explicit method this many in all.
_GRADIENTS, _EXPLICIT = 14, 6
# The stabilised method has order 2, so that its error is in proportion to rtol^(2/3). It is chosen only above this
# rtol. On a digits network its error is 0.7 rtol at 1e-4.
_LOOSE = 5e-5
# From starts whose entries are all smaller, linearly implicit steps follow growth modes in closed form.
_TINY = 1e-8
# A stabilised step evaluates about this many gradients besides its stages.
_OTHERS = 4
# A solve by conjugate gradients costs two gradients in each iteration, and a step has four solves.
_PER_ITERATION = 8
# The numbers of steps that a linearly implicit and an explicit method are expected to need for their accuracy.
_STEPS, _EXPLICIT_STEPS = 100, 60
# A step of a linearly implicit method covers about this share of the time that is left.
_SHARE = 0.05
# Steps that grow like the time over three factors of 10 have on average as many stages as one of this share of the
# longest step.
_MEAN = 0.08
# Late in a flow with weight decay, linearly implicit steps are at most about _LATE / lam long: their matrix lacks the
# curvature of the model, which has the size of lam there.
_LATE = 0.15
# The way is changed once another one would have saved this many seconds, which covers a compilation in part. The number
# is doubled at each change.
_REGRET = 0.5
# The seconds after which the choice is looked at again, and the least number of steps.
_LOOK, _LEAST = 0.5, 4
# Iterations without a preconditioner are counted again after this many times the seconds of the last count.
_RARE = 20.0
# With a lagged factor a solve needs about this many iterations, and each _LAG steps need a new factor.
_LAGGED_ITERATIONS, _LAG = 10, 5
# On one core of a 2.5 GHz processor: multiplications a second in a product of large matrices, in the unit of `Sizes`,
# operations a second in a gradient, the seconds of a transcendental function, and those of a gradient besides them.
# The gradients of dense networks, of a factorisation and of a quadratic network with up to 2e7 operations differ from
# this by less than a factor of 1.7.
_RATE, _OPERATIONS, _TRANSCENDENTAL, _OVERHEAD = 1.5e10, 1.2e10, 5e-9, 2e-5
# Times replace counted seconds that differ from them by this factor: loops in a model are counted once, for example.
_MISCOUNTED = 5.0
# The names that flows along kinks accept. They use one algebra, without the memory of earlier steps.
SLIDING = ("auto", "kernel", "normal", "products")


class AlgebraChoice(Changing):
    """The guide of a `GaussNewtonSystem` that chooses among the allowed algebras.

    It compares counted operations on a processor, and measured times on other devices. If the limits ask for a
    reproducible run, no time is looked at.
    """

    saved = (
        "name",
        "measured",
        "iterations",
        "regret",
        "patience",
        "radius",
        "_since_probe",
        "_probe_seconds",
        "_solved",
        "reached",
    )

    def __init__(
        self,
        system: GaussNewtonSystem,
        u: ndarray,
        sizes: Sizes,
        limits: Limits,
        rounded: GaussNewtonSystem | None = None,
    ) -> None:
        self.system, self.sizes, self.limits = system, sizes, limits
        self.rounded = system if rounded is None else rounded
        self.allowed = sizes.allowed
        if limits.rtol < _LOOSE:
            del self.allowed["stabilised"]
        theta = u[: system.shape.size]
        self.follows = bool(system.unstable and 0.0 < np.max(np.abs(theta), initial=0.0) < _TINY)
        # The time and the step size at the end of the last part by stabilised, and by linearly implicit steps.
        # A checkpoint keeps it, so that its keys are texts.
        self.reached: dict[str, list[float]] = {}
        self.measured: dict[str, float] = {}
        self.iterations = 0.0  # of a solve by conjugate gradients, as last seen
        self.regret, self.patience = 0.0, _REGRET
        self.uses_times = not limits.reproducible
        # Whether counts are used unless times differ much from them.
        self.counts = limits.reproducible or jax.default_backend() == "cpu"
        at = jnp.asarray(u)
        counted = _counted_seconds(system, at) if self.counts else 0.0
        self.gradient = self._checked(
            counted, _seconds(_gradient, system, at) if self.uses_times else counted
        )
        self.modes = modes_at(system, u) if system.unstable else None
        self.radius = self._radius_at(u, self.modes)
        self._since_probe = self._probe_seconds = 0.0
        self._solved = 0

    def first(self, system: System) -> Way:
        left = self.limits.end
        costs = self._costs_to_end(left, self.follows)
        costs["explicit"] = self._explicit_to_end(left)
        return self._way(min(costs, key=lambda name: costs[name]))

    def cheapest(self, names: tuple[str, ...]) -> str:
        """Return the algebra among these whose first steps are expected to cost least."""
        step = _SHARE * self.limits.end
        return min((name for name in names if name in self.allowed), key=lambda name: self.cost(name, step))

    def pace(self) -> int:
        seconds = self.measured.get(self.name) or self.cost(self.name, _MEAN * _SHARE * self.limits.end)
        return max(_LEAST, int(_LOOK / max(seconds, 1e-6)))

    def next(self, way: Way, report: Report) -> Way:
        if report.attempts == 0:
            return way
        left, step = self.limits.end - float(report.cursor.t), report.covered / report.attempts
        # If all attempts were rejected, the step size is the one of the next attempt.
        step = step if step > 0.0 else float(report.cursor.h)
        own = self._own(way.name, step, report)
        self.measured[way.name] = own
        watch = report.cursor.watch
        self.radius = self._radius_at(report.cursor.u, None if watch is None else watch.modes)
        now = float(report.cursor.t)
        if way.name != "explicit":
            self.reached[_kind(way.name)] = [now, step]
        follows = watch is not None and bool(watch.followed)
        costs = {name: self._cost_to(name, step, now) for name in self._implicit(follows)}
        best = min(costs, key=lambda name: costs[name])
        cost = costs[best]
        if way.name == "explicit":
            # It is stiff if the step is limited by the stability. Otherwise the explicit method stays the cheapest.
            stiff = step * self.radius > 0.3 * STABLE
            ahead = self._costs_to_end(left, follows)
            best = min(ahead, key=lambda name: ahead[name])
            return self._way(best) if stiff and self._explicit_to_end(left) > 1.5 * ahead[best] else way
        equal = self.cost("explicit", step) * max(0.5, step * self.radius / STABLE)
        if equal < 0.5 * cost:
            best, cost = "explicit", equal
        self._since_probe += report.attempts * own
        if way.name != "products" and self._since_probe > max(2 * self.patience, _RARE * self._probe_seconds):
            watch = Stopwatch()
            self.iterations = float(self._probe(jnp.asarray(report.cursor.u), report))
            # Where operations are counted, these are the seconds of one step by conjugate gradients.
            seconds = self.cost("products", step) if self.counts else watch.seconds()
            self._since_probe, self._probe_seconds = 0.0, seconds
        self.regret = max(0.0, self.regret + report.attempts * (own - 1.5 * cost))
        if best == way.name or self.regret < self.patience:
            return way
        self.regret, self.patience = 0.0, 2 * self.patience
        return self._way(best)

    @property
    def few_products(self) -> bool:
        direct = self.sizes.direct()
        return direct == "products" or self.sizes.multiplications(direct) < FEW_PRODUCTS

    def cost(self, name: str, step: float) -> float:
        """Return the seconds of a step of this size, measured if possible, else predicted."""
        if name == "explicit":
            return _EXPLICIT * self.gradient
        if name == "stabilised":
            return (_OTHERS + stages(step, self.radius)) * self.gradient
        if name == "products":
            iterations = self.iterations or self._expected_iterations(step)
            return (_GRADIENTS + _PER_ITERATION * iterations) * self.gradient
        if name in self.measured:
            return self.measured[name]
        return self._factorised(name, _LAGGED_ITERATIONS)

    def _factorised(self, name: str, iterations: float) -> float:
        """Return the predicted seconds of a step with a factor, and solves that need this number of iterations."""
        rate = _RATE if self.counts else multiplication_rate()
        direct = self.sizes.multiplications(name) / rate + _GRADIENTS * self.gradient
        if name not in ("lagged", "nystrom"):
            return direct
        solves = 4 * iterations * self.sizes.precondition(name) / rate
        return direct / _LAG + solves + _PER_ITERATION * iterations * self.gradient

    def _implicit(self, follows: bool) -> list[str]:
        """Return the names of the algebras for stiff flows; stabilised steps do not follow growth modes."""
        return [
            name
            for name in self.allowed
            if name != "explicit"
            and not (name == "stabilised" and (follows or self.system.log_time is not None))
        ]

    def _costs_to_end(self, left: float, follows: bool) -> dict[str, float]:
        """Return the seconds that each algebra for stiff flows is expected to need for the rest of the flow."""
        late = 0.0 if self.system.predictor.linear_in_parameters else np.max(self.system.weight_decay) * left
        return {
            name: _STEPS * self.cost(name, _MEAN * _SHARE * left)
            if name == "stabilised"
            else (_STEPS + late / _LATE) * self.cost(name, _SHARE * left)
            for name in self._implicit(follows)
        }

    def _cost_to(self, name: str, step: float, now: float) -> float:
        """Return the seconds that this algebra needs to cover the time of one step.

        The matrix of linearly implicit steps lacks the curvature of the model. Late in a flow with weight decay, this
        limits them to a multiple of 1 / lam, whereas stabilised steps grow like the time. Thus the steps of each
        kind are expected to be as long as they were before, or as the growth of the time has made them since.
        """
        then, size = self.reached.get(_kind(name), [now, step])
        size = size if size >= step else min(step, size * now / max(then, 1e-300))
        return self.cost(name, size) * step / size

    def _explicit_to_end(self, left: float) -> float:
        steps = _EXPLICIT_STEPS + left * self.radius / STABLE
        # A method that would use up the steps that the caller allows is of no use, however cheap they are.
        return self.cost("explicit", 0.0) * steps if steps < self.limits.max_steps / 2 else np.inf

    def _expected_iterations(self, step: float) -> float:
        condition = 1 + GAMMA * step * self.radius
        return float(min(2 * np.sqrt(condition), self.sizes.rows, self.sizes.p)) + 2

    def _own(self, name: str, step: float, report: Report) -> float:
        """Return the seconds of a step of the part that was taken, with the iterations or stages that it needed."""
        total = int(report.cursor.iterations)
        done, self._solved = (total - self._solved) / report.attempts, total
        if name == "products":
            self.iterations = done / 4
        if name == "stabilised":
            counted = (_OTHERS + done) * self.gradient
        elif name in ("explicit", "products"):
            counted = self.cost(name, step)
        else:
            counted = self._factorised(name, done / 4)
        return self._checked(counted, report.seconds / report.attempts) if self.uses_times else counted

    def _checked(self, counted: float, seconds: float) -> float:
        """Return the counted seconds, or those of the clock if they differ much or if nothing is counted."""
        right = self.counts and counted / _MISCOUNTED < seconds < counted * _MISCOUNTED
        return counted if right else seconds

    def _probe(self, u: jax.Array, report: Report) -> Any:
        system = self.system.using(self.allowed["products"])
        return _iterations(system, u, jnp.asarray(report.cursor.h), jnp.asarray(self.limits.rtol))

    def _radius_at(self, u: Any, modes: Modes | None) -> float:
        return radius_at(self.system, u) if modes is None else float(modes.radius)

    def _way(self, name: str) -> Way:
        self.name = name
        algebra = self.allowed[name]
        system = self.rounded if name == "stabilised" else self.system
        return Way(name, system.using(algebra), algebra.method)


def _kind(name: str) -> str:
    return "stabilised" if name == "stabilised" else "implicit"


def guided(
    system: GaussNewtonSystem,
    u: ndarray,
    limits: Limits,
    max_bytes: int,
    *,
    kinked: bool,
    rounded: GaussNewtonSystem | None,
) -> tuple[GaussNewtonSystem, Guide]:
    """Return a system and its guide, which is settled if the caller names an algebra.

    `kinked` says that the model has kinks, which the system crosses by its steps. `rounded` is the same system with
    rounded kinks, in which stabilised steps are taken.
    """
    sizes = sizes_of(system, u, max_bytes)
    name = limits.algebra
    if name == "auto":
        name = sizes.direct()
        if name == "products" or sizes.multiplications(name) > SMALL:
            return system, AlgebraChoice(system, u, sizes, limits, rounded)
        if not kinked and system.log_time is None:
            return system, CountedChoice(system, u, sizes, name, limits)
    algebra = sizes.named(name)
    chosen = rounded if rounded is not None and name == "stabilised" else system
    return chosen.using(algebra), Settled(name, algebra.method)


def factorized(system: GaussNewtonSystem, u: ndarray, limits: Limits, max_bytes: int) -> GaussNewtonSystem:
    """Return the system with one of the algebras `SLIDING` for the whole flow, the cheapest one if none is named."""
    sizes = sizes_of(system, u, max_bytes)
    name = limits.algebra
    if name == "auto":
        name = sizes.direct()
        if name != "products" and sizes.multiplications(name) > SMALL:
            name = AlgebraChoice(system, u, sizes, limits).cheapest(SLIDING)
    return system.using(sizes.named(name))


def sizes_of(system: GaussNewtonSystem, u: Any, max_bytes: int) -> Sizes:
    """Return the sizes of a system with the inner variable u, which JAX may trace."""
    rows, one_decay = system.rows(u), np.ndim(system.weight_decay) == 0
    outputs = rows // system.mean_loss.targets.shape[0]
    return Sizes(system.predictor, outputs, rows, system.shape.size, max_bytes, one_decay)


@cache
def multiplication_rate() -> float:
    """Return how many multiplications a second a product of matrices takes where JAX computes; it is measured once."""
    on_cpu = jax.default_backend() == "cpu"
    # A product of this size fills the device.
    matrix = np.random.default_rng(0).standard_normal((400, 400) if on_cpu else (4000, 4000))
    if on_cpu:
        with one_blas_thread():
            return float(len(matrix) ** 3 / _seconds(lambda: matrix @ matrix))
    with double_precision():
        return float(len(matrix) ** 3 / _seconds(jnp.matmul, jnp.asarray(matrix), jnp.asarray(matrix)))


def _seconds(function: Any, *arguments: Any) -> float:
    """Return the shortest time of a few calls, after a first one that may compile."""
    times = []
    for _ in range(6):
        watch = Stopwatch()
        jax.block_until_ready(function(*arguments))
        times.append(watch.seconds())
    return min(times[1:])


def _counted_seconds(system: GaussNewtonSystem, u: jax.Array) -> float:
    """Return the seconds of a gradient at fixed rates, from the number of operations in its compiled program."""
    program: Any = _gradient  # equinox does not annotate `lower`
    analysis = program.lower(system, u).compile().compiled.cost_analysis() or {}
    operations, functions = (float(analysis.get(name, 0.0)) for name in ("flops", "transcendentals"))
    return _OVERHEAD + operations / _OPERATIONS + functions * _TRANSCENDENTAL


@eqx.filter_jit
def _gradient(system: GaussNewtonSystem, u: jax.Array) -> jax.Array:
    return system.complete(system.moving(u))[1]


@compiled
def _iterations(system: GaussNewtonSystem, u: jax.Array, h: jax.Array, rtol: jax.Array) -> jax.Array:
    """Return the number of iterations of the first solve of a step."""
    prepared = system.prepare(u, GAMMA * h, (), rtol)
    return prepared.solve(GAMMA * h * prepared.field)[1]
