"""What a study is: points, what is computed at each, and claims and figures of what was computed."""

from abc import ABC, abstractmethod
from typing import Any

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress


class Study(ABC):
    """A paper as code.

    Only `compute` computes. Claims and figures are functions of the dataset that it returns, so that
    `implicitbias report` judges a stored dataset as it judges a new one.
    """

    @abstractmethod
    def points(self) -> tuple[str, ...]:
        """Return the names of the settings, in the order in which they run; the first one should take seconds."""

    @abstractmethod
    def compute(self, point: str, progress: Progress) -> Any:
        """Return an `xarray.Dataset` with everything that claims and figures of this setting need.

        Import rooms that need JAX or numba in here, so that stored results can be judged without them.
        """

    @abstractmethod
    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return what is claimed of this setting, from the dataset alone: compare, take maxima, fit slopes."""

    @abstractmethod
    def notes(self) -> str:
        """Return what a reader must know, in a paragraph: which settings are the paper's and which were chosen."""

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return {file stem: matplotlib Figure} of this setting, from the dataset alone. The default has none."""
        return {}
