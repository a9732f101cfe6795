"""Test that a store is written as a table of Parquet, which pyarrow reads back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

import implicitbias as ib


def values(a: int, b: str) -> dict[str, Any]:
    if a == 1:
        raise ValueError("one")
    return {"whole": 2**60 + a, "half": a / 2, "v": np.arange(a), "name": b * a, "c": 1j * a}


def test_each_run_is_a_row_and_failed_ones_keep_their_reason(tmp_path: Path) -> None:
    ib.studies.sweep(values, {"a": [1, 2, 3], "b": ["x", "y"]}, tmp_path / "s")
    file = ib.studies.to_parquet(tmp_path / "s", tmp_path / "runs.parquet")
    rows = {(row["a"], row["b"]): row for row in parquet.read_table(file).to_pylist()}
    assert len(rows) == 6
    failed, done = rows[1, "y"], rows[2, "x"]
    assert (failed["state"], failed["error"]) == ("failed", "ValueError: one")
    assert {failed[name] for name in ("whole", "half", "v", "name", "c_real")} == {None}
    assert (done["state"], done["whole"], done["half"], done["name"]) == ("done", 2**60 + 2, 1.0, "xx")
    np.testing.assert_array_equal(done["v"], [0.0, 1.0, np.nan])  # padded to the longest
    assert (done["c_real"], done["c_imag"]) == (0.0, 2.0)


def test_points_of_a_grid_that_were_not_run_are_no_rows_and_shared_coordinates_are_lists(
    tmp_path: Path,
) -> None:
    import xarray

    def run(a: int, b: int) -> Any:
        return xarray.Dataset({"loss": ("t", a * np.arange(3.0)), "t": ("t", np.arange(3.0))})

    ib.studies.sweep(run, [{"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 2}], tmp_path / "s")
    rows = parquet.read_table(ib.studies.to_parquet(tmp_path / "s", tmp_path / "t.parquet")).to_pylist()
    assert [(row["a"], row["b"]) for row in rows] == [(1, 1), (2, 1), (2, 2)]
    assert [row["t"] for row in rows] == [[0.0, 1.0, 2.0]] * 3
    assert rows[2]["loss"] == [0.0, 2.0, 4.0]


def test_what_is_no_column_or_no_file_is_told(tmp_path: Path) -> None:
    mixed = [0.5, 2**60 + 1]
    ib.studies.sweep(lambda k: {"x": mixed[k]}, {"k": [0, 1]}, tmp_path / "s")
    with pytest.raises(ib.InputError, match="return them under two names"):
        ib.studies.to_parquet(tmp_path / "s", tmp_path / "t.parquet")
    ib.studies.sweep(lambda k: k, {"k": [0, 1]}, tmp_path / "other")
    with pytest.raises(ib.InputError, match="type another file"):
        ib.studies.to_parquet(tmp_path / "other", tmp_path / "missing" / "t.parquet")
    assert not list(tmp_path.glob("*.part"))
