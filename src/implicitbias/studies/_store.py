"""The results folder of a study: whole or not at all."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from implicitbias._core.errors import InputError
from implicitbias._core.labelled import write_netcdf

if TYPE_CHECKING:
    from implicitbias.studies._run import StudyResult

CLAIMS = "claims.json"


def check_folder(out: Path, name: str) -> Path:
    """out/name, after making sure that it can be written and that nothing of somebody else's is replaced."""
    folder = out / name
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".{name}.part"
        shutil.rmtree(probe, ignore_errors=True)
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise InputError(
            f"cannot write results to {out}: {error.strerror}; choose another folder with --out DIR"
        ) from error
    if folder.exists() and not (folder / CLAIMS).is_file():
        raise InputError(
            f"{folder} exists and holds no {CLAIMS}: it is not an earlier result; choose another --out DIR"
        )
    return folder


def store(result: "StudyResult", notes: str, folder: Path) -> None:
    """Write everything beside the folder first, then put it in its place."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    (part / CLAIMS).write_text(json.dumps(_as_json(result), indent=2) + "\n", encoding="utf-8")
    for outcome in result.outcomes.values():
        for stem, data in outcome.datasets.items():
            write_netcdf(data, part / f"{stem}.nc")
        for stem, figure in outcome.figures.items():
            figure.savefig(part / f"{stem}.png", dpi=150)
    (part / "README.md").write_text(summary(result, notes), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)


def _as_json(result: "StudyResult") -> dict[str, Any]:
    return {
        "study": result.card.name,
        "paper": result.card.paper,
        "all_hold": result.ok,
        "claims": [claim.to_dict() for claim in result.claims],
    }


def summary(result: "StudyResult", notes: str) -> str:
    """The claims as a Markdown page, with the pictures."""
    lines = [f"# {result.card.name}", "", f"{result.card.paper}: {result.card.shows}.", "", notes, ""]
    lines += ["| holds | setting | claim | predicted | measured |", "|---|---|---|---|---|"]
    for claim in result.claims:
        mark = "yes" if claim.holds else "**NO**"
        predicted, measured = number(claim.predicted), number(claim.measured)
        lines.append(f"| {mark} | {claim.point} | {claim.statement} | {predicted} | {measured} |")
    for point, outcome in result.outcomes.items():
        lines += ["", f"## {point}", ""]
        lines += [f"![{stem}]({stem}.png)" for stem in outcome.figures]
    return "\n".join(lines) + "\n"


def number(value: float | str) -> str:
    """A number for people."""
    return value if isinstance(value, str) else f"{value:.4g}"
