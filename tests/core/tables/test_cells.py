"""The numbers that cells with signs, separators and units stand for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from implicitbias._core.tables._cells import is_date, parsed_number, plain_number

# {text: (number, unit)}, by hand.
WITH_POINT = {
    "32.1%": (32.1, "percent"),
    "-3 %": (-3.0, "percent"),
    "$32,100.00": (32100.0, "$"),
    "-$7.5": (-7.5, "$"),
    "$-7.5": (-7.5, "$"),
    "12 EUR": (12.0, "EUR"),
    "(1.5)": (-1.5, ""),
    "($1,000)": (-1000.0, "$"),
    "1,234": (1234.0, ""),
    "1,234,567.5": (1234567.5, ""),
    "1 234": (1234.0, ""),
    "1'234.5": (1234.5, ""),
    "−2.5": (-2.5, ""),
    "12:30": (12.5, "clock"),
    "8:15:36": (8.26, "clock"),
    "12:30 am": (0.5, "clock"),
    "1:15 PM": (13.25, "clock"),
    "1e3%": (1000.0, "percent"),
}
WITH_COMMA = {
    "1,5": (1.5, ""),
    "1.234,5": (1234.5, ""),
    "€ 1.100,50": (1100.5, "€"),
    "3,5 %": (3.5, "percent"),
}
NO_NUMBERS = [
    "1,23",
    "12,34,567",
    "1.2.3",
    "(-1)",
    "--1",
    "$",
    "%",
    "5%%",
    "$5 EUR",
    "25:61",
    "13:00 pm",
    "0x10",
    "1_000",
]


@pytest.mark.parametrize("text", WITH_POINT)
def test_with_a_decimal_point(text: str) -> None:
    value, unit = WITH_POINT[text]
    found = parsed_number(text)
    assert found is not None
    assert found.value == pytest.approx(value, rel=1e-15)
    assert found.unit == unit


@pytest.mark.parametrize("text", WITH_COMMA)
def test_with_a_decimal_comma(text: str) -> None:
    assert parsed_number(text, decimal_comma=True) == WITH_COMMA[text]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "x", "", "nan", "2020-01-01"])
def test_other_texts_are_no_numbers(text: str) -> None:
    assert parsed_number(text) is None


@pytest.mark.parametrize("text", ["1.5", "1_5", "1,234.5"])
def test_a_point_is_no_decimal_point_where_a_comma_is(text: str) -> None:
    assert plain_number(text, decimal_comma=True) is None


# Oracle: Python's own text of a number, with a thousands separator in its format language.
@given(st.floats(-1e15, 1e15), st.sampled_from(["", "%", "$"]))
def test_written_numbers_are_read(value: float, sign: str) -> None:
    text = f"{value:,.4f}"
    found = parsed_number(f"{sign}{text}" if sign == "$" else f"{text}{sign}")
    assert found is not None
    assert found.value == float(text.replace(",", ""))
    back = text.translate(str.maketrans(",.", ".,"))
    other = parsed_number(back, decimal_comma=True)
    assert other is not None
    assert other.value == found.value


@given(st.floats(allow_nan=False))
def test_plain_numbers_are_correctly_rounded(value: float) -> None:
    found = plain_number(repr(value))
    assert found == value
    assert math.copysign(1.0, value) == math.copysign(1.0, found or value)


@pytest.mark.parametrize(
    "text", ["2020-01-31", "31.12.2020", "1/2/99", "2020-01-31T10:00:00", "3 Mar 2020", "Mar 3, 2020"]
)
def test_dates(text: str) -> None:
    assert is_date(text)
    assert not is_date(f"?{text}")
