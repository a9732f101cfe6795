"""The result of a study: its claims and the datasets from which they are computed."""

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
        card: the card of the study.
        claims: all claims, in order.
        datasets: {point: xarray.Dataset} from which claims and figures are computed.
        folder: the folder to which it was written or from which it was read; None if there is none.
    """

    card: Card
    claims: tuple[Claim, ...]
    datasets: dict[str, Any]
    folder: Path | None

    @property
    def ok(self) -> bool:
        """Whether every claim holds and none of their checked assumptions fails."""
        return all(claim.supported for claim in self.claims)


def judged(study: Study, datasets: dict[str, Any]) -> tuple[Claim, ...]:
    """Return the claims of all points.

    Raises:
        InputError: a dataset lacks a variable that the claims need.
    """
    claims: list[Claim] = []
    for point, data in datasets.items():
        try:
            with np.errstate(all="ignore"):  # a claim about a NaN fails
                claims += study.claims(point, data)
        except (KeyError, IndexError, ValueError, TypeError, ZeroDivisionError) as error:
            raise InputError(
                f"the data of {point!r} cannot be judged ({type(error).__name__}: {error}); a variable is missing or "
                "has another shape, because the file is damaged or from another version; run the study again"
            ) from error
    return tuple(claims)
