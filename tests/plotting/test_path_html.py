"""The page of a saddle path: it stands alone, it is well formed, its drawing and its tables are the path."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas
import pytest
from numpy import ndarray
from scipy import sparse

import implicitbias as ib
from implicitbias.diagnostics import ErrorCurve
from implicitbias.plotting._path_charts import Drawing, draw
from implicitbias.plotting._path_html import path_page
from implicitbias.plotting._path_report import PathReport, Validation
from implicitbias.plotting._svg_axes import TimeAxis, ValueAxis, linear_ticks, spread
from implicitbias.plotting._text import middle, short

VOID = {"meta", "br", "line"}
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

    def hover(self) -> dict:
        """What the script of the page reads."""
        (data,) = (text for text in self.texts["script"] if text.startswith("{"))
        return json.loads(data)


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
    text = path_page(shown)
    page = Page(text)
    used = [shown.names[i] for i in shown.used]
    assert len(used) >= 6
    assert {name for name in used if name.strip()} <= set(page.texts["th"])
    assert {line["name"] for line in page.hover()["lines"]} == set(used)
    # Nothing is fetched: no address anywhere (but comments of the script), no element that has one.
    assert "//" not in re.sub(r"^\s*// .*$", "", text, flags=re.MULTILINE)
    assert not {"link", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.seen}
    assert page.attributes("src") == page.attributes("href") == []
    assert "@import" not in text
    assert "url(" not in text
    assert "note <this>" in page.texts["li"]
    assert "path certified" in page.texts["span"]


def test_the_lines_that_are_drawn_are_the_path() -> None:
    shown = report()
    drawing = draw(shown)
    page = Page(path_page(shown))
    paths = {int(a["data-i"]): a["d"] for tag, a in page.seen if tag == "path" and a.get("data-i")}
    assert set(paths) == set(shown.used.tolist())
    for i, steps in paths.items():
        assert steps is not None
        np.testing.assert_allclose(_drawn(drawing, steps), _expected(drawing, i), atol=0.11)


# Oracle: the path itself, looked up halfway between jumps.
def _expected(drawing: Drawing, feature: int) -> ndarray:
    path = drawing.report.path
    return drawing.values.place(path.at(_between(drawing))[:, feature])


def _between(drawing: Drawing) -> ndarray:
    times = np.append(drawing.report.path.times, drawing.times.high)
    return np.array([(a + b) / 2 for a, b in pairwise(times) if b > a])


def _drawn(drawing: Drawing, steps: str) -> ndarray:
    """Heights of a drawn line at those times: what M, H and V commands say."""
    points, x, y = [], 0.0, 0.0
    zero = float(drawing.values.place(0.0))
    for command, numbers in re.findall(r"([MHV])([-\d. ]+)", steps):
        values = [float(number) for number in numbers.split()]
        if command == "M":
            x, y = values
        elif command == "H":
            x = values[0]
        else:
            y = values[0]
        points.append((x, y))
    places = drawing.times.place(_between(drawing))
    return np.array([next((y for x, y in reversed(points) if x <= place), zero) for place in places])


def test_the_script_is_told_the_values() -> None:
    shown = report(chosen=1.0)
    data = Page(path_page(shown)).hover()
    path = shown.path
    np.testing.assert_allclose(data["times"], path.times, rtol=1e-8)
    for line in data["lines"]:
        for k in range(len(path.times)):
            place = np.searchsorted(line["rows"], k, side="right") - 1
            value = line["values"][place] if place >= 0 else 0.0
            assert value == pytest.approx(path.coefficients[k, line["i"]], rel=1e-4, abs=1e-300)
            if place >= 0:
                assert line["original"][place] == pytest.approx(value / 10, rel=1e-4, abs=1e-300)
    assert data["validation"]["mean"] == [10.0, 4.0, 2.0, 2.1667]
    # Oracle: the standard deviation of three folds by hand: (1, 2, 3) -> 1, over sqrt(3).
    assert data["validation"]["error"][2] == pytest.approx(3**-0.5, rel=1e-4)


def test_the_choice_is_marked_and_told() -> None:
    shown = report(chosen=1.0)
    assert 0 < shown.row < shown.path.n_jumps
    page = Page(path_page(shown))
    rows = [a for tag, a in page.seen if tag == "tr" and a.get("class") == "chosen"]
    assert [row["data-k"] for row in rows] == [str(shown.row)]
    assert any("3-fold cross-validation chooses slow time 1," in text for text in page.texts["p"])
    assert any("held-out rows at that time is 2 ± 0.5774" in text for text in page.texts["p"])
    kinds = [a["data-kind"] for tag, a in page.seen if tag == "figure"]
    assert kinds == ["coefficients", "fit", "validation"]
    assert len([a for tag, a in page.seen if tag == "line" and a.get("class") == "bar"]) == 1


def test_tables_are_the_path() -> None:
    shown = report(["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7"])
    text = path_page(shown)
    rows = {
        name: re.findall(r"<td>([^<]*)</td>", cells)
        for name, cells in re.findall(r'<tr data-i="\d+"[^>]*><th scope="row">([^<]*)</th>(.*?)</tr>', text)
    }
    last = shown.path.coefficients[-1]
    for i in shown.used.tolist():
        first = int(np.flatnonzero(shown.path.coefficients[:, i])[0])
        assert rows[shown.names[i]] == [
            short(last[i] / 10), short(last[i]), str(first), short(float(shown.path.times[first])),
        ]  # fmt: skip
    sizes = [abs(last[shown.names.index(name)]) for name in rows]
    assert sizes == sorted(sizes, reverse=True)
    jumps = re.findall(r'<tr data-k="(\d+)"><th scope="row">\d+</th>(.*?)</tr>', text)
    assert [int(k) for k, _ in jumps] == list(range(len(shown.path.times)))
    entered, left = shown.changes(1)
    assert f'<td class="text">{entered[0]}</td><td class="text"></td>' in jumps[1][1]
    assert left == []


def test_a_path_without_jumps() -> None:
    path = ib.saddle_path(ib.LeastSquares(np.eye(3)[:, :2], np.array([0.0, 0.0, 1.0])))
    shown = PathReport("t", "y", path, path.coefficients_sparse, np.zeros(1), False)
    page = Page(path_page(shown))
    assert page.hover()["lines"] == []
    assert shown.r2.tolist() == [0.0]


def test_a_path_that_was_cut_is_drawn_where_it_is_known() -> None:
    rng = np.random.default_rng(0)
    path = ib.saddle_path(
        ib.LeastSquares(rng.standard_normal((20, 10)), rng.standard_normal(20)), max_jumps=3
    )
    shown = PathReport("t", "y", path, path.coefficients_sparse, np.zeros(4), False)
    assert draw(shown).times.high <= path.valid_until
    Page(path_page(shown))


def test_a_wide_table_stays_small() -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((100, 5)) @ rng.standard_normal((5, 4000)) + rng.standard_normal((100, 4000))
    path = ib.saddle_path(ib.LeastSquares(X, rng.standard_normal(100)))
    shown = PathReport("t", "y", path, path.coefficients_sparse, np.zeros(len(path.times)), False)
    text = path_page(shown)
    assert path.n_jumps > 100
    assert len(text) < 1_500_000
    drawn = {line["i"] for line in Page(text).hover()["lines"]}
    assert drawn == set(shown.used.tolist())


def test_values_are_thinned_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    from implicitbias.plotting import _path_charts

    shown = report(n=40, d=30)
    exact = draw(shown)
    monkeypatch.setattr(_path_charts, "_EXACT", 10)
    thin = draw(shown)
    quarter = 0.26 * (thin.values.high - thin.values.low) / thin.values.pixels
    assert sum(len(line.rows) for line in thin.lines) < sum(len(line.rows) for line in exact.lines)
    for line in thin.lines:
        place = np.searchsorted(line.rows, np.arange(len(shown.path.times)), side="right") - 1
        kept = np.where(place >= 0, line.values[np.maximum(place, 0)], 0.0)
        whole = shown.path.coefficients[:, line.feature]
        assert np.max(np.abs(kept - whole)) <= quarter
        assert np.array_equal(kept == 0.0, whole == 0.0)


class TestAxes:
    def test_late_jumps_need_a_logarithm(self) -> None:
        assert not TimeAxis.of(np.array([0.0, 1.0, 40.0]), np.inf).log
        wide = TimeAxis.of(np.array([0.0, 1.0, 4000.0]), np.inf)
        assert wide.log
        assert wide.ticks() == [1.0, 10.0, 100.0, 1000.0]
        np.testing.assert_allclose(wide.place(np.array([0.0, wide.low, wide.high])), [0.0, 0.0, 1000.0])

    @pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 8.0), (1e-9, 3e-9), (-2e7, 5.0)])
    def test_ticks_are_round_and_few(self, low: float, high: float) -> None:
        ticks = linear_ticks(low, high, 5)
        assert 2 <= len(ticks) <= 7
        assert all(low - 1e-9 * high <= tick <= high * (1 + 1e-9) for tick in ticks)
        assert all(len(short(tick)) <= 7 for tick in ticks)

    def test_values_lie_within(self) -> None:
        axis = ValueAxis.of(np.array([-2.0, 5.0]), 100)
        places = axis.place(np.array([-2.0, 0.0, 5.0]))
        assert np.all((places > 0) & (places < 100))
        assert np.all(np.diff(places) < 0)
        assert ValueAxis.of(np.array([3.0, 3.0]), 100, zero=False).place(3.0) == pytest.approx(50.0)

    @pytest.mark.parametrize("places", [[10.0, 11.0, 12.0], [95.0, 96.0, 99.0], [50.0, 2.0, 51.0], [], [7.0]])
    def test_labels_do_not_overlap(self, places: list[float]) -> None:
        moved = spread(np.array(places), 15.0, 5.0, 95.0)
        assert np.all(np.diff(np.sort(moved)) >= 15.0 - 1e-9)
        assert np.array_equal(np.argsort(moved), np.argsort(places))
        assert np.all((moved >= 5.0) & (moved <= 95.0))


class TestText:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.0, "0"),
            (-1.5, "−1.5"),
            (123456.0, "123456"),
            (-12345.6, "−12346"),
            (1e-7, "1e−7"),
            (2.5e12, "2.5e12"),
            (1e-12, "1e−12"),
        ],
    )
    def test_numbers(self, value: float, text: str) -> None:
        assert short(value) == text

    def test_names(self) -> None:
        assert middle("short", 5) == "short"
        assert middle("a very long name", 9) == "a ve…name"
        assert len(middle("a very long name", 8)) == 8


def test_the_script_and_the_style_travel_with_the_package() -> None:
    room = Path(ib.__file__).parent / "plotting"
    assert {"_page.css", "_path_page.js"} <= {file.name for file in room.iterdir()}
