"""Documents on a terminal: all that the page says, in one order, with the place of each figure."""

from pathlib import Path

import numpy as np
import pytest

from implicitbias.cli import _terminal_document
from implicitbias.cli._terminal_document import print_document
from implicitbias.reports import Code, Document, Facts, Picture, Section, entries
from tests.reports.test_documents import ODD, document


def printed(shown: Document, folder: Path | None, capsys: pytest.CaptureFixture[str]) -> str:
    print_document(shown, folder)
    return " ".join(capsys.readouterr().out.split())


def test_what_the_user_wrote_stays_text_and_claims_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(document(), None, capsys)
    assert out.count(ODD) >= 5
    for told in (
        "fine.",
        "count 7",
        "assumption fails",
        "1 ± 0.5",
        "1.25",
        "Assumption fails: the sky is up: 2, at most 1",
    ):
        assert told in out


def test_figures_are_lines_that_say_where_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    picture = Picture("A run", "a line", None, b"", ("run.png", "run.svg"))
    inside = Picture("Inside", "a line", None, b"")
    bibtex = Code("\n\n".join(entries(["pesme2023saddle"])), "bibtex")
    parts = (picture, inside, Facts({"seeds": "0 and 1"}), Code("implicitbias run x", "sh"), bibtex)
    shown = Document("t", "run", (), None, (Section("s", parts), Section("empty", ())))
    out = printed(shown, Path("out"), capsys)
    assert "Figure: A run: out/run.png Figure: Inside: out/report.html" in out
    assert "run.svg" not in out
    assert "seeds 0 and 1 implicitbias run x pesme2023saddle (BibTeX in out/report.html)" in out
    assert "empty" not in out
    assert "Figure" not in printed(shown, None, capsys)


def test_every_part_has_a_form() -> None:
    from implicitbias.reports import _html

    assert _terminal_document.part_lines.registry.keys() == _html.part_html.registry.keys()
    with pytest.raises(TypeError, match="no form on a terminal"):
        _terminal_document.part_lines(np.zeros(1), None)
