"""What a study is: points, what is computed at each, and claims over all of them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from implicitbias._core.progress import Progress
from implicitbias.studies._claim import Claim


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one point of a study leaves behind.

    Attributes:
        claims: what was claimed and measured at this point.
        datasets: {file stem: xarray.Dataset}, written as NetCDF.
        figures: {file stem: matplotlib Figure}, written as PNG.
    """

    claims: tuple[Claim, ...]
    datasets: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


class Study(ABC):
    """A paper as code."""

    @abstractmethod
    def points(self) -> tuple[str, ...]:
        """Names of the settings, in the order they are run."""

    @abstractmethod
    def run(self, point: str, progress: Progress) -> Outcome:
        """Compute one of them."""

    @abstractmethod
    def notes(self) -> str:
        """What a reader must know: which settings are the paper's and which were chosen, in a paragraph."""
