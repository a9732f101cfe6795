"""The pictures of the page on potentials: the example writes them, and its classifiers are what the page says."""

import runpy
from pathlib import Path

import numpy as np

from tests.architecture._source import ROOT


def test_three_potentials_choose_different_lines(tmp_path: Path) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "potential_balls.py"))
    limits = example["main"](tmp_path / "new folder")
    assert {file.name for file in (tmp_path / "new folder").iterdir()} == {
        "potential-balls.png", "potential-sublevel-sets.png", "potential-lines.png",
    }  # fmt: skip
    shares = {name: abs(limit.point[1] / limit.point[0]) for name, limit in limits.items()}
    assert shares["hyperbolic entropy"] < 1e-9 < 0.1 < shares["squared norm"] < shares["hyperbolic cosine"]
    assert all(limit.certificate.holds for limit in limits.values())
    angles = np.degrees(np.arctan(sorted(shares.values())))
    assert np.min(np.diff(angles)) > 10.0
