"""Every format gives the same table; files that could run code are refused."""

import bz2
import gzip
import io
import lzma
import os
import sys
from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pytest
from pyarrow import feather, ipc
from scipy import sparse

from implicitbias._core.errors import InputError
from implicitbias._core.tables import Cleaning, read_rows, read_table, stem
from tests.cli._tables import table, written

FRAME = table(12, 3)
X, Y = FRAME.drop(columns="y").to_numpy(), FRAME["y"].to_numpy()


@pytest.mark.parametrize(
    ("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed_text(ending: str, pack: object, tmp_path: Path) -> None:
    file = Path(written(tmp_path, pack(FRAME.to_csv(index=False).encode()), f"data.csv{ending}"))  # type: ignore[operator]
    found = read_table(file, "y")
    np.testing.assert_array_equal(found.X, X)
    assert stem(file) == "data"


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    text = FRAME.to_csv(index=False).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    found = read_table(Path("-"), "y")
    np.testing.assert_array_equal(found.X, X)
    assert found.title == "standard input"
    assert stem(found.file) == "table"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,y\n1,2\n")))
    with pytest.raises(InputError, match="standard input has 1 row"):
        read_table(Path("-"), "y")


class TestArrow:
    def test_feather(self, tmp_path: Path) -> None:
        file = tmp_path / "data.feather"
        feather.write_feather(pyarrow.Table.from_pandas(FRAME), file)
        found = read_table(file, "y")
        np.testing.assert_array_equal(found.X, X)
        assert found.notes == ()

    @pytest.mark.parametrize("writer", [ipc.new_file, ipc.new_stream])
    def test_ipc(self, writer: object, tmp_path: Path) -> None:
        columns = pyarrow.Table.from_pandas(FRAME)
        with writer(str(tmp_path / "data.arrow"), columns.schema) as sink:  # type: ignore[operator]
            sink.write_table(columns, max_chunksize=5)
        np.testing.assert_array_equal(read_table(tmp_path / "data.arrow", "y").X, X)

    def test_types(self, tmp_path: Path) -> None:
        columns = pyarrow.table(
            {
                "money": pyarrow.array(["1.25", "3.50", "2.00"] * 2).cast(pyarrow.decimal128(5, 2)),
                "kind": pyarrow.array(["u", "v", "u"] * 2).dictionary_encode(),
                "code": pyarrow.array([3, 1, 3] * 2).dictionary_encode(),
                "half": pyarrow.array(np.array([1, 2, 3] * 2, dtype=np.float16)),
                "day": pyarrow.array([1, 2, 3] * 2, pyarrow.date32()),
                "y": [1, None, 2, 4, None, 3],
            }
        )
        file = tmp_path / "data.feather"
        feather.write_feather(columns, file)
        with pytest.raises(InputError) as told:
            read_table(file, "y")
        assert str(told.value).endswith("Cleaning(drop=('day',), one_hot=('kind',), drop_missing=True))")
        found = read_table(
            file, "y", Cleaning(drop=("day",), one_hot=("kind",), missing=("-5",), drop_missing=True)
        )
        assert found.features == ("money", "kind=v", "code", "half")
        assert found.X.tolist() == [[1.25, 0.0, 3.0, 1.0], [2.0, 0.0, 3.0, 3.0]] * 2


class TestNumPy:
    def test_a_matrix(self, tmp_path: Path) -> None:
        np.save(tmp_path / "data.npy", FRAME.to_numpy())
        for target in ("3", "x3"):
            found = read_table(tmp_path / "data.npy", target)
            np.testing.assert_array_equal(found.X, X)
            np.testing.assert_array_equal(found.y, Y)
            assert (found.target, found.features) == ("x3", ("x0", "x1", "x2"))
        found = read_table(tmp_path / "data.npy", "1")
        assert found.features == ("x0", "x2", "x3")
        with pytest.raises(InputError, match=r"no target is given.*read_table\(file, 'x3'"):
            read_table(tmp_path / "data.npy", "")

    def test_a_structured_array(self, tmp_path: Path) -> None:
        np.save(tmp_path / "data.npy", FRAME.to_records(index=False))
        found = read_table(tmp_path / "data.npy", "y")
        np.testing.assert_array_equal(found.X, X)
        assert found.features == tuple(FRAME.columns[:-1])

    def test_a_single_column(self, tmp_path: Path) -> None:
        np.save(tmp_path / "data.npy", Y)
        with pytest.raises(InputError, match=r"holds an array of shape \(12,\), \(n, d\) is expected"):
            read_table(tmp_path / "data.npy", "0")

    def test_objects_of_texts_and_numbers(self, tmp_path: Path) -> None:
        names = FRAME.columns[:-1].to_numpy(dtype=object)
        np.savez(tmp_path / "data.npz", X=X, y=Y.astype(object), feature_names=names)
        found = read_table(tmp_path / "data.npz", "y")
        np.testing.assert_array_equal(found.X, X)
        np.testing.assert_array_equal(found.y, Y)
        assert found.features == tuple(names)

    def test_texts_that_are_bytes(self, tmp_path: Path) -> None:
        kind = np.array(["u", "v"] * 6, dtype="S1")
        np.savez(tmp_path / "data.npz", kind=kind, a=X[:, 0], y=Y)
        found = read_table(tmp_path / "data.npz", "y", Cleaning(one_hot=("kind",)))
        assert found.features == ("kind=v", "a")
        np.savez(tmp_path / "data.npz", X=X, y=Y, feature_names=np.array(["a", "b", "c"], dtype="S1"))
        assert read_table(tmp_path / "data.npz", "y").features == ("a", "b", "c")

    def test_damaged_objects(self, tmp_path: Path) -> None:
        np.save(tmp_path / "data.npy", np.array([["a", 1.0], ["b", 2.0]], dtype=object))
        data = (tmp_path / "data.npy").read_bytes()
        for cut in range(130, len(data), 5):
            (tmp_path / "data.npy").write_bytes(data[:cut])
            with pytest.raises(InputError, match=r"cannot be read as NumPy wrote it|holds an array of shape"):
                read_table(tmp_path / "data.npy", "1")

    def test_code_is_refused(self, tmp_path: Path) -> None:
        class Harm:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.system, (f"touch {tmp_path / 'harmed'}",)

        np.savez(tmp_path / "data.npz", X=X, y=Y, feature_names=np.array([Harm()] * 3, dtype=object))
        with pytest.raises(InputError, match=r"it holds Python objects of the type \w+\.system"):
            read_table(tmp_path / "data.npz", "y")
        assert not (tmp_path / "harmed").exists()

    def test_text_in_an_archive_is_never_told_to_overwrite_it(self, tmp_path: Path) -> None:
        np.savez(
            tmp_path / "data.npz", a=np.arange(6.0), kind=np.array(["u", "v"] * 3), y=np.arange(6.0) ** 2
        )
        with pytest.raises(InputError) as told:
            read_table(tmp_path / "data.npz", "y")
        assert "savez" not in str(told.value)
        assert "one_hot=('kind',)" in str(told.value)

    def test_a_target_that_is_not_there(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "data.npz", X=X, z=Y)
        with pytest.raises(
            InputError, match=r"no target 'y'.*arrays z.*To predict z, type read_table\(file, 'z'"
        ):
            read_table(tmp_path / "data.npz", "y")
        with pytest.raises(
            InputError, match=r"no target is given.*: x0, x1, x2, z; type read_table\(file, 'z'"
        ):
            read_table(tmp_path / "data.npz", "")


class TestSparse:
    @pytest.mark.parametrize("kind", ["csr_array", "csc_matrix", "coo_array", "bsr_array", "dia_array"])
    def test_it_stays_sparse(self, kind: str, tmp_path: Path) -> None:
        dense = np.where(FRAME.to_numpy() > 0, FRAME.to_numpy(), 0.0)
        sparse.save_npz(tmp_path / "data.npz", getattr(sparse, kind)(dense))
        found = read_table(tmp_path / "data.npz", "3", Cleaning(drop=("x1",)))
        assert sparse.issparse(found.X)
        assert found.X.format == "csc"
        np.testing.assert_array_equal(found.X.toarray(), dense[:, [0, 2]])
        np.testing.assert_array_equal(found.y, dense[:, 3])
        assert found.features == ("x0", "x2")
        np.testing.assert_array_equal(
            read_rows(tmp_path / "data.npz", found.recipe).toarray(), dense[:, [0, 2]]
        )

    def test_missing_and_infinite_values(self, tmp_path: Path) -> None:
        dense = np.array([[1.0, 0.0, 3.0], [0.0, np.nan, 4.0], [np.inf, 2.0, 5.0], [0.0, 7.0, 1.0]])
        sparse.save_npz(tmp_path / "data.npz", sparse.csr_array(dense))
        with pytest.raises(InputError, match=r"1 missing values, in 1 of 4 rows \(row 2\).*x1 \(1\)") as told:
            read_table(tmp_path / "data.npz", "2")
        assert "Cleaning(missing=('inf',), drop_missing=True)" in str(told.value)
        found = read_table(tmp_path / "data.npz", "2", Cleaning(missing=("inf",), drop_missing=True))
        np.testing.assert_array_equal(found.X.toarray(), dense[[0, 3], :2])
        with pytest.raises(InputError, match="a sparse matrix cannot be imputed"):
            read_table(tmp_path / "data.npz", "2", Cleaning(impute="mean"))
        with pytest.raises(InputError, match="its zeros cannot be missing"):
            read_table(tmp_path / "data.npz", "2", Cleaning(missing=("0",)))


def test_a_complex_sparse_matrix(tmp_path: Path) -> None:
    sparse.save_npz(tmp_path / "data.npz", sparse.csr_array(np.eye(3) * 1j))
    with pytest.raises(InputError, match="sparse matrix of the type complex128, real numbers are expected"):
        read_table(tmp_path / "data.npz", "0")


def test_columns_with_the_names_of_a_sparse_matrix(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", format=X[:, 0], shape=X[:, 1], data=X[:, 2], y=Y)
    np.testing.assert_array_equal(read_table(tmp_path / "data.npz", "y").X, X)


def test_parquet_of_a_frame_with_a_range_index(tmp_path: Path) -> None:
    FRAME.set_index(pandas.RangeIndex(5, 17)).to_parquet(tmp_path / "data.parquet")
    assert read_table(tmp_path / "data.parquet", "y").features == tuple(FRAME.columns[:-1])
