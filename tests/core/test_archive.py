"""Files of results: whole or not there, no pickle, damage is told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.archive import FileKind, read_archive, write_archive

KIND = FileKind("test.Thing", 2, "thing")
ARRAYS = {"a": np.arange(3.0), "word": np.array(["x", "yz"]), "flag": np.array([True, False])}


# Oracle: what was put in.
def test_a_round_trip(tmp_path: Path) -> None:
    file = tmp_path / "thing.npz"
    write_archive(file, KIND, {"text": "ü", "none": None}, ARRAYS)
    header, arrays = read_archive(file, KIND)
    assert header == {"kind": "test.Thing", "version": 2, "text": "ü", "none": None}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert not arrays[name].flags.writeable
    assert [path.name for path in tmp_path.iterdir()] == ["thing.npz"]


def test_python_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ib.InputError, match="'bad' holds Python objects"):
        write_archive(tmp_path / "thing.npz", KIND, {}, {"bad": np.array([{}], dtype=object)})
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    header = np.array(json.dumps({"kind": "test.Thing", "version": 2}))
    np.savez(tmp_path / "thing.npz", header=header, a=np.array([{}], dtype=object))
    with pytest.raises(ib.InputError, match="not a saved thing"):
        read_archive(tmp_path / "thing.npz", KIND)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "thing.npz"
    write_archive(file, KIND, {}, ARRAYS)
    before = file.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(ib.InputError, match=r"cannot write .*thing.npz: No space left"):
        write_archive(file, KIND, {}, {})
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["thing.npz"]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ib.InputError, match="cannot write"):
        write_archive(tmp_path / "nowhere" / "thing.npz", KIND, {}, {})


@pytest.mark.parametrize("kind", [FileKind("other.Thing", 2, "thing"), FileKind("test.Thing", 1, "thing")])
def test_another_kind_or_a_later_version(kind: FileKind, tmp_path: Path) -> None:
    write_archive(tmp_path / "thing.npz", KIND, {}, {})
    with pytest.raises(ib.InputError, match=r"test.Thing of version 2, .* is expected"):
        read_archive(tmp_path / "thing.npz", kind)


def test_an_earlier_version_is_read(tmp_path: Path) -> None:
    write_archive(tmp_path / "thing.npz", FileKind("test.Thing", 1, "thing"), {}, {})
    assert read_archive(tmp_path / "thing.npz", KIND)[0]["version"] == 1


# A changed byte of a file is either detected or does not change what is loaded.
def test_flipped_bytes_are_seen_or_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "thing.npz"
    write_archive(file, KIND, {"text": "x"}, ARRAYS)
    content, told = file.read_bytes(), 0
    for place in range(0, len(content), 7):
        spoiled = bytearray(content)
        spoiled[place] ^= 0xFF
        file.write_bytes(bytes(spoiled))
        try:
            header, arrays = read_archive(file, KIND)
        except ib.InputError:
            told += 1
            continue
        assert header["text"] == "x"
        for name in arrays.keys() & ARRAYS.keys():
            np.testing.assert_array_equal(arrays[name], ARRAYS[name])
    assert told > len(content) / 7 / 2


class TestCertificates:
    # Oracle: what was put in, digit by digit; the verdict follows from the numbers.
    @pytest.mark.parametrize("gap", [None, 0.1 + 0.2, np.nan, np.inf])
    def test_a_round_trip(self, gap: float | None, tmp_path: Path) -> None:
        before = ib.Certificate("w is best", gap, {"a": 1 / 3, "b": np.nan}, 0.5, {"a": 1e-300}, "A note.")
        before.save(tmp_path / "c.npz")
        after = ib.Certificate.load(str(tmp_path / "c.npz"))
        assert repr(after) == repr(before)
        assert str(after) == str(before)
        assert after.fingerprint() == before.fingerprint()
        assert after.holds == before.holds

    def test_that_of_a_point(self, tmp_path: Path) -> None:
        problem = ib.LeastSquares([[1.0, 2.0], [0.0, 1.0]], [2.0, 1.0])
        before = ib.certify(problem, [0.0, 1.0], ib.MinL1())
        before.save(tmp_path / "c.npz")
        after = ib.Certificate.load(tmp_path / "c.npz")
        assert after.holds
        assert after.sentence == before.sentence

    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ib.InputError, match="there is no file"):
            ib.Certificate.load(tmp_path / "c.npz")
        (tmp_path / "c.npz").write_text("hello")
        with pytest.raises(ib.InputError, match="not a saved certificate"):
            ib.Certificate.load(tmp_path / "c.npz")
        kind = FileKind("implicitbias.Certificate", 1, "certificate")
        write_archive(tmp_path / "c.npz", kind, {"certificate": {"statement": "w is best"}}, {})
        with pytest.raises(ib.InputError, match="not a saved certificate"):
            ib.Certificate.load(tmp_path / "c.npz")
