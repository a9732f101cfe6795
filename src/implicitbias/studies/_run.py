"""Run a study, and write claims as JSON, data as NetCDF, figures and a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from implicitbias._core.errors import InputError
from implicitbias._core.progress import Progress, silent
from implicitbias.studies._registry import find, load
from implicitbias.studies._result import StudyResult, judged
from implicitbias.studies._seeds import noted_seeds
from implicitbias.studies._store import CLAIMS, read_content, read_points, result_folder, write_result
from implicitbias.studies._study import Study


def run(
    name: str, out: Any = None, progress: Progress | None = None, points: Sequence[str] | None = None
) -> StudyResult:
    """Run a study; with `out`, write its results into the folder out/name.

    Args:
        name: a name that `ib.studies.list()` gives.
        out: folder for the results, which is made if it is missing; None writes nothing. The results of an earlier run
            of the same study are replaced after the new ones are complete; points that are not run again are kept, and
            judged again.
        progress: function that is called with (fraction done, text).
        points: the points to run, as `ib.studies.load(name).points()` names them; None for all. The first one of a
            study takes seconds, others may take minutes.

    Returns:
        A `StudyResult`; `ok` says whether every claim holds and no checked assumption fails.

    Raises:
        InputError: the name or a point is unknown, or the folder cannot be written.
    """
    card = find(name)
    place = None if out is None else result_folder(Path(out), name)
    folder = None if place is None else place.check()
    report = progress or silent
    study = load(name)
    chosen = chosen_points(study, name, points)
    datasets = {} if folder is None else _earlier(folder, study, chosen)
    for i, point in enumerate(chosen):

        def within(fraction: float, text: str, i: int = i, point: str = point) -> None:
            report((i + fraction) / len(chosen), f"{point}: {text}")

        within(0.0, "started")
        with noted_seeds() as seeds:
            datasets[point] = study.compute(point, within)
        datasets[point].attrs["seeds"] = ", ".join(seeds)
    report(1.0, "done")
    datasets = {point: datasets[point] for point in study.points() if point in datasets}
    result = StudyResult(card, judged(study, datasets), datasets, folder)
    if place is not None:
        place.fill(lambda part: write_result(result, study, part))
    return result


def chosen_points(study: Study, name: str, points: Sequence[str] | None) -> tuple[str, ...]:
    """Return the points that are asked for, in the order of the study; all if None.

    Raises:
        InputError: the study has no such point, or none is named.
    """
    known = study.points()
    if points is None:
        return known
    if isinstance(points, str):
        raise InputError(f"points is {points!r}, a list of points is expected; type points=[{points!r}]")
    unknown = [point for point in points if point not in known]
    if unknown or not points:
        got = f"no point {unknown[0]!r}" if unknown else "no point to run"
        raise InputError(f"{name} has {got}, one of {', '.join(known)} is expected")
    return tuple(point for point in known if point in points)


def _earlier(folder: Path, study: Study, chosen: tuple[str, ...]) -> dict[str, Any]:
    """Return the stored datasets of an earlier run at points that are not run again.

    Raises:
        InputError: one of them cannot be read.
    """
    if set(chosen) == set(study.points()) or not (folder / CLAIMS).exists():
        return {}
    content = read_content(folder)
    stored = [point for point in study.points() if point in content.get("points", ()) and point not in chosen]
    return read_points(folder, {**content, "points": stored}) if stored else {}
