"""Awkward files: each gives the right design, or one message and a request that gives the right design."""

import gzip
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas
import pytest

from implicitbias._core.errors import InputError
from implicitbias._core.tables import Cleaning, Table, read_table
from tests.cli._tables import written

PLAIN = "a,b,y\n1,2.5,3\n4,5,7\n6,-1e3,8\n2,0,1\n"
DESIGN = [[1.0, 2.5], [4.0, 5.0], [6.0, -1000.0], [2.0, 0.0]]
TARGET = [3.0, 7.0, 8.0, 1.0]
COMMAS = "a;b;y\n1;2,5;3\n4;5,0;7\n6;-1e3;8\n2;0,0;1\n"


def parquet(frame: pandas.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.to_parquet(stream)
    return stream.getvalue()


class Cure(NamedTuple):
    """What the message says, and the design after the request that it suggests."""

    message: str
    features: tuple[str, ...] = ("a", "b")
    X: list[list[float]] | None = DESIGN
    y: list[float] = TARGET


def with_column(name: str, cells: list[str]) -> str:
    """`PLAIN` with one more column before the others."""
    return (
        "\n".join(f"{cell},{line}" for cell, line in zip([name, *cells], PLAIN.splitlines(), strict=True))
        + "\n"
    )


# {name: (content, name of the file)}: all of them are `PLAIN`.
READ = {
    "UTF-8": (PLAIN, "d.csv"),
    "UTF-8 with a byte order mark": ("\ufeff" + PLAIN, "d.csv"),
    "UTF-16 little": (b"\xff\xfe" + PLAIN.encode("utf-16-le"), "d.csv"),
    "UTF-32": (PLAIN.encode("utf-32"), "d.csv"),
    "UTF-16 big": (b"\xfe\xff" + PLAIN.encode("utf-16-be"), "d.csv"),
    "semicolons": (PLAIN.replace(",", ";"), "d.csv"),
    "tabs": (PLAIN.replace(",", "\t"), "d.tsv"),
    "bars": (PLAIN.replace(",", "|"), "d.txt"),
    "blanks": (PLAIN.replace(",", "  "), "d.dat"),
    "Excel's sep=;": ("sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"), "d.csv"),
    "Excel's sep=; after a byte order mark": ("\ufeffsep=;\n" + PLAIN.replace(",", ";"), "d.csv"),
    "an unusual separator that Excel's line names": ("sep=:\n" + PLAIN.replace(",", ":"), "d.csv"),
    "a quoted header": (PLAIN.replace("a,b,y", '"a","b","y"'), "d.csv"),
    "quoted numbers": (PLAIN.replace("2.5", '"2.5"'), "d.csv"),
    "blanks around fields": (PLAIN.replace(",", " , "), "d.csv"),
    "blank lines": ("\n\n" + PLAIN.replace("\n", "\n \n\n"), "d.csv"),
    "no end of the last line": (PLAIN.rstrip(), "d.csv"),
    "ends of lines of Windows": (PLAIN.replace("\n", "\r\n"), "d.csv"),
    "an index": (with_column("", ["0", "1", "2", "3"]), "d.csv"),
    "gzip": (gzip.compress(PLAIN.encode()), "d.csv.gz"),
    "Parquet": (parquet(pandas.read_csv(io.StringIO(PLAIN))), "d.parquet"),
    "Parquet of 32-bit numbers": (
        parquet(pandas.read_csv(io.StringIO(PLAIN)).astype("float32")), "d.parquet",
    ),
    "Parquet of nullable numbers": (
        parquet(pandas.read_csv(io.StringIO(PLAIN)).convert_dtypes()), "d.parquet",
    ),
}  # fmt: skip

