"""Saved paths: loaded, they give what they gave before."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from scipy import sparse

import implicitbias as ib
from implicitbias._core.linear_maps import ShiftedMap
from implicitbias.limits import _problem_files


def _numbers(seed: int = 0, n: int = 6, d: int = 9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def _paths() -> dict[str, ib.SaddlePath]:
    X, y = _numbers()
    names = [f"f{i}" for i in range(9)]
    thin = sparse.csr_array(np.where(np.abs(X) > 0.5, X, 0.0))
    shifted = ShiftedMap(thin, np.ones(6), np.asarray(thin.mean(axis=0)).ravel())
    start = np.where(np.arange(9) == 2, 0.7, 0.0)
    tied = np.hstack([X[:, :4], X[:, :4]])
    times = (np.linspace(0.5, 2.0, 9), np.append(np.linspace(0.5, 2.0, 8), np.inf))
    return {
        "dense": ib.saddle_path(ib.LeastSquares(X, y)),
        "named": ib.saddle_path(ib.LeastSquares(pandas.DataFrame(X, columns=names), y)),
        "sparse": ib.saddle_path(ib.LeastSquares(thin, y)),
        "shifted": ib.saddle_path(ib.LeastSquares(shifted, y)),
        "cut": ib.saddle_path(ib.LeastSquares(X, y), max_jumps=2),
        "pretrained": ib.saddle_path(ib.LeastSquares(X, y), start=start),
        "ties": ib.saddle_path(ib.LeastSquares(tied, y)),
        "growth times": ib.saddle_path(ib.LeastSquares(X, y), growth_times=times),
        "two layers": ib.saddle_path(
            ib.LeastSquares(X, y), growth_times=ib.SquareDifference().growth_times((np.ones(9), times[0]))
        ),
        "three layers": ib.saddle_path(
            ib.LeastSquares(tied, y),
            growth_times=ib.DeepDiagonal(3).growth_times(tuple(np.ones((3, tied.shape[1])))),
        ),
        "no jumps": ib.saddle_path(ib.LeastSquares(X, np.zeros(6))),
    }


PATHS = _paths()


def same(one: ib.SaddlePath, other: ib.SaddlePath) -> None:
    """Every field and every method, bit by bit."""
    for name in ("times", "nu", "losses", "unique", "strictly_complementary", "dual", "coefficients"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert not getattr(one, name).flags.writeable
    for name in ("equicorrelation_sets", "active_sets"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(a, b)
    assert (one.status, one.valid_until) == (other.status, other.valid_until)
    assert one.feature_names == other.feature_names
    assert str(one.certificate) == str(other.certificate)
    assert repr(one) == repr(other)
    end = min(1.5 * float(one.times[-1]) + 1.0, float(np.nextafter(one.valid_until, 0.0)))
    times = np.linspace(0.0, end, 20)
    np.testing.assert_array_equal(one.at(times), other.at(times))
    np.testing.assert_array_equal(one.time_average(times), other.time_average(times))
    np.testing.assert_array_equal(one.arc_length(), other.arc_length())
    assert one.to_dataset().identical(other.to_dataset())
    assert one.problem.fingerprint() == other.problem.fingerprint()
    assert one.growth.fingerprint() == other.growth.fingerprint()


# Oracle: the path that was saved.
@pytest.mark.parametrize("name", PATHS)
def test_a_round_trip(name: str, tmp_path: Path) -> None:
    before, file = PATHS[name], tmp_path / "path.npz"
    before.save(file)
    after = ib.SaddlePath.load(str(file))
    same(after, before)
    lines = [[line.get_xydata() for axis in ib.plot(p).axes for line in axis.lines] for p in (before, after)]
    assert all(np.array_equal(a, b) for a, b in zip(*lines, strict=True))
    after.save(file)  # over itself
    same(ib.SaddlePath.load(file, like=before.problem), before)
    assert [path.name for path in tmp_path.iterdir()] == ["path.npz"]


def test_the_problem_at_hand_is_used(tmp_path: Path) -> None:
    before = PATHS["dense"]
    before.save(tmp_path / "path.npz")
    assert ib.SaddlePath.load(tmp_path / "path.npz", like=before.problem).problem is before.problem


@pytest.mark.parametrize("name", ["dense", "sparse", "shifted"])
def test_a_large_problem_is_referred_to(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_problem_files, "LARGEST_DATA", 100)
    before, file = PATHS[name], tmp_path / "path.npz"
    before.save(file)
    with np.load(file) as archive:
        assert not [entry for entry in archive.files if entry.startswith("X.") or entry == "y"]
    with pytest.raises(ib.InputError, match=r"LeastSquares\(n=6, d=9\), which is too large.*like=problem"):
        ib.SaddlePath.load(file)
    same(ib.SaddlePath.load(file, like=before.problem), before)


def test_another_problem_is_refused(tmp_path: Path) -> None:
    X, y = _numbers()
    PATHS["dense"].save(tmp_path / "path.npz")
    changed = X.copy()
    changed[3, 4] = np.nextafter(changed[3, 4], 2.0)
    for other in (ib.LeastSquares(changed, y), ib.LeastSquares(X, 2 * y), PATHS["named"].problem):
        with pytest.raises(ib.InputError, match="like is LeastSquares"):
            ib.SaddlePath.load(tmp_path / "path.npz", like=other)


def test_files_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "path.npz"
    PATHS["dense"].save(file)
    content = file.read_bytes()
    with np.load(file) as archive:
        arrays: dict[str, Any] = dict(archive)
    for data in (b"", b"hello", content[: len(content) // 2]):
        file.write_bytes(data)
        with pytest.raises(ib.InputError, match="not a saved saddle path"):
            ib.SaddlePath.load(file)
    for missing in ("nu", "indices", "boundary_ends", "X.X", "y"):
        np.savez(file, **{name: array for name, array in arrays.items() if name != missing})
        with pytest.raises(ib.InputError, match="not a saved saddle path"):
            ib.SaddlePath.load(file)
    PATHS["dense"].certificate.save(file)
    with pytest.raises(ib.InputError, match=r"holds implicitbias.Certificate"):
        ib.SaddlePath.load(file)
    with pytest.raises(ib.InputError, match="there is no file"):
        ib.SaddlePath.load(tmp_path / "nowhere.npz")
