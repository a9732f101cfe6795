"""The report of a forecast of grokking."""

import numpy as np

from implicitbias.grokking import Forecast
from implicitbias.plotting import forecast_figure, short
from implicitbias.reports._certificate import citation
from implicitbias.reports._document import Badge, Document, Notes, Numbers, Row, Section, Table, Text
from implicitbias.reports._picture import picture_of

_TEXT = (
    "Lines are the forecast. Dotted lines are the memorization time and the grokking time, the band is the interval of "
    "the grokking time, and the grey line is 1 / weight decay."
)
_ASSUMED = (
    "The theory of the slow phase assumes the following. The forecast follows the flow at the given weight decay, also "
    "where an assumption fails."
)


def forecast_document(forecast: Forecast, title: str) -> Document:
    """Return the report of a forecast."""
    level = forecast.trust.level
    mark = Badge(
        f"trust: {level}", "how far the forecast can be trusted, from measured numbers", level == "high"
    )
    said = "The model groks." if forecast.groks else "The model does not grok."
    head = (
        Numbers(tuple(forecast_numbers(forecast))),
        Text(said),
        Text(forecast.method),
        Notes(tuple(forecast.trust.doubts)),
    )
    picture = picture_of(forecast_figure(forecast), "Errors and losses against time")
    return Document(
        f"Forecast of {title}",
        "forecast",
        (),
        mark,
        (
            Section("", head),
            Section("Course of training", (Text(_TEXT, hint=True), picture)),
            _reasons(forecast),
            _assumptions(forecast),
            Section("Theory", citation("boursier2025grokking")),
        ),
    )


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


def _reasons(forecast: Forecast) -> Section:
    rows = tuple(
        Row((reason.name, _measured(reason.value), short(reason.bound), "no" if reason.holds else "yes"))
        for reason in forecast.trust.reasons
    )
    return Section(
        "Trust", (Table(("measured on the model", "value", "largest without doubt", "gives doubt"), rows),)
    )


def _assumptions(forecast: Forecast) -> Section:
    """Return the table of the assumptions."""
    rows = tuple(
        Row((one.text, one.evidence, one.state), "fails" if one.fails else "") for one in forecast.assumptions
    )
    table = Table(
        ("assumption", "measured", "verdict"), rows, frozenset({"measured", "verdict"}), sentences=True
    )
    return Section("Assumptions of the theory", (Text(_ASSUMED, hint=True), table))


def _measured(value: float) -> str:
    return "not measured" if np.isnan(value) else short(value)
