"""Run a study, and write claims as JSON, data as NetCDF, figures and a page."""

from pathlib import Path
from typing import Any

from implicitbias._core.progress import Progress, silent
from implicitbias.studies._registry import find, load
from implicitbias.studies._result import StudyResult, judged
from implicitbias.studies._store import result_folder, write_result


def run(name: str, out: Any = None, progress: Progress | None = None) -> StudyResult:
    """Run a study; with `out`, write its results into the folder out/name.

    Args:
        name: a name that `ib.studies.list()` gives.
        out: folder for the results, which is made if it is missing; None writes nothing. The results of an earlier run
            of the same study are replaced after the new ones are complete.
        progress: function that is called with (fraction done, text).

    Returns:
        A `StudyResult`; `ok` says whether every claim holds and no checked assumption fails.

    Raises:
        InputError: the name is unknown, or the folder cannot be written.
    """
    card = find(name)
    place = None if out is None else result_folder(Path(out), name)
    folder = None if place is None else place.check()
    report = progress or silent
    study = load(name)
    points = study.points()
    datasets = {}
    for i, point in enumerate(points):

        def within(fraction: float, text: str, i: int = i, point: str = point) -> None:
            report((i + fraction) / len(points), f"{point}: {text}")

        within(0.0, "started")
        datasets[point] = study.compute(point, within)
    report(1.0, "done")
    result = StudyResult(card, judged(study, datasets), datasets, folder)
    if place is not None:
        place.fill(lambda part: write_result(result, study, part))
    return result
