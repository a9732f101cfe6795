"""What holds of every study in the registry: a new one is tested by its card.

The first point of each study is computed in the default run, the others in the slow one, and those that take about a
minute or more with `pytest -m long`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import implicitbias as ib
from implicitbias._core.labelled import read_netcdf, write_netcdf
from implicitbias.studies import Claim, Study
from tests.architecture._source import DOCS, SOURCE
from tests.studies.running import computed

NAMES = [card.name for card in ib.studies.list()]
MINUTES = {
    ("grokking-digits", "grid"),
    ("grokking-completion", "20x20"),
    ("grokking-modular", "mod-23"),
    ("grokking-relu", "10-inputs"),
    ("separable", "matrices"),
    ("early-late-sparse", "paper"),
    ("early-late-sparse", "depths"),
    ("early-late-margin", "paper"),
    ("early-late-completion", "97x97"),
    ("early-late-modular", "mod-23"),
    *(("commuting", point) for point in ("products", "maps", "designs", "diabetes", "digits")),
    ("conservation-laws", "units"),
    ("conservation-laws", "drawn"),
}


def settings() -> list[Any]:
    """(study, point) of every point."""
    first, rest = [], []
    for name in NAMES:
        points = ib.studies.load(name).points()
        first.append(pytest.param(name, points[0], id=f"{name}-{points[0]}"))
        for other in points[1:]:
            mark = pytest.mark.long if (name, other) in MINUTES else pytest.mark.slow
            rest.append(pytest.param(name, other, id=f"{name}-{other}", marks=mark))
    return [*first, *rest]


# The scope puts the tests of one point next to each other, so that few test processes compute its data.
every_setting = pytest.mark.parametrize(("name", "point"), settings(), scope="module")


def judged(name: str, point: str, data: Any) -> list[dict[str, Any]]:
    return [claim.to_dict() for claim in ib.studies.load(name).claims(point, data)]


@pytest.fixture
def results(name: str, point: str, tmp_path: Path) -> Path:
    """A folder of results with this point alone, as a run writes it."""
    data = computed(name, point).assign_attrs(study=name, point=point)
    write_netcdf(data, tmp_path / f"{point}.nc")
    (tmp_path / "claims.json").write_text(json.dumps({"study": name, "points": [point]}))
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_points_have_names_of_their_own(name: str) -> None:
    study = ib.studies.load(name)
    assert isinstance(study, Study)
    points = study.points()
    assert len(set(points)) == len(points) >= 1
    assert all(re.fullmatch(r"[\w.-]+", point) for point in points)
    assert study.notes().endswith(".")


@every_setting
def test_every_claim_holds(name: str, point: str) -> None:
    claims = ib.studies.load(name).claims(point, computed(name, point))
    assert claims
    assert [claim.statement for claim in claims if not claim.holds] == []
    assert {claim.point for claim in claims} == {point}
    assert len({claim.statement for claim in claims}) == len(claims)
    states = {a.text: a.state for claim in claims for a in claim.assumptions}
    assert [text for text, state in states.items() if state == "checked: fails"] == []


# A reference is a key of the bibliography, a section of the theory page, or a claim about the library itself.
@every_setting
def test_references_exist(name: str, point: str) -> None:
    keys = re.findall(
        r"^@\w+\{([^,\s]+),", (SOURCE / "reports" / "references.bib").read_text(), flags=re.MULTILINE
    )
    heads = re.findall(r"^#+ (.*)$", (DOCS / "theory.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {f"docs/theory.md, {head}" for head in heads}
    for claim in ib.studies.load(name).claims(point, computed(name, point)):
        known = claim.reference.split(",")[0] in keys or claim.reference in sections
        assert known or claim.reference == "this library", claim.reference


# Oracle: the claims of the run, number by number.
@every_setting
def test_stored_data_are_judged_as_those_of_the_run(name: str, point: str, results: Path) -> None:
    assert judged(name, point, read_netcdf(results / f"{point}.nc")) == judged(
        name, point, computed(name, point)
    )
    again = ib.studies.judge(results)
    assert [claim.to_dict() for claim in again.claims] == judged(name, point, computed(name, point))
    assert again.ok


@every_setting
def test_claims_and_figures_leave_the_data_alone(name: str, point: str) -> None:
    data = computed(name, point)
    before = data.copy(deep=True)
    study = ib.studies.load(name)
    study.claims(point, data)
    study.figures(point, data)
    assert data.identical(before)


# Oracle: the figures of the run, picture by picture.
@every_setting
def test_figures_come_from_the_stored_data(name: str, point: str, results: Path) -> None:
    study = ib.studies.load(name)
    new, stored = (
        study.figures(point, data) for data in (computed(name, point), read_netcdf(results / f"{point}.nc"))
    )
    assert list(new) == list(stored)
    for stem in new:
        assert isinstance(new[stem], Figure)
        assert stem.startswith(point)
        pictures = []
        for figure in (new[stem], stored[stem]):
            figure.set_dpi(40)
            figure.canvas.draw()
            pictures.append([line.get_xydata() for axis in figure.axes for line in axis.lines])
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*pictures, strict=True))


def spoiled(data: Any, variable: str) -> list[Any]:
    """Copies of the dataset in which one variable is wrong: not known, far too large, 0, or negative."""
    values = data[variable].values
    if values.dtype.kind not in "fiu":
        return []
    wrong = [values * 3 + 1, np.zeros_like(values), -values - 1]
    wrong += [np.full(values.shape, np.nan)] if values.dtype.kind == "f" else []
    return [data.assign({variable: (data[variable].dims, item)}) for item in wrong]


# Oracle: by hand: a claim about numbers that cannot fail when they are spoiled claims nothing.
@every_setting
def test_each_claim_can_fail(name: str, point: str) -> None:
    study, data = ib.studies.load(name), computed(name, point)
    statements = [claim.statement for claim in study.claims(point, data)]
    refused = (KeyError, IndexError, ValueError, TypeError, ZeroDivisionError)  # reported as damaged data
    failed: set[str] = set()
    for variable in data.variables:
        for wrong in spoiled(data, str(variable)):
            try:
                with np.errstate(all="ignore"):
                    claims: list[Claim] = study.claims(point, wrong)
            except refused:
                continue
            failed |= {without_decimals(claim.statement) for claim in claims if not claim.holds}
    assert [statement for statement in statements if without_decimals(statement) not in failed] == []


def without_decimals(statement: str) -> str:
    """The statement without the slopes that some claims show beside a bound: spoiled data have other slopes."""
    return re.sub(r"-?(\d+\.\d+|nan|inf)", "#", statement)


# In a process of its own: nothing but the claims may be computed, so neither JAX nor numba has a reason to be loaded.
@every_setting
def test_stored_results_are_judged_without_jax_and_numba(name: str, point: str, results: Path) -> None:
    code = (
        "import sys, implicitbias as ib\n"
        f"assert ib.studies.judge({str(results)!r}).ok\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'jax', 'jaxlib', 'numba', 'llvmlite', 'equinox', 'diffrax', 'sklearn', 'matplotlib', 'highspy'}))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
