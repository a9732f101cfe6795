"""The page of a saddle path: it stands alone, it is well formed, and its figure and its tables are the path."""

import json
import re
from base64 import b64decode
from functools import cache
from gzip import decompress
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pandas
import pytest
from numpy import ndarray
from scipy import sparse

import implicitbias as ib
from implicitbias.diagnostics import ErrorCurve
from implicitbias.plotting import Line, PathReport, Validation, path_chart, short
from implicitbias.plotting._path_charts import axis_of_times, time_axis
from implicitbias.reports import html, markdown, path_document

VOID = {"meta", "br", "input"}
ODD_NAMES = [
    "</script><b>x",
    'a & "b"',
    "<!-- c",
    "größe",
    "$x_1$",
    "  ",
    "__proto__",
    "a very long name " * 8,
]


class Page(HTMLParser):
    """Elements, attributes and texts; an element that is closed out of turn fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.seen if name in attributes]

    def models(self, name: str) -> list[dict[str, Any]]:
        """The attributes of all Bokeh models of one type that the script of the page reads."""
        (data,) = (text for text in self.texts["script"] if text.startswith('{"document"'))
        return [model["attributes"] for model in _models(json.loads(data)) if model["name"] == name]


def _models(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, list):
        return [model for item in content for model in _models(item)]
    if not isinstance(content, dict):
        return []
    own = [content] if content.get("type") == "object" and "attributes" in content else []
    return own + [model for item in content.values() for model in _models(item)]


def column(source: dict[str, Any], name: str) -> ndarray:
    """A column of numbers as the page stores it."""
    (found,) = (value for key, value in source["attributes"]["data"]["entries"] if key == name)
    return np.frombuffer(decompress(b64decode(found["array"]["data"])), dtype=found["dtype"])


def report(
    names: list[str] | None = None, seed: int = 0, n: int = 12, d: int = 8, chosen: float | None = None
) -> PathReport:
    """A path whose coefficients in the units of the data are the tenth of those of the problem."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = X @ rng.standard_normal(d) + 0.1 * rng.standard_normal(n)
    path = ib.saddle_path(ib.LeastSquares(pandas.DataFrame(X, columns=names) if names else X, y))
    validation = None
    if chosen is not None:
        times = np.array([0.0, chosen / 2, chosen, 2 * chosen])
        errors = np.array([[9.0, 11.0, 10.0], [4.0, 6.0, 2.0], [1.0, 2.0, 3.0], [1.5, 2.0, 3.0]])
        validation = Validation(ErrorCurve(times, errors, np.array([4.0, 4.0, 4.0])), chosen)
    return PathReport(
        title="a <table>.csv", target="y & z", path=path, standardized=True, validation=validation,
        coefficients=sparse.csr_array(path.coefficients_sparse / 10.0),
        intercepts=np.arange(len(path.times), dtype=np.float64),
        facts={"data": "<some> & other"}, notes=("note <this>",),
    )  # fmt: skip


@pytest.mark.parametrize("names", [None, ODD_NAMES], ids=["plain", "odd"])
@pytest.mark.parametrize("chosen", [None, 1.0], ids=["no choice", "chosen"])
def test_it_stands_alone_and_names_what_is_ever_active(names: list[str] | None, chosen: float | None) -> None:
    shown = report(names, chosen=chosen)
    text = html(path_document(shown))
    page = Page(text)
    used = [shown.names[i] for i in shown.used]
    assert len(used) >= 6
    assert {name for name in used if name.strip()} <= set(page.texts["th"])
    lines = [mark for mark in path_chart(shown).panels[0].marks if isinstance(mark, Line)]
    drawn = {glyph["name"] for glyph in page.models("GlyphRenderer") if glyph.get("tags")}
    assert drawn == {line.name for line in lines if line.colour != "quiet"}
    # Nothing is fetched: no element has an address. The library of the figures is tested in a browser.
    assert not {"link", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.seen}
    assert page.attributes("src") == page.attributes("href") == []
    own = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "@import" not in own
    assert "url(" not in own
    assert "<b>x" not in own
    assert "note <this>" in page.texts["li"]
    assert "path certified" in page.texts["span"]


