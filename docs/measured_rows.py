"""The rows of the page of measurements, from the results that benchmarks have stored. Nothing is run."""

import json
from pathlib import Path
from typing import Any

RECORDS = Path(__file__).parent / "records" / "benchmarks"
MARKER = "% rows of docs/records/benchmarks"


def with_measurements(page: str, folder: Path = RECORDS) -> str:
    """Return the page with a summary and one table for each stored benchmark in the place of the marker.

    Raises:
        ValueError: the page has no marker, or the folder has no records.
    """
    records = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    if not records or page.count(MARKER) != 1:
        raise ValueError(
            f"{len(records)} records in {folder} and {page.count(MARKER)} lines {MARKER!r} were found, some records "
            "and one line are expected"
        )
    return page.replace(MARKER, "\n\n".join([_summary(records), *map(_section, records)]))


def verdict(row: dict[str, Any]) -> str:
    """Return "met" or "missed" for a row with a target, and nothing for one without."""
    if row["target"] is None:
        return ""
    return "met" if row["ratio"] >= row["target"] else "**missed**"


def _summary(records: list[dict[str, Any]]) -> str:
    verdicts = [verdict(row) for record in records for row in record["rows"]]
    asked = len(verdicts) - verdicts.count("")
    return (
        f"{len(records)} benchmarks with {len(verdicts)} comparisons are stored. {asked} of these have a target, and "
        f"{verdicts.count('met')} reach it."
    )


def _section(record: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    changed = ", with changes that were not committed" if record["commit"].endswith("+") else ""
    head = (
        f"## {record['name']}\n\n`python -m benchmarks.{record['name']}`, {record['date']}, commit "
        f"`{record['commit'].rstrip('+')}`{changed}. {record['machine']}; load {record['load']} at the end; {versions}."
    )
    columns = "| work | peer | ours | peer's time | ratio | target | | errors, ours and peer | note |"
    return "\n".join([head, "", columns, "|---" * 9 + "|", *map(_row, record["rows"])])


def _row(row: dict[str, Any]) -> str:
    target = "" if row["target"] is None else f"{row['target']:.3g}"
    cells = (
        row["work"], row["peer"], _seconds(row["ours_seconds"]), _seconds(row["peer_seconds"]),
        f"{row['ratio']:.3g}", target, verdict(row), f"{row['ours_error']:.1e}, {row['peer_error']:.1e}", row["note"],
    )  # fmt: skip
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _seconds(value: float) -> str:
    return f"{1e3 * value:.3g} ms" if value < 1.0 else f"{value:.3g} s"
