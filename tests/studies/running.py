"""What tests of studies share."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import implicitbias as ib
from implicitbias.studies import Claim


def silent(fraction: float, text: str) -> None:
    """Progress that nobody watches."""


@cache
def computed(name: str, point: str) -> Any:
    """The dataset of one point of a study, computed once in a process; copy it before changing it."""
    return ib.studies.load(name).compute(point, silent)


def failing(claims: Sequence[Claim]) -> list[str]:
    """The statements that do not hold."""
    return [claim.statement for claim in claims if not claim.holds]
