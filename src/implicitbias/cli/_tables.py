"""What the commands print."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from implicitbias.studies._registry import Card
from implicitbias.studies._run import StudyResult
from implicitbias.studies._store import number


def print_cards(cards: tuple[Card, ...]) -> None:
    """The studies there are."""
    table = Table(box=None, pad_edge=False)
    for title in ("study", "paper", "shows"):
        table.add_column(title, overflow="fold")
    for card in cards:
        table.add_row(f"[bold]{card.name}", card.paper, card.shows)
    Console().print(table)


def print_result(result: StudyResult) -> None:
    """Claims by setting, and where the results lie."""
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
        mark = "[green]yes" if claim.holds else "[bold red]NO"
        values = (escape(number(value)) for value in (claim.predicted, claim.measured))
        table.add_row(mark, escape(claim.statement), *values)
    console.print(table)
    failed = sum(not claim.holds for claim in result.claims)
    verdict = "all hold" if failed == 0 else f"{failed} FAIL"
    console.print(f"{len(result.claims)} claims, {verdict}.", highlight=False)
    if result.folder is not None:
        console.print(
            f"Results: {result.folder} (README.md, claims.json, *.nc, *.png)", highlight=False, soft_wrap=True
        )
