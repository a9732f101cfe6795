"""CSV and similar text files. The raw text is checked before pandas reads it, because pandas silently renames
repeated headers and shifts uneven rows.
"""

import csv
import io
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from implicitbias._core.errors import InputError
from implicitbias.cli._source import UNNAMED, Source, some, text_literal

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_BLANKS = r"\s+"
_LINES_TRIED = 20
_MAGIC = {
    b"PK\x03\x04": "a zip file (an Excel workbook?); save the sheet as CSV, or NumPy arrays with the ending .npz",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"\x1f\x8b": "compressed by gzip; give it the ending .csv.gz",
    b"PAR1": "Parquet; give it the ending .parquet",
    b"\x89HDF": "HDF5; save the table as CSV or Parquet",
    b"SQLite": "an SQLite database; save the table as CSV",
}


class Delimited(NamedTuple):
    """A table that pandas has read from text whose rows all have the same number of fields."""

    frame: Any
    source: Source
    layout: str
    notes: tuple[str, ...]


def read_delimited(file: Path, data: bytes) -> Delimited:
    """Return the table in these bytes, or raise an `InputError` that names the wrong line."""
    import pandas

    text = _decoded(file, data)
    usual = "\t" if {".tsv", ".tab"} & {suffix.lower() for suffix in file.suffixes} else ","
    separator = _separator(file, text, usual)
    header, rows = _checked_rows(file, text, separator)
    frame = pandas.read_csv(
        io.StringIO(text), sep=separator, header=0, names=header, index_col=False, skipinitialspace=True,
        low_memory=False,
    )  # fmt: skip
    if len(frame) != rows:
        raise InputError(
            f"{file} has {rows} rows after its header, but pandas reads {len(frame)}; "
            "remove stray quotes and lines of blanks"
        )
    notes = () if separator == usual else (f"the fields are separated by {_SEPARATORS[separator]}",)
    option = "" if separator == "," else f", sep={text_literal(separator)}"
    source = Source(file, f"pandas.read_csv({text_literal(str(file))}{option})")
    return Delimited(frame, source, f"text, separated by {_SEPARATORS[separator]}", notes)


def _decoded(file: Path, data: bytes) -> str:
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise InputError(f"{file} is not text: it is {what}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{file} is UTF-16 text, UTF-8 is expected; {_recode(file, 'UTF-16')}")
    if b"\0" in data:
        raise InputError(
            f"{file} is not text: it holds zero bytes; a CSV, TSV, Parquet or NPZ file is expected"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{file} is not UTF-8 text: line {line} holds the byte 0x{data[error.start]:02x}; the file may be in "
            f"Windows-1252 (Latin-1); {_recode(file, 'WINDOWS-1252')}"
        ) from None
    if not text.strip():
        raise InputError(
            f"{file} is empty; a header line with the names of the columns, and rows, are expected"
        )
    return text


def _recode(file: Path, encoding: str) -> str:
    new = file.with_name(f"{file.stem}-utf8{file.suffix}")
    return f"type iconv -f {encoding} -t UTF-8 {shlex.quote(str(file))} > {shlex.quote(str(new))}"


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the last line, fields) of every row that is not blank."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    for fields in reader:
        if any(field.strip() for field in fields) or len(fields) > 1:
            yield reader.line_num, fields


def _separator(file: Path, text: str, usual: str) -> str:
    """Return the separator that splits the header, and that gives most of the first rows as many fields."""
    best, score = "", (0.0, 0, False)
    for separator in _SEPARATORS:
        widths = []
        try:
            for _, fields in _records(text, separator):
                widths.append(len(fields))
                if len(widths) > _LINES_TRIED:
                    break
        except csv.Error:
            pass  # if this separator is chosen nevertheless, `_checked_rows` reports the wrong line
        if widths and widths[0] > 1:
            even = widths.count(widths[0]) / len(widths)
            if (even, widths[0], separator == usual) > score:
                best, score = separator, (even, widths[0], separator == usual)
    if best:
        return best
    first, *others = [line for line in text.splitlines() if line.strip()]
    if first.lstrip().startswith("#"):
        raise InputError(
            f"{file} begins with a comment, {first.strip()[:40]!r}; a header line is expected: "
            f"type grep -v '^#' {shlex.quote(str(file))} > {shlex.quote(f'{file.stem}-clean{file.suffix}')}"
        )
    if len(first.split()) > 1 and all(len(line.split()) == len(first.split()) for line in others):
        source = Source(
            file, f"pandas.read_csv({text_literal(str(file))}, sep={text_literal(chr(92) + 's+')})"
        )
        raise InputError(f"{file} has fields separated by blanks, commas are expected; {source.line('')}")
    raise InputError(
        f"{file} has a single column, {first.strip()[:40]!r}, a target and at least one feature are expected; its "
        "header line contains no comma, semicolon, tab or vertical bar"
    )


