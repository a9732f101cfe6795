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
    folder = folder.resolve()  # of a link, what it points to is replaced
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty and not _is_result(folder, name):
        raise InputError(
            f"{folder} exists and holds no {CLAIMS} of {name}: it is not an earlier result; choose another --out DIR"
        )
    return folder


def _is_result(folder: Path, name: str) -> bool:
    try:
        content = json.loads((folder / CLAIMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("study") == name


def store(result: "StudyResult", notes: str, folder: Path) -> None:
    """Write everything beside the folder first, then put it in its place."""
    part, old = (folder.with_name(f".{folder.name}.{end}") for end in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    try:
        _write(result, notes, part)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        part.rename(folder)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise InputError(
            f"cannot write results to {folder}: {error.strerror or error}; choose another folder with --out DIR"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)  # gone already where all went well
    shutil.rmtree(old, ignore_errors=True)


def _write(result: "StudyResult", notes: str, part: Path) -> None:
    part.mkdir(parents=True)
    claims = json.dumps(_as_json(result), indent=2, allow_nan=False)
    (part / CLAIMS).write_text(claims + "\n", encoding="utf-8")
    for outcome in result.outcomes.values():
        for stem, data in outcome.datasets.items():
            write_netcdf(data, part / f"{stem}.nc")
        for stem, figure in outcome.figures.items():
            figure.savefig(part / f"{stem}.png", dpi=150)
    (part / "README.md").write_text(summary(result, notes), encoding="utf-8")


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
