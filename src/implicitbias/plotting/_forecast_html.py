"""The report of a forecast as one HTML page, which needs neither the network nor another file."""

from base64 import b64encode
from html import escape

import numpy as np

from implicitbias.grokking import Forecast
from implicitbias.plotting._forecasts import forecast_figure
from implicitbias.plotting._html import badge_html, page, table_html, tiles, verdict
from implicitbias.plotting._style import png
from implicitbias.plotting._text import short

_TEXT = (
    "Lines are the forecast. Dotted lines are the memorization time and the grokking time, the band is the interval of "
    "the grokking time, and the grey line is 1 / weight decay."
)
_ASSUMED = (
    "The theory of the slow phase assumes the following. The forecast follows the flow at the given weight decay, also "
    "where an assumption fails."
)


def forecast_page(forecast: Forecast, title: str) -> str:
    """Return the whole page as text."""
    level = forecast.trust.level
    mark = badge_html(
        f"trust: {level}", "how far the forecast can be trusted, from measured numbers", level == "high"
    )
    heading = f"Forecast of {escape(title)}"
    said = "The model groks." if forecast.groks else "The model does not grok."
    picture = b64encode(png(forecast_figure(forecast))).decode("ascii")
    body = (
        f"<header><h1>{heading}</h1><p>{mark}</p></header>\n"
        f"{tiles(forecast_numbers(forecast))}{verdict([said, forecast.method], forecast.trust.doubts)}"
        f'<section><img class="picture" alt="Errors and losses against time" src="data:image/png;base64,{picture}">'
        f'<p class="hint">{_TEXT}</p></section>\n{_reasons(forecast)}{_assumptions(forecast)}'
    )
    return page(heading, "forecast", body)


def forecast_numbers(forecast: Forecast) -> list[tuple[str, str]]:
    """Return the numbers of a forecast (name, text), in steps too if the learning rate is known."""
    low, high = forecast.grokking_interval
    found = [
        ("memorization time", _time(forecast.memorization_time)),
        ("grokking time", _time(forecast.grokking_time)),
        ("interval of the grokking time", f"{_time(low)} to {_time(high)}"),
    ]
    if not np.isnan(forecast.learning_rate):
        found += [
            ("memorization step", _time(forecast.memorization_step)),
            ("grokking step", _time(forecast.grokking_step)),
        ]
    return [
        *found,
        ("test error at memorization", _time(forecast.test_error_at_memorization)),
        ("final test error", short(forecast.final_test_error)),
        ("error", forecast.error_kind),
        ("weight decay", short(forecast.weight_decay)),
    ]


def _time(time: float) -> str:
    return "none" if np.isnan(time) else short(time)


def _reasons(forecast: Forecast) -> str:
    rows = [
        f'<tr><th scope="row">{escape(reason.name)}</th><td>{escape(_measured(reason.value))}</td>'
        f"<td>{escape(short(reason.bound))}</td><td>{'no' if reason.holds else 'yes'}</td></tr>"
        for reason in forecast.trust.reasons
    ]
    table = table_html(["measured on the model", "value", "largest without doubt", "gives doubt"], rows)
    return f"<section><h2>Trust</h2>{table}</section>\n"


def _assumptions(forecast: Forecast) -> str:
    """Return the table of the assumptions; those that fail are marked."""
    rows = []
    for one in forecast.assumptions:
        state = escape(one.state)
        verdict_html = f'<span class="badge bad">{state}</span>' if one.state == "checked: fails" else state
        rows.append(
            f'<tr><th scope="row">{escape(one.text)}</th><td class="text">{escape(one.evidence)}</td>'
            f'<td class="text">{verdict_html}</td></tr>'
        )
    table = table_html(["assumption", "measured", "verdict"], rows, "words")
    return f'<section><h2>Assumptions of the theory</h2><p class="hint">{_ASSUMED}</p>{table}</section>\n'


def _measured(value: float) -> str:
    return "not measured" if np.isnan(value) else short(value)