def _checked_rows(file: Path, text: str, separator: str) -> tuple[list[str], int]:
    """Return the header and the number of rows, after a check that all rows have as many fields as the header."""
    header: list[str] = []
    rows, uneven, line = 0, [], 0
    try:
        for line, fields in _records(text, separator):
            if not header:
                header = [name.strip() for name in fields]
                continue
            rows += 1
            if len(fields) != len(header):
                uneven.append((line, len(fields)))
    except csv.Error as error:
        raise InputError(
            f"{file}: line {line + 1} or a later one cannot be read ({error}); a quote may not be closed, or quotes "
            f'inside a value may not be doubled (""); {_look(file, line + 1)}'
        ) from None
    if uneven:
        raise InputError(_uneven(file, header, rows, uneven))
    return _checked_header(file, header), rows


def _look(file: Path, line: int) -> str:
    return f"look at it with sed -n {line}p {shlex.quote(str(file))}"


def _uneven(file: Path, header: list[str], rows: int, uneven: list[tuple[int, int]]) -> str:
    width = len(header)
    if len(uneven) == rows and {count for _, count in uneven} == {width + 1}:
        return (
            f"{file}: every row has {width + 1} fields, but the header has {width}. If the rows begin with row names "
            f"or row numbers, write a name for them at the start of the header (row,{header[0]},...); if the numbers "
            "have a decimal comma, replace it by a point"
        )
    line, count = uneven[0]
    others = [str(line) for line, _ in uneven[1:]]
    more = (
        f"; {len(others)} more {'line is' if len(others) == 1 else 'lines are'} uneven (line {some(others, 3)})"
        if others
        else ""
    )
    return (
        f"{file}: line {line} has {count} fields, but the header has {width}{more}. A value that contains a separator "
        f'needs quotes ("1,5"), and an empty value still needs its separator; {_look(file, line)}'
    )


def _checked_header(file: Path, header: list[str]) -> list[str]:
    if all(_is_number(name) for name in header if name) and not _counts_up([n for n in header if n]):
        raise InputError(
            f"{file}: the first line holds numbers only ({some(header, 3)}), names of the columns are expected: "
            f"write a header line above it, for instance {','.join(f'x{i}' for i in range(len(header) - 1))[:40]},y"
        )
    repeated = sorted(name for name, count in Counter(header).items() if name and count > 1)
    if repeated:
        places = [str(i + 1) for i, name in enumerate(header) if name == repeated[0]]
        raise InputError(
            f"{file}: {some([repr(name) for name in repeated])} occurs more than once in the header (columns "
            f"{', '.join(places)}); give each column its own name"
        )
    nameless = [i for i, name in enumerate(header) if not name and i > 0]
    if nameless:
        end = " (a separator at the end of the line?)" if nameless == [len(header) - 1] else ""
        raise InputError(
            f"{file}: column {nameless[0] + 1} has no name in the header{end}; name it, or remove the column"
        )
    # pandas gives such a name to an index if the table was saved with its index more than once.
    blank = UNNAMED if UNNAMED not in header else f"{UNNAMED}.{len(header)}"
    return [name or blank for name in header]


def _is_number(name: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", name) is not None


def _counts_up(names: list[str]) -> bool:
    """Return whether the names are 0, 1, 2, ... or 1, 2, 3, ..., as pandas writes them for columns without names."""
    return names in ([str(i) for i in range(len(names))], [str(i + 1) for i in range(len(names))])