CURED = {
    "Latin-1": (with_column("größe", ["5", "3", "3", "5"]).encode("latin-1"),
                Cure("line 1 holds the byte 0xf6", ("größe", "a", "b"), [[5.0, 1.0, 2.5]])),
    "Latin-1 after Excel's line": (b"sep=;\na;\xe9;y\n" + PLAIN.partition("\n")[2].replace(",", ";").encode(),
                                   Cure("line 2 holds the byte 0xe9", ("a", "é"))),
    "decimal commas": (COMMAS, Cure("the column 'b' holds 3 value(s) of 4 that are not numbers, the first '2,5'")),
    "decimal commas in the target": ("a;b;y\n1;2,5;3,0\n4;5,0;7,0\n6;-1e3;8,0\n2;0,0;1,0\n", Cure("the target 'y'")),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), Cure("a zero byte beside most characters")),
    "UTF-16 big without a mark": (PLAIN.encode("utf-16-be"), Cure("a zero byte beside most characters")),
    "a title": ("Table 3\n\nof the yearbook\n" + PLAIN,
                Cure("begins with 3 line(s) without a separator, the first 'Table 3'")),
    "a comment": ("# by me, yesterday\n" + PLAIN, Cure("begins with a comment, '# by me, yesterday'")),
    "dates": (with_column("day", ["2020-01-01", "2020-02-01", "2020-01-03", "2020-01-01"]),
              Cure("the column 'day' holds 4 value(s) of 4 that are not numbers, the first '2020-01-01' in row 1")),
    "names": (with_column("who", ["Ann", "Bob", "Cid", "Dee"]), Cure("the column 'who'")),
    "categories": (with_column("city", ["Rome", "Oslo", "Rome", "Oslo"]),
                   Cure("the column 'city'", ("city=Rome", "a", "b"), [[1.0, 1.0, 2.5], [0.0, 4.0, 5.0]])),
    "currency": (with_column("price", ["$5", '"$1,000.50"', "$0", "-$3"]),
                 Cure("first '$5'", ("price", "a", "b"), [[5.0, 1.0, 2.5], [1000.5, 4.0, 5.0]])),
    "percent": (with_column("rate", ["5%", "32.1%", "0%", "-3%"]),
                Cure("first '5%'", ("rate", "a", "b"), [[5.0, 1.0, 2.5], [32.1, 4.0, 5.0]])),
    "accounting": (with_column("net", ["(1.5)", "2", "3", "(4)"]),
                   Cure("first '(1.5)'", ("net", "a", "b"), [[-1.5, 1.0, 2.5], [2.0, 4.0, 5.0]])),
    "clock times": (with_column("at", ["12:30", "0:15", "23:00", "1:00"]),
                    Cure("first '12:30'", ("at", "a", "b"), [[12.5, 1.0, 2.5], [0.25, 4.0, 5.0]])),
    "missing marks": (PLAIN + "?,?,2\n", Cure("first '?' in row 5")),
    "missing cells": (PLAIN + ",,2\nNA,3,4\n", Cure("has 3 missing values, in 2 of 6 rows (row 5, 6)")),
    "a missing target": (PLAIN + "1,2,\n", Cure("1 of 3 columns: y (1)")),
    "an empty column": (with_column("e", ["", "NA", "", ""]), Cure("Every value of 'e' is missing")),
    "1e308": (with_column("big", ["1e308", "1", "2", "3"]), Cure("the largest number of big lies outside")),
    "beyond float64": (with_column("big", ["1e309", "1", "2", "3"]),
                       Cure("numbers beyond 1e308, in big (row 1)", ("big", "a", "b"), [[1.0, 4.0, 5.0]], TARGET[1:])),
    "infinity": (PLAIN + "inf,3,1\n2,-inf,5\n", Cure("has 2 infinite value(s)")),
    "a repeated header": (PLAIN.replace("a,b", "a,a"),
                          Cure("'a' occurs more than once in the header (columns 1, 2)", ("x0", "x1"))),
    "no header": (PLAIN.partition("\n")[2], Cure("the first line holds numbers only", ("x0", "x1"))),
    "row names of R": ("a,b,y\n" + "".join(f'"r{i}",{row}\n' for i, row in enumerate(PLAIN.splitlines()[1:])),
                       Cure("every row has 4 fields, but the header has 3")),
}  # fmt: skip

