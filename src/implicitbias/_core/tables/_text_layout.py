"""The layout of a text file: its encoding, its separator and its header."""

import csv
import io
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from implicitbias._core.errors import InputError
from implicitbias._core.tables._cells import plain_number
from implicitbias._core.tables._cleaning import Cleaning, Fault
from implicitbias._core.tables._file import is_on_disk, typed_path
from implicitbias._core.tables._words import some

# The name that pandas gives to a column without a name.
UNNAMED = "Unnamed: 0"
BLANKS = " "
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", BLANKS: "blanks"}
_LINES_TRIED = 20
_START = 1 << 16  # bytes at the start of a file that show whether it is text
_MARK = b"\xef\xbb\xbf"
_EXCEL = re.compile(rb'"?sep=(.)"?[ \t]*(?:\r\n|\r|\n)', flags=re.IGNORECASE)
_MAGIC = {
    b"PK\x03\x04": "a zip file (an Excel workbook?); save the sheet as CSV, or NumPy arrays with the ending .npz",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"\x1f\x8b": "compressed by gzip; give it the ending .csv.gz",
    b"BZh": "compressed by bzip2; give it the ending .csv.bz2",
    b"\xfd7zXZ": "compressed by xz; give it the ending .csv.xz",
    b"PAR1": "Parquet; give it the ending .parquet",
    b"ARROW1": "Feather or Arrow IPC; give it the ending .feather",
    b"\x93NUMPY": "a NumPy array; give it the ending .npy",
    b"\x89HDF": "HDF5; save the table as CSV or Parquet",
    b"SQLite": "an SQLite database; save the table as CSV",
}


class Layout(NamedTuple):
    """How to read a text file.

    Attributes:
        data: the text in UTF-8, without a byte order mark and without lines before the header.
        start: the first byte after the header.
        header: the names of the columns.
        before: the number of lines before `data` that were skipped.
        separator: one character.
        notes: sentences about what was detected.
    """

    data: bytes
    start: int
    header: list[str]
    before: int
    separator: str
    notes: tuple[str, ...]


def text_layout(file: Path, data: bytes, cleaning: Cleaning, target: str) -> Layout:
    """Return the layout of a text file. It may have a single column if no target is expected (the target is "").

    Raises:
        InputError: the file is not text, is empty, or has a single column.
        Fault: the encoding or the header cannot be used, and a request can change this.
    """
    text = _utf8(file, data, cleaning)
    if cleaning.skip_lines:
        text = b"".join(text.splitlines(keepends=True)[cleaning.skip_lines :])
    excel = _EXCEL.match(text)
    forced = excel[1].decode("latin-1") if excel else ""
    text = text[excel.end() :] if excel else text
    if not text[:100_000].strip() and not text.strip():
        after = f" after {cleaning.skip_lines} lines" if cleaning.skip_lines else ""
        raise InputError(
            f"{file} is empty{after}; a header line with the names of the columns, and rows, are expected"
        )
    usual = "\t" if {".tsv", ".tab"} & {suffix.lower() for suffix in file.suffixes} else ","
    separator = forced or _separator(file, text, usual, cleaning, single=not target)
    if separator == BLANKS:
        text, separator = b"\n".join(b"\t".join(line.split()) for line in text.splitlines()), "\t"
        note: tuple[str, ...] = ("the fields are separated by blanks",)
    else:
        note = () if separator == usual else (f"the fields are separated by {separator_word(separator)}",)
    before = cleaning.skip_lines + (1 if excel else 0)
    try:
        header, lines, start = _header(text, separator)
    except UnicodeDecodeError:
        raise encoding_fault(file, text, before) from None
    if not header:
        raise InputError(
            f"{file}: the header line cannot be read; a quote may not be closed; {look_at(file, 1)}"
        )
    lines += before
    if cleaning.no_header:
        header, start = [f"x{i}" for i in range(len(header))], 0
    else:
        header = _checked_header(file, header, lines, target)
        header = [UNNAMED, *header] if cleaning.row_names else header
    return Layout(text, start, header, before, separator, note)


def separator_word(separator: str) -> str:
    """Return a separator in words."""
    return SEPARATORS.get(separator, repr(separator))


