"""Documents as HTML and Markdown: what the user wrote stays text, and every number of a claim is told."""

import re

import numpy as np

from implicitbias._core.claim import Claim
from implicitbias.reports import (
    Badge,
    Claims,
    Code,
    Document,
    Notes,
    Numbers,
    Row,
    Section,
    Table,
    Text,
    entries,
    html,
    markdown,
)
from implicitbias.studies import Assumption, close

ODD = "</script><b>a | b & c"


def document() -> Document:
    rules = (
        Assumption.checked("the sky is up", 2.0, at_most=1.0),
        Assumption.not_checkable("nobody looks", "looking would change it"),
    )
    claim = close("point", f"one is {ODD}", "pesme2023saddle, Theorem 2", (1.0, 1.25, 0.5), *rules)
    table = Table(("name", "size"), (Row((ODD, "3"), "sum"),))
    parts = (Text(ODD), Notes((ODD,)), Numbers((("count", "7"),)), Claims((claim,)), table, Code(ODD, "sh"))
    return Document(ODD, "run", ((ODD, True),), Badge("fine", ODD, True), (Section(ODD, parts),))


def test_names_stay_text() -> None:
    page = html(document())
    assert "<b>a" not in page
    assert page.count("&lt;/script&gt;&lt;b&gt;a | b &amp; c") >= 8
    assert "| **assumption fails** |" in markdown(document())
    assert "</script><b>a \\| b & c | 3 |" in markdown(document())


def test_claims_are_told_whole() -> None:
    for text in (html(document()), markdown(document())):
        for told in (
            "1 ± 0.5",
            "1.25",
            "the sky is up; checked: fails (2, at most 1)",
            "looking would change it",
        ):
            assert told in text
    assert "pesme2023saddle, Theorem 2" in html(document())


def test_folded_claims_are_open_if_one_fails() -> None:
    good, bad = (close("point", "one is one", "nobody2020", (1.0, x, 0.5)) for x in (1.0, 2.0))

    def page(*claims: Claim) -> str:
        return html(Document("t", "run", (), None, (Section("s", (Claims(claims, folded=True),)),)))

    assert '<details class="folded"><summary>1 claim <span class="badge good"' in page(good)
    assert ">all hold</span>" in page(good)
    assert '<details open class="folded"><summary>2 claims <span class="badge bad"' in page(good, bad)
    assert ">1 fail</span>" in page(good, bad)
    assert "one is one" in page(good)


def test_rows_lead_to_the_sections_of_their_names() -> None:
    table = Table(("name", "size"), (Row((f"{ODD} x", "3")), Row(("none", "4"))), sentences=True)
    page = html(Document("t", "run", (), None, (Section("", (table,)), Section(f"{ODD} x", ()))))
    (place,) = re.findall(r'<h2 id="([^"]*)">', page)
    assert " " not in place
    assert f'<a href="#{place}">' in page
    assert page.count("<a href") == 1
    # On a narrow page, each cell says of which column it is.
    assert '<td data-head="size">3</td>' in page


def test_papers_are_found_once() -> None:
    (entry,) = entries(["pesme2023saddle, Theorem 2", "this library", "pesme2023saddle"])
    assert entry.startswith("@inproceedings{pesme2023saddle,")
    assert entry.endswith("}")
    assert "arXiv:2304.00488" in entry
    assert np.unique([entries([key])[0] for key in ("pesme2023saddle", "pesme2024mirror")]).size == 2
