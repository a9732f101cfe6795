"""Test stores that are read where they cannot be written, or while another sweep merges them."""

import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.studies.sweeps import _ledger, _opened, _store

# Root may write everywhere, so it becomes another user; all modules are loaded before, from folders of root.
_READER = """
import os, shutil, sys, tempfile, pathlib
import implicitbias as ib
place = pathlib.Path(tempfile.mkdtemp())
os.chmod(place, 0o755)
closed, killed = place / "closed", place / "killed"
ib.studies.sweep(lambda a: {"x": a / 2}, {"a": [1, 2]}, closed)
from implicitbias.studies.sweeps._ledger import Ledger
with Ledger(closed) as ledger:
    with ledger.writing():
        ledger._connection.execute("UPDATE runs SET seconds = 7.0")
    killed.mkdir()
    shutil.copytree(closed / "arrays", killed / "arrays")
    for file in ("ledger.sqlite", "ledger.sqlite-wal"):  # a kill leaves both
        shutil.copy(closed / file, killed / file)
ib.studies.open(closed).load()
for folder in (closed, killed):
    os.chmod(folder, 0o555)
if os.getuid() == 0:
    os.setuid(65534)
for folder in (closed, killed):
    before = sorted(os.listdir(folder))
    data = ib.studies.open(folder)
    assert sorted(os.listdir(folder)) == before
    print(data.x.values.tolist(), data.seconds.values.tolist())
try:
    ib.studies.sweep(lambda a: {"x": a / 2}, {"a": [1, 2, 3]}, closed, outdated="keep")
except ib.InputError as error:
    print(error)
"""


def test_a_store_is_read_from_a_folder_without_leave_to_write() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _READER], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["[0.5, 1.0] [7.0, 7.0]"] * 2  # the second ledger has this only in its log
    assert "copy its folder to where you may write" in lines[2]


def test_a_ledger_that_changes_while_it_is_copied_is_copied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ib.studies.sweep(lambda a: a, {"a": [1]}, tmp_path / "s")
    monkeypatch.setattr("os.access", lambda *_: False)
    copies: list[Any] = []
    copy = _ledger.shutil.copyfile

    def disturbed(source: Path, target: Path) -> None:
        copy(source, target)
        copies.append(source)
        if len(copies) < 3:
            source.touch()

    monkeypatch.setattr(_ledger.shutil, "copyfile", disturbed)
    assert ib.studies.open(tmp_path / "s").value.values.tolist() == [1]
    assert len(copies) == 3
    monkeypatch.setattr(_ledger.shutil, "copyfile", lambda source, target: source.touch())
    with pytest.raises(ib.InputError, match="was written while it was copied"):
        ib.studies.open(tmp_path / "s")


def _merged(folder: Path) -> None:
    """Let sweeps write so many parts that they are merged."""
    for k in range(_store._MOST_PARTS):
        ib.studies.sweep(line, {"a": [10 + k]}, folder)


def line(a: int) -> dict[str, Any]:
    return {"x": a * np.arange(1000.0)}


def test_an_open_dataset_is_read_after_its_files_were_merged(tmp_path: Path) -> None:
    ib.studies.sweep(line, {"a": [1, 2]}, tmp_path)
    data, before = ib.studies.open(tmp_path), set((tmp_path / "arrays").iterdir())
    _merged(tmp_path)
    if sys.platform != "win32":  # Windows keeps open files.
        assert not before & set((tmp_path / "arrays").iterdir())
    np.testing.assert_array_equal(data.x, np.outer([1, 2], np.arange(1000.0)))


def test_a_merge_while_a_store_is_opened_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ib.studies.sweep(line, {"a": [1, 2]}, tmp_path)
    original, calls = _opened.open_part, []

    def merging(folder: Path, name: str) -> Any:
        calls.append(name)
        if len(calls) == 1:
            with monkeypatch.context() as patch:
                patch.setattr(_opened, "open_part", original)
                _merged(tmp_path)
        return original(folder, name)

    monkeypatch.setattr(_opened, "open_part", merging)
    data = ib.studies.open(tmp_path)
    np.testing.assert_array_equal(data.x[:, 1], [1.0, 2.0, *range(10, 10 + _store._MOST_PARTS)])


def test_whole_numbers_keep_their_digits_where_runs_failed(tmp_path: Path) -> None:
    def run(a: int) -> dict[str, Any]:
        if a == 1:
            raise ValueError
        return {"signed": -(2**60) - a, "unsigned": np.uint64(2**63 + a), "small": a}

    data = ib.studies.sweep(run, {"a": [0, 1, 2]}, tmp_path).to_dataset()
    assert [data.signed.values[k] for k in (0, 2)] == [-(2**60), -(2**60) - 2]
    assert [data.unsigned.values[k] for k in (0, 2)] == [2**63, 2**63 + 2]
    assert np.isnan(data.signed.values[1])
    assert data.small.dtype == float


class _Pickled:
    """A value whose loading from a pickle writes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.file, "loaded")


@pytest.mark.parametrize(("dtype", "place"), [("|O", "filters"), ("<f8", "filters"), ("<f8", "compressor")])
def test_a_part_that_somebody_has_filled_with_a_pickle_is_refused_unread(
    dtype: str, place: str, tmp_path: Path
) -> None:
    ib.studies.sweep(lambda a: {"half": a / 2}, {"a": [1.0]}, tmp_path / "s")
    (part,) = (tmp_path / "s" / "arrays").iterdir()
    with zipfile.ZipFile(part) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    codec = {"id": "pickle", "protocol": 5}
    header = json.loads(entries["half/.zarray"]) | {"dtype": dtype, "filters": None, "compressor": None}
    header[place] = [codec] if place == "filters" else codec
    told = tmp_path / "told"
    chunk = {name: pickle.dumps(_Pickled(told)) for name in entries if name.startswith("half/0")}
    assert chunk
    with zipfile.ZipFile(part, "w") as file:
        for name, content in (entries | {"half/.zarray": json.dumps(header).encode()} | chunk).items():
            file.writestr(name, content)
    with pytest.raises(ib.InputError, match="cannot be read as Zarr"):
        ib.studies.open(tmp_path / "s").load()
    assert not told.exists()
    pickle.loads(next(iter(chunk.values())))
    assert told.exists()