def _utf8(file: Path, data: bytes, cleaning: Cleaning) -> bytes:
    """Return the text in UTF-8 without a byte order mark."""
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            if not is_on_disk(file):  # it has no ending that could be changed
                what = (
                    what.partition(";")[0] + "; pipe CSV text, or save it as a file and give the file's name"
                )
            raise InputError(f"{file} is not text: it is {what}")
    encoding = cleaning.encoding or _marked_encoding(data)
    if encoding:
        try:
            data = data.decode(encoding).encode()
        except LookupError:
            raise InputError(
                f"{encoding!r} is not an encoding that Python knows; utf-8, utf-16, windows-1252 or latin-1 is usual"
            ) from None
        except UnicodeError as error:
            raise InputError(f"{file} is not {encoding} text: {error}") from None
    if b"\0" in data[:_START]:  # beyond it, cells that hold text are looked at
        wide = "" if cleaning.encoding else _unmarked_encoding(data[:_START])
        if wide:
            raise Fault(
                f"{file} is not UTF-8 text: it has a zero byte beside most characters, so that it may be in UTF-16",
                "to read it so",
                Cleaning(encoding=wide),
            )
        raise InputError(
            f"{file} is not text: it holds zero bytes; a CSV, TSV, Parquet, Feather, NPY or NPZ file is expected"
        )
    return data[len(_MARK) :] if data.startswith(_MARK) else data


def _marked_encoding(data: bytes) -> str:
    """Return the encoding that the byte order mark of a text names, or "" for UTF-8."""
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    return "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ""


