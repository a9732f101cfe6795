"""Run studies, print their claims and write their results."""

from pathlib import Path

import typer

from implicitbias import studies
from implicitbias._core.errors import InputError
from implicitbias.cli._progress import progress_bar
from implicitbias.cli._tables import print_json, print_result, result_record
from implicitbias.cli._terminal import check_output

# The folder of all studies, unless another one is typed.
_ALL = "results"


def run_named(
    names: list[str], points: list[str] | None, out: Path | None, *, as_json: bool, quiet: bool
) -> bool:
    """Run the named studies, or the first point of each study if none is named; return whether every claim holds.

    Without names the results are written in any case, because their page is what one looks at.
    """
    # All names are checked first, so that a misspelt one fails before any study runs.
    cards = [studies.find(name) for name in names] if names else list(studies.list())
    if points and len(names) != 1:
        raise InputError(
            "--point is for one study; name it, such as implicitbias run grokking-digits --point small"
        )
    if not names and out is None:
        out = Path(_ALL)
    # With one study, its own report has all there is to see.
    page = None if out is None or len(cards) < 2 else studies.check_report(out / "report.html")
    results: list[studies.StudyResult] = []
    for card in cards:
        chosen = points or (None if names else studies.load(card.name).points()[:1])
        try:
            with progress_bar(card.name, quiet=quiet) as progress:
                result = studies.run(card.name, out=out, progress=progress, points=chosen)
        except KeyboardInterrupt:
            typer.echo(f"implicitbias: interrupted; nothing of {card.name} was written", err=True)
            raise typer.Exit(130) from None
        if not as_json:
            files = "report.html, README.md, claims.json, *.nc, figures"
            last = f"Results: {result.folder} ({files})" if result.folder else ""
            print_result(result, last, first=not results)
        results.append(result)
    if as_json:
        print_json([result_record(result) for result in results])
    if page is not None:
        studies.report(results, page)
        if not as_json:
            typer.echo(f"\nAll studies on one page: {page}")
    if out is not None:
        check_output(f"the results in {out} are complete")
    return all(result.ok for result in results)
