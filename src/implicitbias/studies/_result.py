"""What a study leaves behind: claims, and the datasets that they were computed from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from implicitbias._core.claim import Claim
from implicitbias._core.errors import InputError
from implicitbias.studies._registry import Card
from implicitbias.studies._study import Study


@dataclass(frozen=True, eq=False)
class StudyResult:
    """The claims of a study and its data.

    Attributes:
        card: which study.
        claims: every claim, in order.
        datasets: {point: xarray.Dataset} that claims and figures are functions of.
        folder: where it was written or read, None if nowhere.
    """

    card: Card
    claims: tuple[Claim, ...]
    datasets: dict[str, Any]
    folder: Path | None

    @property
    def ok(self) -> bool:
        """Return whether every claim holds."""
        return all(claim.holds for claim in self.claims)


def judged(study: Study, datasets: dict[str, Any]) -> tuple[Claim, ...]:
    """Return the claims of all points.

    Raises:
        InputError: a dataset lacks what the claims need.
    """
    claims: list[Claim] = []
    for point, data in datasets.items():
        try:
            with np.errstate(all="ignore"):  # a NaN fails where it is compared
                claims += study.claims(point, data)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise InputError(
                f"the data of {point!r} cannot be judged ({type(error).__name__}: {error}); a variable is missing or "
                "of another shape, as in a damaged file or in one of another version: run the study again"
            ) from error
    return tuple(claims)
