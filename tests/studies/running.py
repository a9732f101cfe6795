"""What tests of studies share."""

import fcntl
import os
import pickle
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import implicitbias as ib
from implicitbias.studies import Claim
from tests.conftest import SHARED_FOLDER


def silent(fraction: float, text: str) -> None:
    """Progress that nobody watches."""


@cache
def computed(name: str, point: str) -> Any:
    """The dataset of one point of a study; copy it before changing it.

    It is computed once in a run of the tests: the process that needs it first leaves the object to the others.
    """
    kept = Path(os.environ[SHARED_FOLDER]) / f"{name}-{point}.pickle"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_bytes(pickle.dumps(ib.studies.load(name).compute(point, silent)))
        return pickle.loads(kept.read_bytes())


def failing(claims: Sequence[Claim]) -> list[str]:
    """The statements that do not hold."""
    return [claim.statement for claim in claims if not claim.holds]


class ClaimsHold:
    """The tests that every study passes; a class of tests names its point, and its module has a fixture `claims`."""

    point: str

    def test_every_claim_holds(self, claims: list[Claim]) -> None:
        assert failing(claims) == []
        assert {claim.point for claim in claims} == {self.point}
        assert all(claim.reference for claim in claims)

    def test_every_assumption_holds(self, claims: list[Claim]) -> None:
        states = {assumption.state for claim in claims for assumption in claim.assumptions}
        assert states == {"checked: holds"}


class NamedClaims(ClaimsHold):
    """The same for a study of grokking; the class gives words of the claims that must be there."""

    words: tuple[str, ...]

    def test_the_claims_are_those_of_the_paper(self, claims: list[Claim]) -> None:
        assert [words for words in self.words if not any(words in claim.statement for claim in claims)] == []
