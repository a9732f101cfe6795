"""Pages in a real browser: they draw, ask for nothing, and are usable on a phone, by keyboard and in the dark."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import implicitbias as ib
from implicitbias.plotting import PathReport
from implicitbias.reports import html, path_document, sweep_document
from tests.chromium import chromium

pytestmark = pytest.mark.slow

Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Visit]:
    """A function that opens a page, and fails at the end if it logged an error or asked for another address."""
    wrong: list[str] = []
    contexts = []

    def open_page(text: str, width: int = 1200, dark: bool = False) -> Any:
        file = tmp_path / "report.html"
        file.write_text(text, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda one: None if one.url == file.as_uri() else wrong.append(one.url))
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-drawn]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    # BokehJS loads its icons from addresses of the kind data:, which stay within the page.
    assert [one for one in wrong if not one.startswith(("data:", "blob:"))] == []


@pytest.fixture(scope="module")
def path_text() -> str:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 8))
    path = ib.saddle_path(ib.LeastSquares(X, X @ rng.standard_normal(8)))
    table = sparse.csr_array(path.coefficients_sparse)
    return html(
        path_document(PathReport("</script><b>t", "y", path, table, np.zeros(len(path.times)), False))
    )


@pytest.fixture(scope="module")
def sweep_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """25 x 25 runs with a curve of 100 points each."""
    folder = tmp_path_factory.mktemp("sweep") / "store"
    values = {"alpha": np.arange(1.0, 26.0).tolist(), "lam": np.arange(1.0, 26.0).tolist()}
    ib.studies.sweep(_curve, values, out=folder)
    return html(sweep_document(ib.studies.open(folder), "store"))


def _curve(alpha: float, lam: float) -> dict[str, Any]:
    return {"curve": alpha + 100.0 * lam * np.linspace(0.0, 1.0, 100), "total": alpha + lam}


def drawn_values(page: Any, name: str) -> list[float]:
    """The values of a line that the browser draws."""
    script = """name => Array.from(Bokeh.documents[0].roots()[0].renderers
                .find(line => line.name === name).data_source.data.y)"""
    return page.evaluate(script, name)


def test_a_path_is_drawn_and_walked_by_keyboard(visit: Visit, path_text: str) -> None:
    page = visit(path_text)
    assert page.locator("[data-figure] canvas, [data-figure] *").count() > 0
    assert page.evaluate(
        "Bokeh.documents[0].roots().every(f => f.inner_width === undefined || f.inner_width > 300)"
    )
    slider = page.locator(".scrubber input")
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator(".scrubber output").inner_text().startswith("After jump 0,")
    page.keyboard.press("ArrowRight")
    assert page.locator(".scrubber output").inner_text().startswith("After jump 1,")
    button = page.locator(".legend button").first
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"


def test_sliders_choose_the_curve(visit: Visit, sweep_text: str) -> None:
    assert len(sweep_text.encode()) < 3 * 2**20
    page = visit(sweep_text)
    np.testing.assert_allclose(drawn_values(page, "curve"), _curve(13.0, 13.0)["curve"], rtol=1e-6)
    page.get_by_label("alpha").focus()
    page.keyboard.press("End")
    page.get_by_label("lam").focus()
    page.keyboard.press("Home")
    np.testing.assert_allclose(drawn_values(page, "curve"), _curve(25.0, 1.0)["curve"], rtol=1e-6)
    assert page.locator('dd[data-name="total"]').inner_text() == "26"


@pytest.mark.parametrize("kind", ["path", "sweep"])
def test_a_phone_shows_the_page_without_scrolling_sideways(
    kind: str, visit: Visit, path_text: str, sweep_text: str
) -> None:
    page = visit(path_text if kind == "path" else sweep_text, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_dark_style_reaches_the_figures(visit: Visit, path_text: str) -> None:
    page = visit(path_text, dark=True)
    ask = "Bokeh.documents[0].roots()[0].background_fill_color"
    assert page.evaluate(ask) == "#14181b"
    page.emulate_media(color_scheme="light")
    # The page is told of the change by an event, which comes a moment later.
    page.wait_for_function(f"{ask} === '#ffffff'")


def test_tips_are_dark_in_the_dark_style(visit: Visit, path_text: str) -> None:
    page = visit(path_text, dark=True)
    box = page.locator(".drawing").first.bounding_box()
    tip = page.locator(".bk-Tooltip")
    for place in np.linspace(0.1, 0.9, 60):
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * place)
        if tip.count() and tip.first.is_visible():
            break
    colours = tip.first.evaluate(
        "tip => [getComputedStyle(tip).backgroundColor, getComputedStyle(tip).color]"
    )
    assert colours == ["rgb(28, 34, 38)", "rgb(232, 235, 237)"]
