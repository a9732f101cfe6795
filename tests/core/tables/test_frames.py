"""Frames of pandas, Polars and pyarrow give equal numbers, and the same columns are refused."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas
import polars
import pyarrow
import pytest

from implicitbias._core.errors import InputError
from implicitbias._core.tables import frame_arrays, is_frame, is_series, series_array

COLUMNS: dict[str, list[Any]] = {
    "whole": [1, 2, -3],
    "real": [0.1, 2.675, 1e22],
    "truth": [True, False, True],
    "money": [Decimal("1.25"), Decimal("0.1"), Decimal(3)],
}
# Oracle: Python's own conversion of each cell.
NUMBERS = [[float(value) for value in row] for row in zip(*COLUMNS.values(), strict=True)]


def pandas_nullable(columns: dict[str, list[Any]]) -> pandas.DataFrame:
    return pandas.DataFrame(columns).convert_dtypes()


def pandas_arrow(columns: dict[str, list[Any]]) -> pandas.DataFrame:
    return pandas.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow")


def pandas_objects(columns: dict[str, list[Any]]) -> pandas.DataFrame:
    return pandas.DataFrame(columns, dtype=object)


BUILDERS = {
    "pandas": pandas.DataFrame,
    "pandas nullable": pandas_nullable,
    "pandas arrow": pandas_arrow,
    "pandas objects": pandas_objects,
    "polars": polars.DataFrame,
    "pyarrow": pyarrow.table,
}
Builder = Callable[[dict[str, list[Any]]], Any]
every_library = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


@every_library
def test_numbers_are_equal(build: Builder) -> None:
    frame = build(COLUMNS)
    assert is_frame(frame)
    found = frame_arrays(frame)
    assert found.names == tuple(COLUMNS)
    assert found.values.dtype == np.float64
    assert found.values.tolist() == NUMBERS


@every_library
def test_plain_numbers_are_copied(build: Builder) -> None:
    frame = build({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    found = frame_arrays(frame)
    found.values[0, 0] = 7.0
    assert frame_arrays(frame).values.tolist() == [[1.0, 3.0], [2.0, 4.0]]


@every_library
@pytest.mark.parametrize("gap", [None, float("nan")], ids=["null", "nan"])
def test_missing_values_are_named(build: Builder, gap: Any) -> None:
    frame = build({"a": [1.0, 2.0, 3.0], "b": [gap, 2.0, gap], "c": [0.5, gap, 1.5]})
    with pytest.raises(
        InputError, match=r"Z holds 3 missing or NaN values, in 3 of 3 rows .*: b \(2\), c \(1\)"
    ):
        frame_arrays(frame, "Z")


@every_library
@pytest.mark.parametrize("column", [[True, None, False], [1, None, 2], [None, None, None]])
def test_missing_values_of_other_types(build: Builder, column: list[Any]) -> None:
    with pytest.raises(InputError, match=r"columns: b \("):
        frame_arrays(build({"a": [1.0, 2.0, 3.0], "b": column}))


@every_library
@pytest.mark.parametrize(
    "column", [["x", "y", "x"], ["1", "2", "3"], [date(2020, 1, 1)] * 3, [[1], [2], [3]]],
    ids=["text", "digits as text", "dates", "lists"],
)  # fmt: skip
def test_what_is_no_number_is_named(build: Builder, column: list[Any]) -> None:
    with pytest.raises(
        InputError, match=r"X has columns that are not numbers: odd; odd holds values of type"
    ) as told:
        frame_arrays(build({"a": [1.0, 2.0, 3.0], "odd": column}))
    assert "OneHotEncoder" in str(told.value)


@pytest.mark.parametrize(
    "frame",
    [
        pandas.DataFrame({"a": [1, 2], "odd": pandas.Categorical([1, 2])}),
        polars.DataFrame({"a": [1, 2], "odd": polars.Series(["u", "v"], dtype=polars.Categorical)}),
        pyarrow.table({"a": [1, 2], "odd": pyarrow.array(["u", "v"]).dictionary_encode()}),
        pandas.DataFrame({"a": [1, 2], "odd": [1j, 2j]}),
        pandas.DataFrame({"a": [1, 2], "odd": [1, "x"]}),
    ],
    ids=["pandas", "polars", "pyarrow", "complex", "mixed"],
)
def test_categories_and_other_types(frame: Any) -> None:
    with pytest.raises(InputError, match="columns that are not numbers: odd"):
        frame_arrays(frame)


def test_the_line_for_removal_works() -> None:
    for frame in (
        pandas.DataFrame({"a": [1, 2], "odd": ["u", "v"]}),
        polars.DataFrame({"a": [1, 2], "odd": ["u", "v"]}),
    ):
        with pytest.raises(InputError) as told:
            frame_arrays(frame)
        space = {"X": frame}
        exec(str(told.value).rpartition("type ")[2], space)
        assert frame_arrays(space["X"]).names == ("a",)


@pytest.mark.parametrize("kind", ["Sparse[float64]", np.float16, np.longdouble, "uint8"], ids=str)
def test_other_numbers_of_pandas(kind: Any) -> None:
    frame = pandas.DataFrame({"a": [0.0, 1.0, 0.0]}).astype(kind)
    assert frame_arrays(frame).values.tolist() == [[0.0], [1.0], [0.0]]


def test_infinite_values_are_kept() -> None:
    frame = polars.DataFrame({"a": [1.0, float("inf")], "b": [-float("inf"), 2.0]})
    assert frame_arrays(frame).values.tolist() == [[1.0, -np.inf], [np.inf, 2.0]]


def test_names_that_are_not_text() -> None:
    assert frame_arrays(pandas.DataFrame(np.eye(2))).names == ("0", "1")


@pytest.mark.parametrize(
    "frame",
    [
        pandas.DataFrame([[1, 2]], columns=["a", "a"]),
        pyarrow.table([pyarrow.array([1]), pyarrow.array([2])], names=["a", "a"]),
    ],
    ids=["pandas", "pyarrow"],
)
def test_equal_names_are_refused(frame: Any) -> None:
    with pytest.raises(InputError, match=r"X has columns of the same name .*'a' 2 times"):
        frame_arrays(frame)


def test_a_lazy_frame_is_refused() -> None:
    lazy = polars.LazyFrame({"a": [1]})
    assert is_frame(lazy)
    with pytest.raises(InputError, match=r"type X = X\.collect\(\)"):
        frame_arrays(lazy)


class TestSeries:
    @pytest.mark.parametrize(
        "series",
        [
            pandas.Series([1, 2], dtype="Int64"),
            pandas.Series([1, 2], dtype="int64[pyarrow]"),
            pandas.Series([Decimal(1), Decimal(2)]),
            polars.Series([1.0, 2.0]),
            pyarrow.chunked_array([[1], [2]]),
        ],
    )
    def test_numbers(self, series: Any) -> None:
        assert is_series(series)
        assert series_array(series).tolist() == [1.0, 2.0]

    def test_refusals(self) -> None:
        with pytest.raises(InputError, match="y holds values of type String, for instance 'u'"):
            series_array(polars.Series(["u", "v"]))
        with pytest.raises(InputError, match=r"y has 1 missing values \(row 2\)"):
            series_array(pandas.Series([1, None], dtype="Int64"))


@pytest.mark.parametrize("value", [np.eye(2), [1.0], 3.0, None, "text", {"a": [1]}], ids=repr)
def test_other_values_are_neither(value: Any) -> None:
    assert not is_frame(value)
    assert not is_series(value)
