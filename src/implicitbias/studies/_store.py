"""The folder of a study's results: claims as JSON, one NetCDF file for each point, figures, a page and a text."""

import json
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from implicitbias._core.errors import InputError
from implicitbias._core.folders import ResultFolder
from implicitbias._core.labelled import read_netcdf, write_netcdf
from implicitbias.studies._result import StudyResult
from implicitbias.studies._study import Study

CLAIMS, SUMMARY, PAGE = "claims.json", "README.md", "report.html"
# Files that results of earlier versions may hold, which do not list their files.
_EARLIER = (CLAIMS, SUMMARY, "*.nc", "*.png")


def result_folder(out: Path, name: str) -> ResultFolder:
    """Return the folder out/name for the results of a study."""
    retry = f"type --out {shlex.quote(f'{out}-new')}"
    return ResultFolder(out / name, lambda folder: _foreign(folder, name), retry)


def write_result(result: StudyResult, study: Study, folder: Path) -> None:
    """Write claims, datasets, figures and the report, as a page and as Markdown, into an existing folder."""
    from implicitbias.plotting import pdf, png, svg  # matplotlib takes long to load
    from implicitbias.reports import html, markdown
    from implicitbias.studies._report import study_document

    figures = {}
    for point, data in result.datasets.items():
        marks = {"study": result.card.name, "point": point}
        write_netcdf(data.assign_attrs(marks), folder / f"{point}.nc")
        figures[point] = study.figures(point, data)
        for stem, figure in figures[point].items():
            for kind, content in (("png", png), ("svg", svg), ("pdf", pdf)):
                (folder / f"{stem}.{kind}").write_bytes(content(figure))
    report = study_document(result, study, figures)
    (folder / SUMMARY).write_text(markdown(report), encoding="utf-8")
    (folder / PAGE).write_text(html(report), encoding="utf-8")
    files = sorted([CLAIMS, *(path.name for path in folder.iterdir())])
    record = json.dumps(_as_json(result, files), indent=2, allow_nan=False)
    (folder / CLAIMS).write_text(record + "\n", encoding="utf-8")


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
