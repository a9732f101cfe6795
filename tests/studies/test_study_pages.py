"""Test that each study has a page in the documentation, which names its points, its settings and its paper."""

import re

import pytest

import implicitbias as ib
from tests.architecture._source import DOCS

NAMES = [card.name for card in ib.studies.list()]
FOLDER = DOCS / "studies"


def test_there_is_a_page_for_each_study_and_no_other() -> None:
    assert sorted(page.stem for page in FOLDER.glob("*.md")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_points_and_settings(name: str) -> None:
    page, study = (FOLDER / f"{name}.md").read_text(encoding="utf-8"), ib.studies.load(name)
    assert page.startswith(f"# The study `{name}`\n")
    assert f"implicitbias run {name}" in page
    assert re.findall(r"^\| `([\w.-]+)` \|", page, flags=re.MULTILINE) == list(study.points())
    (sweep,) = re.findall(r"`--grid` varies ([^;.]*)|The study has no settings for (`--grid`)", page)
    assert re.findall(r"`(\w+)`", sweep[0]) == list(study.settings())
    assert len(page.splitlines()) <= 60
    (picture,) = re.findall(r"\]\(\.\./(images/studies/[\w-]+\.png)\)", page)
    assert (DOCS / picture).stat().st_size > 5000
