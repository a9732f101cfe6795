"""Run a study and keep what it leaves: claims as JSON, data as NetCDF, pictures, a readable summary."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from implicitbias._core.progress import Progress, silent
from implicitbias.studies._claim import Claim
from implicitbias.studies._registry import Card, find, load
from implicitbias.studies._store import check_folder, store
from implicitbias.studies._study import Outcome


@dataclass(frozen=True, eq=False)
class StudyResult:
    """The claims of a study, its data and pictures.

    Attributes:
        card: which study.
        claims: every claim, in order.
        outcomes: {point: Outcome}.
        folder: where it was written, None if nowhere.
    """

    card: Card
    claims: tuple[Claim, ...]
    outcomes: dict[str, Outcome]
    folder: Path | None

    @property
    def ok(self) -> bool:
        """Whether every claim holds."""
        return all(claim.holds for claim in self.claims)


def run(name: str, out: Any = None, progress: Progress | None = None) -> StudyResult:
    """Run a study; with `out`, write its results into the folder out/name.

    Args:
        name: a name that `ib.studies.list()` gives.
        out: folder for the results, made where it is missing; None writes nothing. A folder of an earlier run of the
            same study is replaced, and only once the new one is complete.
        progress: called with (fraction done, text).

    Returns:
        A `StudyResult`; `ok` says whether every claim holds.

    Raises:
        InputError: an unknown name, or a place that cannot be written to.
    """
    card = find(name)
    folder = None if out is None else check_folder(Path(out), name)
    report = progress or silent
    study = load(name)
    points = study.points()
    outcomes = {}
    for i, point in enumerate(points):

        def within(fraction: float, text: str, i: int = i, point: str = point) -> None:
            report((i + fraction) / len(points), f"{point}: {text}")

        within(0.0, "started")
        outcomes[point] = study.run(point, within)
    report(1.0, "done")
    result = StudyResult(
        card, tuple(c for outcome in outcomes.values() for c in outcome.claims), outcomes, folder
    )
    if folder is not None:
        store(result, study.notes(), folder)
    return result
