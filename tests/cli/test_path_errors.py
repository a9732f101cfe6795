"""`implicitbias path`: what is refused, with exit status 2 and one message that says what to type."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas
import pytest

from tests.cli._command import answer
from tests.cli._tables import table, written

ROWS = "1,2,3\n4,5,6\n7,8,10\n"


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on standard error of a run that is refused."""
    status, out, err = answer(monkeypatch, capsys, "path", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("implicitbias: ")
    assert err.count("\n") == 1
    return err


# {name: (content of the file, what the message says)}; the target is y.
TEXTS = {
    "a misspelt target": ("a,b,Y \n" + ROWS, "has no column 'y'; did you mean 'Y'?"),
    "another target": ("a,b,c\n" + ROWS, "has no column 'y'; there are a, b, c"),
    "a header that repeats": ("a,a,y\n" + ROWS, "'a' occurs more than once in the header (columns 1, 2)"),
    "a target that repeats": ("a,y,y\n" + ROWS, "'y' occurs more than once in the header (columns 2, 3)"),
    "a field too many": (
        "a,b,y\n1,2,3\n1,2,3,4\n5,6\n",
        "line 3 has 4 fields, but the header has 3; 1 more line is uneven (line 4)",
    ),
    "a field missing": ("a,b,y\n1,2,3\n\n1,2\n5,6,7\n", "line 4 has 2 fields, but the header has 3"),
    "names of rows": ("a,y\nr,1,2\ns,3,4\n", "every row has 3 fields, but the header has 2"),
    "a column without a name": ("a,,y\n" + ROWS, "column 2 has no name in the header"),
    "separators at the ends": ("a,y,\n1,2,\n3,5,\n", "(a separator at the end of the line?)"),
    "an index that repeats": (",a,y\n1,2,3\n1,3,5\n", "column 1 has no name ('Unnamed: 0') and is not a row index"),
    "no header": ("1,2,3.5\n" + ROWS, "the first line holds numbers only (1, 2, 3.5)"),
    "a comment": ("# mine\na,b,y\n" + ROWS, "begins with a comment, '# mine'"),
    "a quote that stays open": ('a,b,y\n1,"2,3\n4,5,6\n', "line 2 or a later one cannot be read"),
    "one column": ("y\n1\n2\n", "has a single column, 'y'"),
    "an index and the target": (",y\n0,1\n1,2\n", "has no column besides the target 'y'"),
    "one row": ("a,b,y\n1,2,3\n", "has 1 row(s) after its header, at least two are expected"),
    "no rows": ("a,b,y\n", "has 0 row(s) after its header"),
    "nothing": ("", "is empty"),
    "blank lines": (" \n\n", "is empty"),
    "a constant target": ("a,b,y\n1,2,3\n4,5,3\n", "the target 'y' is 3 in every row"),
    "an infinite value": ("a,b,y\n1,2,3\n4,-inf,6\n1e999,1,1\n", "infinite value(s), or numbers beyond 1e308, in a, b"),
    "a whole number beyond float64": (f"a,b,y\n1{'0' * 400},2,3\n4,5,6\n7,8,9\n", "beyond 1e308, in a"),
    "a huge value": ("a,b,y\n1,2e200,3\n4,5,6\n", "the largest number of b lies outside [1e-140, 1e+140]"),
    "a text target": ("a,y\n1,yes\n2,no\n", "'y' holds 2 value(s) of 2 that are not numbers, the first 'yes'"),
    "no target column": ("a b\n1,2\n", "has a single column"),
}  # fmt: skip
BYTES = {
    "zero bytes": (bytes(range(256)), "is not text: it holds zero bytes"),
    "an Excel workbook": (b"PK\x03\x04xyz", "it is a zip file (an Excel workbook?)"),
    "Parquet": (b"PAR1xyz", "it is Parquet; give it the ending .parquet"),
    "gzip": (b"\x1f\x8bxyz", "give it the ending .csv.gz"),
    "Latin-1": ("a,größe,y\n1,2,3\n".encode("latin-1"), "line 1 holds the byte 0xf6"),
}


@pytest.mark.parametrize("name", [*TEXTS, *BYTES])
def test_a_table_that_cannot_be_used(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content, message = {**TEXTS, **BYTES}[name]
    file = written(tmp_path, content)
    err = refusal(monkeypatch, capsys, file, "--target", "y", "--out", str(tmp_path / "out"))
    assert message in err
    assert file in err
    assert not (tmp_path / "out").exists()


# What the message tells to type is typed, and the command then works. {name: (content, file, options in the line)}
CURES = {
    "text": (
        "age,city,who,y\n" + "".join(f"{i},{'ro'[i % 2]},n{i},{i * i}\n" for i in range(9)), "data.csv",
        "--drop who --one-hot city",
    ),
    "only names": ("age,who,y\n" + "".join(f"{i},n{i},{i * i}\n" for i in range(9)), "data.csv", "--drop who"),
    "dates": ("a,day,y\n" + "".join(f"{i},2020-01-0{i % 3 + 1},{i * i}\n" for i in range(9)), "data.csv", "--drop day"),
    "a constant text": ("a,b,y\n1,u,3\n2,u,4\n4,u,7\n", "data.csv", "--drop b"),
    "question marks": ("a,b,y\n1,?,3\n2,5,4\n3,6,7\n4,7,8\n", "data.csv", "--missing '?' --drop-missing"),
    "dashes": ("a,b,y\n1,-,3\n2,5,4\n3,--,7\n4,7,8\n", "data.csv", "--missing=- --missing=-- --drop-missing"),
    "percent": ("a,b,y\n1,32.1%,3\n2,5%,4\n4,-3.5 %,7\n", "data.csv", "--parse b"),
    "currency": ('a,b,y\n1,"$32,100.00",3\n2,$5,4\n4,-$7.5,7\n', "data.csv", "--parse b"),
    "parentheses": ("a,b,y\n1,(1.5),3\n2,5,4\n4,(3),7\n", "data.csv", "--parse b"),
    "clock times": ("a,b,y\n1,12:30,3\n2,8:15,4\n4,23:59:59,7\n", "data.csv", "--parse b"),
    "thousands": ('a,b,y\n1,"1,234",3\n2,"2,500",4\n4,"3,000",7\n', "data.csv", "--parse b"),
    "a target in percent": ("a,b,y\n1,3,3%\n2,5,4%\n4,3,7%\n", "data.csv", "--parse y"),
    "decimal commas": ("a;b;y\n1;1,5;3\n2;2,25;4\n4;3,0;7\n", "data.csv", "--decimal-comma"),
    "euros": ("a;b;y\n1;€ 1.100,50;3\n2;€ 2,25;4\n4;€ 3;7\n", "data.csv", "--parse b --decimal-comma"),
    "missing values": ("a,b,y\n1,,3\n2,3,4\n3,1,5\n4,3,9\n8,NA,1\n", "it's data.csv", "--drop-missing"),
    "missing targets": ("a,b,y\n1,2,3\n2,3,\n3,1,\n4,3,\n8,7,1\n", "data.csv", "--impute median --drop-missing"),
    "an empty column": ("a,b,y\n1,,3\n2,,4\n3,,5\n", "data.csv", "--drop b"),
    "a column full of gaps": ("a,b,y\n1,,3\n2,,4\n3,,5\n4,2,1\n", "data.csv", "--drop b"),
    "gaps everywhere": ("a,b,y\n1,,3\n,2,4\n3,,5\n4,2,1\n,4,7\n", "data.csv", "--impute median"),
    "infinite values": ("a,b,y\n1,inf,3\n2,3,4\n3,1,5\n4,3,9\n", "data.csv", "--missing inf --drop-missing"),
    "minus infinity": ("a,b,y\n1,-inf,3\n2,3,4\n3,1,5\n4,3,9\n", "data.csv", "--missing=-inf --drop-missing"),
    "1e308": ("a,b,y\n1,1e308,3\n2,3,4\n3,1,5\n4,3,9\n", "data.csv", "--drop b"),
    "a comment": ("# mine, and yours\n# too\na,b,y\n1,2,3\n4,5,7\n", "data.csv", "--skip-lines 2"),
    "Latin-1": ("a,größe,y\n1,2,3\n2,3,5\n".encode("latin-1"), "data.csv", "--encoding windows-1252"),
    "Latin-1 without a meaning in Windows-1252": (
        b"a,b\x81,y\n1,2,3\n2,3,5\n", "data.csv", "--encoding latin-1",
    ),
    "Latin-1 in a row far below": (
        b"a,b,y\n" + b"1,2,3\n2,4,7\n" * 40000 + b"1,\xe4,5\n", "data.csv",
        "--missing 'ä' --drop-missing --encoding windows-1252",
    ),
    "a header that repeats": ("a,a,y\n" + ROWS, "data.csv", "--skip-lines 1 --no-header"),
    "a target that repeats": ("a,y,y\n" + ROWS, "data.csv", "--skip-lines 1 --no-header"),
    "no header": ("5,2,3.5\n" + ROWS, "data.csv", "--no-header"),
    "separators at the ends": ("a,y,\n1,2,\n3,5,\n", "data.csv", "--drop x2 --skip-lines 1 --no-header"),
    "names of rows": ("a,y\nr,1,2\ns,3,4\nt,3,5\n", "data.csv", "--row-names"),
    "a name like an option": ("kind,a,y\np,1,2\nq,3,5\np,2,1\nq,7,8\n", "./-data.csv", "--one-hot kind"),
    "an index that repeats": (",a,y\n1,2,3\n1,3,5\n", "data.csv", "--drop 'Unnamed: 0'"),
    "everything at once": (
        "# export\nwho;city;price;rate;y\n"
        + "".join(f"n{i};{'ro'[i % 2]};€ {i}.100,50;{i % 4 or '?'}%;{i * i},5\n" for i in range(1, 10)),
        "data.csv",
        "--drop who --one-hot city --parse price --parse rate --missing '?%' --drop-missing --decimal-comma "
        "--skip-lines 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CURES)
def test_the_line_to_type_cures(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content, file, options = CURES[name]
    written(tmp_path, content, Path(file).name)
    monkeypatch.chdir(tmp_path)
    err = refusal(monkeypatch, capsys, file, "--target", "y", "--no-standardize")
    line = err.rpartition("type ")[2].strip()
    assert options in line
    words = shlex.split(line)
    assert words[:3] == ["implicitbias", "path", file]
    assert "--no-standardize" in words
    status, out, err = answer(monkeypatch, capsys, *words[1:])
    assert status == 0, err
    assert "Converged" in out


class TestMissingValues:
    def test_they_are_counted_and_placed(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        frame = table()
        frame.iloc[[3, 4, 8], 1] = np.nan
        frame.iloc[4, 0] = np.nan
        frame.to_csv(tmp_path / "data.csv", index=False)
        err = refusal(monkeypatch, capsys, str(tmp_path / "data.csv"), "--target", "y")
        assert "4 missing values, in 3 of 30 rows (row 4, 5, 9)" in err
        assert "2 of 6 columns: feature 1 (3), feature 0 (1)" in err

    @pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float64"])
    def test_those_of_parquet_too(
        self,
        dtype: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        frame = pandas.DataFrame({"a": pandas.array([1, None, 0], dtype=dtype), "y": [1.0, 2.0, 3.0]})
        frame.to_parquet(tmp_path / "data.parquet")
        err = refusal(monkeypatch, capsys, str(tmp_path / "data.parquet"), "--target", "y")
        assert "1 missing values" in err
        assert "--drop-missing" in err


class TestFiles:
    def test_a_file_that_is_not_there(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        written(tmp_path, "a,y\n", "diabetes.csv")
        err = refusal(monkeypatch, capsys, str(tmp_path / "diabets.csv"), "--target", "y")
        assert f"there is no file {tmp_path / 'diabets.csv'}; did you mean" in err
        assert "diabetes.csv?" in err
        err = refusal(monkeypatch, capsys, str(tmp_path / "nowhere" / "x.csv"), "--target", "y")
        assert "there is no file" in err

    def test_a_folder(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        assert "is a folder" in refusal(monkeypatch, capsys, str(tmp_path), "--target", "y")

    @pytest.mark.parametrize(
        ("file", "message"),
        [
            ("data.parquet", "cannot be read as Parquet"),
            ("data.npz", "is not an NPZ archive"),
            ("data.csv.gz", "cannot be unpacked by gzip"),
            ("data.csv.bz2", "cannot be unpacked by bzip2"),
            ("data.csv.xz", "cannot be unpacked by xz"),
            ("data.feather", "cannot be read as Feather"),
            ("data.npy", "is not a NumPy array"),
            ("data.xlsx", "save the sheet as CSV"),
        ],
    )
    def test_content_of_another_kind(
        self,
        file: str,
        message: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        name = written(tmp_path, b"nothing of the kind", file)
        assert message in refusal(monkeypatch, capsys, name, "--target", "y")

    def test_repeated_names_in_parquet(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        import pyarrow
        import pyarrow.parquet

        columns = pyarrow.Table.from_arrays([pyarrow.array([1.0, 2.0])] * 3, names=["a", "a", "y"])
        pyarrow.parquet.write_table(columns, tmp_path / "data.parquet")
        err = refusal(monkeypatch, capsys, str(tmp_path / "data.parquet"), "--target", "y")
        assert "more than one column has the name a" in err

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"X": np.eye(3), "y": np.arange(2.0)}, "the target 'y' has shape (2,), (3,) is expected"),
            ({"X": np.eye(3), "z": np.arange(3.0)}, "holds no target 'y'"),
            ({"A": np.eye(3), "y": np.arange(3.0)}, "holds A (3, 3), y (3,); expected is an array X"),
            ({"a": np.arange(4.0), "y": np.arange(3.0)}, "expected is an array X"),
            ({"X": np.eye(3), "y": np.array([1, "a", None], dtype=object)}, "that are not numbers"),
            (
                {"X": np.eye(3), "y": np.arange(3.0), "feature_names": ["a", "b"]},
                "feature_names holds 2 names",
            ),
            (
                {"X": np.eye(2), "y": np.arange(2.0), "feature_names": ["y", "b"]},
                "is an array and a column of X",
            ),
            ({"X": np.eye(3) * 1j, "y": np.arange(3.0)}, "that are not numbers"),
        ],
        ids=["length", "target", "matrix", "lengths", "objects", "names", "twice", "complex"],
    )
    def test_archives(
        self,
        arrays: dict[str, object],
        message: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        np.savez(tmp_path / "data.npz", **arrays)  # type: ignore[arg-type]
        assert message in refusal(monkeypatch, capsys, str(tmp_path / "data.npz"), "--target", "y")


class TestOptions:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "no target is given, one of the columns of "),
            (("--target", "y", "--target", "a"), "--target is given 2 times (y, a)"),
            (("--target", "y", "--cv", "1"), "--cv is 1, at least 2 folds are expected"),
            (("--target", "y", "--cv", "-3"), "--cv is -3, at least 2 folds are expected"),
            (("--target", "y", "--cv", "4"), "--cv is 4, but "),
            (("--target", "y", "--cv", "400"), "has 3 rows, and each fold needs a row; type --cv 3"),
            (("--target", "y", "--groups", "a"), "cross-validation; type --cv 5 --groups a"),
            (("--target", "y", "--rule", "1se"), "cross-validation; type --cv 5 --rule 1se"),
            (("--target", "y", "--cv", "2"), "leaves fewer than two of 3 rows to fit"),
        ],
    )
    def test_words_that_do_not_fit(
        self,
        arguments: tuple[str, ...],
        message: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        file = written(tmp_path, "a,b,y\n" + ROWS)
        assert message in refusal(monkeypatch, capsys, file, *arguments)

    def test_the_line_for_a_target_can_be_typed(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        file = written(tmp_path, "a,b,the target\n" + ROWS, "my data.csv")
        err = refusal(monkeypatch, capsys, file)
        line = re.search(r"type implicitbias (.*)$", err)
        assert line is not None
        assert shlex.split(line[1]) == ["path", file, "--target", "the target"]


def test_a_column_of_lists_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "lists.parquet"
    pandas.DataFrame({"a": [[1, 2]] * 12, "b": range(12), "y": range(12)}).to_parquet(file)
    assert "'a' holds 12 value(s) of 12 that are not numbers" in refusal(
        monkeypatch, capsys, str(file), "--target", "y"
    )


def test_a_link_to_itself_is_no_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, loop = written(tmp_path, "a,b,y\n" + ROWS), tmp_path / "loop"
    loop.symlink_to(loop)
    err = refusal(monkeypatch, capsys, file, "--target", "y", "--out", str(loop))
    assert "cannot write results to" in err
