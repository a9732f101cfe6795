"""Every layout of the same table gives the same numbers; what is decided without asking is said in a note."""

import gzip
import io
from pathlib import Path

import numpy as np
import pandas
import pytest

from implicitbias._core.errors import InputError
from implicitbias._core.tables import Table, read_table
from tests.cli._tables import table, written

FRAME = table(12, 3)


def read(folder: Path, content: str | bytes, name: str = "data.csv", target: str = "y") -> Table:
    return read_table(Path(written(folder, content, name)), target)


def check(found: Table) -> None:
    """It is `FRAME`, to the last digit."""
    assert found.features == ("feature 0", "feature 1", "feature 2")
    np.testing.assert_array_equal(found.X, FRAME.drop(columns="y").to_numpy())
    np.testing.assert_array_equal(found.y, FRAME["y"].to_numpy())


class TestText:
    @pytest.mark.parametrize(
        ("name", "separator", "notes"),
        [
            ("data.csv", ",", 0),
            ("data.CSV", ",", 0),
            ("data.csv", ";", 1),
            ("data.csv", "\t", 1),
            ("data.csv", "|", 1),
            ("data.tsv", "\t", 0),
            ("data.tsv", ",", 1),
            ("data.txt", ",", 0),
        ],
    )
    def test_separators(self, name: str, separator: str, notes: int, tmp_path: Path) -> None:
        found = read(tmp_path, FRAME.to_csv(sep=separator, index=False), name)
        check(found)
        assert len(found.notes) == notes
        assert all("separated by" in note for note in found.notes)

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["no mark", "byte order mark"])
    def test_ends_of_lines_and_marks(self, end: str, mark: str, tmp_path: Path) -> None:
        check(read(tmp_path, (mark + FRAME.to_csv(index=False, lineterminator=end)).encode()))

    def test_compressed(self, tmp_path: Path) -> None:
        text = FRAME.to_csv(index=False, sep="\t").encode()
        found = read(tmp_path, gzip.compress(text), "data.tsv.gz")
        check(found)
        assert found.notes == ()

    def test_blank_lines_and_blanks(self, tmp_path: Path) -> None:
        found = read(tmp_path, '\n\na , "b, c",y\n 1, "2", 3.5 \n\n  \n4e0 ,+5,-.5\n\n')
        assert found.features == ("a", "b, c")
        assert found.X.tolist() == [[1.0, 2.0], [4.0, 5.0]]
        assert found.y.tolist() == [3.5, -0.5]

    def test_lines_within_quotes(self, tmp_path: Path) -> None:
        found = read(tmp_path, '"a\nb",y\n1,2\n3,5\n')
        assert found.features == ("a\nb",)

    def test_numbers_beyond_64_bits(self, tmp_path: Path) -> None:
        found = read(tmp_path, "a,b,y\n99999999999999999999,1e-400,1\n1,2,3\n")
        assert found.X.tolist() == [[1e20, 0.0], [1.0, 2.0]]

    def test_truth_values(self, tmp_path: Path) -> None:
        found = read(tmp_path, "a,b,y\nTrue,1,1\nfalse,2,3\nTRUE,3,1\n")
        assert found.X[:, 0].tolist() == [1.0, 0.0, 1.0]
        assert "true and false are converted to 1 and 0 in these columns: a" in found.notes

    @pytest.mark.parametrize(
        "text",
        [
            ",a,y\n0,5,1\n1,7,3\n",
            "Unnamed: 0,a,y\n0,5,1\n1,7,3\n",
            ",a,y\n17,5,1\n4,7,3\n",
            '"","a","y"\n"Mazda RX4",5,1\n"Fiat",7,3\n',
        ],
        ids=["pandas", "pandas twice", "pandas after a choice of rows", "R"],
    )
    def test_an_index_is_left_out(self, text: str, tmp_path: Path) -> None:
        found = read(tmp_path, text)
        assert found.features == ("a",)
        assert found.notes == ("the first column ('Unnamed: 0') was left out, because it is a row index",)

    def test_every_index_of_a_table_that_was_saved_again(self, tmp_path: Path) -> None:
        FRAME.to_csv(tmp_path / "data.csv")
        for _ in range(3):
            pandas.read_csv(tmp_path / "data.csv").to_csv(tmp_path / "data.csv")
        found = read_table(tmp_path / "data.csv", "y")
        check(found)
        assert "the first columns (" in found.notes[0]

    def test_a_column_of_row_numbers_is_a_feature_with_a_note(self, tmp_path: Path) -> None:
        found = read(tmp_path, "id,a,y\n1,5,1\n2,7,3\n3,7,4\n")
        assert found.features == ("id", "a")
        assert "these features equal the row number: id; remove them if they are a row index" in found.notes

    def test_columns_named_by_numbers(self, tmp_path: Path) -> None:
        found = read(tmp_path, "0,1,2\n5,6,1\n7,6,3\n", target="2")
        assert found.features == ("0", "1")
        assert "these features are the same in every row: 1" in found.notes

    # Oracle: Python's own reading of the decimal digits.
    def test_digits_survive(self, tmp_path: Path) -> None:
        texts = [
            "0.1",
            "2.675",
            "1e22",
            "4.35",
            "0.30000000000000004",
            "1.7976931348623157e100",
            "5e-130",
            "123456789.123456789",
        ]
        rows = "".join(f"{text},{i}\n" for i, text in enumerate(texts))
        assert read(tmp_path, f"a,y\n{rows}").X[:, 0].tolist() == [float(text) for text in texts]


