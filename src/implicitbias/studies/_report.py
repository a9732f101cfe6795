"""The report of one study or of several: claims, figures, versions, the command that repeats it, and what to cite."""

import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from implicitbias._core.claim import Claim
from implicitbias.reports import (
    Badge,
    Claims,
    Code,
    Document,
    Facts,
    Numbers,
    Part,
    Row,
    Section,
    Table,
    Text,
    entries,
    picture_of,
)
from implicitbias.studies._registry import load
from implicitbias.studies._result import StudyResult
from implicitbias.studies._study import Study

FORMATS = ("png", "svg", "pdf")
_VERSIONS = ("numpy", "scipy", "jax", "diffrax", "xarray")


def study_document(result: StudyResult, study: Study, figures: dict[str, dict[str, Any]]) -> Document:
    """Return the report of a study.

    Args:
        result: the claims and datasets.
        study: the study, for its notes and settings.
        figures: {point: {file stem: matplotlib Figure}}.
    """
    failed = sum(not claim.supported for claim in result.claims)
    mark = _badge(len(result.claims), failed)
    counted = {
        "claims": len(result.claims),
        "hold": len(result.claims) - failed,
        "settings": len(result.datasets),
    }
    numbers = tuple((name, str(count)) for name, count in counted.items())
    head = Section("", (Numbers(numbers), Text(_sentence(result.card.shows)), Text(study.notes())))
    points = [Section(point, _parts(result, point, figures.get(point, {}))) for point in result.datasets]
    about = (("Study of", False), (result.card.paper, True))
    return Document(result.card.name, "run", about, mark, (head, *points, _origin(result, study)))


def joint_document(
    results: Sequence[StudyResult], figures: Sequence[dict[str, dict[str, Any]]], folder: Path
) -> Document:
    """Return one report of several studies.

    Args:
        results: the claims and datasets of the studies.
        figures: {point: {file stem: matplotlib Figure}} of each study.
        folder: the folder of the page; figures of results in folders below it are linked.
    """
    claims = [claim for result in results for claim in result.claims]
    failed = sum(not claim.supported for claim in claims)
    numbers = {"studies": len(results), "claims": len(claims), "hold": len(claims) - failed}
    rows = tuple(
        Row((one.card.name, one.card.shows, one.card.paper, f"{_held(one)} of {len(one.claims)}"),
            "" if one.ok else "fails")
        for one in results
    )  # fmt: skip
    table = Table(
        ("study", "it shows that", "paper", "claims that hold"),
        rows,
        frozenset({"it shows that", "paper"}),
        sentences=True,
    )
    head = Section("", (Numbers(tuple((name, str(count)) for name, count in numbers.items())), table))
    sections = [head]
    for result, pictures in zip(results, figures, strict=True):
        shows = f"{_sentence(result.card.shows)} {result.card.paper}."
        # Titles say which study a point belongs to; the figures have files in the folder of the study.
        for i, point in enumerate(result.datasets):
            title = f"{result.card.name}: {point}" if i else result.card.name
            first: list[Part] = [] if i else [Text(f"{shows} Point: {point}.")]
            parts = _parts(result, point, pictures.get(point, {}), _beside(result, folder), folded=True)
            sections.append(Section(title, (*first, *parts)))
    command = "\n".join(_command(result) for result in results)
    about = (("Studies of", False), ("the implicit bias of training", True))
    title = f"{len(results)} studies" if len(results) > 1 else results[0].card.name
    end = _repeat_and_cite({"versions": _versions()}, command, claims)
    return Document(title, "run", about, _badge(len(claims), failed), (*sections, end))


def _held(result: StudyResult) -> int:
    return sum(claim.supported for claim in result.claims)


def _badge(claims: int, failed: int) -> Badge:
    """Return the verdict on some claims."""
    return Badge(
        f"{failed} of {claims} claims fail" if failed else f"all {claims} claims hold",
        "each claim is computed from the numbers that were measured in this run",
        failed == 0,
    )


def _versions() -> str:
    from implicitbias import __version__

    packages = ", ".join(f"{name} {version(name)}" for name in _VERSIONS)
    return f"implicitbias {__version__}, Python {platform.python_version()}, {packages}"


def _command(result: StudyResult) -> str:
    """Return the command that computes these points of the study."""
    every = set(result.datasets) == set(load(result.card.name).points())
    points = "" if every else "".join(f" --point {point}" for point in result.datasets)
    return f"implicitbias run {result.card.name}{points} --out results"


def _beside(result: StudyResult, folder: Path) -> str | None:
    """Return the place of the results below a folder, as links of a page in this folder begin; None if elsewhere."""
    if result.folder is None or not Path(result.folder).resolve().is_relative_to(folder.resolve()):
        return None
    place = Path(result.folder).resolve().relative_to(folder.resolve()).as_posix()
    return "" if place == "." else f"{place}/"


def _parts(
    result: StudyResult, point: str, figures: dict[str, Any], folder: str | None = "", folded: bool = False
) -> tuple[Part, ...]:
    """Return the claims and the figures of one setting; figures are linked in a folder, unless it is None."""
    claims = tuple(claim for claim in result.claims if claim.point == point)
    parts: list[Part] = [Claims(claims, folded)] if claims else []
    for stem, figure in figures.items():
        name = stem.replace("-", " ")
        files = () if folder is None else tuple(f"{folder}{stem}.{kind}" for kind in FORMATS)
        described = f"figure {name} of study {result.card.name}"
        parts.append(picture_of(figure, _capitalised(name), described, files))
    return tuple(parts)


def _capitalised(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _sentence(words: str) -> str:
    return f"{_capitalised(words)}."


def _seeds(result: StudyResult) -> str:
    """Return the seeds of the random generators that were used, as the datasets say."""
    used = {point: data.attrs.get("seeds") for point, data in result.datasets.items()}
    if None in used.values():
        return "not noted, because an earlier version computed the data"
    told = [f"{seeds or 'none'} ({point})" for point, seeds in used.items()]
    return "; ".join(told) if any(used.values()) else "none: nothing is random"


def _origin(result: StudyResult, study: Study) -> Section:
    """Return what is needed to repeat the study, and the papers to cite."""
    facts = {
        "versions": _versions(),
        "data": ", ".join(f"{point}.nc" for point in result.datasets),
        "seeds": _seeds(result),
    }
    for name, value in study.settings().items():
        facts[f"default of {name} in sweeps"] = str(value)
    return _repeat_and_cite(facts, _command(result), result.claims)


def _repeat_and_cite(facts: dict[str, str], command: str, claims: Iterable[Claim]) -> Section:
    """Return what is needed to repeat studies, and the papers to cite."""
    parts: list[Part] = [Facts(facts), Code(command, "sh")]
    papers = entries(claim.reference for claim in claims)
    if papers:
        parts += [Text("The claims are about statements of:", hint=True), Code("\n\n".join(papers), "bibtex")]
    return Section("Repeat and cite", tuple(parts))
