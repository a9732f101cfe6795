"""The folder of a study's results: claims as JSON, one NetCDF file for each point, figures and a page."""

import json
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from implicitbias._core.claim import Assumption
from implicitbias._core.errors import InputError
from implicitbias._core.folders import ResultFolder
from implicitbias._core.labelled import read_netcdf, write_netcdf
from implicitbias.studies._registry import Card
from implicitbias.studies._result import StudyResult
from implicitbias.studies._study import Study

CLAIMS, PAGE = "claims.json", "README.md"
# Files that results of earlier versions may hold, which do not list their files.
_EARLIER = (CLAIMS, PAGE, "*.nc", "*.png")


def result_folder(out: Path, name: str) -> ResultFolder:
    """Return the folder out/name for the results of a study."""
    retry = f"type --out {shlex.quote(f'{out}-new')}"
    return ResultFolder(out / name, lambda folder: _foreign(folder, name), retry)


def write_result(result: StudyResult, study: Study, folder: Path) -> None:
    """Write claims, datasets, figures and the page into an existing folder."""
    from implicitbias.plotting import png  # matplotlib takes long to load

    pictures: dict[str, list[str]] = {}
    for point, data in result.datasets.items():
        marks = {"study": result.card.name, "point": point}
        write_netcdf(data.assign_attrs(marks), folder / f"{point}.nc")
        figures = study.figures(point, data)
        pictures[point] = list(figures)
        for stem, figure in figures.items():
            (folder / f"{stem}.png").write_bytes(png(figure))
    (folder / PAGE).write_text(summary(result, study.notes(), pictures), encoding="utf-8")
    files = sorted([CLAIMS, *(path.name for path in folder.iterdir())])
    content = json.dumps(_as_json(result, files), indent=2, allow_nan=False)
    (folder / CLAIMS).write_text(content + "\n", encoding="utf-8")


def read_content(folder: Path) -> dict[str, Any]:
    """Return the content of claims.json of a study.

    Raises:
        InputError: the file is missing or damaged.
    """
    file = folder / CLAIMS
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder} holds no {CLAIMS}, a folder with the results of a study is expected; "
            "type implicitbias run --out DIR"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}); it is damaged or from another program") from None
    if not isinstance(content, dict) or not isinstance(content.get("study"), str):
        raise InputError(f"{file} names no study; it is damaged or from another program")
    return content


def read_points(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Return {point: dataset} as stored.

    Raises:
        InputError: claims.json lists no points, or a file is missing, damaged, or of another study or point.
    """
    name, points = content["study"], content.get("points")
    again = f"run the study again: type implicitbias run {name} --out {shlex.quote(str(folder.parent))}"
    if (
        not isinstance(points, list)
        or not points
        or not all(isinstance(point, str) and Path(point).name == point for point in points)
    ):
        raise InputError(
            f"{folder / CLAIMS} lists no points; it was written by an earlier version or is damaged; {again}"
        )
    datasets = {}
    for point in points:
        file = folder / f"{point}.nc"
        try:
            data = read_netcdf(file)
        except InputError as error:
            raise InputError(f"{error}; {again}") from error
        marks = data.attrs.get("study"), data.attrs.get("point")
        if marks != (name, point):
            raise InputError(
                f"{file} holds point {marks[1]!r} of study {marks[0]!r}, {point!r} of {name!r} is expected; {again}"
            )
        datasets[point] = data
    return datasets


def summary(result: StudyResult, notes: str, pictures: dict[str, list[str]]) -> str:
    """Return the claims as a Markdown page, with the figures of each point."""
    card: Card = result.card
    lines = [f"# {card.name}", "", f"{card.paper}: {card.shows}.", "", notes, ""]
    lines += ["| holds | setting | claim | predicted | measured |", "|---|---|---|---|---|"]
    for claim in result.claims:
        mark = claim.verdict if claim.supported else f"**{claim.verdict}**"
        lines.append(
            f"| {mark} | {claim.point} | {claim.statement} | {claim.expected} | {claim.measured_text} |"
        )
    lines += ["", "Assumptions:", ""]
    lines += list(
        dict.fromkeys(f"- {c.point}: {a.text}; {_said(a)}" for c in result.claims for a in c.assumptions)
    )
    for point, stems in pictures.items():
        lines += ["", f"## {point}", ""]
        lines += [f"![{stem}]({stem}.png)" for stem in stems]
    return "\n".join(lines) + "\n"


def _said(assumption: Assumption) -> str:
    return f"{assumption.state} ({assumption.evidence})"


def _foreign(folder: Path, name: str) -> list[str]:
    """Return the names in a folder that an earlier result of this study did not write."""
    inside = sorted(path.name for path in folder.iterdir())
    try:
        content = read_content(folder)
    except InputError:
        return inside
    if content["study"] != name:
        return inside
    files = content.get("files")
    allowed = [str(file) for file in files] if isinstance(files, list) else None
    if allowed is None:
        return [item for item in inside if not any(fnmatch(item, pattern) for pattern in _EARLIER)]
    return [item for item in inside if item not in allowed]


def _as_json(result: StudyResult, files: list[str]) -> dict[str, Any]:
    return {
        "study": result.card.name,
        "paper": result.card.paper,
        "points": list(result.datasets),
        "files": files,
        "all_hold": result.ok,
        "claims": [claim.to_dict() for claim in result.claims],
    }
