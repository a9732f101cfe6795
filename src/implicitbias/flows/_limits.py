"""The limits of an integration."""

from dataclasses import dataclass

from jaxtyping import Float64
from numpy import ndarray

from implicitbias.trajectories import Clock


@dataclass(frozen=True)
class Limits:
    """The end, the tolerance and the largest number of steps of an integration, and the requested times.

    `algebra` is the name of the algebra that the caller asks for, or "auto" for a choice by cost.
    `end` and `grid` are values of the variable of the clock. `reproducible` says that no choice may depend on how long
    a computation takes, so that a run repeats its numbers to the last bit.
    """

    end: float
    rtol: float
    max_steps: int
    grid: Float64[ndarray, " m"] | None = None
    algebra: str = "auto"
    clock: Clock = Clock()  # noqa: RUF009  a clock is a frozen value
    reproducible: bool = False
