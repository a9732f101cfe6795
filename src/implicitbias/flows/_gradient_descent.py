"""Gradient descent, with the time axis of the gradient flow that approximates it."""

import time
from dataclasses import dataclass
from numbers import Real
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.modules import PlainModule
from implicitbias._core.status import Status
from implicitbias._core.trees import TreeShape
from implicitbias.flows._dense import Output, SampledOutput
from implicitbias.flows._engine import Engine
from implicitbias.flows._flow import Flow
from implicitbias.flows._gradient_flow import checked_problem, checked_start
from implicitbias.flows._limits import Limits
from implicitbias.flows._weight_decay import checked_weight_decay, decays_at, weight_decay_text
from implicitbias.problems import ModelFlags, Objective, TrainingProblem, model_flags
from implicitbias.trajectories import Stats

# The number of saved steps for each factor of 10 in time.
_PER_DECADE = 20
# The time in seconds between two returns to Python, which reports progress and handles interrupts.
_SECONDS = 0.2
# The most saved steps, and the most numbers, that one call returns: calls cost more than the steps of a small model.
_BLOCK, _BLOCK_NUMBERS = 64, 2**20


class GradientDescent(Flow):
    r"""Full-batch gradient descent $\theta_{k+1} = \theta_k - \eta (\nabla F(\theta_k) + \lambda \theta_k)$.

    The time after k steps is t = eta k. `simulate` rounds the end time to whole steps, at least one. It keeps the
    states at log-spaced steps or at the steps nearest to `times`, and it does not use `rtol` and `max_steps`. Where
    `until` ends a run, up to about 0.2 s of steps beyond the stop are computed, which `stats.steps` counts.

    Args:
        problem: a problem, as for `GradientFlow`.
        learning_rate: the step size eta > 0.
        weight_decay: the weight decay lam >= 0, or a pytree of such numbers as for `GradientFlow`.

    Raises:
        InputError: an argument has another type or is out of range.

    Reference:
        lyu2024dichotomy.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares(np.eye(2), [2.0, 1.0])
        >>> descent = ib.GradientDescent(problem, learning_rate=0.1)
        >>> trajectory = ib.simulate(descent, np.zeros(2), t1=100.0)
        >>> trajectory.stats.steps, trajectory.final.round(2).tolist()
        (1000, [2.0, 1.0])
    """

    problem: TrainingProblem
    learning_rate: float
    weight_decay: Any

    def __init__(self, problem: TrainingProblem, learning_rate: float, weight_decay: Any = 0.0) -> None:
        self._settle(
            {
                "problem": checked_problem(problem),
                "learning_rate": _checked_rate(learning_rate),
                "weight_decay": checked_weight_decay(weight_decay),
            }
        )

    def checked_start(self, start: Any) -> tuple[TreeShape, Float64[ndarray, " size"]]:
        shape, flat = checked_start(self.problem, start)
        decays_at(self.weight_decay, shape)
        return shape, flat

    def flags(self, shape: TreeShape, start: Float64[ndarray, " size"]) -> ModelFlags:
        return model_flags(self.problem, shape, start)

    def snapped(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, " k"]:
        snapped: ndarray = np.unique(np.round(times / self.learning_rate)) * self.learning_rate
        return snapped

    def engine(
        self, shape: TreeShape, start: Float64[ndarray, " size"], limits: Limits, max_bytes: int
    ) -> Engine:
        settings = _Settings(
            self.problem.double_objective,
            shape,
            jnp.asarray(self.learning_rate),
            jnp.asarray(decays_at(self.weight_decay, shape)),
        )
        total = max(1, round(limits.end / self.learning_rate))
        if limits.grid is None:
            saves = np.round(np.geomspace(1, total, 2 + round(_PER_DECADE * np.log10(total))))
        else:
            saves = np.append(np.round(limits.grid / self.learning_rate), total)
        return DescentEngine(settings, jnp.asarray(start), np.unique(saves.astype(np.int64)))

    def __repr__(self) -> str:
        return (
            f"GradientDescent({self.problem!r}, learning_rate={self.learning_rate:g}, "
            f"weight_decay={weight_decay_text(self.weight_decay)})"
        )


