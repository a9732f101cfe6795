"""Figures and pages of forecasts."""

import re
from io import BytesIO

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.grokking._trust import Reason, Trust
from implicitbias.reports import forecast_document, html

T = np.geomspace(1.0, 1e4, 50)


def forecast(**changes: object) -> ib.Forecast:
    """A forecast with made-up numbers."""
    columns = {
        "t": np.concatenate([[0.0], T]),
        "train_loss": np.concatenate([[1.0], 1.0 / T**2]),
        "test_loss": np.concatenate([[1.0], 1.0 / (1.0 + T / 1e3)]),
        "train_error": np.concatenate([[0.5], 0.5 / T**2]),
        "test_error": np.concatenate([[0.5], 0.5 / (1.0 + T / 1e3)]),
        "norm": np.ones(51),
    }
    fields = {
        "memorization_time": 7.0,
        "grokking_time": 800.0,
        "grokking_interval": (700.0, 900.0),
        "test_error_at_memorization": 0.49,
        "final_test_error": 0.05,
        "unit": 1.0,
        "weight_decay": 1e-3,
        "learning_rate": 0.1,
        "error_kind": "misclassified fraction",
        "method": "Method: <none>.",
        "trust": Trust(
            (Reason("kinks", 1.0, 0.0, False, "It has kinks."), Reason("a", np.nan, 1.0, True, "A."))
        ),
        "columns": columns,
    }
    return ib.Forecast(**{**fields, **changes})  # type: ignore[arg-type]


def test_figure_in_steps_and_in_time() -> None:
    axis = ib.plot(forecast()).axes[0]
    test = next(line for line in axis.lines if line.get_label() == "test, forecast")
    np.testing.assert_allclose(test.get_xdata(), T / 0.1)
    np.testing.assert_allclose(test.get_ydata(), 0.5 / (1.0 + T / 1e3))
    assert "groks; trust: medium" in axis.get_title("left")
    figure = ib.plot(forecast(learning_rate=np.nan, memorization_time=np.nan, grokking_time=np.nan))
    figure.savefig(BytesIO())
    assert figure.axes[1].get_xlabel().startswith("flow time")
    assert "does not grok" in figure.axes[0].get_title("left")


def test_a_measured_log_is_drawn_over_it() -> None:
    log = {"step": T, "train_error": 0.5 / T, "test_error": 0.4 / (1.0 + T / 1e3)}
    axis = ib.plot(forecast(), measured=log).axes[0]
    dots = next(line for line in axis.lines if line.get_label() == "test, measured")
    np.testing.assert_allclose(dots.get_xdata(), T)
    np.testing.assert_allclose(dots.get_ydata(), 0.4 / (1.0 + T / 1e3))
    with pytest.raises(ib.InputError, match="a Forecast is expected"):
        ib.plot(ib.gauges.L1(), measured=log)


def page_of(shown: ib.Forecast, title: str) -> str:
    """The page without its scripts."""
    return re.sub(r"<script.*?</script>", "", html(forecast_document(shown, title)), flags=re.DOTALL)


def test_the_page_has_the_numbers_and_the_doubts() -> None:
    page = page_of(forecast(), "<my model>")
    assert "&lt;my model&gt;" in page
    assert "<none>" not in page
    text = re.sub(r"<[^>]*>", " ", page)
    for part in ("It has kinks.", "not measured", "grokking step", "8000", "trust: medium"):
        assert part in text


def test_the_page_has_a_table_of_the_assumptions() -> None:
    page = page_of(forecast(), "my model")
    table = page[page.index("Assumptions of the theory") :]
    rows = [
        [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in re.findall(r"<tr>.*?</tr>", table)[1:]
    ]
    assert rows == [[one.text, one.evidence, one.state] for one in forecast().assumptions]
    # The forecast of this file has kinks, so that one assumption fails and is marked.
    assert table.count("badge bad") == 1
    assert [row[2] for row in rows].count("checked: fails") == 1
