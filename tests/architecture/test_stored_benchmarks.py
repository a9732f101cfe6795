"""Test the page of measurements: its rows come from stored results, and their verdicts from the numbers beside them."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from benchmarks import _measure
from tests.architecture._source import DOCS, label

PAGE = runpy.run_path(str(DOCS / "measured_rows.py"))
FILES = sorted((DOCS / "records" / "benchmarks").glob("*.json"))
ROWS = [
    _measure.Row("fast", "peer", 0.5, 2.0, 0.0, 1e-9, "a | b", target=4.0),
    _measure.Row("slow", "peer", 1.0, 2.0, 0.0, 0.0, target=2.5),
    _measure.Row("free", "peer", 1.0, 2.0, 0.0, 0.0),
]


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.setenv("BENCHMARK_RECORDS", str(tmp_path / "new"))
    _measure.report("example", ROWS)
    assert "fast" in capsys.readouterr().out
    return tmp_path / "new"


# Oracle: by hand: the ratios are 4, 2 and 2.
def test_a_report_becomes_a_table(stored: Path) -> None:
    lines = PAGE["with_measurements"](f"# Top\n\n{PAGE['MARKER']}\n", stored).splitlines()
    assert "1 benchmarks with 3 comparisons are stored. 2 of these have a target, and 1 reach it." in lines
    rows = [line for line in lines if line.startswith(("| fast", "| slow", "| free"))]
    assert rows[0] == "| fast | peer | 500 ms | 2 s | 4 | 4 | met | 0.0e+00, 1.0e-09 | a \\| b |"
    assert [row.split(" | ")[4:7] for row in rows[1:]] == [["2", "2.5", "**missed**"], ["2", "", ""]]


def test_a_record_says_where_it_comes_from(stored: Path) -> None:
    record = json.loads((stored / "example.json").read_text())
    assert record["machine"] == _measure.machine()
    assert set(record["versions"]) == set(_measure.LIBRARIES)
    assert record["load"] >= 0.0


@pytest.mark.parametrize("page", ["no line", "two"])
def test_a_page_without_its_marker_is_refused(page: str, stored: Path) -> None:
    text = PAGE["MARKER"] * 2 if page == "two" else ""
    with pytest.raises(ValueError, match="1 records"):
        PAGE["with_measurements"](text, stored)


def test_no_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 records"):
        PAGE["with_measurements"](PAGE["MARKER"], tmp_path)


@pytest.mark.parametrize("file", FILES, ids=label)
def test_stored_results_are_complete(file: Path) -> None:
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert record["name"] == file.stem
    assert (DOCS.parent / "benchmarks" / f"{file.stem}.py").exists()
    assert record["commit"] not in ("", "unknown")
    for row in record["rows"]:
        assert row["ratio"] == row["peer_seconds"] / row["ours_seconds"]
        assert set(row) == {*_measure.Row._fields, "ratio"}