def _checked_rate(learning_rate: Any) -> float:
    if (
        isinstance(learning_rate, bool)
        or not isinstance(learning_rate, Real)
        or not 0.0 < float(learning_rate) < np.inf
    ):
        raise InputError(f"learning_rate is {learning_rate!r}, a positive, finite number is expected")
    return float(learning_rate)


class _Settings(PlainModule):
    """The arguments of a gradient descent step."""

    objective: Objective
    shape: TreeShape
    learning_rate: jax.Array
    weight_decay: jax.Array


@eqx.filter_jit
def _descend(settings: _Settings, u: jax.Array, counts: jax.Array) -> jax.Array:
    """Return the parameters after so many steps from u, and after so many more from there, and so on, row by row."""

    def model(point: jax.Array) -> jax.Array:
        return settings.objective.readout(settings.shape.unflatten(point))

    def one(_: jax.Array, point: jax.Array) -> jax.Array:
        predictions, pull_back = jax.vjp(model, point)
        slope = pull_back(settings.objective.mean_loss.pull(predictions))[0]
        return point - settings.learning_rate * (slope + settings.weight_decay * point)

    def several(point: jax.Array, count: jax.Array) -> tuple[jax.Array, jax.Array]:
        ahead = jax.lax.fori_loop(0, count, one, point)
        return ahead, ahead

    return jax.lax.scan(several, u, counts)[1]


@dataclass
class DescentEngine(Engine):
    """An engine that takes steps of gradient descent and keeps the states at the steps in `saves`."""

    settings: _Settings
    u: jax.Array
    saves: Int64[ndarray, " m"]
    steps: int = 0
    pace: int = 1
    broken: bool = False

    saved = ("u", "steps", "pace", "broken")

    def __post_init__(self) -> None:
        self.first = SampledOutput(np.zeros(1), np.asarray(self.u)[None])

    def advance(self) -> Output | None:
        """Take steps up to the next saved ones, but not for much longer than `_SECONDS`.

        Return the output at the saved steps, or None if none has been reached.
        """
        block = max(1, min(_BLOCK, _BLOCK_NUMBERS // self.u.size))
        ahead = self.saves[np.searchsorted(self.saves, self.steps, side="right") :][:block]
        # A row beyond the pace stays at the last step within it, because it takes no steps.
        targets = np.minimum(np.pad(ahead, (0, block - len(ahead)), mode="edge"), self.steps + self.pace)
        count = int(targets[-1]) - self.steps
        begin = time.perf_counter()
        rows = np.asarray(_descend(self.settings, self.u, jnp.asarray(np.diff(targets, prepend=self.steps))))
        # The pace is the number of steps in about `_SECONDS`. The first call also compiles, so it underestimates the
        # pace, and later calls correct it.
        if count == self.pace:
            self.pace = max(1, min(8 * self.pace, int(count * _SECONDS / (time.perf_counter() - begin)) or 1))
        finite = np.isfinite(rows).all(axis=1)
        sound = len(rows) if finite.all() else int(np.argmin(finite))
        if sound < len(rows):
            self.broken = True
            before = self.steps if sound == 0 else int(targets[sound - 1])
            self.ending_note = (
                f"The parameters became NaN or infinite between steps {before} and {targets[sound]}; "
                f"a learning rate of {float(self.settings.learning_rate):g} may be too large."
            )
        if sound:
            self.u, self.steps = jnp.asarray(rows[sound - 1]), int(targets[sound - 1])
            self.t = self.steps * float(self.settings.learning_rate)
        reached = int(np.searchsorted(ahead, self.steps, side="right"))
        if reached == 0:
            return None
        return SampledOutput(ahead[:reached] * float(self.settings.learning_rate), rows[:reached])

    def status(self) -> Status | None:
        if self.broken:
            return Status.NOT_FINITE
        return Status.REACHED_TIME if self.steps >= self.saves[-1] else None

    def state(self) -> Float64[ndarray, " size"]:
        return np.asarray(self.u)

    def stats(self, seconds: float) -> Stats:
        return Stats(self.steps, self.steps, 0, self.steps, 0, seconds)