@cache
def usual_page() -> str:
    """The page of the usual report, which takes a third of a second to draw."""
    return html(path_document(report()))


def test_equal_results_give_equal_pages() -> None:
    assert usual_page() == html(path_document(report()))


def test_the_lines_that_are_drawn_are_the_path() -> None:
    shown = report()
    axis = time_axis(shown)
    lines = [mark for mark in path_chart(shown).panels[0].marks if isinstance(mark, Line)]
    assert {int(line.key) for line in lines} == set(shown.used.tolist())
    for line in lines:
        np.testing.assert_allclose(_at(line, _between(shown, axis.high)), _expected(shown, line), rtol=1e-12)


# Oracle: the path itself, looked up halfway between jumps.
def _expected(shown: PathReport, line: Line) -> ndarray:
    return shown.path.at(_between(shown, time_axis(shown).high))[:, int(line.key)]


def _between(shown: PathReport, end: float) -> ndarray:
    times = np.append(shown.path.times, end)
    return np.array([(a + b) / 2 for a, b in pairwise(times) if b > a])


def _at(line: Line, times: ndarray) -> ndarray:
    """Values of a step function at times: that of the last point that is not later, and 0 where there is no line."""
    places = np.searchsorted(line.x, times, side="right") - 1
    values = np.where(places >= 0, line.y[np.maximum(places, 0)], 0.0)
    return np.nan_to_num(values)


def test_the_page_holds_the_lines() -> None:
    shown = report()
    page = Page(usual_page())
    drawn = {
        glyph["name"]: glyph["data_source"]
        for glyph in page.models("GlyphRenderer")
        if glyph["glyph"]["name"] == "Line" and glyph.get("tags")
    }
    lines = [mark for mark in path_chart(shown).panels[0].marks if isinstance(mark, Line)]
    for line in lines:
        if line.colour != "quiet":
            y = column(drawn[line.name], "y")
            np.testing.assert_allclose(y, np.repeat(line.y, 2)[:-1], rtol=1e-6)


def test_the_choice_is_marked_and_told() -> None:
    shown = report(chosen=1.0)
    assert 0 < shown.row < shown.path.n_jumps
    page = Page(html(path_document(shown)))
    places = [i for i, (tag, a) in enumerate(page.seen) if tag == "tr" and a.get("class") == "chosen"]
    assert len(places) == 1
    assert any("3-fold cross-validation chooses slow time 1," in text for text in page.texts["p"])
    assert any("held-out rows at that time is 2 ± 0.5774" in text for text in page.texts["p"])
    panels = path_chart(shown).panels
    assert len(panels) == 3
    # Oracle: the standard deviation of three folds by hand: (1, 2, 3) -> 1, over sqrt(3).
    (bar,) = (mark for mark in panels[2].marks if isinstance(mark, Line) and mark.width == 4.0)
    np.testing.assert_allclose(bar.y, [2.0 - 3**-0.5, 2.0 + 3**-0.5])


def test_the_slider_tells_the_saddles() -> None:
    shown = report()
    document = path_document(shown)
    (picture,) = (
        part for section in document.sections for part in section.parts if hasattr(part, "scrubber")
    )
    assert picture.scrubber.places == tuple(shown.path.times.tolist())
    for k, sentence in enumerate(picture.scrubber.sentences):
        assert f"After jump {k}, from slow time {short(float(shown.path.times[k]))} on" in sentence
        assert f"{np.count_nonzero(shown.path.coefficients[k])} active" in sentence


