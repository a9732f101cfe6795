"""What an exploration shows for one value of its settings: curves, points and numbers."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from jaxtyping import Float64
from numpy import ndarray

QUIET = 8
"""The place of the quiet colour behind the eight colours of the palette."""


class Role(Enum):
    """What a curve shows, which decides how it is drawn."""

    FLOW = "simulated"
    PREDICTION = "predicted"
    ONE_CLASS = "class +1"
    OTHER_CLASS = "class -1"


class Axes(NamedTuple):
    """The axes of a panel, which do not depend on the settings."""

    title: str
    x: str
    y: str
    x_log: bool = False
    y_log: bool = False
    equal: bool = False


@dataclass(frozen=True, eq=False)
class Curve:
    """The points of a curve, or of one class of data, with a name and a place in the palette."""

    name: str
    x: Float64[ndarray, " m"]
    y: Float64[ndarray, " m"]
    role: Role
    colour: int = QUIET


@dataclass(frozen=True, eq=False)
class Picture:
    """The curves of each panel, numbers in words, and a sentence about the settings."""

    panels: tuple[tuple[Curve, ...], ...]
    facts: tuple[tuple[str, str], ...]
    note: str = ""
