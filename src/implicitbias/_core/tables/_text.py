"""CSV and similar text files. pyarrow reads them; Python looks at the raw text only after pyarrow has refused it."""

import csv
import io
from pathlib import Path
from typing import Any

from implicitbias._core.errors import InputError
from implicitbias._core.tables._arrow import grid_of_arrow
from implicitbias._core.tables._cleaning import Cleaning, Fault
from implicitbias._core.tables._grid import Grid
from implicitbias._core.tables._text_layout import (
    Layout,
    comment_fault,
    encoding_fault,
    lines_of,
    look_at,
    records,
    separator_word,
    text_layout,
)
from implicitbias._core.tables._words import some

# What pandas.read_csv takes as missing.
NULLS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
# Bytes that one thread of pyarrow reads at a time: at least this many, and at least this many rows, because every block
# costs a fixed time for each column.
_BLOCK, _BLOCK_ROWS, _LARGEST_BLOCK = 1 << 20, 256, 1 << 30


def load_text(file: Path, data: bytes, cleaning: Cleaning, target: str) -> Grid:
    """Return the table in these bytes.

    Raises:
        InputError: the text cannot be read as a table; the message names the wrong line.
        Fault: the same, if a request cures it.
    """
    import pyarrow

    layout = text_layout(file, data, cleaning, target)
    try:
        table = _arrow_table(layout, cleaning)
        doubtful = _is_doubtful(table)
    except pyarrow.ArrowInvalid:
        doubtful = True
    if doubtful:
        layout = _checked(file, layout, cleaning)
        try:
            table = _arrow_table(layout, cleaning)
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"{file} cannot be read as text: {str(error).splitlines()[0]}") from None
    if any(pyarrow.types.is_binary(column.type) for column in table.columns):
        raise encoding_fault(file, layout.data, layout.before)
    missing = frozenset((*NULLS, *cleaning.missing))
    return grid_of_arrow(
        table, missing, f"text, separated by {separator_word(layout.separator)}", layout.notes
    )


def _arrow_table(layout: Layout, cleaning: Cleaning) -> Any:
    """Return the columns as pyarrow infers them: numbers, truth values or text, never dates."""
    import pyarrow

    text = {name: pyarrow.string() for name in (*cleaning.one_hot, *cleaning.parse) if name in layout.header}
    if len(layout.data) == layout.start:
        return pyarrow.table({name: pyarrow.array([], pyarrow.float64()) for name in layout.header})
    table = _read(layout, cleaning, text)
    # Dates and clock times are wanted as they were written.
    odd = [field.name for field in table.schema if pyarrow.types.is_temporal(field.type)]
    return _read(layout, cleaning, text | dict.fromkeys(odd, pyarrow.string())) if odd else table


def _read(layout: Layout, cleaning: Cleaning, types: dict[str, Any]) -> Any:
    import pyarrow
    from pyarrow import csv as arrow_csv

    quoted = b'"' in layout.data
    first_row = layout.data.find(b"\n", layout.start) - layout.start
    block = min(max(_BLOCK, _BLOCK_ROWS * layout.start, _BLOCK_ROWS * first_row), _LARGEST_BLOCK)
    while True:
        try:
            return arrow_csv.read_csv(
                pyarrow.BufferReader(pyarrow.py_buffer(layout.data).slice(layout.start)),
                read_options=arrow_csv.ReadOptions(
                    column_names=layout.header, block_size=block, use_threads=block < len(layout.data)
                ),
                parse_options=arrow_csv.ParseOptions(delimiter=layout.separator, newlines_in_values=quoted),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=types,
                    null_values=[*NULLS, *cleaning.missing],
                    true_values=["True", "TRUE", "true"],
                    false_values=["False", "FALSE", "false"],
                    strings_can_be_null=True,
                    decimal_point="," if cleaning.decimal_comma else ".",
                ),
            )
        except pyarrow.ArrowInvalid as error:
            # A row that is longer than a block is read with blocks of a larger size.
            if "block" not in str(error) or block >= min(len(layout.data), _LARGEST_BLOCK):
                raise
            block = min(8 * block, _LARGEST_BLOCK)


def _is_doubtful(table: Any) -> bool:
    """Return whether text holds zeros, or quotes or ends of lines, which may come from a quote that is not closed."""
    import pyarrow
    from pyarrow import compute

    return any(
        compute.any(compute.match_substring_regex(column, '["\r\n\\x00]')).as_py()
        for column in table.columns
        if pyarrow.types.is_string(column.type)
    )


def _checked(file: Path, layout: Layout, cleaning: Cleaning) -> Layout:
    """Return the layout of the same rows without blank lines and blanks around fields, after a check of every row."""
    if b"\0" in layout.data:
        raise InputError(f"{file} is not text: it holds zero bytes, first at byte {layout.data.index(0) + 1}")
    width = len(layout.header)
    rows, uneven, line, count = io.StringIO(newline=""), [], layout.before, 0
    writer = csv.writer(rows, delimiter=layout.separator, lineterminator="\n")
    try:
        found = records(lines_of(layout.data), layout.separator)
        if not cleaning.no_header:
            line += next(found)[0]
        for last, fields in found:
            line, count = layout.before + last, count + 1
            if len(fields) == width:
                writer.writerow([field.strip() for field in fields])
            else:
                uneven.append((line, len(fields)))
    except csv.Error as error:
        raise InputError(
            f"{file}: line {line + 1} or a later one cannot be read ({error}); a quote may not be closed, or "
            f'quotes inside a value may not be doubled (""); {look_at(file, line + 1)}'
        ) from None
    except UnicodeDecodeError:
        raise encoding_fault(file, layout.data, layout.before) from None
    if uneven:
        if layout.data.lstrip().startswith(b"#"):
            raise comment_fault(file, layout.data, cleaning)
        raise _uneven(file, layout, count, uneven, cleaning)
    return layout._replace(data=rows.getvalue().encode(), start=0)


def _uneven(
    file: Path, layout: Layout, rows: int, uneven: list[tuple[int, int]], cleaning: Cleaning
) -> Exception:
    header = layout.header
    width = len(header)
    if (
        len(uneven) == rows
        and {count for _, count in uneven} == {width + 1}
        and not (cleaning.no_header or cleaning.row_names)
    ):
        return Fault(
            f"{file}: every row has {width + 1} fields, but the header has {width}. If the numbers have a decimal "
            "comma, separate the fields by semicolons",
            "if the rows begin with row names or row numbers, to leave these out",
            Cleaning(row_names=True),
        )
    line, count = uneven[0]
    others = [str(line) for line, _ in uneven[1:]]
    more = (
        f"; {len(others)} more {'line is' if len(others) == 1 else 'lines are'} uneven (line {some(others, 3)})"
        if others
        else ""
    )
    return InputError(
        f"{file}: line {line} has {count} fields, but the header has {width}{more}. A value that contains a separator "
        f'needs quotes ("1,5"), and an empty value still needs its separator; {look_at(file, line)}'
    )