def test_tables_are_the_path() -> None:
    shown = report(["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7"])
    text = html(path_document(shown))
    rows = {
        name: re.findall(r"<td>([^<]*)</td>", cells)
        for name, cells in re.findall(
            r'<tr[^>]*data-key="\d+"[^>]*><th scope="row">([^<]*)</th>(.*?)</tr>', text
        )
    }
    last = shown.path.coefficients[-1]
    for i in shown.used.tolist():
        first = int(np.flatnonzero(shown.path.coefficients[:, i])[0])
        assert rows[shown.names[i]] == [
            short(last[i] / 10), short(last[i]), str(first), short(float(shown.path.times[first])),
        ]  # fmt: skip
    sizes = [abs(last[shown.names.index(name)]) for name in rows]
    assert sizes == sorted(sizes, reverse=True)
    jumps = re.findall(r'<tr><th scope="row">(\d+)</th>(.*?)</tr>', text)
    assert [int(k) for k, _ in jumps] == list(range(len(shown.path.times)))
    entered, left = shown.changes(1)
    assert f'<td class="text">{entered[0]}</td><td class="text"></td>' in jumps[1][1]
    assert left == []


def test_a_path_without_jumps() -> None:
    path = ib.saddle_path(ib.LeastSquares(np.eye(3)[:, :2], np.array([0.0, 0.0, 1.0])))
    shown = PathReport("t", "y", path, path.coefficients_sparse, np.zeros(1), False)
    page = Page(html(path_document(shown)))
    assert [glyph for glyph in page.models("GlyphRenderer") if glyph.get("tags")] == []
    assert shown.r2.tolist() == [0.0]


def test_a_path_that_was_cut_is_drawn_where_it_is_known() -> None:
    rng = np.random.default_rng(0)
    path = ib.saddle_path(
        ib.LeastSquares(rng.standard_normal((20, 10)), rng.standard_normal(20)), max_jumps=3
    )
    shown = PathReport("t", "y", path, path.coefficients_sparse, np.zeros(4), False)
    assert time_axis(shown).high <= path.valid_until
    Page(html(path_document(shown)))


def test_a_wide_table_stays_small() -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((100, 5)) @ rng.standard_normal((5, 4000)) + rng.standard_normal((100, 4000))
    path = ib.saddle_path(ib.LeastSquares(X, rng.standard_normal(100)))
    shown = PathReport("t", "y", path, path.coefficients_sparse, np.zeros(len(path.times)), False)
    assert path.n_jumps > 100
    page = Page(html(path_document(shown)))
    # The library of the figures, of constant size, is the longest script; the rest is what the path needs.
    own = len("".join(page.texts["script"])) - max(map(len, page.texts["script"]))
    assert own < 900_000
    lines = [mark for mark in path_chart(shown).panels[0].marks if isinstance(mark, Line)]
    assert {int(line.key) for line in lines} == set(shown.used.tolist())


def test_values_are_thinned_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    from implicitbias.plotting import _path_charts

    def lines() -> dict[str, Line]:
        panel = path_chart(shown).panels[0]
        height.append(panel.y.high - panel.y.low)
        return {mark.key: mark for mark in panel.marks if isinstance(mark, Line)}

    shown, height = report(n=40, d=30), []
    exact = lines()
    monkeypatch.setattr(_path_charts, "_EXACT", 10)
    thin = lines()
    assert sum(len(line.x) for line in thin.values()) < sum(len(line.x) for line in exact.values())
    for line in thin.values():
        kept = _at(line, shown.path.times)
        whole = shown.path.coefficients[:, int(line.key)]
        assert np.max(np.abs(kept - whole)) <= height[0] / 1400
        assert np.array_equal(kept == 0.0, whole == 0.0)


def test_the_text_has_the_same_tables() -> None:
    text = markdown(path_document(report()))
    assert text.startswith("# Saddle path of a <table>.csv")
    assert "| jump | slow time |" in text
    assert "@inproceedings{pesme2023saddle," in text


def test_late_jumps_need_a_logarithm() -> None:
    assert not axis_of_times(np.array([0.0, 1.0, 40.0]), np.inf).log
    wide = axis_of_times(np.array([0.0, 1.0, 4000.0]), np.inf)
    assert wide.log
    assert (wide.low, wide.high) == (0.5, 6000.0)
    assert axis_of_times(np.array([0.0, 1.0, 4000.0]), 4500.0).high == 4500.0