REFUSED = {
    "one row": ("a,b,y\n1,2,3\n", "has 1 row(s) after its header"),
    "a constant target": ("a,b,y\n1,2,3\n2,3,3\n", "the target 'y' is 3 in every row"),
    "a text target": ("a,b,y\n1,2,u\n2,3,v\n", "the target 'y' holds 2 value(s) of 2 that are not numbers"),
    "an uneven row": (PLAIN + "1,2\n", "line 6 has 2 fields, but the header has 3"),
    "an open quote": (PLAIN + '1,2,"3\n', "line 6 or a later one cannot be read"),
    "a header with an open quote": (
        'sep=;\n"a;b;y\n1;2;3\n',
        "the header line cannot be read; a quote may not be closed",
    ),
    "quoted names with blanks": ('"a b" y\n"1 2" 3\n', "has a single column"),
    "zero bytes": (PLAIN.encode() + b"\0\0,1,2\n", "holds zero bytes"),
    "zero bytes far below": (PLAIN.encode() + b"1,2,3\n" * 20000 + b"\0\0,1,2\n", "holds zero bytes"),
}


class Asked:
    """A function that keeps the request it is called with."""

    cleaning = Cleaning()
    target = ""

    def __call__(self, cleaning: Cleaning, target: str) -> str:
        self.cleaning, self.target = cleaning, target
        return "the line"


@pytest.mark.parametrize("name", READ)
def test_the_same_table(name: str, tmp_path: Path) -> None:
    content, file = READ[name]
    found = read_table(Path(written(tmp_path, content, file)), "y")
    assert found.features == ("a", "b")
    assert found.X.tolist() == DESIGN
    assert found.y.tolist() == TARGET


@pytest.mark.parametrize("name", CURED)
def test_the_message_cures(name: str, tmp_path: Path) -> None:
    content, cure = CURED[name]
    file = Path(written(tmp_path, content, "d.csv"))
    asked = Asked()
    with pytest.raises(InputError) as told:
        read_table(file, "y", retry=asked)
    assert cure.message in str(told.value)
    assert str(told.value).endswith("type the line")
    assert "\n" not in str(told.value)
    found = read_table(file, asked.target, asked.cleaning)
    assert found.features == cure.features
    assert cure.X is not None
    assert found.X[: len(cure.X)].tolist() == cure.X
    assert found.y.tolist() == cure.y


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_request_cures(name: str, tmp_path: Path) -> None:
    content, message = REFUSED[name]
    file = Path(written(tmp_path, content, "d.csv"))
    with pytest.raises(InputError) as told:
        read_table(file, "y")
    assert message in str(told.value)
    assert str(file) in str(told.value)
    assert "read_table(" not in str(told.value)


def test_constant_and_duplicate_columns_are_kept_with_a_note(tmp_path: Path) -> None:
    text = "a,same,copy,y\n1,5,1,3\n4,5,4,7\n6,5,6,8\n"
    found = read_table(Path(written(tmp_path, text)), "y")
    assert found.X.tolist() == [[1.0, 5.0, 1.0], [4.0, 5.0, 4.0], [6.0, 5.0, 6.0]]
    assert found.notes == ("these features are the same in every row: same",)


def wide(folder: Path, content: str, columns: int) -> Table:
    names = [f"c{j}" for j in range(columns)]
    header = ",".join([*names, "y"])
    return read_table(Path(written(folder, f"{header}\n{content}")), "y")


# A row of 50 000 columns is longer than the block that pyarrow reads by default.
@pytest.mark.parametrize("columns", [2_000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_many_columns(columns: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, columns + 1))
    rows = "\n".join(",".join(map(repr, row)) for row in values.tolist())
    found = wide(tmp_path, rows + "\n", columns)
    np.testing.assert_array_equal(found.X, values[:, :-1])
    np.testing.assert_array_equal(found.y, values[:, -1])


def test_a_short_row_among_fifty_thousand_columns(tmp_path: Path) -> None:
    row = ",".join(["1.5"] * 50_001)
    with pytest.raises(InputError, match="line 3 has 50000 fields, but the header has 50001"):
        wide(tmp_path, f"{row}\n{row[4:]}\n{row}\n", 50_000)
