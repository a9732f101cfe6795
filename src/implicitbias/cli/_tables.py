"""The output of the commands `list`, `run` and `report`: tables on a terminal, records in a pipe, or JSON."""

import json
from typing import Any

from implicitbias.cli._terminal import carried, console, on_terminal, record, say
from implicitbias.studies import Card, StudyResult, document

_CARD = ("study", "paper", "shows")
_CLAIM = ("study", "point", "holds", "claim", "predicted", "measured")


def print_cards(cards: tuple[Card, ...], as_json: bool = False) -> None:
    """Print the studies."""
    rows = [(card.name, card.paper, card.shows) for card in cards]
    if as_json:
        print_json([dict(zip(_CARD, row, strict=True)) for row in rows])
    elif on_terminal():
        from rich.table import Table
        from rich.text import Text

        shown = Table(box=None, pad_edge=False)
        for title in _CARD:
            shown.add_column(title, overflow="fold")
        for name, paper, shows in rows:
            shown.add_row(Text(carried(name), "bold"), Text(carried(paper)), Text(carried(shows)))
        console().print(shown)
    else:
        record(_CARD)
        for row in rows:
            record(row)


def print_result(result: StudyResult, last: str, first: bool = True) -> None:
    """Print the report of a study on a terminal; elsewhere its claims as records, with the assumptions that fail.

    Args:
        result: the result of a study.
        last: the last line, or "".
        first: whether no result was printed before, so that records need a line of titles.
    """
    if on_terminal():
        from implicitbias.cli._terminal_document import print_document

        if not first:
            print()
        print_document(document(result), result.folder)
        if last:
            console().print(carried(last), markup=False, soft_wrap=True)
        return
    failed = sum(not claim.supported for claim in result.claims)
    if first:
        record(_CLAIM)
    say(f"{result.card.name}: {result.card.paper}")
    for claim in result.claims:
        texts = (claim.statement, claim.expected, claim.measured_text)
        record((result.card.name, claim.point, claim.verdict, *texts))
    failing = [f"{claim.point}: {told}" for claim in result.claims for told in claim.failing]
    for line in dict.fromkeys(failing):  # each once
        say(f"Assumption fails: {line}")
    say(f"{len(result.claims)} claims, {'all hold' if failed == 0 else f'{failed} FAIL'}.")
    if last:
        say(last)


def result_record(result: StudyResult) -> dict[str, Any]:
    """Return the claims of a study as values for JSON, under the names of claims.json."""
    return {
        "study": result.card.name,
        "paper": result.card.paper,
        "points": list(result.datasets),
        "folder": None if result.folder is None else str(result.folder),
        "all_hold": result.ok,
        "claims": [claim.to_dict() for claim in result.claims],
    }


def print_json(value: Any) -> None:
    """Print one JSON document in ASCII."""
    print(json.dumps(value, indent=2, allow_nan=False))
