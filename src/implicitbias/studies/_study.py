"""The base class of studies: points, a dataset for each point, and claims and figures from the dataset."""

from abc import ABC, abstractmethod
from typing import Any

from implicitbias._core.claim import Claim
from implicitbias._core.errors import InputError
from implicitbias._core.progress import Progress


class Study(ABC):
    """The results of a paper, reproduced by code.

    Only `compute` predicts and simulates. Claims and figures are functions of the dataset that it returns, so that
    `implicitbias report` can judge a stored dataset in the same way as a new one.
    """

    @abstractmethod
    def points(self) -> tuple[str, ...]:
        """Return the names of the settings in the order in which they run. The first one should take seconds."""

    @abstractmethod
    def compute(self, point: str, progress: Progress) -> Any:
        """Return an `xarray.Dataset` with everything that claims and figures of this setting need.

        Import modules that need JAX or numba inside this method, so that stored results can be judged without them.
        """

    @abstractmethod
    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about this setting, computed from the dataset alone."""

    @abstractmethod
    def notes(self) -> str:
        """Return a paragraph for readers that says which settings are from the paper and which were chosen."""

    def settings(self) -> dict[str, Any]:
        """Return {name: default value} of the settings that a sweep of this study may vary; {} by default.

        A study with settings also has `measure`.
        """
        return {}

    def measure(self, settings: dict[str, Any]) -> Any:
        """Return an `xarray.Dataset` or a dict of one run at these settings, which is what a sweep stores.

        Raises:
            InputError: a setting is out of its range, or the study has none.
        """
        raise InputError(f"{type(self).__name__} has no settings to sweep; type ib.studies.run to run it")

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return {file stem: matplotlib Figure} of this setting, from the dataset alone; {} by default."""
        return {}