def _unmarked_encoding(start: bytes) -> str:
    """Return the UTF-16 encoding in which most characters have a zero byte, or "" if there is none."""
    first, second = (start[place::2].count(0) / max(len(start) // 2, 1) for place in (0, 1))
    if second > 0.5 > 0.01 > first:
        return "utf-16-le"
    return "utf-16-be" if first > 0.5 > 0.01 > second else ""


def encoding_fault(file: Path, data: bytes, before: int) -> Fault:
    """Return the fault of a text that is not UTF-8; `before` lines of the file were left out."""
    bad = 0
    try:
        data.decode()
    except UnicodeDecodeError as error:
        bad = error.start
    line = data[:bad].count(b"\n") + 1 + before
    try:
        data.decode("windows-1252")
        encoding = "windows-1252"
    except UnicodeDecodeError:  # five bytes have no meaning in Windows-1252
        encoding = "latin-1"
    return Fault(
        f"{file} is not UTF-8 text: line {line} holds the byte 0x{data[bad]:02x}; the file may be in "
        "Windows-1252 (Latin-1)",
        "to read it so",
        Cleaning(encoding=encoding),
    )


def lines_of(data: bytes) -> Iterator[str]:
    """Yield the lines of a text in UTF-8 with their ends."""
    return iter(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline=""))


def records(lines: Iterator[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the last line, fields) of every row that is not blank."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    for fields in reader:
        if any(field.strip() for field in fields) or len(fields) > 1:
            yield reader.line_num, fields


def _separator(file: Path, data: bytes, usual: str, cleaning: Cleaning, single: bool) -> str:
    """Return the separator that splits the header, and that gives most of the first rows as many fields."""
    best, score = "", (0.0, 0, False)
    try:
        for separator in SEPARATORS:
            if separator == BLANKS:
                continue
            widths = []
            try:
                for _, fields in records(lines_of(data), separator):
                    widths.append(len(fields))
                    if len(widths) > _LINES_TRIED:
                        break
            except csv.Error:
                pass  # if this separator is chosen nevertheless, the look at all rows reports the wrong line
            if widths and widths[0] > 1:
                even = widths.count(widths[0]) / len(widths)
                if (even, widths[0], separator == usual) > score:
                    best, score = separator, (even, widths[0], separator == usual)
        first, *others = [line for line in lines_of(data) if line.strip()] if not best else [""]
    except UnicodeDecodeError:
        raise encoding_fault(file, data, cleaning.skip_lines) from None
    if best:
        return best
    if first.lstrip().startswith("#"):
        raise comment_fault(file, data, cleaning)
    if (
        b'"' not in data
        and len(first.split()) > 1
        and len({len(line.split()) for line in [first, *others]}) == 1
    ):
        return BLANKS
    if single:
        return usual
    titles = _titles(data)
    if titles:
        raise Fault(
            f"{file} begins with {titles} line(s) without a separator, the first {first.strip()[:40]!r}, a header line "
            "is expected",
            f"to skip the first {titles} line(s)",
            Cleaning(skip_lines=cleaning.skip_lines + titles),
        )
    raise InputError(
        f"{file} has a single column, {first.strip()[:40]!r}, a target and at least one feature are expected; its "
        "header line contains no comma, semicolon, tab or vertical bar"
    )


def _titles(data: bytes) -> int:
    """Return the number of lines above the first rows of equal width, such as a title; 0 if there are no such rows."""
    lines = list(islice(lines_of(data), _LINES_TRIED))
    for place, line in enumerate(lines):
        for separator in SEPARATORS:
            rows = [row.count(separator) for row in lines[place:] if row.strip()]
            if separator != BLANKS and line.count(separator) and len(rows) > 2 and len(set(rows)) == 1:
                return place
    return 0


def comment_fault(file: Path, data: bytes, cleaning: Cleaning) -> Fault:
    """Return the fault of a text that begins with lines of comments."""
    comments = 0
    first = ""
    for line in lines_of(data):
        if line.strip() and not line.lstrip().startswith("#"):
            break
        first = first or line.strip()
        comments += 1
    return Fault(
        f"{file} begins with a comment, {first[:40]!r}, a header line is expected",
        f"to skip the first {comments} line(s)",
        Cleaning(skip_lines=cleaning.skip_lines + comments),
    )


def _header(data: bytes, separator: str) -> tuple[list[str], int, int]:
    """Return the fields of the first row, and the lines and bytes up to its end."""
    try:
        lines, fields = next(records(lines_of(data), separator), (1, []))
    except csv.Error:
        return [], 1, 0
    size = sum(len(line.encode()) for line in islice(lines_of(data), lines))
    return [name.strip() for name in fields], lines, size


def _checked_header(file: Path, header: list[str], lines: int, target: str) -> list[str]:
    if all(_is_number(name) for name in header if name) and not _counts_up([n for n in header if n]):
        raise Fault(
            f"{file}: the first line holds numbers only ({some(header, 3)}), names of the columns are expected; write "
            "a header line above it",
            f"to call the columns x0, x1, ... and to predict x{len(header) - 1}",
            Cleaning(no_header=True),
            target=f"x{len(header) - 1}",
        )
    repeated = sorted(name for name, count in Counter(header).items() if name and count > 1)
    nameless = [i for i, name in enumerate(header) if not name and i > 0]
    if repeated:
        places = [str(i + 1) for i, name in enumerate(header) if name == repeated[0]]
        told = (
            f"{file}: {some([repr(name) for name in repeated])} occurs more than once in the header (columns "
            f"{', '.join(places)}); give each column its own name"
        )
    elif nameless:
        end = " (a separator at the end of the line?)" if nameless == [len(header) - 1] else ""
        told = (
            f"{file}: column {nameless[0] + 1} has no name in the header{end}; name it, or remove the column"
        )
    else:
        # pandas gives such a name to an index if the table was saved with its index more than once.
        blank = UNNAMED if UNNAMED not in header else f"{UNNAMED}.{len(header)}"
        return [name or blank for name in header]
    # The last column is suggested if the target is not in the header, and the last of equal names.
    same = [i for i, name in enumerate(header) if name == target]
    place = same[-1] if same else len(header) - 1
    raise Fault(
        told,
        f"to skip the header, to call the columns x0, x1, ... and to predict x{place}",
        Cleaning(no_header=True, skip_lines=lines),
        target=f"x{place}",
    )


def look_at(file: Path, line: int) -> str:
    """Return a shell line that shows one line of a file."""
    if not is_on_disk(file):
        return f"look at line {line}"
    return f"look at it with sed -n {line}p {shlex.quote(typed_path(file))}"


def _is_number(name: str) -> bool:
    return plain_number(name) is not None and not name.lower().lstrip("+-").startswith("inf")


def _counts_up(names: list[str]) -> bool:
    """Return whether the names are 0, 1, 2, ... or 1, 2, 3, ..., as pandas writes them for columns without names."""
    return names in ([str(i) for i in range(len(names))], [str(i + 1) for i in range(len(names))])
