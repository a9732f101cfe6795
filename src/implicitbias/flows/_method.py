"""The base class of methods that take one adaptive step of a system."""

from abc import abstractmethod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpy import ndarray

from implicitbias._core.modules import PlainModule
from implicitbias.flows._growth_modes import Modes
from implicitbias.flows._system import System

# The relative error of a growth mode of rate mu in a step of size h is about (mu h)^3 / _VISIBLE.
_VISIBLE = 10.0


class Trial(NamedTuple):
    """An attempted step of size h from u.

    Attributes:
        end: the end of the step.
        embedded: the end by the method of lower order, whose distance from `end` estimates the error; the first
            `System.state_size` entries are enough.
        curve: the coefficients of x, x^2, x^3 and x^4 of dense output, where x in [0, 1] is the share of the step. They
            have at least the first `System.shown` entries, and dense output is u + sum_j curve_j x^j.
        memory: what the next attempt may use.
        iterations: the number of iterations of linear solvers.
        corrected: the end with a correction from the defect of dense output, whose distance from `end` is a second
            estimate of the error; None if the method does not compute it.
    """

    end: jax.Array
    embedded: jax.Array
    curve: jax.Array
    memory: Any
    iterations: jax.Array
    corrected: jax.Array | None = None


class Probe(NamedTuple):
    """Where the error of dense output inside a step is estimated from its defect.

    Attributes:
        at: the share of the step at which the defect is computed.
        weight: the largest error of dense output in the step, as a multiple of the defect times the step size.
    """

    at: float
    weight: float


class Method(PlainModule):
    """A one-step method with an error estimate and dense output."""

    @property
    @abstractmethod
    def order(self) -> int:
        """The order of the error estimate in the step size."""

    @property
    @abstractmethod
    def cost(self) -> tuple[int, int]:
        """The numbers of evaluations of the field and of factorisations in an attempt."""

    @property
    def follows_modes(self) -> bool:
        """Whether steps follow given growth modes in closed form; otherwise the modes serve the error estimate only."""
        return False

    @property
    def foresees(self) -> bool:
        """Whether the next step size continues the trend of the last two steps, for methods of few and long steps."""
        return False

    @property
    def probe(self) -> Probe | None:
        """Where the error inside a step is estimated; None if `Trial.corrected` stands for it, or nothing does."""
        return None

    def accurate_growth(self, rtol: Any) -> Any:
        """Return h mu for a growth mode of rate mu whose relative error is rtol in a step of size h that ignores it.

        By default it is that of a method of order 2 with small coefficients.
        """
        return (_VISIBLE * rtol) ** (1 / 3)

    def longest(self, memory: Any) -> Any:
        """Return the largest step size that this method should attempt with its present memory."""
        return jnp.inf

    def modes_now(self, modes: Modes, cursor: Any) -> Modes:
        """Return the modes at the cursor if the given ones were found some steps before."""
        return modes

    @abstractmethod
    def attempt(
        self, system: System, cursor: Any, h: jax.Array, rtol: jax.Array, modes: Modes | None
    ) -> Trial:
        """Return an attempted step of size h from the inner variable `cursor.u` with the memory `cursor.memory`."""

    def first_memory(self, system: System, u: ndarray) -> Any:
        """Return the memory before the first step from u, as NumPy arrays."""
        return system.first_memory(u)

    def kept(self, before: Any, after: Any, accepted: jax.Array) -> Any:
        """Return what the next attempt may use if the memory was `before`, and `after` this attempt."""
        return after
