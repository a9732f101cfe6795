"""The tables that the commands `list`, `run` and `report` print."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from implicitbias.studies import Card, StudyResult


def print_cards(cards: tuple[Card, ...]) -> None:
    """Print a table of studies."""
    table = Table(box=None, pad_edge=False)
    for title in ("study", "paper", "shows"):
        table.add_column(title, overflow="fold")
    for card in cards:
        table.add_row(f"[bold]{card.name}", card.paper, card.shows)
    Console().print(table)


def print_result(result: StudyResult, last: str = "") -> None:
    """Print the claims of each setting, the assumptions that fail, the number of claims that hold, and a last line."""
    console = Console()
    title = f"{result.card.name}: {result.card.paper}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("holds")
    table.add_column("claim", overflow="fold")
    table.add_column("predicted", justify="right")
    table.add_column("measured", justify="right")
    point = ""
    for claim in result.claims:
        if claim.point != point:
            point = claim.point
            table.add_section()
            table.add_row("", f"[bold]{escape(point)}", "", "")
        mark = f"[{'green' if claim.supported else 'bold red'}]{claim.verdict}"
        table.add_row(mark, escape(claim.statement), escape(claim.expected), escape(claim.measured_text))
    console.print(table)
    for line in _failing_assumptions(result):
        console.print(f"Assumption fails: {line}", highlight=False, markup=False, style="yellow")
    failed = sum(not claim.supported for claim in result.claims)
    verdict = "all hold" if failed == 0 else f"{failed} FAIL"
    console.print(f"{len(result.claims)} claims, {verdict}.", highlight=False)
    if last:
        console.print(last, highlight=False, markup=False, soft_wrap=True)


def _failing_assumptions(result: StudyResult) -> list[str]:
    lines = [
        f"{claim.point}: {assumption.text}: {assumption.evidence}"
        for claim in result.claims
        for assumption in claim.assumptions
        if assumption.state == "checked: fails"
    ]
    return list(dict.fromkeys(lines))