class TestBinary:
    def test_parquet(self, tmp_path: Path) -> None:
        FRAME.to_parquet(tmp_path / "data.parquet")
        found = read_table(tmp_path / "data.parquet", "y")
        check(found)
        assert found.notes == ()

    def test_parquet_of_many_types(self, tmp_path: Path) -> None:
        frame = pandas.DataFrame(
            {
                "a": pandas.array([1, 2, 3], dtype="Int64"),
                "b": pandas.array([True, False, True], dtype="boolean"),
                "c": np.array([1, 2, 4], dtype=np.uint8),
                "d": np.array([0.5, 1.5, 2.5], dtype=np.float32),
                "y": [1.0, 2.0, 4.0],
            },
            index=pandas.Index([3, 1, 2], name="patient"),
        )
        frame.to_parquet(tmp_path / "data.parquet")
        found = read_table(tmp_path / "data.parquet", "y")
        assert found.X.tolist() == [[1.0, 1.0, 1.0, 0.5], [2.0, 0.0, 2.0, 1.5], [3.0, 1.0, 4.0, 2.5]]
        assert "the index of the table (patient) was left out" in found.notes
        assert "true and false are converted to 1 and 0 in these columns: b" in found.notes

    def test_archives(self, tmp_path: Path) -> None:
        X, y, names = FRAME.drop(columns="y").to_numpy(), FRAME["y"].to_numpy(), list(FRAME.columns[:-1])
        file = tmp_path / "data.npz"
        np.savez(file, X=X, y=y, feature_names=names)
        check(read_table(file, "y"))
        np.savez(file, X=X, y=y[:, None], feature_names=names, w_true=np.zeros(3))
        found = read_table(file, "y")
        check(found)
        assert found.notes == ("arrays that were not used: w_true",)
        np.savez(file, **{name: FRAME[name].to_numpy() for name in FRAME.columns})
        check(read_table(file, "y"))
        np.savez(file, X=FRAME.to_numpy(), feature_names=list(FRAME.columns))
        check(read_table(file, "y"))
        check(read_table(file, "3"))
        np.savez(file, X=FRAME.to_numpy())
        found = read_table(file, "3")
        assert (found.target, found.features) == ("x3", ("x0", "x1", "x2"))


def test_standard_input_has_no_ending_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.TextIOWrapper(io.BytesIO(gzip.compress(b"a,y\n1,2\n2,3\n")))
    monkeypatch.setattr("sys.stdin", packed)
    with pytest.raises(InputError) as told:
        read_table(Path("-"), "y")
    assert str(told.value) == (
        "standard input is not text: it is compressed by gzip; pipe CSV text, or save it as a file and give "
        "the file's name"
    )
