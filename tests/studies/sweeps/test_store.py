"""Test that a store gives back what was written, labelled, and resumes where a sweep has stopped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.studies.sweeps import _store


def swept(function: Any, points: Any, out: Path, **options: Any) -> Any:
    return ib.studies.sweep(function, points, out, **options)


def product(a: float, seed: int) -> dict[str, Any]:
    return {"x": a * seed, "v": a * np.arange(3), "note": f"seed {seed}", "whole": seed}


def test_a_grid_becomes_a_dataset_with_its_axes(tmp_path: Path) -> None:
    result = swept(product, {"a": [2.0, 1.0]}, tmp_path / "s", seeds=3)
    data = result.to_dataset()
    assert dict(data.sizes) == {"a": 2, "seed": 3, "v_0": 3}
    np.testing.assert_array_equal(data.a, [1.0, 2.0])  # numbers are sorted
    np.testing.assert_array_equal(data.x, np.outer([1.0, 2.0], range(3)))
    np.testing.assert_array_equal(data.v.sel(a=2.0, seed=1), [0.0, 2.0, 4.0])
    np.testing.assert_array_equal(data.whole[0], [0, 1, 2])
    assert data.whole.dtype.kind == "i"
    assert str(data.note.sel(a=1.0, seed=2).values) == "seed 2"
    assert set(data.state.values.ravel()) == {"done"}
    assert data.x.chunks is not None, "the arrays are read when they are used"


def test_a_sweep_goes_on_with_what_is_missing_or_failed(tmp_path: Path) -> None:
    calls = tmp_path / "calls"

    def run(x: int) -> float:
        with calls.open("a") as file:
            file.write(f"{x} ")
        if x == 2 and not (tmp_path / "mended").exists():
            raise ValueError("two")
        return x / 2

    first = swept(run, {"x": [1, 2]}, tmp_path / "s")
    assert [f.settings for f in first.failures] == [{"x": 2}]
    data = first.to_dataset()
    np.testing.assert_array_equal(data.value, [0.5, np.nan])
    assert data.state.values.tolist() == ["done", "failed"]
    assert data.error.values.tolist() == ["", "ValueError: two"]
    (tmp_path / "mended").touch()
    second = swept(run, {"x": [1, 2, 3]}, tmp_path / "s")
    assert second.ok
    assert second.reused == 1
    assert calls.read_text() == "1 2 2 3 "
    np.testing.assert_array_equal(second.to_dataset().value, [0.5, 1.0, 1.5])


def test_runs_of_unequal_shapes_are_padded_and_lists_of_points_stay_lists(tmp_path: Path) -> None:
    def run(n: int, name: str) -> dict[str, Any]:
        return {"w": np.arange(n)} | ({"extra": True} if n > 1 else {})

    points = [{"n": 1, "name": "one"}, {"n": 3, "name": "three"}, {"n": 2, "name": "two"}] + [
        {"n": 9 + k, "name": f"more {k}"} for k in range(4)
    ]
    data = swept(run, points, tmp_path / "s").to_dataset()
    assert dict(data.sizes) == {"run": 7, "w_0": 12}
    np.testing.assert_array_equal(data.w[1, :4], [0.0, 1.0, 2.0, np.nan])
    np.testing.assert_array_equal(data.extra[:3], [np.nan, 1.0, 1.0])
    assert data.name.values[:3].tolist() == ["one", "three", "two"]


def test_a_dataset_keeps_its_dimensions(tmp_path: Path) -> None:
    import xarray

    def run(a: float) -> Any:
        return xarray.Dataset({"loss": ("t", a * np.arange(4.0)), "t": ("t", np.arange(4.0))})

    data = swept(run, {"a": [1.0, 3.0]}, tmp_path / "s").to_dataset()
    assert data.loss.dims == ("a", "t")
    np.testing.assert_array_equal(data.loss[1], 3.0 * np.arange(4.0))
    np.testing.assert_array_equal(data.loss.sel(t=2.0), [2.0, 6.0])


def test_coordinates_that_differ_between_runs_are_variables(tmp_path: Path) -> None:
    import xarray

    def run(a: float) -> Any:
        return xarray.Dataset({"loss": ("t", np.ones(2)), "t": ("t", a * np.arange(2.0))})

    data = swept(run, {"a": [1.0, 3.0]}, tmp_path / "s").to_dataset()
    np.testing.assert_array_equal(data.t_values, [[0.0, 1.0], [0.0, 3.0]])


def test_values_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    result = swept(lambda x: np.log(x) if x else np.nan, {"x": [0, 1]}, tmp_path / "s")
    assert (result.ok, result.not_finite) == (True, 1)
    assert "1 hold NaN or infinity" in str(result)


def test_runs_of_other_code_are_refused_kept_and_marked_or_replaced(tmp_path: Path) -> None:
    def version(number: float) -> Any:
        def run(x: float) -> float:
            return x + number

        return run

    swept(version(1.0), {"x": [1.0, 2.0]}, tmp_path / "s")
    grid = {"x": [1.0, 2.0, 3.0]}
    with pytest.raises(ib.InputError, match=r"2 of the 3 runs are in .* computed by other code"):
        swept(version(5.0), grid, tmp_path / "s")
    kept = swept(version(5.0), grid, tmp_path / "s", outdated="keep")
    assert (kept.outdated, kept.reused) == (2, 2)
    data = kept.to_dataset()
    np.testing.assert_array_equal(data.value, [2.0, 3.0, 8.0])
    assert data.code.values[0] == data.code.values[1] != data.code.values[2]
    replaced = swept(version(5.0), grid, tmp_path / "s", outdated="replace")
    assert (replaced.outdated, replaced.reused) == (0, 1)
    np.testing.assert_array_equal(replaced.to_dataset().value, [6.0, 7.0, 8.0])


def test_parts_are_merged_when_they_are_many(tmp_path: Path) -> None:
    for k in range(_store._MOST_PARTS + 3):
        swept(product, {"a": [float(k)]}, tmp_path / "s", seeds=2)
        assert len(list((tmp_path / "s" / "arrays").iterdir())) <= _store._MOST_PARTS
    data = ib.studies.open(tmp_path / "s")
    np.testing.assert_array_equal(data.x, np.outer(np.arange(11.0), range(2)))


def test_values_wait_in_the_ledger_and_are_read_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store.Store, "settle", lambda store: None)
    swept(product, {"a": [1.0, 2.0]}, tmp_path / "s", seeds=3)
    assert not (tmp_path / "s" / "arrays").exists()
    waiting = ib.studies.open(tmp_path / "s").load()
    monkeypatch.undo()
    swept(product, {"a": [1.0, 2.0]}, tmp_path / "s", seeds=3)
    assert len(list((tmp_path / "s" / "arrays").iterdir())) == 1
    assert ib.studies.open(tmp_path / "s").load().identical(waiting)


def test_whole_numbers_are_one_setting_in_both_types(tmp_path: Path) -> None:
    swept(lambda a: a, {"a": [1, 2]}, tmp_path / "s")
    rows = ib.studies.open(tmp_path / "s")
    assert swept(lambda a: a, {"a": [1.0, 2.0]}, tmp_path / "s", outdated="keep").reused == 2
    assert ib.studies.open(tmp_path / "s").identical(rows)


def test_two_functions_share_a_folder(tmp_path: Path) -> None:
    def other(a: float) -> float:
        return -a

    swept(product, {"a": [1.0]}, tmp_path / "s", seeds=1)
    swept(other, {"a": [1.0]}, tmp_path / "s")
    with pytest.raises(ib.InputError, match="choose one"):
        ib.studies.open(tmp_path / "s")
    data = ib.studies.open(tmp_path / "s", "tests.studies.sweeps.test_store.product")
    assert data.x.values.tolist() == [[0.0]]
    with pytest.raises(ib.InputError, match="holds no 'third'"):
        ib.studies.open(tmp_path / "s", "third")


def test_folders_that_are_no_store_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ib.InputError, match="holds files that are no store"):
        swept(product, {"a": [1.0]}, tmp_path, seeds=1)
    with pytest.raises(ib.InputError, match="holds no results of a sweep"):
        ib.studies.open(tmp_path)
    with pytest.raises(ib.InputError, match="cannot be made"):
        swept(product, {"a": [1.0]}, tmp_path / "mine.txt" / "s", seeds=1)
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "ledger.sqlite").write_bytes(b"not a data base, and long enough to be read as one" * 99)
    with pytest.raises(ib.InputError, match="is damaged"):
        swept(product, {"a": [1.0]}, tmp_path / "s", seeds=1)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"x": None}, "which a store cannot keep"),
        ({}, "no variables"),
        ({"state": 1}, "a variable named 'state'"),
        ({"attributes": 3.0}, "a variable named 'attributes'"),
    ],
)
def test_values_that_a_store_cannot_keep_are_failures(tmp_path: Path, value: Any, words: str) -> None:
    result = swept(lambda a: value, {"a": [1.0]}, tmp_path / "s")
    assert words in result.failures[0].reason


def test_settings_that_a_store_cannot_identify_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ib.InputError, match="a store keeps numbers, texts"):
        swept(np.sum, [np.ones(2)], tmp_path / "s")
    with pytest.raises(ib.InputError, match="a store keeps numbers, texts"):
        swept(lambda a: a, {"a": [float("nan")]}, tmp_path / "s")


def test_a_sweep_without_a_store_says_how_to_get_one() -> None:
    with pytest.raises(ib.InputError, match="the sweep had no store"):
        ib.studies.sweep(abs, [1]).to_dataset()
