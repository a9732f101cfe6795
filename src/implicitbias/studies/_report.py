"""The report of a study: its claims, figures, settings, versions, the command that repeats it, and what to cite."""

import platform
from importlib.metadata import version
from typing import Any

from implicitbias.plotting import chart_of_figure, png
from implicitbias.reports import (
    Badge,
    Claims,
    Code,
    Document,
    Facts,
    Numbers,
    Part,
    Picture,
    Section,
    Text,
    entries,
)
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
    mark = Badge(
        f"{failed} of {len(result.claims)} claims fail"
        if failed
        else f"all {len(result.claims)} claims hold",
        "each claim is computed from the numbers that were measured in this run",
        failed == 0,
    )
    counted = {
        "claims": len(result.claims),
        "hold": len(result.claims) - failed,
        "settings": len(result.datasets),
    }
    numbers = tuple((name, str(count)) for name, count in counted.items())
    shows = result.card.shows
    head = Section("", (Numbers(numbers), Text(f"{shows[:1].upper()}{shows[1:]}."), Text(study.notes())))
    points = [_point(result, point, figures.get(point, {})) for point in result.datasets]
    about = (("Study of", False), (result.card.paper, True))
    return Document(result.card.name, "run", about, mark, (head, *points, _origin(result, study)))


def _point(result: StudyResult, point: str, figures: dict[str, Any]) -> Section:
    """Return the claims and the figures of one setting."""
    claims = tuple(claim for claim in result.claims if claim.point == point)
    parts: list[Part] = [Claims(claims)] if claims else []
    for stem, figure in figures.items():
        chart = chart_of_figure(figure)
        image = png(figure) if chart is None else b""
        name = stem.replace("-", " ")
        files = tuple(f"{stem}.{kind}" for kind in FORMATS)
        parts.append(
            Picture(
                name[:1].upper() + name[1:], f"figure {name} of study {result.card.name}", chart, image, files
            )
        )
    return Section(point, tuple(parts))


def _origin(result: StudyResult, study: Study) -> Section:
    """Return what is needed to repeat the study, and the papers to cite."""
    from implicitbias import __version__

    packages = ", ".join(f"{name} {version(name)}" for name in _VERSIONS)
    facts = {
        "versions": f"implicitbias {__version__}, Python {platform.python_version()}, {packages}",
        "data": ", ".join(f"{point}.nc" for point in result.datasets),
        "seeds": "fixed numbers in the settings of the study, so that another run gives the same data",
    }
    for name, value in study.settings().items():
        facts[f"default of {name} in sweeps"] = str(value)
    command = f"implicitbias run {result.card.name} --out results"
    parts: list[Part] = [Facts(facts), Code(command, "sh")]
    papers = entries(claim.reference for claim in result.claims)
    if papers:
        parts += [Text("The claims are about statements of:", hint=True), Code("\n\n".join(papers), "bibtex")]
    return Section("Repeat and cite", tuple(parts))
