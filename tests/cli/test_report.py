"""`implicitbias report`: stored results are judged again, from what is stored and nothing else."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.labelled import read_netcdf, write_netcdf
from implicitbias.studies import Card, _registry
from tests.cli._command import answer
from tests.studies.fakes import NAME, install

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return lambda *words: answer(monkeypatch, capsys, "report", *map(str, words))


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Results of the fake study, which cannot be computed again."""
    install(monkeypatch)
    ib.studies.run(NAME, out=tmp_path)
    study = ib.studies.load(NAME)

    def never(*_: Any) -> None:
        raise AssertionError("a report computes nothing")

    monkeypatch.setattr(type(study), "compute", never)
    return tmp_path / NAME


def change(folder: Path, **variables: Any) -> None:
    """Change numbers of the first point as they are stored."""
    data = read_netcdf(folder / "first.nc")
    for name, value in variables.items():
        data[name].values[:] = value
    write_netcdf(data, folder / "first.nc")


def stamps(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


@pytest.mark.parametrize("above", [False, True], ids=["one study", "the --out folder"])
def test_claims_that_hold(above: bool, ask: Ask, results: Path) -> None:
    before = stamps(results)
    status, out, err = ask(results.parent if above else results)
    assert (status, err) == (0, "")
    assert "4 claims, all hold." in out
    assert "one is one" in out
    assert "1 ± 0.5" in out
    assert "nothing was written" in out
    assert stamps(results) == before


def test_a_changed_number_changes_the_verdict(ask: Ask, results: Path) -> None:
    change(results, measured=1.7)
    status, out, err = ask(results)
    assert (status, err) == (1, "")
    assert "1 FAIL" in out
    assert "1.7" in out
    change(results, measured=1.2)
    assert ask(results)[0] == 0


def test_what_claims_json_says_does_not_count(ask: Ask, results: Path) -> None:
    file = results / "claims.json"
    content = json.loads(file.read_text())
    content["all_hold"] = False
    content["claims"] = []
    file.write_text(json.dumps(content))
    assert ask(results)[0] == 0


def test_an_assumption_that_fails_is_told(ask: Ask, results: Path) -> None:
    change(results, x=[0.0, 5.0, 2.0])
    status, out, _ = ask(results)
    assert status == 1
    assert "1 FAIL" in out
    assert "assumption fails" in out
    assert "Assumption fails: first: the sky is up: 5, at most 1" in out


class TestFoldersThatAreNone:
    def test_no_folder(self, ask: Ask, tmp_path: Path) -> None:
        status, out, err = ask(tmp_path / "nowhere")
        assert (status, out) == (2, "")
        assert "nowhere does not exist" in err
        assert "type implicitbias run --out" in err

    def test_a_file(self, ask: Ask, results: Path) -> None:
        status, out, err = ask(results / "claims.json")
        assert (status, out) == (2, "")
        assert "is a file, a folder of results is expected" in err

    def test_a_folder_of_something_else(self, ask: Ask, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("mine")
        (tmp_path / "folder").mkdir()
        status, out, err = ask(tmp_path)
        assert (status, out) == (2, "")
        assert "hold no results of a study" in err


def _without_file(folder: Path) -> None:
    (folder / "second.nc").unlink()


def _cut_off(folder: Path) -> None:
    content = (folder / "first.nc").read_bytes()
    (folder / "first.nc").write_bytes(content[: len(content) // 2])


def _text(folder: Path) -> None:
    (folder / "first.nc").write_text("hello")


def _exchanged(folder: Path) -> None:
    (folder / "first.nc").write_bytes((folder / "second.nc").read_bytes())


def _without_variable(folder: Path) -> None:
    write_netcdf(read_netcdf(folder / "first.nc").drop_vars("measured"), folder / "first.nc")


def _without_attribute(folder: Path) -> None:
    data = read_netcdf(folder / "first.nc")
    del data.attrs["word"]
    write_netcdf(data, folder / "first.nc")


def _flipped(folder: Path) -> None:
    """One byte of the stored numbers is another one."""
    write_netcdf(read_netcdf(folder / "first.nc").assign(y=("j", np.arange(5000.0))), folder / "first.nc")
    with h5py.File(folder / "first.nc") as file:
        chunk = file["y"].id.get_chunk_info(0)
    content = bytearray((folder / "first.nc").read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0xFF
    (folder / "first.nc").write_bytes(bytes(content))


def _claims(**changes: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        content = json.loads((folder / "claims.json").read_text())
        (folder / "claims.json").write_text(json.dumps(content | changes))

    return spoil


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a missing file": (
        _without_file,
        "there is no file .*second.nc; run the study again: type implicitbias run",
    ),
    "half a file": (_cut_off, "first.nc cannot be read as NetCDF-4"),
    "a text": (_text, "first.nc cannot be read as NetCDF-4"),
    "a flipped byte": (_flipped, "first.nc cannot be read as NetCDF-4"),
    "another point": (_exchanged, "first.nc holds point 'second'"),
    "a missing variable": (_without_variable, "'first' cannot be judged .*measured"),
    "a missing attribute": (_without_attribute, "'first' cannot be judged .*word"),
    "no points": (_claims(points=[]), "claims.json lists no points"),
    "points that lead elsewhere": (_claims(points=["../../first"]), "claims.json lists no points"),
    "an unknown study": (_claims(study="fake-stady"), "claims.json: there is no study 'fake-stady'"),
    "no study": (_claims(study=3), "claims.json names no study"),
    "claims that are a text": (
        lambda folder: (folder / "claims.json").write_text("{") and None,
        "cannot be read",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told(damage: str, ask: Ask, results: Path) -> None:
    spoil, message = DAMAGES[damage]
    spoil(results)
    status, out, err = ask(results)
    assert (status, out) == (2, "")
    assert re.search(message, err.replace("\n", " ")), err
    assert err.startswith("implicitbias: ")


def test_of_several_studies_each_is_judged(ask: Ask, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The same study under a second name, whose results are damaged.
    (first,) = ib.studies.list()
    monkeypatch.setattr(_registry, "_CARDS", (first, Card("a-second", "p", "s", first.module)))
    other = results.parent / "a-second"
    other.mkdir()
    (other / "claims.json").write_text(json.dumps({"study": "a-second", "points": ["first"]}))
    status, out, err = ask(results.parent)
    assert status == 2
    assert "4 claims, all hold." in out
    assert "a-second" in err
    data = read_netcdf(results / "first.nc")
    data["measured"].values[:] = 9.0
    write_netcdf(data.assign_attrs(study="a-second"), other / "first.nc")
    status, out, err = ask(results.parent)
    assert (status, err) == (1, "")
    assert "2 claims, 1 FAIL." in out
    assert "4 claims, all hold." in out
