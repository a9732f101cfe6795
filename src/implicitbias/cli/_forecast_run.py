"""The command `implicitbias forecast`: it calls the user's function, forecasts, and prints and writes the report."""

import json
import math
import sys
from pathlib import Path
from typing import Any

from implicitbias.cli._forecast_source import read_source
from implicitbias.cli._progress import progress_bar
from implicitbias.cli._table_command import TableCommand
from implicitbias.cli._terminal import carried, check_output, console, on_terminal, record, say, table

FORECAST = TableCommand(
    "forecast",
    ("forecast.npz", "curve.csv", "forecast.json", "forecast.png", "report.html"),
    "forecast.png",
    stored=False,
)
_NUMBERS = (
    "memorization_time",
    "grokking_time",
    "memorization_step",
    "grokking_step",
    "test_error_at_memorization",
    "final_test_error",
    "weight_decay",
    "learning_rate",
)


def run_forecast(named: str, out: Path | None, *, as_json: bool = False) -> None:
    """Forecast, print and write.

    Raises:
        InputError: the function or what it returns cannot be used, or the folder cannot be written.
    """
    source = read_source(named)
    place = FORECAST.place(out, source.file)
    from implicitbias.cli._tables import print_json
    from implicitbias.grokking import forecast_grokking

    with progress_bar(named) as progress:
        forecast = forecast_grokking(**source.arguments, progress=progress)
    if place is not None:
        FORECAST.write(place, lambda part: _write(forecast, named, part))
    try:
        if as_json:
            print_json(forecast_record(forecast))
        else:
            line = f"implicitbias forecast {named} --out {source.file.stem}-forecast"
            print_forecast(forecast, named, FORECAST.last_line(out, line))
        check_output("" if out is None else f"the results in {out} are complete")
    except KeyboardInterrupt:
        sys.exit(130)  # the files are written already


def _write(forecast: Any, named: str, folder: Path) -> None:
    """Write all files into an existing folder."""
    import pandas

    from implicitbias.plotting import forecast_figure, png
    from implicitbias.reports import forecast_document, html

    forecast.save(folder / "forecast.npz")
    pandas.DataFrame(dict(forecast.columns)).to_csv(folder / "curve.csv", index=False)
    text = json.dumps(forecast_record(forecast), indent=1, allow_nan=False) + "\n"
    (folder / "forecast.json").write_text(text, encoding="utf-8")
    (folder / "forecast.png").write_bytes(png(forecast_figure(forecast)))
    (folder / "report.html").write_text(html(forecast_document(forecast, named)), encoding="utf-8")


def forecast_record(forecast: Any) -> dict[str, Any]:
    """Return a forecast without its curve as values for strict JSON; a number that is not finite is None."""
    return {
        "kind": "implicitbias forecast",
        "groks": forecast.groks,
        **{name: _number(getattr(forecast, name)) for name in _NUMBERS},
        "grokking_interval": [_number(end) for end in forecast.grokking_interval],
        "error": forecast.error_kind,
        "method": forecast.method,
        "trust": {
            "level": forecast.trust.level,
            "reasons": [
                {
                    "name": reason.name,
                    "value": _number(reason.value),
                    "bound": reason.bound,
                    "holds": reason.holds,
                    "sentence": reason.sentence,
                }
                for reason in forecast.trust.reasons
            ],
        },
        "assumptions": [one.to_dict() for one in forecast.assumptions],
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def print_forecast(forecast: Any, named: str, last: str) -> None:
    """Print the numbers, the reasons of the trust, the assumptions, the method, and a last line."""
    from implicitbias.plotting import short
    from implicitbias.reports import forecast_numbers

    verdict = f"The model {'groks' if forecast.groks else 'does not grok'}. Trust: {forecast.trust.level}."
    reasons = forecast.trust.reasons
    if not on_terminal():
        say(named)
        for name in _NUMBERS:
            record((name, float(getattr(forecast, name))))
        for reason in reasons:
            record((reason.name, float(reason.value), "holds" if reason.holds else "doubt"), begin="# ")
        for one in forecast.assumptions:
            record((one.text, one.evidence, one.state), begin="# ")
        for line in (verdict, *forecast.trust.doubts, forecast.method, last):
            say(line)
        return
    from rich.text import Text

    shown = table(named)
    shown.add_column("forecast")
    shown.add_column("", justify="right")
    for name, text in forecast_numbers(forecast):
        shown.add_row(name, Text(carried(text)))
    console().print(shown)
    measured = table("Trust")
    for head in ("measured on the model", "value", "largest without doubt", ""):
        measured.add_column(head, justify="left" if head.startswith("measured") else "right")
    for reason in reasons:
        value = "not measured" if math.isnan(reason.value) else carried(short(reason.value))
        mark = Text("") if reason.holds else Text("doubt", "bold red" if reason.serious else "yellow")
        measured.add_row(reason.name, value, carried(short(reason.bound)), mark)
    console().print(measured)
    console().print(_assumptions(forecast))
    console().print(Text(verdict, "bold"))
    for line in (*forecast.trust.doubts, forecast.method):
        console().print(Text(carried(line)))
    console().print(carried(last), markup=False, soft_wrap=True)


def _assumptions(forecast: Any) -> Any:
    """Return the table of the assumptions for a terminal."""
    from rich.text import Text

    shown = table("Assumptions of the theory")
    for head in ("assumption", "measured", "verdict"):
        shown.add_column(head)
    for one in forecast.assumptions:
        mark = Text(one.state, "yellow" if one.fails else "")
        shown.add_row(Text(carried(one.text)), Text(carried(one.evidence)), mark)
    return shown
