"""The number in the text of a cell, plain or with signs, separators and units."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", flags=re.IGNORECASE)
_CURRENCY = r"[$€£¥₹₽₩¢]|USD|EUR|GBP|CHF|JPY|INR|CAD|AUD|CNY|SEK|NOK|DKK|PLN|kr|zł"
_MINUS = "−"  # the minus sign of typography
_SIGNED = re.compile(
    rf"(?P<sign>[+-]?)\s*(?P<before>{_CURRENCY})?\s*(?P<inner>[+-]?)\s*(?P<digits>\d[\d.,'’ \u00a0\u202f]*|[.,]\d+)"
    rf"(?P<power>[eE][+-]?\d+)?\s*(?P<after>%|{_CURRENCY})?",
    flags=re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?\s*([ap])?\.?m?\.?", flags=re.IGNORECASE)
_GROUPS = {",": r"\d{1,3}(?:[,'’ \u00a0\u202f]\d{3})+", ".": r"\d{1,3}(?:[.'’ \u00a0\u202f]\d{3})+"}
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( .*)?"
    r"|\d{1,2}[. -]*[A-Za-z]{3,9}[. -]*\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}"
)

PERCENT, CLOCK = "percent", "clock"


class Parsed(NamedTuple):
    """A number and its unit: "percent", "clock" (the number is in hours), a currency sign, or "" for a plain number."""

    value: float
    unit: str


def plain_number(text: str, decimal_comma: bool = False) -> float | None:
    """Return the number that a text is, or None.

    Examples:
        >>> plain_number("1.5"), plain_number("1,5"), plain_number("1,5", decimal_comma=True)
        (1.5, None, 1.5)
    """
    text = text.strip()
    if decimal_comma:
        text = text.replace(".", "_").replace(",", ".")
    return float(text) if _PLAIN.fullmatch(text) else None


def parsed_number(text: str, decimal_comma: bool = False) -> Parsed | None:
    """Return the number in a text with percent or currency signs, thousands separators or parentheses, or a clock time.

    Parentheses around a number mean a negative number, as in accounting. Percent signs do not change the number.

    Examples:
        >>> parsed_number("$32,100.00"), parsed_number("(1.5)").value, parsed_number("12:30")
        (Parsed(value=32100.0, unit='$'), -1.5, Parsed(value=12.5, unit='clock'))
    """
    text = text.strip().replace(_MINUS, "-")
    plain = plain_number(text, decimal_comma)
    if plain is not None:
        return Parsed(plain, "")
    clock = _CLOCK.fullmatch(text)
    if clock:
        return _hours(clock)
    negative = text.startswith("(") and text.endswith(")")
    found = _SIGNED.fullmatch(text[1:-1].strip() if negative else text)
    if not found or (found["before"] and found["after"] not in (None, "%")):
        return None
    digits = _without_groups(found["digits"].strip(), decimal_comma)
    signs = found["sign"] + found["inner"]
    if digits is None or len(signs) > 1 or (negative and signs):
        return None
    value = float(digits + (found["power"] or ""))
    unit = PERCENT if found["after"] == "%" else (found["before"] or found["after"] or "")
    return Parsed(-value if negative or signs == "-" else value, unit)


def number_of_unit(text: str, unit: str | None, decimal_comma: bool) -> float | None:
    """Return the number that a text is in this unit (None for plain numbers only), or None if it is something else."""
    if unit is None:
        return plain_number(text, decimal_comma)
    parsed = parsed_number(text, decimal_comma)
    return parsed.value if parsed is not None and _has_unit(parsed, unit) else None


def common_unit(texts: Sequence[str], decimal_comma: bool) -> str | None:
    """Return the unit of all texts, or None if some are not numbers or the units differ."""
    found = [parsed_number(text, decimal_comma) for text in texts]
    unit = next((parsed.unit for parsed in found if parsed is not None and parsed.unit), "")
    return unit if all(parsed is not None and _has_unit(parsed, unit) for parsed in found) else None


def _has_unit(parsed: Parsed, unit: str) -> bool:
    """Return whether a number has the unit. Plain numbers go with currency signs, and a plain zero with any unit."""
    plain = not parsed.unit and (unit not in (PERCENT, CLOCK) or parsed.value == 0.0)
    return plain or parsed.unit == unit


def _hours(clock: re.Match[str]) -> Parsed | None:
    hours, half = int(clock[1]), (clock[4] or "").lower()
    if half:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if half == "p" else 0)
    return Parsed(hours + int(clock[2]) / 60 + float(clock[3] or 0) / 3600, CLOCK)


def _without_groups(digits: str, decimal_comma: bool) -> str | None:
    """Return digits with a decimal point and without thousands separators, or None if a separator is misplaced."""
    point, group = (",", ".") if decimal_comma else (".", ",")
    whole, mark, fraction = digits.partition(point)
    if not re.fullmatch(rf"\d*|{_GROUPS[group]}", whole) or not re.fullmatch(r"\d*", fraction):
        return None
    return re.sub(r"\D", "", whole) + ("." if mark else "") + fraction


def has_thousands(text: str) -> bool:
    """Return whether commas stand where they separate thousands, so that they need not be decimal commas."""
    return re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", text.strip()) is not None


def is_date(text: str) -> bool:
    """Return whether a text looks like a date."""
    return _DATE.fullmatch(text.strip()) is not None
