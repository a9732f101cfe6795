"""Charts as data: what is drawn, without a program that draws it. Pages draw charts so that readers can zoom in.

Colours are roles, whose colours a page chooses for its light and its dark style: "c0" to "c7" for the palette, "ink",
"soft", "quiet" and "mark" for lines of other meaning.
"""

from dataclasses import dataclass
from typing import ClassVar

from numpy import ndarray


@dataclass(frozen=True)
class Axis:
    """An axis with its label, its scale, and its ends; `ticks` are (value, text), or empty for automatic ones."""

    label: str
    log: bool
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Line:
    """A line through points; with `steps`, each value holds until the next point."""

    name: str
    x: ndarray
    y: ndarray
    colour: str
    dash: str = "solid"
    width: float = 1.6
    steps: bool = False
    key: str = ""

    @property
    def is_quiet(self) -> bool:
        """Whether it is one of many lines behind the others, which are drawn together."""
        return self.colour == "quiet"

    @property
    def look(self) -> str:
        """How a legend shows it, "" if a legend leaves it out."""
        return f"line {self.dash}" if self.name and not self.is_quiet else ""


@dataclass(frozen=True, eq=False)
class Dots:
    """Points that are not joined; those that are not filled are circles."""

    name: str
    x: ndarray
    y: ndarray
    colour: str
    size: float
    filled: bool = True
    is_quiet: ClassVar[bool] = False

    @property
    def look(self) -> str:
        """How a legend shows them, "" if a legend leaves them out."""
        return ("dots" if self.filled else "dots open") if self.name else ""


@dataclass(frozen=True, eq=False)
class Area:
    """Polygons that are filled, each with its arrays of x and y."""

    name: str
    x: tuple[ndarray, ...]
    y: tuple[ndarray, ...]
    colour: str
    opacity: float
    is_quiet: ClassVar[bool] = False
    look: ClassVar[str] = ""


@dataclass(frozen=True)
class Rule:
    """A line across the whole panel at one value of x (`vertical`) or of y."""

    value: float
    vertical: bool
    colour: str
    dash: str = "solid"
    width: float = 1.0
    is_quiet: ClassVar[bool] = False
    look: ClassVar[str] = ""


@dataclass(frozen=True)
class Stripe:
    """A region between two values of x, over the whole height of the panel."""

    low: float
    high: float
    colour: str
    opacity: float
    is_quiet: ClassVar[bool] = False
    look: ClassVar[str] = ""


Mark = Line | Dots | Area | Rule | Stripe


@dataclass(frozen=True, eq=False)
class Panel:
    """A pair of axes with what is drawn on it; with `square`, a unit has the same length on both."""

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    square: bool = False


@dataclass(frozen=True, eq=False)
class Chart:
    """Panels of a figure, in rows from the top to the bottom."""

    rows: tuple[tuple[Panel, ...], ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, row by row."""
        return tuple(panel for row in self.rows for panel in row)
