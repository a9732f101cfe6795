"""Targets of classes: their labels in order, and the rows that are left."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import implicitbias as ib
from implicitbias._core.tables import Cleaning, Table, read_table


def table(folder: Path, text: str, *, cleaning: Cleaning = Cleaning()) -> Table:  # noqa: B008
    file = folder / "data.csv"
    file.write_text(text, encoding="utf-8")
    return read_table(file, "y", cleaning, numeric_target=False)


@pytest.mark.parametrize(
    ("labels", "classes", "y"),
    [
        ("b,a,c,a", ("a", "b", "c"), [1, 0, 2, 0]),
        ("10,9,100,9", ("9", "10", "100"), [1, 0, 2, 0]),
        ("10,x,9,x", ("10", "9", "x"), [0, 2, 1, 2]),
        ("0.5,-1,0.5,-1", ("-1", "0.5"), [1, 0, 1, 0]),
        ("true,false,true,true", ("0", "1"), [1, 0, 1, 1]),
        (" a ,a,b,b", ("a", "b"), [0, 0, 1, 1]),
    ],
)
def test_labels(tmp_path: Path, labels: str, classes: tuple[str, ...], y: list[int]) -> None:
    rows = "\n".join(f"{i},{label}" for i, label in enumerate(labels.split(",")))
    found = table(tmp_path, f"a,y\n{rows}\n")
    assert found.classes == classes
    assert found.y.tolist() == y
    assert found.rows.tolist() == [1, 2, 3, 4]


def test_a_numeric_target_has_no_classes(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("a,y\n1,2\n2,5\n", encoding="utf-8")
    assert read_table(file, "y").classes == ()


def test_rows_keep_their_numbers_and_classes_without_rows_are_left_out(tmp_path: Path) -> None:
    text = "a,y\n,u\n1,v\n2,\n3,w\n4,?\n"
    found = table(tmp_path, text, cleaning=Cleaning(drop_missing=True, missing=("?",)))
    assert found.rows.tolist() == [2, 4]
    assert found.classes == ("v", "w")
    assert found.y.tolist() == [0.0, 1.0]


def test_features_are_imputed_and_labels_are_not(tmp_path: Path) -> None:
    found = table(tmp_path, "a,y\n1,u\n,v\n3,v\n", cleaning=Cleaning(impute="mean"))
    assert found.X[:, 0].tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ib.InputError, match="a missing target or group is never replaced"):
        table(tmp_path, "a,y\n1,u\n,v\n3,\n", cleaning=Cleaning(impute="mean"))


def test_a_sparse_matrix(tmp_path: Path) -> None:
    values = sparse.csr_array(np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0], [4.0, 0.0, 2.0]]))
    sparse.save_npz(tmp_path / "data.npz", values)
    found = read_table(tmp_path / "data.npz", "2", numeric_target=False)
    assert found.classes == ("0", "2")
    assert found.y.tolist() == [1.0, 0.0, 1.0]
    assert found.X.toarray().tolist() == [[1.0, 0.0], [0.0, 3.0], [4.0, 0.0]]


@pytest.mark.parametrize("labels", ["u,u,u", "7,7,7"])
def test_one_class(tmp_path: Path, labels: str) -> None:
    rows = "\n".join(f"{i},{label}" for i, label in enumerate(labels.split(",")))
    with pytest.raises(ib.InputError, match=f"the target 'y' is '{labels[0]}' in every row"):
        table(tmp_path, f"a,y\n{rows}\n")
