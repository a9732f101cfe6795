"""Labelled copies and NetCDF files."""

from pathlib import Path

import numpy as np
import pandas as pd

import implicitbias as ib
from implicitbias._core import labelled


def _dataset() -> object:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((6, 4)), columns=["age", "sexe", "poids", "été"])
    return ib.saddle_path(ib.LeastSquares(frame, rng.standard_normal(6))).to_dataset()


# Oracle: the dataset before it was written, bit for bit.
def test_netcdf_brings_a_path_back(tmp_path: Path) -> None:
    data, file = _dataset(), tmp_path / "path.nc"
    labelled.write_netcdf(data, file)
    back = labelled.read_netcdf(file)
    assert back.equals(data)
    assert back["feature"].values.tolist() == ["age", "sexe", "poids", "été"]
    assert back.attrs == data.attrs
    for name in data.data_vars:
        assert back[name].dtype == data[name].dtype


def test_no_part_is_left_behind_and_an_old_file_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "path.nc"
    file.write_text("old")
    labelled.write_netcdf(_dataset(), file)
    assert [entry.name for entry in tmp_path.iterdir()] == ["path.nc"]
    assert labelled.read_netcdf(file).sizes["feature"] == 4


def test_the_dataset_is_a_copy() -> None:
    values = np.arange(3.0)
    data = labelled.dataset({"a": (["x"], values)}, {"x": [0, 1, 2]}, {"unit": "1"})
    values[:] = 0
    assert data["a"].values.tolist() == [0, 1, 2]
    assert data.attrs == {"unit": "1"}


# Oracle: a cut path has no gap; nan must survive the attribute.
def test_a_cut_path_can_be_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = ib.saddle_path(ib.LeastSquares(rng.standard_normal((5, 8)), rng.standard_normal(5)), max_jumps=2)
    labelled.write_netcdf(path.to_dataset(), tmp_path / "cut.nc")
    back = labelled.read_netcdf(tmp_path / "cut.nc")
    assert back.attrs["status"] == "REACHED_COUNT"
    assert np.isnan(back.attrs["certificate_gap"])
